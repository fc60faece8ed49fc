package eventdb

import (
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
)

// TestTraceIndexOfBefore reads index rows that say no grain: each stands for half an hour.
func TestTraceIndexOfBefore(t *testing.T) {
	db := openTest(t, t.TempDir())
	at := base - base%oldTraceBlock + int64(20*time.Minute)
	write(t, db, span("new", "1", at))
	tenant, ok := db.projects.find(signal.DefaultProject)
	if !ok {
		t.Fatal("no project")
	}
	old := encoded{time: at - at%oldTraceBlock, streams: 1, fields: traceRow("old", 0).fields[:2]}
	if _, err := db.events.Add(tenant, []encoded{old}); err != nil {
		t.Fatal(err)
	}
	db.flush()
	for _, c := range []struct {
		trace string
		start int64
		long  int64
	}{{"new", at, traceBlock}, {"old", at - at%oldTraceBlock, oldTraceBlock}} {
		db.traces.forget(traceKey{tenant, c.trace})
		got, err := db.TraceRange(t.Context(), signal.DefaultProject, c.trace)
		if want := (signal.TimeRange{Start: c.start, End: c.start + c.long}); err != nil || got != want {
			t.Errorf("trace %s: %+v, %v, want %+v", c.trace, got, err, want)
		}
	}
}
