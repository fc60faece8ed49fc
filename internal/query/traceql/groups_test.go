package traceql

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// mixed is traces of which some reach over hours, with attributes of every type.
func mixed(g generator, n int) []store.Row {
	var rows []store.Row
	any := []store.Value{
		{},
		store.String("a"), store.String("b"), store.String("5"), store.Int(5), store.Double(5), store.Bool(true), store.String("true"),
		store.SliceJSON(`["a"]`), store.SliceJSON(`["a","b"]`), store.String(""),
	}
	for i := range n {
		start := rapid.IntRange(0, 7200).Draw(g.rt, "start")
		for k := range rapid.IntRange(1, 6).Draw(g.rt, "spans") {
			after := rapid.SampledFrom([]int{0, 1, 1, 2, 2, 2, 1800, 9000}).Draw(g.rt, "after")
			id := fmt.Sprintf("%012x%04x", i+1, k+1)
			r := store.Row{Kind: store.KindSpan, ID: id, Time: base().Add(time.Duration(start+after) * time.Second).UnixNano()}
			r.Add(store.FieldTraceID, store.String(fmt.Sprintf("%032x", i+1)))
			r.Add(store.FieldSpanID, store.String(id))
			r.Add(store.FieldName, store.String(g.pick("name", "x", "y", "")))
			r.Add(store.FieldService, store.String(g.pick("service", "s", "t")))
			r.Add(store.FieldStatus, store.String(g.pick("status", "unset", "error")))
			r.Add(store.FieldSpanKind, store.String("client"))
			r.Add(store.FieldDuration, store.Int(rapid.SampledFrom([]int64{0, 1, 5, 1e9, 3e9, -1, 1 << 60}).Draw(g.rt, "duration")))
			for _, f := range []string{store.PrefixAttr + "a", store.PrefixResource + "a", store.PrefixAttr + "b"} {
				r.Add(f, rapid.SampledFrom(any).Draw(g.rt, f))
			}
			rows = append(rows, r)
		}
	}
	return rows
}

func (g generator) pipeline() string {
	scalar := func() string {
		return g.pick("scalar", "count()", "count()", "min(duration)", "max(duration)", "sum(duration)", "avg(duration)", "count() * 2", "max(duration) - min(duration)")
	}
	text := "{ " + g.pick("filter", "", "status = error", `resource.service.name = "s"`, `name != "x"`, "duration > 1ns", `.a = "a"`) + " }"
	if by := g.pick("by", "", "resource.service.name", ".a", "span.a", "span.b", "name", "status", "span.a, name", "resource.a, span.b", "kind", "duration"); by != "" {
		text += " | by(" + by + ")"
	}
	text += " | " + scalar() + g.operator() + g.pick("number", "1", "2", "3", "1s", "5ns", "0", "2.5", scalar())
	return text + g.pick("rest", "", " | select(span.a)", " | coalesce()", " | count() > 1")
}

// withoutGroups is an engine that evaluates every trace.
func withoutGroups(db store.Events) *Engine {
	e := New(db, Options{})
	e.groupFilter = func([]Stage) *groupFilter { return nil }
	return e
}

// sameWithGroups compares what is found, and counted, with the help of the store's groups and without.
func sameWithGroups(ctx context.Context, db store.Events, text string, at signal.TimeRange) error {
	q, err := Parse(text)
	if err != nil {
		return nil // of types that don't fit
	}
	req := SearchRequest{Query: q, Time: at, Limit: 1000, SpansPerSet: 100}
	got, err := New(db, Options{}).Search(ctx, p, req)
	if err != nil {
		return err
	}
	want, err := withoutGroups(db).Search(ctx, p, req)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(want.Traces, got.Traces, cmp.AllowUnexported(Value{})); diff != "" {
		return fmt.Errorf("%s: without groups, and with them:\n%s", text, diff)
	}
	series, err := Parse(text + " | count_over_time() by(name)")
	if err != nil {
		return err
	}
	asked := MetricsRequest{Query: series, Time: at, Step: 10 * time.Minute}
	counted, err := New(db, Options{}).Metrics(ctx, p, asked)
	if err != nil {
		return err
	}
	all, err := withoutGroups(db).Metrics(ctx, p, asked)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(all.Series, counted.Series, cmp.AllowUnexported(Value{})); diff != "" {
		return fmt.Errorf("series of %s: without groups, and with them:\n%s", text, diff)
	}
	return nil
}

func TestGroupsAgreeWithEvaluation(t *testing.T) {
	used, unused := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		g := generator{rt}
		db := newMemory()
		if _, err := db.Write(t.Context(), p, mixed(g, 12)); err != nil {
			rt.Fatal(err)
		}
		from := rapid.IntRange(0, 7000).Draw(rt, "from")
		at := signal.Between(base().Add(time.Duration(from)*time.Second), base().Add(time.Duration(from)*time.Second+time.Duration(rapid.IntRange(1, 300).Draw(rt, "minutes"))*time.Minute))
		for range 5 {
			text := g.pipeline()
			if err := sameWithGroups(t.Context(), db, text, at); err != nil {
				rt.Fatal(err)
			}
			if q, err := Parse(text); err == nil && groupFilterOf(q.Stages) != nil {
				used++
			} else {
				unused++
			}
		}
	})
	if used < unused {
		t.Errorf("the store's groups were used for %d queries, not for %d", used, unused)
	}
}

func TestGroupsOfTheStore(t *testing.T) {
	db := newDisk(t)
	rows := rapid.Custom(func(rt *rapid.T) []store.Row { return mixed(generator{rt}, 200) }).Example(1)
	if _, err := db.Write(t.Context(), p, rows); err != nil {
		t.Fatal(err)
	}
	if f, ok := db.(interface{ Flush() error }); ok {
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	at := signal.Between(base().Add(20*time.Minute), base().Add(90*time.Minute))
	for _, text := range []string{
		`{ } | by(resource.service.name) | count() > 2`,
		`{ } | by(.a) | count() = 1`,
		`{ } | by(span.a, name) | count() < 2`,
		`{ status = error } | count() > 1`,
		`{ status = error } | avg(duration) > 1s`,
		`{ } | by(status) | max(duration) > 1s | select(name)`,
		`{ } | by(name) | sum(duration) < 1s`,
	} {
		if err := sameWithGroups(t.Context(), db, text, at); err != nil {
			t.Error(err)
		}
	}
}

// counting counts how often a store is asked for groups, of which it has a limit, and for rows.
type counting struct {
	store.Events
	aggregates, limit, selects int
}

func (s *counting) Select(ctx context.Context, p signal.Project, q store.Select) iter.Seq2[*store.Row, error] {
	s.selects++
	return s.Events.Select(ctx, p, q)
}

func (s *counting) Aggregate(ctx context.Context, p signal.Project, q store.Aggregate) ([]store.Group, error) {
	s.aggregates++
	if s.limit > 0 {
		q.Limit = s.limit
	}
	return s.Events.Aggregate(ctx, p, q)
}

// TestGroupsSpareSpans: traces that the store rules out are not read, and time is parted where the store has too many groups.
func TestGroupsSpareSpans(t *testing.T) {
	db := &counting{Events: crowd(t, 300), limit: 120}
	at := signal.Between(base().Add(-time.Hour), base().Add(2*time.Hour))
	e := New(db, Options{})
	found, err := e.Search(t.Context(), p, SearchRequest{Query: parse(t, `{ } | count() > 10`), Time: at})
	if err != nil || len(found.Traces) != 0 || found.InspectedTraces != 300 {
		t.Errorf("nothing matches: %+v, %v", found, err)
	}
	if db.aggregates < 5 {
		t.Errorf("%d aggregates of 120 groups were enough for 300 traces", db.aggregates)
	}
	if db.selects >= db.aggregates { // those that lie on both sides of a border are read
		t.Errorf("%d times spans were read, with %d aggregates", db.selects, db.aggregates)
	}
	silent := New(&silentIndex{db}, Options{})
	found, err = silent.Search(t.Context(), p, SearchRequest{Query: parse(t, `{ } | count() > 9`), Time: at})
	if err != nil || !found.Partial || len(found.Traces) != 20 {
		t.Errorf("without the place of traces: %+v, %v", found, err)
	}
}

// inBlocks is a store that knows where traces lie to blocks of five minutes. It counts the traces whose groups it is asked for.
type inBlocks struct {
	store.Events
	traces int
}

func (s *inBlocks) TraceRanges(ctx context.Context, p signal.Project, ids []string) (map[string]signal.TimeRange, error) {
	const block = int64(5 * time.Minute)
	ranges, err := s.Events.TraceRanges(ctx, p, ids)
	for id, r := range ranges {
		last := r.End - 1
		ranges[id] = signal.TimeRange{Start: r.Start - r.Start%block, End: last - last%block + block}
	}
	return ranges, err
}

func (s *inBlocks) Aggregate(ctx context.Context, p signal.Project, q store.Aggregate) ([]store.Group, error) {
	if in, ok := q.Filter.(store.In); ok {
		s.traces += len(in.Values)
	}
	return s.Events.Aggregate(ctx, p, q)
}

// single is a trace of one span.
func single(n int, at time.Time, duration int64) store.Row {
	r := store.Row{Kind: store.KindSpan, ID: fmt.Sprint(n), Time: at.UnixNano()}
	r.Add(store.FieldTraceID, store.String(fmt.Sprintf("%032x", n)))
	r.Add(store.FieldSpanID, store.String(fmt.Sprintf("%016x", n)))
	r.Add(store.FieldDuration, store.Int(duration))
	return r
}

// TestGroupsLookTwiceOnlyAtTheEnds: of all traces, only those in the blocks that the asked time ends in are asked for again.
func TestGroupsLookTwiceOnlyAtTheEnds(t *testing.T) {
	var rows []store.Row
	for i := range 3 * 360 {
		rows = append(rows, single(i+1, base().Add(time.Duration(i)*10*time.Second), 1))
	}
	f := func(from, to time.Duration, limit, want int) {
		t.Helper()
		mem := newMemory()
		if _, err := mem.Write(t.Context(), p, rows); err != nil {
			t.Fatal(err)
		}
		db := &inBlocks{Events: &counting{Events: mem, limit: limit}}
		at := signal.Between(base().Add(from), base().Add(to))
		found, err := New(db, Options{}).Search(t.Context(), p, SearchRequest{Query: parse(t, `{ } | count() > 1`), Time: at})
		if all := int((to - from) / (10 * time.Second)); err != nil || len(found.Traces) != 0 || found.InspectedTraces != all {
			t.Errorf("%s to %s: %+v, %v, want %d traces looked at", from, to, found, err, all)
		}
		if db.traces != want {
			t.Errorf("%s to %s: %d traces were asked for again, want %d", from, to, db.traces, want)
		}
	}
	f(time.Minute, 2*time.Hour+3*time.Minute, 0, 24+18)
	f(0, 2*time.Hour+10*time.Second, 0, 1)
	f(4*time.Minute+50*time.Second, 3*time.Hour, 0, 1)
	f(0, 2*time.Hour, 0, 0)
	f(time.Minute, 2*time.Hour+3*time.Minute, 100, 24+18) // parted further
	f(time.Minute, 4*time.Minute, 3, 18)                  // into parts of a block
}

// TestGroupsNewestFirst: the newest traces that match are found, however many there are.
func TestGroupsNewestFirst(t *testing.T) {
	db := newMemory()
	var rows []store.Row
	for i := range 600 {
		rows = append(rows, single(i+1, base().Add(time.Duration(i)*time.Minute), int64(i)))
	}
	if _, err := db.Write(t.Context(), p, rows); err != nil {
		t.Fatal(err)
	}
	at := signal.Between(base(), base().Add(20*time.Hour))
	counted := &counting{Events: db}
	f := func(text string, want int) {
		t.Helper()
		found, err := New(counted, Options{}).Search(t.Context(), p, SearchRequest{Query: parse(t, text), Time: at, Limit: 1})
		if err != nil || len(found.Traces) != 1 || found.Traces[0].TraceID != fmt.Sprintf("%032x", want) {
			t.Errorf("%s: %+v, %v, want trace %d", text, found, err, want)
		}
	}
	f(`{ } | count() > 0`, 600)
	f(`{ } | max(duration) < 500ns`, 500)
	f(`{ } | max(duration) < 50ns`, 50)
	if counted.aggregates == 0 {
		t.Error("the store was not asked for groups")
	}
}

// TestGroupsNewestOfOneStep: in a step of time, the newest traces are found, though their ids come last.
func TestGroupsNewestOfOneStep(t *testing.T) {
	f := func(db store.Events, n int, apart time.Duration, limit, most int) {
		t.Helper()
		var rows []store.Row
		for i := range n {
			rows = append(rows, single(i+1, base().Add(time.Duration(i)*apart), int64(i)))
		}
		if _, err := db.Write(t.Context(), p, rows); err != nil {
			t.Fatal(err)
		}
		if disk, ok := db.(interface{ Flush() error }); ok {
			if err := disk.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		at := signal.Between(base().Add(-90*24*time.Hour), base().Add(time.Hour))
		found, err := New(db, Options{}).Search(t.Context(), p, SearchRequest{Query: parse(t, `{ } | count() > 0`), Time: at, Limit: limit})
		if err != nil || len(found.Traces) != limit {
			t.Fatalf("%d traces: %+v, %v", n, found, err)
		}
		for i, trace := range found.Traces {
			if want := fmt.Sprintf("%032x", n-i); trace.TraceID != want {
				t.Errorf("%d traces: number %d is %s, want %s", n, i, trace.TraceID, want)
				break
			}
		}
		if found.InspectedTraces > most {
			t.Errorf("%d traces: %d were looked at, want at most %d", n, found.InspectedTraces, most)
		}
	}
	for _, db := range []func() store.Events{newMemory, func() store.Events { return newDisk(t) }} {
		f(db(), 400, time.Millisecond, 10, 400)
		f(db(), 1500, time.Millisecond/10, 100, 1500) // nothing finer tells them apart
		f(db(), 1500, 25*time.Millisecond, 10, 100)   // as a finer step does
		f(db(), 30, time.Millisecond, 10, 30)
	}
}

// TestStepsTakeNoMoreThanTheLimit: what is found beyond the limit in a step takes no memory.
func TestStepsTakeNoMoreThanTheLimit(t *testing.T) {
	db := newMemory()
	var rows []store.Row
	for i := range 3000 {
		rows = append(rows, single(i+1, base().Add(time.Duration(i)*time.Millisecond/10), 1))
	}
	if _, err := db.Write(t.Context(), p, rows); err != nil {
		t.Fatal(err)
	}
	at := signal.Between(base(), base().Add(time.Minute))
	e := New(db, Options{Memory: 1_700_000})
	found, err := e.Search(t.Context(), p, SearchRequest{Query: parse(t, `{ } | count() > 0`), Time: at, Limit: 10})
	if err != nil || len(found.Traces) != 10 || found.InspectedTraces != 3000 {
		t.Errorf("%+v, %v", found, err)
	}
}

// TestGroupsAreHeld: candidates count as memory until they have been handed on, and what was looked at to the end.
func TestGroupsAreHeld(t *testing.T) {
	const n, id = 2000, 32
	mem := newMemory()
	var rows []store.Row
	for i := range n {
		rows = append(rows, single(i+1, base().Add(time.Duration(i)*100*time.Millisecond), 1))
	}
	if _, err := mem.Write(t.Context(), p, rows); err != nil {
		t.Fatal(err)
	}
	f := func(text string, batches int) {
		t.Helper()
		r := New(&inBlocks{Events: mem}, Options{}).run(p)
		var used []int64
		c := &candidates{
			run: r, groups: groupFilterOf(parse(t, text).Stages), at: signal.Between(base(), base().Add(4*time.Minute)),
			size: func() int { return 50 },
			f: func([]string, signal.TimeRange) (bool, error) {
				used = append(used, r.budget.used)
				return true, nil
			},
		}
		if err := c.read(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(used) != batches || batches > 0 && used[0] < (n-50)*id {
			t.Errorf("%s: %d bytes held for %d candidates", text, used, n)
		}
		if want := r.texts.bytes + n*(id+40); r.budget.used != want || r.traces != n {
			t.Errorf("%s: %d bytes are held in the end for %d traces, want %d", text, r.budget.used, r.traces, want)
		}
	}
	f(`{ } | count() > 0`, n/50)
	f(`{ } | count() > 1`, 0) // ruled out by the groups of all their spans
}
