package team

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Call is one call of a model, as it is priced. Its buckets are disjoint.
type Call struct {
	Provider, Model, RequestModel                string
	At                                           time.Time
	Input, CacheRead, CacheWrite5m, CacheWrite1h int64
	Output, Reasoning                            int64
}

// Priced is what a price book says of a call.
type Priced struct {
	Cost PicoUSD
	// Parts is the cost by bucket: JSON in pico-dollars.
	Parts string
	// Model is the book's own name; Own tells that the price is one of the operator's.
	Model string
	Own   bool
}

// Prices is a price book.
type Prices interface {
	Version() string
	// Price prices a call, the operator's own prices first; false when the model is not known.
	Price(c Call) (Priced, bool)
	// Table prices a call by the built-in table alone.
	Table(c Call) (Priced, bool)
	// With returns the book with other prices of the operator's, a YAML file, in place of the present ones.
	With(file []byte) (Prices, error)
	// Show returns what the book holds for a model at a time.
	Show(provider, model string, at time.Time) []PriceEntry
}

// PriceEntry is one price list of a model.
type PriceEntry struct {
	// Source is own or table; Own entries go first.
	Source, Provider, Model string
	// Valid says when it holds, for people; InForce whether it is what is used at the time that was asked for.
	Valid   string
	InForce bool
	// Prices are dollars for a million tokens (for a thousand requests: "requests"), by bucket.
	Prices []PriceLine
}

// PriceLine is one price. Above holds for all tokens of a call with more input tokens than that; 0 for every call.
type PriceLine struct {
	Bucket, USD string
	Above       int64
}

// Costs answers questions of money. It is safe for concurrent use.
type Costs struct {
	events  Reader
	writer  store.Writer
	prices  func() Prices
	changed func(signal.Project)
	clock   func() time.Time
}

// CostOptions complete Costs.
type CostOptions struct {
	// Prices gives the book in force.
	Prices func() Prices
	// Writer takes new costs; Changed, which may be nil, is told of them.
	Writer  store.Writer
	Changed func(signal.Project)
	// Clock tells the time: time.Now.
	Clock func() time.Time
}

// NewCosts returns Costs of events, whose spans must show their newest costs.
func NewCosts(events Reader, o CostOptions) *Costs {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Changed == nil {
		o.Changed = func(signal.Project) {}
	}
	return &Costs{events: events, writer: o.Writer, prices: o.Prices, changed: o.Changed, clock: o.Clock}
}

// ErrCostKey marks a key that costs can't be grouped by.
var ErrCostKey = errors.New("costs are grouped by team, agent, model, provider, type, task, source, version or day")

// CostQuery asks for sums of money by keys.
type CostQuery struct {
	Since, Until time.Time
	By           []string
	// Team narrows to one team; "" is all.
	Team string
}

// CostLine is one sum. Its lines add up to the total exactly.
type CostLine struct {
	Key    []string
	Calls  int64
	Tokens Tokens
	Cost   PicoUSD
	// Unpriced counts calls without a known cost.
	Unpriced int64
}

// costSpan is a counted span: what tokens and money are summed from.
type costSpan struct {
	Span
	agent                     string
	provider, source, version string
	call                      Call
}

// maxLines bounds the lines of one answer.
const maxLines = 200_000

// Report sums costs up by the leaf rule, exactly. It reads the project in stretches of time, so that its memory is
// bounded by one stretch and the answer.
func (c *Costs) Report(ctx context.Context, p signal.Project, q CostQuery) ([]CostLine, error) {
	for _, key := range q.By {
		if _, ok := (&costSpan{}).key(key); !ok {
			return nil, signal.Permanent(fmt.Errorf("%q: %w", key, ErrCostKey))
		}
	}
	lines := map[string]*CostLine{}
	err := c.each(ctx, p, q.Since, q.Until, func(s *costSpan) error {
		if q.Team != "" && s.Team != q.Team {
			return nil
		}
		key, text := make([]string, len(q.By)), ""
		for i, name := range q.By {
			key[i], _ = s.key(name)
			text += fmt.Sprintf("%d:%s", len(key[i]), key[i])
		}
		line, ok := lines[text]
		if !ok {
			if len(lines) >= maxLines {
				return fmt.Errorf("costs: more than %d lines: %w", maxLines, store.ErrTooMany)
			}
			line = &CostLine{Key: key}
			lines[text] = line
		}
		line.Calls++
		line.Tokens.add(s.Tokens)
		line.Cost = line.Cost.plus(s.Cost)
		if !s.HasCost {
			line.Unpriced++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]CostLine, 0, len(lines))
	for _, l := range lines {
		out = append(out, *l)
	}
	slices.SortFunc(out, func(a, b CostLine) int { return slices.Compare(a.Key, b.Key) })
	return out, nil
}

// key returns what a span has under a key of a report.
func (s *costSpan) key(name string) (string, bool) {
	switch name {
	case "team":
		return s.Team, true
	case "agent":
		return s.agent, true
	case "model":
		return s.Model, true
	case "provider":
		return s.provider, true
	case "type":
		return s.TaskType, true
	case "task":
		return s.Task, true
	case "source":
		return s.source, true
	case "version":
		return s.version, true
	case "day":
		return time.Unix(0, s.Start).UTC().Format(time.DateOnly), true
	}
	return "", false
}

const (
	// firstStretch is the first stretch of time that is read at once; it adapts to the number of its traces.
	firstStretch = time.Hour
	minStretch   = time.Second
	maxStretch   = 31 * 24 * time.Hour
	// maxStretchTraces bounds the traces of one stretch, callsAtOnce the counted spans of those that are read together.
	maxStretchTraces = 20_000
	callsAtOnce      = 100_000
)

// each calls do with every counted span that began in [since, until), ordered by stretches of time only. A trace that
// reaches over several stretches is read in each of them, and each of its spans counted in its own.
func (c *Costs) each(ctx context.Context, p signal.Project, since, until time.Time, do func(*costSpan) error) error {
	stats, err := c.events.Stats(ctx)
	if err != nil {
		return err
	}
	at := signal.TimeRange{Start: stats.Accept.Start, End: stats.Accept.End}
	if !since.IsZero() {
		at.Start = max(at.Start, since.UnixNano())
	}
	if !until.IsZero() {
		at.End = min(at.End, until.UnixNano())
	}
	stretch := firstStretch
	for at.Start < at.End {
		part := signal.TimeRange{Start: at.Start, End: min(at.End, at.Start+int64(stretch))}
		traces, err := c.tracesWithCalls(ctx, p, part)
		if errors.Is(err, store.ErrTooMany) && stretch > minStretch {
			stretch /= 4
			continue
		}
		if err != nil {
			return err
		}
		found := len(traces)
		for len(traces) > 0 {
			var list []string
			for calls := 0; len(traces) > 0 && calls < callsAtOnce; traces = traces[1:] {
				list = append(list, traces[0].Key[0])
				calls += int(traces[0].Values[0])
			}
			if err := c.counted(ctx, p, list, part, do); err != nil {
				return err
			}
		}
		at.Start = part.End
		if found < maxStretchTraces/8 {
			stretch = min(stretch*2, maxStretch)
		}
	}
	return nil
}

// used selects what may be counted: calls of models, and spans that say what was used.
func used() store.Filter {
	or := store.Or{store.In{Field: store.FieldOperation, Values: inferences()}}
	for _, f := range []string{store.FieldTokensInput, store.FieldTokensOutput, store.FieldCostMicro} {
		or = append(or, store.Exists{Field: f})
	}
	return or
}

func (c *Costs) tracesWithCalls(ctx context.Context, p signal.Project, at signal.TimeRange) ([]store.Group, error) {
	groups, err := c.events.Aggregate(ctx, p, store.Aggregate{
		Scope:   store.Scope{Kind: store.KindSpan, Time: at, Filter: used()},
		By:      []string{store.FieldTraceID},
		Columns: []store.Column{{Func: store.CountRows}},
		Limit:   maxStretchTraces,
	})
	if err != nil {
		return nil, fmt.Errorf("find calls: %w", err)
	}
	return groups, nil
}

// costFields are what a counted span is made of, and what the leaf rule needs of all others.
func costFields() []string {
	return append(usageFields(),
		store.FieldParentSpanID, store.FieldTeam, store.FieldTaskID, store.FieldTaskType, store.FieldAgent)
}

func usageFields() []string {
	return []string{
		store.FieldTraceID, store.FieldSpanID, store.FieldOperation, store.FieldProvider, store.FieldModel, attr(conv.GenAIRequestModel),
		store.FieldTokensInput, store.FieldTokensCacheRead, store.FieldTokensCacheWrite5m, store.FieldTokensCacheWrite1h,
		store.FieldTokensOutput, store.FieldTokensReasoning, store.FieldCostMicro, store.FieldCostRest, store.FieldCostSource,
		store.FieldPriceVersion,
	}
}

// counted reads whole traces and hands out their counted spans that began in a range.
func (c *Costs) counted(ctx context.Context, p signal.Project, traces []string, at signal.TimeRange, do func(*costSpan) error) error {
	folds := map[string]*Fold{}
	extra := map[SpanID]*costSpan{}
	rows := c.events.Select(ctx, p, store.Select{
		Scope:  store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.In{Field: store.FieldTraceID, Values: traces}},
		Fields: costFields(),
	})
	for r, err := range rows {
		if err != nil {
			return fmt.Errorf("read costs: %w", err) // a sum of a part would pass for the sum of all
		}
		s := spanOf(r)
		if folds[s.TraceID] == nil {
			folds[s.TraceID] = &Fold{}
		}
		folds[s.TraceID].Add(s)
		if at.Contains(s.Start) && (s.Inference() || s.HasTokens || s.HasCost) {
			extra[SpanID{s.TraceID, s.SpanID}] = costSpanOf(r, s)
		}
	}
	for _, id := range traces {
		f := folds[id]
		if f == nil {
			continue
		}
		forest := f.arrange()
		for i := range f.spans {
			s, ok := extra[SpanID{f.spans[i].TraceID, f.spans[i].SpanID}]
			if !ok || !forest.counts[i] {
				continue
			}
			s.agent = forest.agent[i]
			if err := do(s); err != nil {
				return err
			}
		}
	}
	return nil
}

func costSpanOf(r *store.Row, s Span) *costSpan {
	out := &costSpan{
		Span: s, provider: r.Text(store.FieldProvider), source: r.Text(store.FieldCostSource), version: r.Text(store.FieldPriceVersion),
	}
	out.call = callOf(r)
	return out
}

func callOf(r *store.Row) Call {
	n := func(field string) int64 { return r.Get(field).Int() }
	return Call{
		Provider: r.Text(store.FieldProvider), Model: r.Text(store.FieldModel), RequestModel: r.Text(attr(conv.GenAIRequestModel)),
		At:    time.Unix(0, r.Time),
		Input: n(store.FieldTokensInput), CacheRead: n(store.FieldTokensCacheRead), CacheWrite5m: n(store.FieldTokensCacheWrite5m),
		CacheWrite1h: n(store.FieldTokensCacheWrite1h), Output: n(store.FieldTokensOutput), Reasoning: n(store.FieldTokensReasoning),
	}
}

// Disagreement is a model on whose cost two sources differ.
type Disagreement struct {
	// Who tells which sources: "provider, book" or "own, table".
	Who, Provider, Model string
	Calls                int64
	// First and Second are what the sources say of the calls on which they differ.
	First, Second PicoUSD
}

// Check returns who disagrees with whom about the calls since a time: what senders report against the book, and the
// operator's own prices against the table. The largest difference comes first.
func (c *Costs) Check(ctx context.Context, p signal.Project, since time.Time) ([]Disagreement, error) {
	book := c.prices()
	found := map[[3]string]*Disagreement{}
	note := func(who string, s *costSpan, first, second PicoUSD) {
		if first == second {
			return
		}
		key := [3]string{who, s.provider, s.Model}
		d, ok := found[key]
		if !ok {
			d = &Disagreement{Who: who, Provider: s.provider, Model: s.Model}
			found[key] = d
		}
		d.Calls++
		d.First, d.Second = d.First.plus(first), d.Second.plus(second)
	}
	err := c.each(ctx, p, since, time.Time{}, func(s *costSpan) error {
		ours, ok := book.Price(s.call)
		if !ok || !s.HasTokens {
			return nil
		}
		if s.source == "provider" {
			note("provider, book", s, s.Cost, ours.Cost)
		}
		if table, known := book.Table(s.call); ours.Own && known {
			note("own, table", s, ours.Cost, table.Cost)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]Disagreement, 0, len(found))
	for _, d := range found {
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b Disagreement) int {
		return cmp.Or(cmp.Compare(difference(b), difference(a)), cmp.Compare(a.Who, b.Who), cmp.Compare(a.Model, b.Model), cmp.Compare(a.Provider, b.Provider))
	})
	return out, nil
}

func difference(d Disagreement) PicoUSD {
	if d.First > d.Second {
		return d.First - d.Second
	}
	return d.Second - d.First
}

// Show returns what the book holds for a model at a time, and its version.
func (c *Costs) Show(provider, model string, at time.Time) ([]PriceEntry, string, error) {
	if at.IsZero() {
		at = c.clock()
	}
	book := c.prices()
	entries := book.Show(provider, model, at)
	if len(entries) == 0 {
		return nil, "", fmt.Errorf("price of %q: %w", model, store.ErrNotFound)
	}
	return entries, book.Version(), nil
}
