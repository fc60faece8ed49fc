package eventdb

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// backupTo unpacks a backup of db into a folder.
func backupTo(t *testing.T, db *DB) string {
	t.Helper()
	var archive bytes.Buffer
	if err := db.Backup(t.Context(), &archive); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for r := tar.NewReader(&archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o750)
		} else {
			var data []byte
			if data, err = io.ReadAll(r); err == nil {
				err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, data, 0o640))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func restored(t *testing.T, from string) *DB {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "new")
	if err := Restore(from, dir); err != nil {
		t.Fatal(err)
	}
	return openTest(t, dir)
}

// TestBackupUnderLoad: everything that was acknowledged before a backup began comes back from it, once and whole.
func TestBackupUnderLoad(t *testing.T) {
	db := openTest(t, t.TempDir())
	one := func(w, i int) store.Row {
		return span(fmt.Sprintf("t%d", w), fmt.Sprint(i), base+int64(i), field("attr.prompt", store.String(strings.Repeat(fmt.Sprintf("%d-%d ", w, i), 300))))
	}
	var mu sync.Mutex
	var acked []string
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				r := one(w, i)
				if _, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{r}); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acked = append(acked, r.ID)
				mu.Unlock()
			}
		})
	}
	for round := range 3 {
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			mu.Lock()
			n := len(acked)
			mu.Unlock()
			if n >= (round+1)*1000 || time.Now().After(end) {
				break
			}
		}
		mu.Lock()
		before := append([]string{}, acked...)
		mu.Unlock()
		copied := restored(t, backupTo(t, db))
		found := map[string]int{}
		for _, r := range selectAll(t, copied, store.Select{}) {
			found[r.ID]++
			if !strings.HasPrefix(r.Text("attr.prompt"), r.ID[1:2]+"-"+r.ID[2:]+" ") {
				t.Fatalf("row %s came back with %.40q", r.ID, r.Text("attr.prompt"))
			}
		}
		lost := 0
		for _, id := range before {
			if found[id] != 1 {
				lost++
			}
		}
		t.Logf("round %d: %d acknowledged before, %d restored", round, len(before), len(found))
		if lost > 0 || len(before) < 1000 {
			t.Errorf("of %d rows acknowledged before the backup %d are not there exactly once", len(before), lost)
		}
	}
	close(stop)
	wg.Wait()
	for _, e := range []engine{db.events, db.payloads} {
		if left := e.(embedded).PartitionSnapshotList(); len(left) > 0 {
			t.Errorf("snapshots are left: %q", left)
		}
	}
}

// TestRestoreDeletesAgain: what was deleted after a backup stays deleted when its record came to the backup.
func TestRestoreDeletesAgain(t *testing.T) {
	db := openTest(t, t.TempDir())
	write(t, db, span("a", "1", base), span("b", "2", base+1))
	remove := func(trace string) {
		t.Helper()
		scope := store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldTraceID, trace)}
		if n, err := db.Delete(t.Context(), signal.DefaultProject, scope); n != 1 || err != nil {
			t.Fatalf("deleted %d, %v", n, err)
		}
	}
	remove("b")
	write(t, db, span("b", "2", base+1)) // came again, and stays: its deletion was before
	dir := backupTo(t, db)
	remove("a")
	sameRows(t, selectAll(t, restored(t, dir), store.Select{Order: store.OldestFirst}), []store.Row{span("a", "1", base), span("b", "2", base+1)})
	record, err := db.Deletions()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, fileDeletions), record, 0o640); err != nil {
		t.Fatal(err)
	}
	sameRows(t, selectAll(t, restored(t, dir), store.Select{}), []store.Row{span("b", "2", base+1)})
}

func TestRestoreRefuses(t *testing.T) {
	db := openTest(t, t.TempDir())
	write(t, db, span("a", "1", base))
	dir := backupTo(t, db)
	if err := Restore(dir, db.dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("into a folder in use: %v", err)
	}
	if err := Restore(t.TempDir(), filepath.Join(t.TempDir(), "x")); err == nil || signal.HintOf(err) == "" {
		t.Errorf("from a folder that is no backup: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, fileBackup), []byte(`{"format":99}`), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := Restore(dir, filepath.Join(t.TempDir(), "x")); !errors.Is(err, store.ErrNewer) {
		t.Errorf("of a newer release: %v", err)
	}
}
