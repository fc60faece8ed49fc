package eventdb

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// TestDeletedPayloadComesAgain writes a text while the store removes it with the only row that had it: the writer waits for
// that, the deletion ends, and the text is there with the new row.
func TestDeletedPayloadComesAgain(t *testing.T) {
	db := openTest(t, t.TempDir())
	prompt := field("attr.prompt", store.String(strings.Repeat("what goes and comes again ", 40)))
	write(t, db, span("gone", "1", base, prompt))
	again := span("again", "2", base+int64(time.Minute), prompt)
	deleted := make(chan error, 1)
	go func() {
		_, err := db.Delete(t.Context(), signal.DefaultProject, store.Scope{
			Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldTraceID, "gone"),
		})
		deleted <- err
	}()
	for sealed := false; !sealed; time.Sleep(time.Millisecond) {
		db.doomed.mu.Lock()
		sealed = len(db.doomed.sealed) > 0
		db.doomed.mu.Unlock()
		if len(deleted) > 0 {
			t.Fatalf("the deletion ended (%v) before its payload was seen going", <-deleted)
		}
	}
	write(t, db, again)
	select {
	case err := <-deleted:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the deletion and the writer wait for each other")
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	sameRows(t, selectAll(t, db, store.Select{Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime()}}), []store.Row{again})
}

// TestBuryRightAfterWrite buries rows that the engine has not been handed yet, as after a crash, when the replay has just added
// them.
func TestBuryRightAfterWrite(t *testing.T) {
	db := openTest(t, t.TempDir())
	gone := span("gone", "1", base, field("attr.prompt", store.String(strings.Repeat("what must not come back ", 40))))
	if _, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{gone, span("kept", "2", base+1)}); err != nil {
		t.Fatal(err)
	}
	stone := newTombstone(signal.DefaultProject, store.KindSpan, &doomed{
		ids: []string{gone.ID}, traces: map[string]struct{}{"gone": {}},
		payloads: map[stored]struct{}{{dayOf(base), db.PayloadHash(signal.DefaultProject, gone.Text("attr.prompt"))}: {}},
	}, time.Now())
	if err := db.deletions.add(stone); err != nil {
		t.Fatal(err)
	}
	if err := db.bury(t.Context(), stone); err != nil {
		t.Fatal(err)
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	if rows := selectAll(t, db, store.Select{Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime()}}); len(rows) != 1 || rows[0].Text(store.FieldTraceID) != "kept" {
		t.Errorf("%d rows are left, want the one that was kept", len(rows))
	}
	if _, err := db.Payload(t.Context(), signal.DefaultProject, db.PayloadHash(signal.DefaultProject, gone.Text("attr.prompt"))); err == nil {
		t.Error("the payload is there still")
	}
}

// TestDeleteTaskSeesGatheredRows begins a deletion when rows wait to be handed to the engine: it must have them first, since it
// looks for what to delete at a time of its own.
func TestDeleteTaskSeesGatheredRows(t *testing.T) {
	db := openTest(t, t.TempDir())
	if _, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{span("gone", "1", base)}); err != nil {
		t.Fatal(err)
	}
	e, ok := db.events.(embedded)
	if !ok {
		t.Fatalf("the store has a %T", db.events)
	}
	tenant, ok := db.projects.find(signal.DefaultProject)
	if !ok {
		t.Fatal("no project")
	}
	if err := deleteRows(t.Context(), watched{e, t}, tenant, ofKind(store.KindSpan)); err != nil {
		t.Fatal(err)
	}
}

// watched looks at what waits when a deletion has begun.
type watched struct {
	embedded
	t *testing.T
}

func (w watched) DeleteRunTask(ctx context.Context, id string, at int64, tenants []logstorage.TenantID, f *logstorage.Filter) error {
	err := w.embedded.DeleteRunTask(ctx, id, at, tenants, f)
	w.gather.mu.Lock()
	defer w.gather.mu.Unlock()
	if w.gather.rows.RowsCount() > 0 {
		w.t.Errorf("%d rows wait when the deletion has begun", w.gather.rows.RowsCount())
	}
	return err
}
