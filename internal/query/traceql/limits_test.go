package traceql

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// crowd is a store with many spans: n traces of ten.
func crowd(t testing.TB, n int) store.Events {
	t.Helper()
	db := newMemory()
	var rows []store.Row
	for i := range n * 10 {
		trace, at := fmt.Sprintf("%032x", i/10+1), base().Add(time.Duration(i)*time.Millisecond).UnixNano()
		rows = append(rows, store.Row{Kind: store.KindSpan, ID: fmt.Sprint(i), Time: at, Fields: []store.Field{
			{Name: store.FieldTraceID, Value: store.String(trace)},
			{Name: store.FieldSpanID, Value: store.String(fmt.Sprintf("%016x", i+1))},
			{Name: store.FieldName, Value: store.String(fmt.Sprintf("%04d%s", i, strings.Repeat("n", 200)))},
			{Name: store.FieldDuration, Value: store.Int(int64(i))},
		}})
	}
	if _, err := db.Write(t.Context(), p, rows); err != nil {
		t.Fatal(err)
	}
	return db
}

func TestMemoryOfAQuestionIsBounded(t *testing.T) {
	db := crowd(t, 300)
	at := signal.Between(base(), base().Add(time.Hour))
	small := New(db, Options{Memory: 300_000})
	enough := New(db, Options{})
	search := func(e *Engine, limit int) func(string) error {
		return func(text string) error {
			_, err := e.Search(t.Context(), p, SearchRequest{Query: parse(t, text), Time: at, Limit: limit, SpansPerSet: 100})
			return err
		}
	}
	metrics := func(e *Engine) func(string) error {
		return func(text string) error {
			_, err := e.Metrics(t.Context(), p, MetricsRequest{Query: parse(t, text), Time: at, Step: time.Minute})
			return err
		}
	}
	f := func(ask func(string) error, text, want string) {
		t.Helper()
		err := ask(text)
		if want == "" && err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if want != "" && (!errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	f(search(enough, 1000), `{ }`, "")
	f(search(small, 1000), `{ }`, "memory")
	f(search(small, 5), `{ }`, "")
	f(search(small, 5), `{ } | select(name) | count() > 1`, "memory") // batches are larger than the limit
	f(metrics(enough), `{ } > { } | rate()`, "")
	f(metrics(enough), `{ } | rate() by(name)`, "1000 series")
	f(metrics(enough), `{ } | rate() by(name) | topk(2)`, "")
	f(metrics(New(db, Options{Series: 100})), `{ } | rate() by(trace:id)`, "100 series")
	f(metrics(small), `{ duration + 1 > 0 } | rate() by(name)`, "memory")
	f(metrics(small), `{ } | rate() by(name)`, "memory")
	f(metrics(New(db, Options{Points: 60})), `{ } | count_over_time()`, "") // a point a minute
	f(metrics(New(db, Options{Points: 59})), `{ } | count_over_time()`, "59 points")
	f(metrics(New(db, Options{Points: 59})), `{ } | rate() by(name)`, "series")
	many := strings.Repeat(", 0.5", 20)
	f(metrics(New(db, Options{Memory: 30_000})), `{ } | quantile_over_time(duration, 0.5)`, "")
	f(metrics(New(db, Options{Memory: 15_000})), `{ } | quantile_over_time(duration`+many+`)`, "memory")
	f(metrics(New(db, Options{Memory: 5_000})), `({ } | rate()) + ({ } | rate())`, "memory")
	slow := New(db, Options{Timeout: time.Nanosecond})
	f(search(slow, 10), `{ }`, "not answered within 1ns")
	f(search(slow, 10), `{ } > { }`, "not answered within 1ns")
	f(metrics(slow), `{ } | rate()`, "not answered within 1ns")
	f(metrics(slow), `{ } > { } | rate()`, "not answered within 1ns")
	f(metrics(slow), `{ } | compare({ .a = 1 })`, "not answered within 1ns")
	if _, _, err := New(db, Options{Memory: 1000}).Trace(t.Context(), p, fmt.Sprintf("%032x", 1), signal.AllTime()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a whole trace: %v", err)
	}
}

func parse(t testing.TB, text string) *Query {
	t.Helper()
	q, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestCancelledQuestionsEnd(t *testing.T) {
	e := New(crowd(t, 30), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	at := signal.Between(base(), base().Add(time.Hour))
	for _, text := range []string{`{ }`, `{ } > { }`} {
		if _, err := e.Search(ctx, p, SearchRequest{Query: parse(t, text), Time: at}); !errors.Is(err, context.Canceled) {
			t.Errorf("search %s: %v", text, err)
		}
	}
	for _, text := range []string{`{ } | rate()`, `{ } | rate() by(span:id)`, `{ } > { } | rate()`, `{ .a > 1 } | rate()`, `{ } | compare({ .a = 1 })`} {
		if _, err := e.Metrics(ctx, p, MetricsRequest{Query: parse(t, text), Time: at}); !errors.Is(err, context.Canceled) {
			t.Errorf("metrics %s: %v", text, err)
		}
	}
	if _, err := e.Tags(ctx, p, TagsRequest{Time: at}); !errors.Is(err, context.Canceled) {
		t.Errorf("tags: %v", err)
	}
	if _, err := e.Values(ctx, p, Attribute{Name: "a"}, TagsRequest{Time: at}); !errors.Is(err, context.Canceled) {
		t.Errorf("values: %v", err)
	}
}

// TestScalarsOfNothing: a scalar of no spans is no reason to fall over.
func TestScalarsOfNothing(t *testing.T) {
	e := New(crowd(t, 3), Options{})
	at := signal.Between(base(), base().Add(time.Hour))
	f := func(text string, want int) {
		t.Helper()
		found, err := e.Search(t.Context(), p, SearchRequest{Query: parse(t, text), Time: at})
		if err != nil || len(found.Traces) != want {
			t.Errorf("%s: %+v, %v, want %d traces", text, found, err, want)
		}
	}
	f(`({ false } | ({ } | count())) > 0`, 0)
	f(`({ false } | (({ } | count()) + 1)) > 0`, 3) // none, and one more
	f(`({ } | ({ } | count())) > 9`, 3)
	f(`({ } | (({ false } | count()) + 1)) = 1`, 3)
}

// partialEvents is a store of which a part does not answer.
type partialEvents struct{ store.Events }

func (s *partialEvents) Select(ctx context.Context, p signal.Project, q store.Select) iter.Seq2[*store.Row, error] {
	return func(yield func(*store.Row, error) bool) {
		for r, err := range s.Events.Select(ctx, p, q) {
			if !yield(r, err) {
				return
			}
		}
		yield(nil, store.ErrPartial)
	}
}

func TestPartialAnswersSaySo(t *testing.T) {
	e := New(&partialEvents{crowd(t, 3)}, Options{})
	at := signal.Between(base(), base().Add(time.Hour))
	found, err := e.Search(t.Context(), p, SearchRequest{Query: parse(t, `{ }`), Time: at})
	if err != nil || !found.Partial || len(found.Traces) != 3 {
		t.Errorf("search: %+v, %v", found, err)
	}
	result, err := e.Metrics(t.Context(), p, MetricsRequest{Query: parse(t, `{ } > { } | rate()`), Time: at})
	if err != nil || !result.Partial {
		t.Errorf("metrics: %+v, %v", result, err)
	}
	_, some, err := e.Trace(t.Context(), p, fmt.Sprintf("%032x", 1), signal.AllTime())
	if err != nil || !some {
		t.Errorf("trace: %v, %v", some, err)
	}
}

func TestTraceIDs(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		got, err := ParseTraceID(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	f("1", "00000000000000000000000000000001")
	f("ABCdef0123456789ABCdef0123456789", "abcdef0123456789abcdef0123456789")
	f("", "")
	f("xyz", "")
	f("0123456789012345678901234567890123", "")
}

func TestTimes(t *testing.T) {
	const now = int64(1772359200e9)
	f := func(start, end, wantStart, wantEnd int64) {
		t.Helper()
		at, err := Seconds(start, end, now)
		if err != nil || at.Start != wantStart || at.End != wantEnd {
			t.Errorf("%d to %d: %+v, %v", start, end, at, err)
		}
	}
	f(0, 0, now-3600e9, now)
	f(1772359100, 1772359200, 1772359100e9, now)
	f(1772359100000, 1772359200000, 1772359100e9, now)
	f(1772359100000000, 1772359200000000, 1772359100e9, now)
	f(1772359100000000000, 1772359200000000000, 1772359100e9, now)
	f(1, 99999999999, 1e9, 9223372036e9)
	f(0, 1000, 0, 1000e9)
	for _, bad := range [][2]int64{{-1, 0}, {0, -1}, {2000, 1000}} {
		if _, err := Seconds(bad[0], bad[1], now); !signal.IsPermanent(err) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
