package eventdb

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// TestClockJumpsBack sets the clock back by a day, under a running store and over a restart, and forth again: every row
// stays and is read once, rows of the lost day are taken, and no day is removed.
func TestClockJumpsBack(t *testing.T) {
	var offset atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	dir := t.TempDir()
	db := openWith(t, dir, Config{Clock: clock})
	now := clock().UnixNano()
	want := []store.Row{span("t", "old", now-int64(3*day)), span("t", "1", now), span("t", "ahead", now+int64(day))}
	add(t, db, want...)

	offset.Store(-int64(day))
	if err := db.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	add(t, db, want[1:]...) // what was sent before is sent again: still within what is accepted, and known
	later := span("t", "2", clock().UnixNano())
	want = append(want, later)
	add(t, db, later)
	far := span("t", "far", now+int64(2*day))
	rejected, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{far})
	if err != nil || rejected.Items != 1 {
		t.Errorf("a row three days ahead of the new clock: rejected %+v, %v", rejected, err)
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := selectAll(t, db, store.Select{}); len(got) != len(want) {
		t.Errorf("%d rows under the new clock, want %d", len(got), len(want))
	}

	again := openWith(t, crashed(t, dir), Config{Clock: clock})
	for _, back := range []time.Duration{-day, -10 * day, 0} { // and further back, and forth
		offset.Store(int64(back))
		if err := again.tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		if back != -10*day { // these rows are ahead of what that clock takes
			add(t, again, want...)
		}
		if err := again.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := selectAll(t, again, store.Select{}); len(got) != len(want) {
			t.Errorf("%d rows with the clock at %v, want %d", len(got), back, len(want))
		}
	}
}
