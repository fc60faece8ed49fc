package team

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mindscope/mindscope/internal/derive/spanmetrics"
	"github.com/mindscope/mindscope/internal/query/teamtest"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

// missing is what the counter of missing hops stands at, by hop.
func missing(t *testing.T, m *spanmetrics.Metrics) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "ai_team_hops_missing_total" {
			continue
		}
		for _, one := range f.GetMetric() {
			for _, l := range one.GetLabel() {
				if l.GetName() == "hop" {
					out[l.GetValue()] = one.GetCounter().GetValue()
				}
			}
		}
	}
	return out
}

// TestFindingsAreCountedOnce: each finding of a task counts once, however often the task is audited, and after the
// server has lost what it remembered.
func TestFindingsAreCountedOnce(t *testing.T) {
	clock := func() time.Time { return at.Add(3 * time.Hour) }
	metrics := spanmetrics.New(spanmetrics.Config{Clock: clock})
	db := memdb.New(memdb.Config{Clock: clock, Observer: metrics})
	all := teamtest.Breakages()
	ids := make([]string, len(all))
	for n, b := range all {
		piped(t, db, b.Lines...)
		ids[n] = teamtest.TaskOf(n)
	}
	q := New(db, Options{Clock: clock})
	a := NewAuditor(q, db)
	findings, joins, err := a.Audit(t.Context(), p, "press", ids)
	if err != nil || findings != 12 || joins != 1 {
		t.Fatalf("%d findings, %d joins, %v; want 12 and 1", findings, joins, err)
	}
	want := map[string]float64{"message": 6, "llm": 1, "record": 1, "artifact": 1, "log": 1, "span": 2}
	for range 2 {
		for hop, n := range missing(t, metrics) {
			if n != want[hop] {
				t.Errorf("%s counts %v, want %v", hop, n, want[hop])
			}
		}
		if got := len(missing(t, metrics)); got != len(want) {
			t.Errorf("%d hops are counted", got)
		}
		if findings, joins, err := NewAuditor(New(db, Options{Clock: clock}), db).Audit(t.Context(), p, "press", ids); err != nil || findings+joins != 0 {
			t.Errorf("a second time: %d findings, %d joins, %v", findings, joins, err)
		}
	}
	// Something more is lost later: only that counts.
	piped(t, db, "service newsroom\nresource ai_team.team=press\ntrace 1\nINSERT task_steps | 13s 1ms | id=77 parent=1 kind=client db.collection.name=task_steps\n")
	if findings, _, err := a.Audit(t.Context(), p, "press", ids); err != nil || findings != 1 {
		t.Errorf("%d findings after a late span, %v", findings, err)
	}
}

// TestJoinedTraceIsPartOfTheTask: what the ledger joined is in the task's tree, is found by its trace, is no task of its
// own in lists any more, and goes when the task is deleted.
func TestJoinedTraceIsPartOfTheTask(t *testing.T) {
	clock := func() time.Time { return at.Add(3 * time.Hour) }
	db := memdb.New(memdb.Config{Clock: clock})
	all := teamtest.Breakages()
	n := slices.IndexFunc(all, func(b teamtest.Breakage) bool { return b.Kind == NewTrace })
	piped(t, db, all[n].Lines...)
	q := New(db, Options{Clock: clock})
	list := func() []string {
		page, err := q.Tasks(t.Context(), p, TaskQuery{})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, one := range page.Tasks {
			ids = append(ids, one.ID)
		}
		return ids
	}
	if ids := list(); len(ids) != 2 {
		t.Fatalf("before: %v", ids)
	}
	if _, joins, err := NewAuditor(q, db).Audit(t.Context(), p, "press", []string{teamtest.TaskOf(n)}); err != nil || joins != 1 {
		t.Fatal(joins, err)
	}
	if ids := list(); !slices.Equal(ids, []string{teamtest.TaskOf(n)}) {
		t.Errorf("the list holds %v", ids)
	}
	trace := hexTrace(n*16 + 2)
	for _, id := range []string{teamtest.TaskOf(n), trace} {
		d, err := q.Task(t.Context(), p, "", id)
		if err != nil || d.ID != teamtest.TaskOf(n) || d.Spans != 23 || d.Hops.LogLines != 4 || len(d.Traces) != 2 {
			t.Errorf("%s: %v, task %s of %d spans, %d lines, traces %v", id, err, d.ID, d.Spans, d.Hops.LogLines, d.Traces)
		}
		if l, err := q.Audit(t.Context(), p, "", id); err != nil || len(l.Findings) != 1 || l.Score != all[n].Score || len(l.Joined) != 1 {
			t.Errorf("%s: %v, %s", id, err, told(l))
		}
	}
}

// refusing is a store that takes nothing.
type refusing struct{ store.Writer }

func TestAuditorErrors(t *testing.T) {
	clock := func() time.Time { return at.Add(3 * time.Hour) }
	db := memdb.New(memdb.Config{Clock: clock})
	b := teamtest.Breakages()[1]
	piped(t, db, b.Lines...)
	closed := memdb.New(memdb.Config{Clock: clock})
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	q := New(db, Options{Clock: clock})
	if _, _, err := NewAuditor(q, refusing{closed}).Audit(t.Context(), p, "press", []string{teamtest.TaskOf(1)}); err == nil || !strings.Contains(err.Error(), "write findings") {
		t.Errorf("a store that takes nothing: %v", err)
	}
	if n, _, err := NewAuditor(q, db).Audit(t.Context(), signal.Project("other"), "press", []string{teamtest.TaskOf(1)}); err != nil || n != 0 {
		t.Errorf("in another project: %d, %v", n, err)
	}
}

// lacking is a store of which a part doesn't answer about one kind of rows.
type lacking struct {
	store.Events
	kind store.Kind
}

func (l lacking) Select(ctx context.Context, p signal.Project, q store.Select) iter.Seq2[*store.Row, error] {
	return func(yield func(*store.Row, error) bool) {
		for r, err := range l.Events.Select(ctx, p, q) {
			if q.Kind != l.kind && !yield(r, err) {
				return
			}
		}
		if q.Kind == l.kind {
			yield(nil, store.ErrPartial)
		}
	}
}

// TestNothingIsFoundInAPart: what is missing may be on the part that did not answer, and the task is to be looked at again.
func TestNothingIsFoundInAPart(t *testing.T) {
	clock := func() time.Time { return at.Add(3 * time.Hour) }
	db := memdb.New(memdb.Config{Clock: clock})
	piped(t, db, teamtest.Breakages()[1].Lines...)
	for _, kind := range []store.Kind{store.KindSpan, store.KindJoin, store.KindFinding} {
		a := NewAuditor(New(lacking{db, kind}, Options{Clock: clock}), refusing{})
		if n, _, err := a.Audit(t.Context(), p, "press", []string{teamtest.TaskOf(1)}); !errors.Is(err, store.ErrPartial) || n != 0 {
			t.Errorf("without some %ss: %d findings, %v", kind, n, err)
		}
		page, err := New(lacking{db, kind}, Options{Clock: clock}).Tasks(t.Context(), p, TaskQuery{})
		if err != nil || page.Partial != (kind != store.KindFinding) {
			t.Errorf("the list without some %ss: partial %t, %v", kind, page.Partial, err)
		}
	}
}
