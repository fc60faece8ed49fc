package eventdb

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// crashed returns a copy of an open store's folder: what is on disk at this moment, as a kill would leave it.
func crashed(t *testing.T, dir string) string {
	t.Helper()
	for {
		to := t.TempDir()
		err := os.CopyFS(to, os.DirFS(dir))
		if err == nil {
			return to
		}
		if !errors.Is(err, fs.ErrNotExist) { // a small file was replaced meanwhile
			t.Fatal(err)
		}
	}
}

// unflushed opens a store that makes no checkpoints by itself.
func unflushed(t *testing.T, dir string, cfg Config) *DB {
	t.Helper()
	cfg.CheckpointEvery = time.Hour
	return openWith(t, dir, cfg)
}

func add(t *testing.T, db *DB, rows ...store.Row) {
	t.Helper()
	rejected, err := db.Write(t.Context(), signal.DefaultProject, rows)
	if err != nil || rejected.Items != 0 {
		t.Fatalf("write: %v, rejected %+v", err, rejected)
	}
}

func TestAcknowledgedRowsSurviveACrash(t *testing.T) {
	dir := t.TempDir()
	db := unflushed(t, dir, Config{})
	prompt := field("attr.prompt", store.String(strings.Repeat("a long prompt ", 100)))
	var want []store.Row
	for i := range 100 {
		r := span(fmt.Sprintf("t%d", i%7), fmt.Sprint(i), base+int64(i), prompt, field("attr.i", store.Int(int64(i))))
		want = append(want, r)
		add(t, db, r)
	}
	again := unflushed(t, crashed(t, dir), Config{})
	if got := again.Log(); got.ReplayedRows < 100 || got.ReplayedRecords != 100 {
		t.Errorf("replayed %+v", got)
	}
	add(t, again, want...) // the senders had no answer and send again
	if err := again.Flush(); err != nil {
		t.Fatal(err)
	}
	sameRows(t, selectAll(t, again, store.Select{Order: store.OldestFirst}), want)
	q := store.Select{Scope: store.Scope{Filter: store.Eq(store.FieldTraceID, "t3")}}
	if n := len(selectAll(t, again, q)); n != 14 {
		t.Errorf("trace has %d spans, want 14", n)
	}
}

func TestCheckpointCutsTheLogToWhatTheEngineLacks(t *testing.T) {
	dir := t.TempDir()
	db := unflushed(t, dir, Config{})
	first, second := span("t", "1", base), span("t", "2", base+1)
	add(t, db, first)
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := db.Log().Bytes; n != 0 {
		t.Errorf("%d bytes of log after a checkpoint of everything", n)
	}
	add(t, db, second)
	again := unflushed(t, crashed(t, dir), Config{})
	if n := again.Log().ReplayedRecords; n != 1 {
		t.Errorf("%d records replayed, want the one behind the checkpoint", n)
	}
	if err := again.Flush(); err != nil {
		t.Fatal(err)
	}
	sameRows(t, selectAll(t, again, store.Select{Order: store.OldestFirst}), []store.Row{first, second})
}

// TestReplayOfFlushedRows replays rows that the engine has on disk: the checkpoint was lost with the crash.
func TestReplayOfFlushedRows(t *testing.T) {
	f := func(at int64) {
		t.Helper()
		dir := t.TempDir()
		db := unflushed(t, dir, Config{})
		prompt := field("attr.prompt", store.String(strings.Repeat("long prompt ", 100)))
		want := []store.Row{span("t", "1", at, prompt), span("t", "2", at+1, prompt)}
		task := store.Row{Kind: store.KindTask, ID: "k", Time: at}
		task.Add(store.FieldRevision, store.Int(3))
		add(t, db, append(want, task)...)
		if err := db.persist(t.Context()); err != nil {
			t.Fatal(err)
		}
		again := unflushed(t, crashed(t, dir), Config{})
		if got := again.Log(); got.ReplayedRecords != 1 || got.ReplayedRows > 1 { // the trace's index row may come twice
			t.Errorf("replayed %+v, want no row", got)
		}
		if err := again.Flush(); err != nil {
			t.Fatal(err)
		}
		sameRows(t, selectAll(t, again, store.Select{Order: store.OldestFirst}), want)
		sameRows(t, selectAll(t, again, store.Select{Scope: store.Scope{Kind: store.KindTask}}), []store.Row{task})
		var stats logstorage.StorageStats
		again.payloads.UpdateStats(&stats)
		if n := stats.RowsCount(); n != 2 {
			t.Errorf("%d rows, want a payload and the words of its group", n)
		}
	}
	f(base)                  // long before what is remembered
	f(time.Now().UnixNano()) // remembered
}

func TestTornTailIsCutAndCounted(t *testing.T) {
	dir := t.TempDir()
	db := unflushed(t, dir, Config{})
	for i := range 3 {
		add(t, db, span("t", fmt.Sprint(i), base+int64(i)))
	}
	f := func(damage func([]byte) []byte, wantRows int) {
		t.Helper()
		to := crashed(t, dir)
		path := onlySegment(t, to)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, damage(bytes.Clone(data)), 0o600); err != nil {
			t.Fatal(err)
		}
		again := unflushed(t, to, Config{})
		if got := again.Log(); got.Cut != 1 || got.Corrupt != 0 {
			t.Errorf("log %+v, want one cut", got)
		}
		// What comes next is written behind the cut and found again.
		add(t, again, span("t", "new", base+10))
		third := unflushed(t, crashed(t, to), Config{})
		if err := third.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := selectAll(t, third, store.Select{}); len(got) != wantRows+1 {
			t.Errorf("%d rows, want %d", len(got), wantRows+1)
		}
	}
	f(func(b []byte) []byte { return b[:len(b)-1] }, 2)
	f(func(b []byte) []byte { return append(b, 0, 0, 0, 0, 0) }, 3)
	f(func(b []byte) []byte { return append(b, frameMark+"\xff\xff\xff\xff"...) }, 3)
	f(func(b []byte) []byte { b[len(b)-3] ^= 1; return b }, 2)
}

func onlySegment(t *testing.T, dir string) string {
	t.Helper()
	segments, err := listSegments(filepath.Join(dir, dirWAL))
	if err != nil || len(segments) != 1 {
		t.Fatalf("%d segments, %v; want one", len(segments), err)
	}
	return segments[0].path
}

func TestDamagedRecordIsLeaptOverAndNamed(t *testing.T) {
	dir := t.TempDir()
	db := unflushed(t, dir, Config{})
	for i := range 5 {
		add(t, db, span("t", fmt.Sprint(i), base+int64(i)))
	}
	to := crashed(t, dir)
	path := onlySegment(t, to)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, _, length, ok := cutFrame(data[segmentHeader:], crc32.MakeTable(crc32.Castagnoli))
	if !ok {
		t.Fatal("no first frame")
	}
	at := segmentHeader + length // the second record
	data[at+frameHeader+5] ^= 0x40
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	again := unflushed(t, to, Config{Logger: slog.New(slog.NewJSONHandler(&said, nil))})
	if got := again.Log(); got.Corrupt != 1 || got.Cut != 0 {
		t.Errorf("log %+v, want one damaged place", got)
	}
	if err := again.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := selectAll(t, again, store.Select{}); len(got) != 4 {
		t.Errorf("%d rows, want the 4 others", len(got))
	}
	var line struct {
		Level, File string
		Offset      int
	}
	found := false
	for text := range strings.Lines(said.String()) {
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		found = found || line.Level == "ERROR" && line.File == path && line.Offset == at
	}
	if !found {
		t.Errorf("no message names %s and %d:\n%s", path, at, &said)
	}
}

func TestDamagedCheckpointIsPutAside(t *testing.T) {
	dir := t.TempDir()
	db := unflushed(t, dir, Config{})
	add(t, db, span("t", "1", base))
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	add(t, db, span("t", "2", base))
	to := crashed(t, dir)
	path := filepath.Join(to, dirWAL, fileCheckpoint)
	if err := os.WriteFile(path, []byte(checkpointMagic+strings.Repeat("x", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(to, Config{Retention: century / 2}); !errors.Is(err, store.ErrNewer) {
		t.Errorf("checkpoint of a newer release: %v", err)
	}
	if err := os.WriteFile(path, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := unflushed(t, to, Config{})
	if err := again.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := selectAll(t, again, store.Select{}); len(got) != 2 {
		t.Errorf("%d rows, want 2", len(got))
	}
	if again.Log().Corrupt != 1 {
		t.Error("the damage is not counted")
	}
	if _, err := os.Stat(path + ".damaged"); err != nil {
		t.Error(err)
	}
}

// TestFailedWrite has the log's folder refuse a new segment: senders are asked to send again, and when the folder is
// mended, the same rows are taken.
func TestFailedWrite(t *testing.T) {
	dir := t.TempDir()
	db := unflushed(t, dir, Config{})
	logDir := filepath.Join(dir, dirWAL)
	if err := os.Rename(logDir, logDir+".away"); err != nil {
		t.Fatal(err)
	}
	prompt := field("attr.prompt", store.String(strings.Repeat("long prompt ", 100)))
	rows := []store.Row{span("t", "1", base, prompt), span("t", "2", base, prompt)}
	_, err := db.Write(t.Context(), signal.DefaultProject, rows)
	if _, ok := signal.RetryAfter(err); !ok {
		t.Fatalf("write without a folder: %v, want a retryable error", err)
	}
	if n := db.Log().Failures; n == 0 {
		t.Error("the failure is not counted")
	}
	if err := os.Rename(logDir+".away", logDir); err != nil {
		t.Fatal(err)
	}
	write(t, db, rows...)
	sameRows(t, selectAll(t, db, store.Select{Order: store.OldestFirst}), rows)
	again := unflushed(t, crashed(t, dir), Config{})
	if err := again.Flush(); err != nil {
		t.Fatal(err)
	}
	sameRows(t, selectAll(t, again, store.Select{Order: store.OldestFirst}), rows)
}

// TestGroupCommit wants every record of many writers once and in order, with fewer syncs than records.
func TestGroupCommit(t *testing.T) {
	dir := t.TempDir()
	w := openWAL(dir, SyncAlways, segmentLen, nil, 0, slog.New(slog.DiscardHandler))
	const writers, each = 32, 20
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for j := range each {
				if _, err := w.append(fmt.Appendf(nil, "record %d of %d", j, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if syncs := w.stats.syncs.Load(); syncs >= writers*each {
		t.Errorf("%d syncs of %d records", syncs, writers*each)
	}
	w.close()
	if _, err := w.append([]byte("late")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	data, err := os.ReadFile(segmentPath(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	next := uint64(1)
	damaged, err := eachFrame("", data, 0, func(n uint64, _ []byte) error {
		if n != next {
			t.Errorf("record %d, want %d", n, next)
		}
		next++
		return nil
	})
	if err != nil || len(damaged) > 0 || next != writers*each+1 {
		t.Errorf("%d records, damaged %v, %v", next-1, damaged, err)
	}
}

// TestBrokenWrite makes the file fail under the log: the group is refused, and nothing of it is found later.
func TestBrokenWrite(t *testing.T) {
	dir := t.TempDir()
	w := openWAL(dir, SyncAlways, segmentLen, nil, 0, slog.New(slog.DiscardHandler))
	defer w.close()
	if _, err := w.append([]byte("one")); err != nil {
		t.Fatal(err)
	}
	good := w.file
	readOnly, err := os.Open(good.Name())
	if err != nil {
		t.Fatal(err)
	}
	swap := func(f *os.File) {
		done := make(chan struct{})
		w.asked <- func() { w.file = f; close(done) }
		<-done
	}
	swap(readOnly)
	for range 2 { // it stays broken as long as the file can't be cut back
		if n, err := w.append([]byte("two")); err == nil {
			t.Fatalf("record %d was taken by a file that takes nothing", n)
		}
	}
	swap(good)
	if n, err := w.append([]byte("three")); err != nil || n != 2 {
		t.Fatalf("record %d, %v; want 2", n, err)
	}
	segments, err := listSegments(dir)
	if err != nil || len(segments) != 2 {
		t.Fatalf("%d segments, %v", len(segments), err)
	}
	var got []string
	for _, s := range segments {
		data, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := eachFrame(s.path, data, s.first-1, func(_ uint64, r []byte) error { got = append(got, string(r)); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"one", "three"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestCheckpointAfterReplay: what was replayed is in the engine's files before the store is open, and not replayed again.
func TestCheckpointAfterReplay(t *testing.T) {
	dir := t.TempDir()
	db := unflushed(t, dir, Config{})
	want := []store.Row{span("t", "1", base), span("t", "2", base+1)}
	add(t, db, want...)
	dir = crashed(t, dir)
	second := unflushed(t, dir, Config{})
	if n := second.Log().ReplayedRecords; n != 1 {
		t.Errorf("%d records were replayed, want 1", n)
	}
	if n := second.wal.stats.size.Load(); n != 0 {
		t.Errorf("the log has %d bytes after the replay", n)
	}
	third := unflushed(t, crashed(t, dir), Config{})
	if n := third.Log().ReplayedRecords; n != 0 {
		t.Errorf("%d records were replayed again", n)
	}
	if err := third.Flush(); err != nil {
		t.Fatal(err)
	}
	sameRows(t, selectAll(t, third, store.Select{Order: store.OldestFirst}), want)
}
