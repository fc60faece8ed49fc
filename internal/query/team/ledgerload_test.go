package team

import (
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/enrich/dialect"
	"github.com/mindscope/mindscope/internal/enrich/identity"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/memdb"
	"github.com/mindscope/mindscope/test/load"
)

// TestHealthyTasksGiveNoFinding audits a hundred articles of the load generator, sent as its agents would.
func TestHealthyTasksGiveNoFinding(t *testing.T) {
	begin := time.Now().Add(-time.Hour)
	clock := func() time.Time { return begin.Add(time.Hour) }
	db := memdb.New(memdb.Config{Clock: clock})
	sink, err := dialect.New(identity.New(store.NewSink(db, nil)), dialect.Config{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := load.New(load.Article, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if _, err := sink.Traces(t.Context(), p, g.Task(begin.Add(time.Duration(i)*time.Second))); err != nil {
			t.Fatal(err)
		}
	}
	q := New(db, Options{Clock: clock})
	page, err := q.Tasks(t.Context(), p, TaskQuery{Limit: 1000})
	if err != nil || len(page.Tasks) != 100 {
		t.Fatal(len(page.Tasks), err)
	}
	ids := make([]string, 0, 100)
	for _, task := range page.Tasks {
		ids = append(ids, task.ID)
	}
	ledgers, err := q.AuditAll(t.Context(), p, page.Tasks[0].Team, ids)
	if err != nil || len(ledgers) != 100 {
		t.Fatal(len(ledgers), err)
	}
	for _, l := range ledgers {
		if !l.Complete() || l.Score != 100 {
			t.Fatal(told(*l))
		}
		if a := l.Accounts[0]; a.Expected != 3 || a.Found != 3 {
			t.Fatalf("%d of %d messages, want 3", a.Found, a.Expected)
		}
	}
}
