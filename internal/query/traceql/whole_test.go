package traceql

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// farApart is n traces in three parts: a root with a child, a child of that root which begins four hours after both
// ended, as work does that waited in a queue, and another root three hours after that.
func farApart(t testing.TB, db store.Events, n int) {
	t.Helper()
	var rows []store.Row
	for i := range n {
		trace := fmt.Sprintf("%032x", i+1)
		for k, s := range []struct {
			name, parent string
			after        time.Duration
		}{
			{"early", "", 0},
			{"soon", "1", time.Second},
			{"queued", "1", 4 * time.Hour},
			{"late", "", 7 * time.Hour},
		} {
			parent := s.parent
			if parent != "" {
				parent = fmt.Sprintf("%015x1", i+1)
			}
			id := fmt.Sprintf("%015x%d", i+1, k+1)
			rows = append(rows, store.Row{
				Kind: store.KindSpan, ID: id, Time: base().Add(time.Duration(i)*time.Second + s.after).UnixNano(),
				Fields: []store.Field{
					{Name: store.FieldTraceID, Value: store.String(trace)},
					{Name: store.FieldSpanID, Value: store.String(id)},
					{Name: store.FieldParentSpanID, Value: store.String(parent)},
					{Name: store.FieldName, Value: store.String(s.name)},
					{Name: store.FieldDuration, Value: store.Int(int64(2 * time.Second))},
				},
			})
		}
	}
	if _, err := db.Write(t.Context(), p, rows); err != nil {
		t.Fatal(err)
	}
}

// TestTracesAreReadWhole: however many traces are evaluated at once, all their spans count, wherever they lie.
func TestTracesAreReadWhole(t *testing.T) {
	at := signal.Between(base(), base().Add(time.Hour))
	for name, db := range map[string]store.Events{"memdb": newMemory(), "eventdb": newDisk(t)} {
		t.Run(name, func(t *testing.T) {
			const n = 3 * singly
			farApart(t, db, n)
			if f, ok := db.(interface{ Flush() error }); ok {
				if err := f.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			e := New(db, Options{})
			f := func(text string, want int) {
				t.Helper()
				found, err := e.Search(t.Context(), p, SearchRequest{Query: parse(t, text), Time: at, Limit: 1000})
				if err != nil || len(found.Traces) != want {
					t.Errorf("%s: %d traces, %v, want %d", text, len(found.Traces), err, want)
				}
			}
			f(`{ name = "early" } && { name = "late" }`, n)
			f(`{ name = "early" } > { name = "queued" }`, n)
			f(`{ name = "early" } | select(traceDuration) | count() = 1`, n)
			f(`{ name = "early" && traceDuration > 6h }`, n)
			f(`{ name = "early" && childCount = 2 }`, n)
			series, err := e.Metrics(t.Context(), p, MetricsRequest{Query: parse(t, `{ childCount = 2 } | count_over_time()`), Time: at})
			if err != nil || len(series.Series) != 1 || series.Series[0].Samples[0].Value != n {
				t.Errorf("series: %+v, %v", series, err)
			}
		})
	}
}

// silentIndex is a store of which the part does not answer that knows where traces lie.
type silentIndex struct{ store.Events }

func (s *silentIndex) TraceRanges(context.Context, signal.Project, []string) (map[string]signal.TimeRange, error) {
	return nil, store.ErrPartial
}

// TestUnknownRangesArePartial: traces whose place is not known are looked for everywhere, and the answer says that a
// part of the store was silent.
func TestUnknownRangesArePartial(t *testing.T) {
	db := newMemory()
	farApart(t, db, 2*singly)
	at := signal.Between(base(), base().Add(time.Hour))
	e := New(&silentIndex{db}, Options{})
	found, err := e.Search(t.Context(), p, SearchRequest{Query: parse(t, `{ name = "early" } && { name = "late" }`), Time: at, Limit: 1000})
	if err != nil || !found.Partial || len(found.Traces) != 2*singly {
		t.Errorf("search: %d traces, partial %v, %v", len(found.Traces), found.Partial, err)
	}
	closed := newMemory()
	farApart(t, closed, 2*singly)
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.run(p).load(t.Context(), nil, at); err != nil {
		t.Errorf("no traces: %v", err)
	}
	if _, err := New(closed, Options{}).run(p).load(t.Context(), make([]string, 2*singly), at); !errors.Is(err, store.ErrClosed) {
		t.Errorf("of a closed store: %v", err)
	}
}
