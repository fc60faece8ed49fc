package team

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

// watched is a store whose commits budgets are told of.
func watched(t *testing.T, list []Budget, now time.Time) (*money, *Budgets) {
	t.Helper()
	m := &money{t: t, book: flat{"v2", 2_000_000}, now: now}
	clock := func() time.Time { return m.now }
	b := NewBudgets(list, clock)
	m.db = memdb.New(memdb.Config{Retention: 365 * 24 * time.Hour, Observer: b, Clock: clock})
	m.costs = NewCosts(m.db, CostOptions{Prices: func() Prices { return m.book }, Writer: m.db, Clock: clock})
	b.Use(m.costs)
	return m, b
}

// states reads all budgets, after a time in which answers get old.
func (m *money) states(b *Budgets) string {
	m.t.Helper()
	m.now = m.now.Add(2 * time.Second)
	states, _, err := b.States(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	var out []string
	for _, s := range states {
		out = append(out, fmt.Sprintf("%s %s/%s/%s/%s $%s of %s, %d of %d tokens, %d calls, %d unpriced, %.2f %t", s.Name, s.Line.Team, s.Line.Agent, s.Line.Model, s.Line.Type,
			s.SpentUSD, s.USD, s.Spent, s.Tokens, s.Calls, s.Unpriced, s.Used(), s.Exceeded()))
	}
	return strings.Join(out, "\n")
}

func TestBudgets(t *testing.T) {
	const day = 24 * time.Hour
	m, b := watched(t, []Budget{
		{Name: "hour", Project: "default", Period: Hourly, USD: 100_000_000},
		{Name: "models", Project: "default", For: Work{Team: "news"}, Per: []string{"model"}, Period: Daily, Tokens: 100},
		{Name: "month", Project: "default", For: Work{Team: "news", Agent: "writer"}, Period: Monthly, USD: 1_000_000_000},
		{Name: "theirs", Project: "other", Period: Monthly, USD: 1},
	}, time.Date(2026, 3, 20, 10, 30, 0, 0, time.UTC))
	writer := store.Field{Name: store.FieldAgent, Value: store.String("writer")}
	check := func(want ...string) {
		t.Helper()
		if d := cmp.Diff(strings.Join(want, "\n"), m.states(b)); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	}
	m.add("old", "a", "", "chat", "gpt", 30*day, 5, append(cost(500, "prices"), writer)...) // in February
	m.add("t0", "a", "", "chat", "gpt", 5*day, 50, append(cost(500, "prices"), writer)...)
	m.add("t1", "a", "", "chat", "gpt", 2*time.Hour, 40, append(cost(40, "prices"), writer)...)
	m.add("t2", "a", "", "chat", "other", 20*time.Minute, 60, cost(60, "prices")...)
	check("hour /// $0.00006 of 0.0001, 60 of 0 tokens, 1 calls, 0 unpriced, 0.60 false",
		"models news//other/ $0.00006 of 0, 60 of 100 tokens, 1 calls, 0 unpriced, 0.60 false",
		"models news//gpt/ $0.00004 of 0, 40 of 100 tokens, 1 calls, 0 unpriced, 0.40 false",
		"month news/writer// $0.00054 of 0.001, 90 of 0 tokens, 2 calls, 0 unpriced, 0.54 false",
		"theirs /// $0 of 0.000000000001, 0 of 0 tokens, 0 calls, 0 unpriced, 0.00 false")
	// A call below t1's turns that one into a wrapper, and one without a price comes.
	m.add("t1", "b", "a", "chat", "gpt", time.Hour, 30, append(cost(30, "prices"), writer)...)
	m.add("t2", "b", "", "chat", "unknown", 10*time.Minute, 140)
	m.add("t2", "c", "", "chat", "other", 10*time.Minute, 40, cost(40, "prices")...)
	check("hour /// $0.0001 of 0.0001, 240 of 0 tokens, 3 calls, 1 unpriced, 1.00 true",
		"models news//unknown/ $0 of 0, 140 of 100 tokens, 1 calls, 1 unpriced, 1.40 true",
		"models news//other/ $0.0001 of 0, 100 of 100 tokens, 2 calls, 0 unpriced, 1.00 true",
		"models news//gpt/ $0.00003 of 0, 30 of 100 tokens, 1 calls, 0 unpriced, 0.30 false",
		"month news/writer// $0.00053 of 0.001, 80 of 0 tokens, 2 calls, 0 unpriced, 0.53 false",
		"theirs /// $0 of 0.000000000001, 0 of 0 tokens, 0 calls, 0 unpriced, 0.00 false")
	if _, err := m.db.Delete(t.Context(), "default", store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.In{Field: store.FieldTraceID, Values: []string{"t2"}}}); err != nil {
		t.Fatal(err)
	}
	b.Forget("default")
	m.now = m.now.Add(30 * time.Minute) // the next hour
	check("hour /// $0 of 0.0001, 0 of 0 tokens, 0 calls, 0 unpriced, 0.00 false",
		"models news//gpt/ $0.00003 of 0, 30 of 100 tokens, 1 calls, 0 unpriced, 0.30 false",
		"month news/writer// $0.00053 of 0.001, 80 of 0 tokens, 2 calls, 0 unpriced, 0.53 false",
		"theirs /// $0 of 0.000000000001, 0 of 0 tokens, 0 calls, 0 unpriced, 0.00 false")
	found, _, err := b.For(t.Context(), "default", Work{Team: "radio"})
	if err != nil || len(found) != 1 || found[0].Name != "hour" {
		t.Errorf("of team radio: %v, %v", found, err)
	}
}

// TestLinesWithoutAPart: of a budget for each agent, the line of work that names no agent is told to nobody who asks for
// an agent, and to those who don't say whom they ask for.
func TestLinesWithoutAPart(t *testing.T) {
	m, b := watched(t, []Budget{
		{Name: "each-agent", Project: "default", Per: []string{"agent"}, Period: Daily, Tokens: 100},
		{Name: "each-model-of-writer", Project: "default", For: Work{Agent: "writer"}, Per: []string{"agent", "model"}, Period: Daily, Tokens: 100},
		{Name: "all", Project: "default", For: Work{Team: "news"}, Period: Daily, Tokens: 100},
	}, time.Date(2026, 3, 20, 10, 30, 0, 0, time.UTC))
	writer := store.Field{Name: store.FieldAgent, Value: store.String("writer")}
	m.add("t1", "a", "", "chat", "gpt", time.Hour, 10, writer)
	m.add("t2", "a", "", "chat", "gpt", time.Hour, 500)
	m.add("t3", "a", "", "chat", "", time.Hour, 500, writer)
	m.states(b)
	f := func(w Work, want ...string) {
		t.Helper()
		states, _, err := b.For(t.Context(), "default", w)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range states {
			got = append(got, fmt.Sprintf("%s %s/%s without %v, %d", s.Name, s.Line.Agent, s.Line.Model, s.Unnamed(), s.Spent))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%+v: -want +got:\n%s", w, d)
		}
	}
	const (
		ofWriter, ofNobody = "each-agent writer/ without [], 510", "each-agent / without [agent], 500"
		gpt, noModel       = "each-model-of-writer writer/gpt without [], 10", "each-model-of-writer writer/ without [model], 500"
		all                = "all / without [], 1010"
	)
	f(Work{}, ofWriter, ofNobody, noModel, gpt, all)
	f(Work{Agent: "writer"}, ofWriter, noModel, gpt, all)
	f(Work{Agent: "critic"}, all)
	f(Work{Agent: "writer", Model: "gpt"}, ofWriter, gpt, all)
	f(Work{Team: "radio", Agent: "critic"})
}

// gated is a store that answers once it is let, and counts how often it is asked for its figures, which each reading begins with.
type gated struct {
	store.Events
	asked atomic.Int64
	let   chan error
}

func (g *gated) Stats(ctx context.Context) (store.Stats, error) {
	g.asked.Add(1)
	select {
	case err := <-g.let:
		if err != nil {
			return store.Stats{}, err
		}
		return g.Events.Stats(ctx)
	case <-ctx.Done():
		return store.Stats{}, ctx.Err()
	}
}

// TestReadingOutlastsItsCaller: what takes longer than whoever asks can wait is read to its end, once, and then there.
func TestReadingOutlastsItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := watched(t, []Budget{{Name: "day", Project: "default", Period: Daily, USD: 100_000_000}}, time.Time{})
		b.clock = time.Now
		m.now = time.Now()
		g := &gated{Events: m.db, let: make(chan error)}
		b.Use(NewCosts(g, CostOptions{Prices: func() Prices { return m.book }, Writer: m.db}))
		ask := func(want string, asked int64) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			states, _, err := b.States(ctx)
			got := fmt.Sprint(err)
			if err == nil {
				got = fmt.Sprint(states[0].Calls, " calls")
			}
			if !strings.Contains(got, want) || g.asked.Load() != asked {
				t.Errorf("%q after %d readings, want %q after %d", got, g.asked.Load(), want, asked)
			}
		}
		m.add("t", "a", "", "chat", "gpt", 0, 5, cost(10, "prices")...)
		ask("ask again later: context deadline exceeded", 1)
		ask("ask again later: context deadline exceeded", 1)
		g.let <- nil
		synctest.Wait()
		ask("1 calls", 1)
		time.Sleep(10 * 10 * time.Second) // it took ten seconds, and so holds for a hundred
		m.add("t", "b", "", "chat", "gpt", 0, 5, cost(10, "prices")...)
		b.Forget("default")
		ask("1 calls", 2) // the answer before, while the next is read
		g.let <- errGate
		synctest.Wait()
		ask(errGate.Error(), 2)
		time.Sleep(40 * time.Second)
		ask(errGate.Error(), 2) // a failure holds as long: trying must not take more than a tenth either
		time.Sleep(20 * time.Second)
		ask("1 calls", 3)
		g.let <- nil
		synctest.Wait()
		ask("2 calls", 3)
		time.Sleep(time.Hour)
		b.Forget("default")
		ask("2 calls", 4)
		b.Close()
		ask("the server stops", 4)
	})
}

var errGate = errors.New("the store is away")

// TestLinesOfInvalidNamesAreOne: they would look alike, and a registry refuses all metrics for that.
func TestLinesOfInvalidNamesAreOne(t *testing.T) {
	m, b := watched(t, []Budget{{Name: "day", Project: "default", Per: []string{"agent"}, Period: Daily, USD: 100_000_000}},
		time.Date(2026, 3, 20, 10, 30, 0, 0, time.UTC))
	for _, agent := range []string{"\xff", "\xfe"} {
		m.add("t"+agent, "a", "", "chat", "gpt", time.Hour, 5, append(cost(10, "prices"), store.Field{Name: store.FieldAgent, Value: store.String(agent)})...)
	}
	if got, want := m.states(b), "day /\uFFFD// $0.00002 of 0.0001, 10 of 0 tokens, 2 calls, 0 unpriced, 0.20 false"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestBudgetsEqualCosts: whatever arrives, in whatever order, budgets are the sums that Costs.Report gives.
func TestBudgetsEqualCosts(t *testing.T) {
	start := time.Date(2026, 3, 31, 22, 0, 0, 0, time.UTC)
	m, b := watched(t, []Budget{
		{Name: "hour", Project: "default", Per: []string{"team", "agent", "model"}, Period: Hourly, USD: 1},
		{Name: "day", Project: "default", Per: []string{"team", "agent", "model"}, Period: Daily, USD: 1},
		{Name: "month", Project: "default", Per: []string{"team", "agent", "model"}, Period: Monthly, USD: 1},
	}, start)
	rnd := rand.New(rand.NewPCG(7, 9))
	for step := range 150 {
		m.now = m.now.Add(time.Duration(rnd.IntN(90)) * time.Second)
		for range rnd.IntN(4) {
			id, parent := fmt.Sprint(rnd.IntN(12)), fmt.Sprint(rnd.IntN(12))
			if parent >= id {
				parent = ""
			}
			op := []string{"chat", "invoke_agent", "execute_tool"}[rnd.IntN(3)]
			m.add(fmt.Sprint("t", rnd.IntN(20)), id, parent, op, fmt.Sprint("m", rnd.IntN(2)), time.Duration(rnd.IntN(200))*time.Minute,
				int64(rnd.IntN(100)), cost(int64(rnd.IntN(1000)), "prices")...)
		}
		states, at, err := b.States(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if at != m.now {
			continue // asked again within a second
		}
		for _, period := range []Period{Hourly, Daily, Monthly} {
			from, until := period.bounds(m.now)
			lines, err := m.costs.Report(t.Context(), "default", CostQuery{Since: from, Until: until, By: []string{"team", "agent", "model"}})
			if err != nil {
				t.Fatal(err)
			}
			want, got := map[string]string{}, map[string]string{}
			for _, l := range lines {
				want[strings.Join(l.Key, "/")] = fmt.Sprint(l.Cost, l.Tokens.Total(), l.Calls)
			}
			for _, s := range states {
				if s.Period == period {
					got[s.Line.Team+"/"+s.Line.Agent+"/"+s.Line.Model] = fmt.Sprint(s.SpentUSD, s.Spent, s.Calls)
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("step %d, %s at %s (-report +budgets):\n%s", step, period, m.now, d)
			}
		}
	}
}

// TestSetBudgets: other budgets hold at once, for what was spent before they were set, also in projects that had none.
func TestSetBudgets(t *testing.T) {
	m, b := watched(t, []Budget{{Name: "hour", Project: "default", Period: Hourly, USD: 100_000_000}}, time.Date(2026, 3, 20, 10, 30, 0, 0, time.UTC))
	check := func(want ...string) {
		t.Helper()
		if d := cmp.Diff(strings.Join(want, "\n"), m.states(b)); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	}
	m.add("t0", "a", "", "chat", "gpt", 3*time.Hour, 50, cost(50, "prices")...)
	m.add("t1", "a", "", "chat", "gpt", 10*time.Minute, 40, cost(40, "prices")...)
	check("hour /// $0.00004 of 0.0001, 40 of 0 tokens, 1 calls, 0 unpriced, 0.40 false")
	b.Set([]Budget{{Name: "day", Project: "default", Period: Daily, Tokens: 100}, {Name: "theirs", Project: "other", Period: Daily, USD: 1}})
	if b.Len() != 2 {
		t.Errorf("%d budgets", b.Len())
	}
	m.now = m.now.Add(-2 * time.Second) // no time goes by: what was known before does not hold
	check("day /// $0.00009 of 0, 90 of 100 tokens, 2 calls, 0 unpriced, 0.90 false",
		"theirs /// $0 of 0.000000000001, 0 of 0 tokens, 0 calls, 0 unpriced, 0.00 false")
	m.add("t2", "a", "", "chat", "gpt", 5*time.Minute, 10, cost(10, "prices")...)
	check("day /// $0.0001 of 0, 100 of 100 tokens, 3 calls, 0 unpriced, 1.00 true",
		"theirs /// $0 of 0.000000000001, 0 of 0 tokens, 0 calls, 0 unpriced, 0.00 false")
	b.Set(nil)
	check("")
}

// TestSetBudgetsWhileTheyAreRead: an answer is never of budgets that were set aside meanwhile.
func TestSetBudgetsWhileTheyAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := watched(t, []Budget{{Name: "hour", Project: "default", Period: Hourly, USD: 1}}, time.Now())
		b.clock, m.now = time.Now, time.Now()
		g := &gated{Events: m.db, let: make(chan error)}
		b.Use(NewCosts(g, CostOptions{Prices: func() Prices { return m.book }, Writer: m.db}))
		type answer struct {
			states []BudgetState
			err    error
		}
		got := make(chan answer)
		go func() {
			states, _, err := b.States(t.Context())
			got <- answer{states, err}
		}()
		synctest.Wait()
		b.Set([]Budget{{Name: "day", Project: "default", Period: Daily, USD: 1}})
		g.let <- nil
		g.let <- nil // it is read again for those
		if a := <-got; a.err != nil || len(a.states) != 1 || a.states[0].Name != "day" {
			t.Errorf("got %+v", a)
		}
		b.Close()
	})
}
