package overlay

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

// stores runs a test on both stores.
func stores(t *testing.T, f func(t *testing.T, e *Events, write func(...store.Row))) {
	t.Helper()
	base := time.Now()
	run := func(name string, events store.Events) {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { events.Close() })
			e := New(events, nil)
			f(t, e, func(rows ...store.Row) {
				t.Helper()
				for i := range rows {
					rows[i].Time += base.Add(-24 * time.Hour).UnixNano()
				}
				if _, err := events.Write(t.Context(), signal.DefaultProject, rows); err != nil {
					t.Fatal(err)
				}
				if db, ok := events.(*eventdb.DB); ok {
					db.Flush()
				}
				e.Changed(signal.DefaultProject)
			})
		})
	}
	run("memdb", memdb.New(memdb.Config{Retention: 100 * 24 * time.Hour}))
	db, err := eventdb.Open(t.TempDir(), eventdb.Config{Retention: 100 * 24 * time.Hour, PayloadRetention: 100 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	run("eventdb", db)
}

func id(n int) (trace, span string) { return fmt.Sprintf("%032x", n/3+1), fmt.Sprintf("%016x", n+1) }

func row(kind store.Kind, n int, fields ...store.Field) store.Row {
	trace, span := id(n)
	r := store.Row{Kind: kind, ID: trace + span, Time: int64(n) * 1000, Fields: fields}
	r.Add(store.FieldTraceID, store.String(trace))
	r.Add(store.FieldSpanID, store.String(span))
	return r
}

func money(micro, rest int64, version string) []store.Field {
	return []store.Field{
		{Name: store.FieldCostMicro, Value: store.Int(micro)},
		{Name: store.FieldCostRest, Value: store.Int(rest)},
		{Name: store.FieldPriceVersion, Value: store.String(version)},
	}
}

func revision(n int64) store.Field {
	return store.Field{Name: store.FieldRevision, Value: store.Int(n)}
}

func costs(t *testing.T, e *Events, fields ...string) []string {
	t.Helper()
	var out []string
	rows := e.Select(t.Context(), signal.DefaultProject, store.Select{
		Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime()}, Fields: fields, Order: store.OldestFirst,
	})
	for r, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		if fields != nil && len(r.Fields) > len(fields) {
			t.Errorf("%v: asked for %v", r.Fields, fields)
		}
		out = append(out, fmt.Sprintf("%d.%06d %s", r.Get(store.FieldCostMicro).Int(), r.Get(store.FieldCostRest).Int(), r.Text(store.FieldPriceVersion)))
	}
	return out
}

func total(t *testing.T, e *Events) string {
	t.Helper()
	groups, err := e.Aggregate(t.Context(), signal.DefaultProject, store.Aggregate{
		Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime()}, By: []string{store.FieldTraceID},
		Columns: []store.Column{{Func: store.CountRows}, {Func: store.Sum, Field: store.FieldCostMicro}, {Func: store.Sum, Field: store.FieldCostRest}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, g := range groups {
		out = append(out, fmt.Sprint(g.Values))
	}
	return strings.Join(out, " ")
}

func TestTheNewestCostWinsInEveryReader(t *testing.T) {
	stores(t, func(t *testing.T, e *Events, write func(...store.Row)) {
		write(row(store.KindSpan, 0, money(1, 5, "v1")...), row(store.KindSpan, 1, money(2, 0, "v1")...), row(store.KindSpan, 2), row(store.KindSpan, 3, money(7, 0, "v1")...))
		fields := []string{store.FieldCostMicro, store.FieldCostRest, store.FieldPriceVersion}
		check := func(sum string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, costs(t, e, fields...)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(want, costs(t, e)); diff != "" {
				t.Errorf("all fields: -want +got:\n%s", diff)
			}
			if got := total(t, e); got != sum {
				t.Errorf("sums %s, want %s", got, sum)
			}
		}
		check("[3 3 5] [1 7 0]", "1.000005 v1", "2.000000 v1", "0.000000 ", "7.000000 v1")
		write(row(store.KindCost, 0, append(money(10, 6, "v2"), revision(1))...), row(store.KindCost, 2, append(money(30, 0, "v2"), revision(1))...))
		check("[3 42 6] [1 7 0]", "10.000006 v2", "2.000000 v1", "30.000000 v2", "7.000000 v1")
		// A revision that comes late changes nothing, a newer one does.
		write(row(store.KindCost, 0, append(money(20, 0, "v4"), revision(4))...))
		write(row(store.KindCost, 0, append(money(15, 0, "v3"), revision(3))...))
		check("[3 52 0] [1 7 0]", "20.000000 v4", "2.000000 v1", "30.000000 v2", "7.000000 v1")
	})
}

func TestManySpans(t *testing.T) {
	stores(t, func(t *testing.T, e *Events, write func(...store.Row)) {
		var spans, newer []store.Row
		var want []string
		for n := range 2*chunk + 7 {
			spans = append(spans, row(store.KindSpan, n, money(1, 0, "v1")...))
			newer = append(newer, row(store.KindCost, n, append(money(int64(n), 0, "v2"), revision(1))...))
			want = append(want, fmt.Sprintf("%d.000000 v2", n))
		}
		write(spans...)
		write(newer...)
		if diff := cmp.Diff(want, costs(t, e, store.FieldCostMicro, store.FieldCostRest, store.FieldPriceVersion)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestContentOfFailedTasks(t *testing.T) {
	stores(t, func(t *testing.T, e *Events, write func(...store.Row)) {
		held := store.Field{Name: store.FieldCapture, Value: store.String("failed-only")}
		text := func(s string) store.Field { return store.Field{Name: "attr.gen_ai.prompt", Value: store.String(s)} }
		write(row(store.KindSpan, 0, held), row(store.KindSpan, 1, held), row(store.KindSpan, 2, text("own")))
		write(row(store.KindContent, 0, text("late")), row(store.KindContent, 2, text("other")))
		for _, fields := range [][]string{nil, {"attr.gen_ai.prompt"}} {
			var got []string
			rows := e.Select(t.Context(), signal.DefaultProject, store.Select{
				Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime()}, Fields: fields, Order: store.OldestFirst,
			})
			for r, err := range rows {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, r.Text("attr.gen_ai.prompt"))
			}
			if diff := cmp.Diff([]string{"late", "", "own"}, got); diff != "" {
				t.Errorf("%v: -want +got:\n%s", fields, diff)
			}
		}
	})
}

func TestEarlyEnd(t *testing.T) {
	stores(t, func(t *testing.T, e *Events, write func(...store.Row)) {
		write(row(store.KindSpan, 0, money(1, 0, "v1")...), row(store.KindSpan, 1, money(1, 0, "v1")...), row(store.KindCost, 0, append(money(2, 0, "v2"), revision(1))...))
		n := 0
		for range e.Select(t.Context(), signal.DefaultProject, store.Select{Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime()}}) {
			n++
			break
		}
		if n != 1 {
			t.Errorf("%d rows", n)
		}
	})
}
