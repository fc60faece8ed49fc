package eventdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// holds returns the files below dir that have text in them, as it is or in a part that is compressed: every place that
// looks like the beginning of a compressed block is read as one.
func holds(t *testing.T, dir, text string) []string {
	t.Helper()
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	var found []string
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a small file was replaced meanwhile
		}
		if err != nil {
			return err
		}
		if bytes.Contains(data, []byte(text)) || inBlocks(dec, data, text) || inLog(path, data, text) || inState(path, data, text) {
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func inBlocks(dec *zstd.Decoder, data []byte, text string) bool {
	magic := binary.LittleEndian.AppendUint32(nil, 0xFD2FB528)
	for {
		i := bytes.Index(data, magic)
		if i < 0 {
			return false
		}
		data = data[i:]
		plain := firstBlock(dec, data)
		if bytes.Contains(plain, []byte(text)) {
			return true
		}
		data = data[1:]
	}
}

// firstBlock decodes the block that data begins with, whatever follows it.
func firstBlock(dec *zstd.Decoder, data []byte) []byte {
	if dec.Reset(bytes.NewReader(data)) != nil {
		return nil
	}
	var out []byte
	buf := make([]byte, 64<<10)
	for len(out) < 8<<20 {
		n, err := dec.Read(buf)
		out = append(out, buf[:n]...)
		if err != nil {
			break
		}
	}
	return out
}

// inLog looks into the records of the log, which are compressed one by one.
func inLog(path string, data []byte, text string) bool {
	if filepath.Ext(path) != segmentSuffix {
		return false
	}
	found := false
	_, err := eachFrame(path, data, 0, func(_ uint64, record []byte) error {
		plain, err := s2.Decode(nil, record)
		found = found || bytes.Contains(plain, []byte(text))
		return err
	})
	return found || err != nil
}

// inState looks into the state that a checkpoint packs.
func inState(path string, data []byte, text string) bool {
	if filepath.Base(path) != fileCheckpoint {
		return false
	}
	c, err := decodeCheckpoint(data)
	if err != nil {
		return true
	}
	state, err := c.state()
	return err != nil || bytes.Contains(state, []byte(text))
}

func TestDeletedIsGoneFromDisk(t *testing.T) {
	dir := t.TempDir()
	db := openTest(t, dir)
	secret, shared := "the launch code is 8c1fd3", "You are a careful writer. "
	var rows []store.Row
	for i := range 200 {
		trace := fmt.Sprintf("trace-%d", i%4)
		text := strings.Repeat(fmt.Sprintf("nothing to see in %d. ", i), 60)
		if i%4 == 1 {
			text += secret
		}
		rows = append(rows, span(trace, fmt.Sprint(i), base+int64(i),
			field("attr.prompt", store.String(text)), field("attr.short", store.String(text[len(text)-40:])),
			field("attr.system", store.String(strings.Repeat(shared, 40)))))
	}
	write(t, db, rows...)
	if !slices.ContainsFunc(holds(t, dir, secret), func(path string) bool { return filepath.Ext(path) == segmentSuffix }) {
		t.Fatal("the log holds nothing of what was written")
	}
	if err := db.events.Persist(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.payloads.Persist(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(holds(t, dir, secret)) < 2 || len(holds(t, dir, shared)) == 0 {
		t.Fatal("the search finds nothing where something is")
	}
	scope := store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldTraceID, "trace-1")}
	if n, err := db.Delete(t.Context(), signal.DefaultProject, scope); n != 50 || err != nil {
		t.Fatalf("deleted %d, %v", n, err)
	}
	if left := holds(t, dir, secret); len(left) > 0 {
		t.Errorf("what was deleted is still in %q", left)
	}
	if len(holds(t, dir, shared)) == 0 {
		t.Error("what others use is gone")
	}
	if n := len(db.deletions.pending()); n != 0 {
		t.Errorf("%d deletions are pending", n)
	}
}

// TestDeleteBesideWriters: writers go on during a Delete, and what they send that the deleted rows had, too, stays.
func TestDeleteBesideWriters(t *testing.T) {
	db := openTest(t, t.TempDir())
	shared := strings.Repeat("used by the deleted and the new. ", 40)
	one := func(trace string, i int) store.Row {
		return span(trace, fmt.Sprint(i), base+int64(i), field("attr.system", store.String(shared)),
			field("attr.prompt", store.String(strings.Repeat(fmt.Sprintf("prompt %d of %s ", i, trace), 50))))
	}
	var old []store.Row
	for i := range 500 {
		old = append(old, one("old", i))
	}
	write(t, db, old...)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var written []store.Row
	var slowest time.Duration
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			r := one([]string{"new", "old"}[i%2], 1000+i)
			start := time.Now()
			if _, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{r}); err != nil {
				t.Error(err)
				return
			}
			slowest = max(slowest, time.Since(start))
			written = append(written, r)
		}
	})
	scope := store.Scope{Kind: store.KindSpan, Time: signal.TimeRange{Start: base, End: base + 500}, Filter: store.Eq(store.FieldTraceID, "old")}
	start := time.Now()
	n, err := db.Delete(t.Context(), signal.DefaultProject, scope)
	took := time.Since(start)
	close(stop)
	wg.Wait()
	if n != 500 || err != nil {
		t.Fatalf("deleted %d, %v", n, err)
	}
	t.Logf("delete took %v, %d writes meanwhile, the slowest %v", took, len(written), slowest)
	if slowest > time.Second {
		t.Errorf("a writer waited %v", slowest)
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	sameRows(t, selectAll(t, db, store.Select{Order: store.OldestFirst}), written)
	// Through the index, too: spans that came for the deleted trace.
	got := selectAll(t, db, store.Select{Scope: store.Scope{Filter: store.Eq(store.FieldTraceID, "old")}})
	if want := len(written) / 2; len(got) < want {
		t.Errorf("%d spans of the trace, want %d", len(got), want)
	}
}

// TestDeletionAfterCrash: a Delete that was written down and not carried out is carried out at the next open.
func TestDeletionAfterCrash(t *testing.T) {
	dir := t.TempDir()
	db := openTest(t, dir)
	write(t, db, span("a", "1", base), span("a", "2", base+1), span("b", "3", base+2))
	d := newDoomed()
	d.ids, d.traces = []string{"a1", "a2"}, map[string]struct{}{"a": {}}
	if err := db.deletions.add(newTombstone(signal.DefaultProject, store.KindSpan, d, time.Now())); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// The crash cut the next line short.
	f, err := os.OpenFile(filepath.Join(dir, fileDeletions), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"id":"x","rows":["b3"`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	db = openTest(t, dir)
	sameRows(t, selectAll(t, db, store.Select{}), []store.Row{span("b", "3", base+2)})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// Done is done: what is sent again stays.
	db = openTest(t, dir)
	write(t, db, span("a", "1", base))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openTest(t, dir)
	sameRows(t, selectAll(t, db, store.Select{Order: store.OldestFirst}), []store.Row{span("a", "1", base), span("b", "3", base+2)})
}

// TestOddIdsInTombstones: ids are any bytes, and come back so.
func TestOddIdsInTombstones(t *testing.T) {
	dir := t.TempDir()
	d, err := openDeletions(filepath.Join(dir, fileDeletions))
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{"plain", "<&>", "\xff\xfe", "@utf8:", "@utf8:/w==", "a\x00\u2028b", ""}
	if err := d.add(&tombstone{ID: "1", Kind: store.KindSpan, Rows: ids, Traces: ids[2:]}); err != nil {
		t.Fatal(err)
	}
	again, err := openDeletions(d.path)
	if err != nil || len(again.all) != 1 {
		t.Fatal(again, err)
	}
	if got := again.all[0]; !slices.Equal(got.Rows, ids) || !slices.Equal(got.Traces, ids[2:]) {
		t.Errorf("rows %q, traces %q, want %q", got.Rows, got.Traces, ids)
	}
	old, err := parseTombstones([]byte(`{"id":"1","kind":"span","rows":["@utf8:no base64"]}` + "\n"))
	if err != nil || old[0].Rows[0] != "@utf8:no base64" {
		t.Errorf("of a release of before: %+v, %v", old, err)
	}
}

func FuzzParseTombstones(f *testing.F) {
	f.Add([]byte(`{"id":"1","kind":"span","rows":["a"]}` + "\n" + `{"id":"1","done":true}` + "\n"))
	f.Add([]byte(`{"id":"1","kind":"span","payloads":{"0":["x"]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := parseTombstones(text)
		for _, s := range all {
			if err == nil && (s.ID == "" || s.Kind == "") {
				t.Errorf("a tombstone of nothing: %+v", s)
			}
		}
	})
}
