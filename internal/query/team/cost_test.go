package team

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

// flat is a price book in which a token of any known model costs the same.
type flat struct {
	version string
	pico    int64
}

func (b flat) Version() string { return b.version }

func (b flat) Price(c Call) (Priced, bool) {
	return Priced{Cost: PicoUSD((c.Input + c.Output) * b.pico), Parts: "{}", Own: true}, c.Model != "unknown"
}

func (b flat) Table(c Call) (Priced, bool) {
	return Priced{Cost: PicoUSD(c.Input + c.Output)}, c.Model != "unknown"
}

func (b flat) With(file []byte) (Prices, error) {
	if len(file) == 0 {
		return nil, errors.New("empty")
	}
	return flat{"what if", 1000}, nil
}

func (b flat) Show(string, string, time.Time) []PriceEntry { return nil }

type money struct {
	t     *testing.T
	db    store.Events
	costs *Costs
	book  flat
	now   time.Time
}

// newMoney answers from a plain store: overlays are the business of package overlay.
func newMoney(t *testing.T) *money {
	t.Helper()
	m := &money{t: t, db: memdb.New(memdb.Config{Retention: 365 * 24 * time.Hour}), book: flat{"v2", 2_000_000}, now: time.Now()}
	m.costs = NewCosts(m.db, CostOptions{Prices: func() Prices { return m.book }, Writer: m.db, Clock: func() time.Time { return m.now }})
	return m
}

func (m *money) add(trace, span, parent, op, model string, ago time.Duration, input int64, more ...store.Field) {
	m.t.Helper()
	r := store.Row{Kind: store.KindSpan, ID: trace + span, Time: m.now.Add(-ago).UnixNano(), Fields: more}
	for name, text := range map[string]string{
		store.FieldTraceID: trace, store.FieldSpanID: span, store.FieldParentSpanID: parent, store.FieldOperation: op, store.FieldModel: model,
		store.FieldTeam: "news",
	} {
		if text != "" {
			r.Add(name, store.String(text))
		}
	}
	if input > 0 {
		r.Add(store.FieldTokensInput, store.Int(input))
	}
	if _, err := m.db.Write(m.t.Context(), signal.DefaultProject, []store.Row{r}); err != nil {
		m.t.Fatal(err)
	}
}

func cost(micro int64, source string) []store.Field {
	return []store.Field{
		{Name: store.FieldCostMicro, Value: store.Int(micro)},
		{Name: store.FieldCostRest, Value: store.Int(0)},
		{Name: store.FieldCostSource, Value: store.String(source)},
		{Name: store.FieldPriceVersion, Value: store.String("v1")},
	}
}

func (m *money) report(q CostQuery) string {
	m.t.Helper()
	lines, err := m.costs.Report(m.t.Context(), signal.DefaultProject, q)
	if err != nil {
		m.t.Fatal(err)
	}
	var out []string
	for _, l := range lines {
		out = append(out, fmt.Sprintf("%s %d calls %d tokens %s $ %d unpriced", strings.Join(l.Key, "/"), l.Calls, l.Tokens.Total(), l.Cost, l.Unpriced))
	}
	return strings.Join(out, "\n")
}

// TestReport counts by the leaf rule over a trace that lasts for days: its spans lie in many stretches.
func TestReport(t *testing.T) {
	m := newMoney(t)
	const day = 24 * time.Hour
	m.add("t1", "a", "", "invoke_agent", "gpt", 9*day, 100, cost(100, "prices")...) // repeats what its calls report
	m.add("t1", "w", "a", "chat", "gpt", 8*day, 60, cost(60, "prices")...)          // a wrapper of the call below
	m.add("t1", "b", "w", "chat", "gpt", 7*day, 60, cost(60, "prices")...)
	m.add("t1", "x", "a", "execute_tool", "", 5*day, 0)
	m.add("t1", "c", "x", "chat", "other", 2*day, 40, cost(45, "provider")...)
	m.add("t2", "d", "", "chat", "unknown", time.Hour, 7)
	m.add("t3", "e", "", "invoke_agent", "gpt", time.Hour, 9, cost(9, "prices")...) // no call below it was seen
	check := func(want string, q CostQuery) {
		t.Helper()
		if diff := cmp.Diff(want, m.report(q)); diff != "" {
			t.Errorf("%+v: -want +got:\n%s", q, diff)
		}
	}
	check(" 4 calls 116 tokens 0.000114 $ 1 unpriced", CostQuery{})
	check("gpt 2 calls 69 tokens 0.000069 $ 0 unpriced\nother 1 calls 40 tokens 0.000045 $ 0 unpriced\nunknown 1 calls 7 tokens 0 $ 1 unpriced",
		CostQuery{By: []string{"model"}})
	check("news/ 1 calls 7 tokens 0 $ 1 unpriced\nnews/prices 2 calls 69 tokens 0.000069 $ 0 unpriced\nnews/provider 1 calls 40 tokens 0.000045 $ 0 unpriced",
		CostQuery{By: []string{"team", "source"}})
	// The wrapper lies in the range, its call does not: it is no call for that.
	check("", CostQuery{Since: m.now.Add(-9*day - time.Hour), Until: m.now.Add(-8*day + time.Hour)})
	check("", CostQuery{Team: "other"})
	if _, err := m.costs.Report(t.Context(), signal.DefaultProject, CostQuery{By: []string{"colour"}}); !errors.Is(err, ErrCostKey) || !signal.IsPermanent(err) {
		t.Errorf("%v", err)
	}
}

func TestRecost(t *testing.T) {
	m := newMoney(t)
	m.add("t1", "a", "", "chat", "gpt", time.Hour, 60, cost(60, "prices")...)
	m.add("t1", "b", "", "chat", "gpt", time.Hour, 30, cost(60, "prices")...) // right already
	m.add("t1", "c", "", "chat", "gpt", time.Hour, 10)
	m.add("t1", "d", "", "chat", "gpt", time.Hour, 40, cost(45, "provider")...)
	m.add("t1", "e", "", "chat", "unknown", time.Hour, 7, cost(3, "prices")...)
	m.add("t1", "f", "", "chat", "gpt", time.Hour, 0)
	r, err := m.costs.Recost(t.Context(), signal.DefaultProject, RecostQuery{})
	if err != nil {
		t.Fatal(err)
	}
	micro := func(n int64) PicoUSD { return PicoUSD(n * 1_000_000) }
	want := Recost{
		Version: "v2", Before: micro(168), After: micro(248),
		Lines: []RecostLine{
			{Model: "gpt", Calls: 5, Changed: 2, First: 1, Before: micro(165), After: micro(245)},
			{Model: "unknown", Calls: 1, Unknown: 1, Before: micro(3), After: micro(3)},
		},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if n := m.rows(); n != 0 {
		t.Errorf("a dry run stored %d costs", n)
	}
	// What if touches the provider's own costs too when it asks for another model, and can't be applied.
	r, err = m.costs.Recost(t.Context(), signal.DefaultProject, RecostQuery{AsModel: "gpt"})
	if err != nil || r.After != micro(120+60+20+80+14) {
		t.Errorf("%+v %v", r, err)
	}
	if r, err = m.costs.Recost(t.Context(), signal.DefaultProject, RecostQuery{File: []byte("x"), Model: "gpt"}); err != nil || r.Version != "what if" {
		t.Errorf("%+v %v", r, err)
	}
	for _, q := range []RecostQuery{{Apply: true, AsModel: "x"}, {Apply: true, File: []byte("x")}, {File: []byte{}}} {
		if _, err := m.costs.Recost(t.Context(), signal.DefaultProject, q); !signal.IsPermanent(err) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	r, err = m.costs.Recost(t.Context(), signal.DefaultProject, RecostQuery{Apply: true})
	if err != nil || r.Stored != 2 || m.rows() != 2 {
		t.Errorf("%+v %v, %d rows", r, err, m.rows())
	}
}

func (m *money) rows() int {
	n := 0
	for r, err := range m.db.Select(m.t.Context(), signal.DefaultProject, store.Select{Scope: store.Scope{Kind: store.KindCost, Time: signal.AllTime()}}) {
		if err != nil {
			m.t.Fatal(err)
		}
		if r.Get(store.FieldRevision).Int() != m.now.UnixNano() || r.Text(store.FieldPriceVersion) != "v2" || r.Text(store.FieldTeam) != "news" {
			m.t.Errorf("cost row %+v", r)
		}
		n++
	}
	return n
}

// TestRecostOfManySpansOfOneInstant goes over pages whose spans all began at the same time.
func TestRecostOfManySpansOfOneInstant(t *testing.T) {
	m := newMoney(t)
	const n = 2*recostPage + 10
	for i := range n {
		m.add(fmt.Sprintf("t%d", i/100), fmt.Sprintf("s%05d", i), "", "chat", "gpt", time.Hour, 60, cost(60, "prices")...)
	}
	m.add("late", "s", "", "chat", "gpt", time.Minute, 60, cost(60, "prices")...)
	r, err := m.costs.Recost(t.Context(), signal.DefaultProject, RecostQuery{Apply: true})
	if err != nil || m.rows() != n+1 {
		t.Errorf("%d stored, %d rows, want %d: %v", r.Stored, m.rows(), n+1, err)
	}
}

func TestCheck(t *testing.T) {
	m := newMoney(t)
	m.add("t1", "a", "", "chat", "gpt", time.Hour, 60, cost(60, "provider")...)
	m.add("t1", "b", "", "chat", "gpt", time.Hour, 30, cost(60, "provider")...)
	m.add("t1", "c", "", "chat", "unknown", time.Hour, 30, cost(60, "provider")...)
	got, err := m.costs.Check(t.Context(), signal.DefaultProject, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	want := []Disagreement{
		{Who: "own, table", Model: "gpt", Calls: 2, First: 180_000_000, Second: 90},
		{Who: "provider, book", Model: "gpt", Calls: 1, First: 60_000_000, Second: 120_000_000},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, _, err := m.costs.Show("", "nothing", time.Time{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%v", err)
	}
}
