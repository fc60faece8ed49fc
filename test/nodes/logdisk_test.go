package nodes

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/test/harness"
)

// TestLogDiskWhileANodeIsAway: the log keeps everything for as long as a node is away that may have lost rows. It grows
// until its disk has no more than is to stay free; senders are asked to come again then, and when the node is back the log is
// cut and rows are taken.
func TestLogDiskWhileANodeIsAway(t *testing.T) {
	const disk, floor = 12 << 20, 6 << 20
	dir := t.TempDir()
	wal := filepath.Join(dir, "wal")
	if err := os.MkdirAll(wal, 0o750); err != nil {
		t.Fatal(err)
	}
	harness.SmallDisk(t, wal, disk)
	nodes := startNodes(t, 2)
	db, err := eventdb.Open(dir, eventdb.Config{Nodes: addrs(nodes), NodeSettle: settle, MinFreeBytes: floor, CheckpointEvery: time.Second, SegmentBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	written := 0
	put := func() error {
		r := span(fmt.Sprintf("trace-%d", written), 0, time.Now())
		r.Add("attr.noise", store.String(noise(200_000)))
		_, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{r})
		if err == nil {
			written++
		}
		return err
	}
	for range 5 { // some are on the node that goes, and perhaps in its memory only
		if err := put(); err != nil {
			t.Fatal(err)
		}
	}
	nodes[1].kill(syscall.SIGKILL)
	for err == nil && written < 2*disk/200_000 {
		err = put()
	}
	if _, again := signal.RetryAfter(err); !errors.Is(err, store.ErrReadOnly) || !again {
		t.Fatalf("after %d rows: %v; the log has %d bytes", written, err, db.Log().Bytes)
	}
	if got := db.Log().Bytes; got < disk-floor-1<<20 || got > disk-floor+1<<20 {
		t.Errorf("the log has %d bytes, on a disk of %d of which %d are to stay free", got, disk, floor)
	}
	if st, err := db.Stats(t.Context()); err != nil || !st.ReadOnly {
		t.Errorf("stats %+v, %v", st, err)
	}
	nodes[1].start()
	for range 10 {
		harness.Eventually(t, time.Minute, "rows to be taken again", put)
	}
	harness.Eventually(t, 20*time.Second, "all rows", func() error {
		if err := db.Flush(); err != nil {
			return err
		}
		found, err := count(context.Background(), db)
		for id, n := range found {
			if n > 1 {
				t.Fatalf("row %s is there %d times", id, n)
			}
		}
		if err == nil && len(found) != written {
			err = fmt.Errorf("%d rows of %d", len(found), written)
		}
		return err
	})
}

// noise is text that hardly compresses.
func noise(n int) string {
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "%x ", rand.Uint64())
	}
	return b.String()
}
