package eventdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

func TestDelete(t *testing.T) {
	prompt := func(i int) string { return strings.Repeat(fmt.Sprintf("prompt %d ", i), 100) }
	shared := strings.Repeat("shared system prompt ", 100)
	dir := t.TempDir()
	db := openTest(t, dir)
	var rows, keep []store.Row
	for i := range 20 {
		trace := fmt.Sprintf("t%d", i%2)
		r := span(trace, fmt.Sprint(i), base+int64(i), field("attr.prompt", store.String(prompt(i))), field("attr.system", store.String(shared)))
		rows = append(rows, r)
		if i%2 == 0 {
			keep = append(keep, r)
		}
	}
	write(t, db, rows...)
	scope := store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldTraceID, "t1")}
	n, err := db.Delete(t.Context(), signal.DefaultProject, scope)
	if err != nil || n != 10 {
		t.Fatalf("deleted %d, %v", n, err)
	}
	check := func(remaining []store.Row) {
		t.Helper()
		sameRows(t, selectAll(t, db, store.Select{Order: store.OldestFirst}), remaining)
		if _, err := db.TraceRange(t.Context(), signal.DefaultProject, "t1"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("range of a deleted trace: %v", err)
		}
		for i := range 20 {
			_, err := db.Payload(t.Context(), signal.DefaultProject, store.HashOf(db, signal.DefaultProject, prompt(i)))
			if i%2 == 0 && err != nil || i%2 == 1 && !errors.Is(err, store.ErrNotFound) {
				t.Errorf("payload %d: %v", i, err)
			}
		}
		if p, err := db.Payload(t.Context(), signal.DefaultProject, store.HashOf(db, signal.DefaultProject, shared)); err != nil || p.Body != shared {
			t.Errorf("shared payload: %v", err)
		}
	}
	check(keep)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openTest(t, dir)
	check(keep)
	// What was deleted may come again, with its payload.
	write(t, db, rows[1])
	sameRows(t, selectAll(t, db, store.Select{Scope: store.Scope{Filter: store.Eq(store.FieldTraceID, "t1")}}), rows[1:2])
}

func TestDeleteRevised(t *testing.T) {
	db := openTest(t, t.TempDir())
	task := func(id string, rev int64, status string) store.Row {
		r := store.Row{Kind: store.KindTask, ID: id, Time: base + rev}
		r.Add(store.FieldRevision, store.Int(rev))
		r.Add(store.FieldStatus, store.String(status))
		return r
	}
	write(t, db, task("a", 0, "running"), task("b", 0, "running"))
	write(t, db, task("a", 1, "done"))
	scope := func(status string) store.Scope {
		return store.Scope{Kind: store.KindTask, Time: signal.AllTime(), Filter: store.Eq(store.FieldStatus, status)}
	}
	// The first revision of a is no row any more: nothing must bring it back.
	sameRows(t, selectAll(t, db, store.Select{Scope: scope("running")}), []store.Row{task("b", 0, "running")})
	if n, err := db.Delete(t.Context(), signal.DefaultProject, scope("done")); n != 1 || err != nil {
		t.Fatalf("deleted %d, %v", n, err)
	}
	sameRows(t, selectAll(t, db, store.Select{Scope: store.Scope{Kind: store.KindTask}}), []store.Row{task("b", 0, "running")})
}

// lingers is an engine that still has a delete task of a deletion which was interrupted.
type lingers struct {
	engine
	tenant logstorage.TenantID
	left   *int
}

func (e lingers) DeleteActiveTasks(ctx context.Context) ([]*logstorage.DeleteTask, error) {
	tasks, err := e.engine.DeleteActiveTasks(ctx)
	if *e.left--; *e.left >= 0 {
		tasks = append(tasks, &logstorage.DeleteTask{TaskID: "of a deletion before", TenantIDs: []logstorage.TenantID{e.tenant}})
	}
	return append(tasks, &logstorage.DeleteTask{TaskID: "of another", TenantIDs: []logstorage.TenantID{{ProjectID: e.tenant.ProjectID + 1}}}), err
}

// TestDeleteWaitsForOthers: what is written after a deletion must not be removed by one that was interrupted before.
func TestDeleteWaitsForOthers(t *testing.T) {
	db := openTest(t, t.TempDir())
	left := 100
	e := lingers{db.events, tenant(0), &left}
	if err := deleteRows(t.Context(), e, tenant(0), fieldIs(colID, "nobody")); err != nil || left >= 0 {
		t.Errorf("%v, while the other task had %d looks to go", err, left)
	}
}
