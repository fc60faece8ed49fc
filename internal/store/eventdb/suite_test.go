package eventdb

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/storetest"
)

func TestSuite(t *testing.T) {
	var pushed atomic.Int64
	storetest.Run(t, func(t testing.TB, dir string) store.Events {
		db, err := Open(dir, Config{})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}, storetest.Options{
		Asked: func(events store.Events, q store.Aggregate) { pushed.Add(pushedBy(t, events.(*DB), q)) },
	})
	if pushed.Load() == 0 {
		t.Error("no aggregate was computed by the engine")
	}
}

// pushedBy tells, as 1 or 0, whether an aggregate would be computed by the engine.
func pushedBy(t *testing.T, db *DB, q store.Aggregate) int64 {
	t.Helper()
	if err := db.enter(); err != nil {
		t.Fatal(err)
	}
	defer db.leave()
	pl, err := db.plan(t.Context(), "default", q.Scope)
	if err != nil || pl == nil {
		return 0
	}
	if ok, err := db.pushable(t.Context(), pl, q); err != nil || !ok {
		return 0
	}
	return 1
}

// FuzzPushdown wants a query that the engine reads from whatever is in a filter, and a condition that does not contradict
// the filter's meaning for a row without fields.
func FuzzPushdown(f *testing.F) {
	f.Add("attr.a", "hello world", "h.*o", 5.0, uint8(0))
	f.Add("row_id", `a"b\`, "(?i)x", -1e300, uint8(3))
	f.Add("kind", "_time:5m | delete", "|", 0.1, uint8(5))
	f.Add("*", "\x00\xff", "", 1e6, uint8(9))
	f.Fuzz(func(t *testing.T, field, text, pattern string, number float64, pick uint8) {
		ops := []store.Op{store.OpEq, store.OpNe, store.OpLt, store.OpLe, store.OpGt, store.OpGe}
		leaves := []store.Filter{
			store.Compare{Field: field, Op: ops[int(pick)%len(ops)], Value: store.String(text)},
			store.Compare{Field: field, Op: ops[int(pick)%len(ops)], Value: store.Double(number)},
			store.In{Field: field, Values: []string{text, pattern, ""}},
			store.Match{Field: field, Pattern: pattern},
			store.Exists{Field: field},
			store.Text{Field: field, Words: text, Phrase: pick%2 == 0},
			store.Text{Words: text, Phrase: pick%2 == 0},
		}
		trees := []store.Filter{store.Not{Filter: store.Or(leaves)}, store.And(leaves)}
		for _, filter := range slices.Concat(leaves, trees) {
			m, err := store.Compile(filter)
			if err != nil {
				continue
			}
			p := &pusher{}
			c := p.push(filter, false)
			for _, query := range []string{c.query, touches(p.touched)} {
				if _, err := logstorage.ParseFilter(ofKind(store.KindSpan) + " (" + query + ")"); err != nil {
					t.Fatalf("%#v: %s: %v", filter, query, err)
				}
			}
			bare := store.Row{Kind: store.KindSpan, ID: "x"}
			if c.query == nothing && m(&bare) {
				t.Fatalf("%#v matches a row without fields, the engine finds nothing", filter)
			}
		}
	})
}
