// Package overlay shows spans as later rows correct them: with the newest cost (rows of kind cost, written when prices
// are computed anew) and with the content that was held back until their task failed (rows of kind content). It wraps a
// store's readers, so that every question sees the same.
//
// A project without such rows pays one look every ten seconds.
package overlay

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// recheck is how long a project counts as without corrections before it is looked at again.
const recheck = 10 * time.Second

// chunk is how many spans are corrected with one look.
const chunk = 500

// Events is a store whose spans are shown corrected. Filters see spans as they were stored.
type Events struct {
	store.Events
	clock func() time.Time

	mu    sync.Mutex
	known map[signal.Project]state
}

// state is what is known of a project's corrections.
type state struct {
	cost, content bool
	at            time.Time
}

// New returns events with corrections; clock may be nil for time.Now.
func New(events store.Events, clock func() time.Time) *Events {
	if clock == nil {
		clock = time.Now
	}
	return &Events{Events: events, clock: clock, known: map[signal.Project]state{}}
}

// Changed says that corrections were written: they count from now on.
func (e *Events) Changed(p signal.Project) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.known, p)
}

func (e *Events) state(ctx context.Context, p signal.Project) (state, error) {
	e.mu.Lock()
	s, ok := e.known[p]
	e.mu.Unlock()
	now := e.clock()
	if ok && (s.cost && s.content || now.Sub(s.at) < recheck) {
		return s, nil
	}
	var err error
	for _, look := range []struct {
		kind store.Kind
		has  *bool
	}{{store.KindCost, &s.cost}, {store.KindContent, &s.content}} {
		if !*look.has {
			if *look.has, err = e.any(ctx, p, look.kind); err != nil {
				return s, err
			}
		}
	}
	s.at = now
	e.mu.Lock()
	e.known[p] = s
	e.mu.Unlock()
	return s, nil
}

// any tells whether the project has a row of a kind.
func (e *Events) any(ctx context.Context, p signal.Project, kind store.Kind) (bool, error) {
	rows := e.Events.Select(ctx, p, store.Select{
		Scope: store.Scope{Kind: kind, Time: signal.AllTime()}, Fields: []string{store.FieldTraceID}, Limit: 1,
	})
	for _, err := range rows {
		if err != nil && !errors.Is(err, store.ErrPartial) {
			return false, fmt.Errorf("look for corrections: %w", err)
		}
		return err == nil, nil
	}
	return false, nil
}

// CostFields are the fields of a span that a cost row replaces.
func CostFields() []string {
	return []string{store.FieldCostMicro, store.FieldCostRest, store.FieldCostSource, store.FieldPriceVersion, store.FieldCostParts}
}

// Select implements store.Reader.
func (e *Events) Select(ctx context.Context, p signal.Project, q store.Select) iter.Seq2[*store.Row, error] {
	if q.Kind != store.KindSpan {
		return e.Events.Select(ctx, p, q)
	}
	return func(yield func(*store.Row, error) bool) {
		s, err := e.state(ctx, p)
		if err != nil {
			yield(nil, err)
			return
		}
		c := &corrections{events: e.Events, project: p}
		if s.cost {
			for _, f := range CostFields() {
				if q.Fields == nil || slices.Contains(q.Fields, f) {
					c.costs = append(c.costs, f)
				}
			}
		}
		c.content = s.content && wantsContent(q.Fields)
		if len(c.costs) == 0 && !c.content {
			e.Events.Select(ctx, p, q)(yield)
			return
		}
		q.Fields = c.fields(q.Fields)
		c.run(ctx, e.Events.Select(ctx, p, q), yield)
	}
}

// wantsContent tells whether fields ask for attributes, where content is.
func wantsContent(fields []string) bool {
	return fields == nil || slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, store.PrefixAttr) })
}

// corrections are those of one answer.
type corrections struct {
	events  store.Reader
	project signal.Project
	costs   []string // fields to replace
	content bool
	want    []string // nil: all
	hidden  []string // asked for by us alone
	batch   []*store.Row
}

// fields adds to what was asked for what corrections need.
func (c *corrections) fields(want []string) []string {
	c.want = want
	if want == nil {
		return nil
	}
	for _, f := range []string{store.FieldTraceID, store.FieldCapture} {
		if !slices.Contains(want, f) {
			c.hidden = append(c.hidden, f)
		}
	}
	return slices.Concat(want, c.hidden)
}

func (c *corrections) run(ctx context.Context, rows iter.Seq2[*store.Row, error], yield func(*store.Row, error) bool) {
	var last error
	for r, err := range rows {
		if err != nil {
			last = err // the rows before it come first
			break
		}
		c.batch = append(c.batch, r.Clone())
		if len(c.batch) == chunk && !c.flush(ctx, yield) {
			return
		}
	}
	if c.flush(ctx, yield) && last != nil {
		yield(nil, last)
	}
}

// flush corrects the batch and hands it on. It tells whether to go on.
func (c *corrections) flush(ctx context.Context, yield func(*store.Row, error) bool) bool {
	if len(c.batch) == 0 {
		return true
	}
	if err := c.correct(ctx); err != nil {
		yield(nil, err)
		return false
	}
	for _, r := range c.batch {
		if len(c.hidden) > 0 {
			r.Fields = slices.DeleteFunc(r.Fields, func(f store.Field) bool { return slices.Contains(c.hidden, f.Name) })
		}
		if !yield(r, nil) {
			return false
		}
	}
	c.batch = c.batch[:0]
	return true
}

func (c *corrections) correct(ctx context.Context) error {
	spans := make(map[string]*store.Row, len(c.batch))
	traces := map[string]bool{}
	held := false
	var at signal.TimeRange
	for _, r := range c.batch {
		spans[r.ID] = r
		traces[r.Text(store.FieldTraceID)] = true
		at = at.Include(r.Time)
		held = held || r.Has(store.FieldCapture)
	}
	filter := store.In{Field: store.FieldTraceID}
	for id := range traces {
		filter.Values = append(filter.Values, id)
	}
	if len(c.costs) > 0 {
		err := c.each(ctx, store.KindCost, at, filter, c.costs, func(r *store.Row) {
			if s, ok := spans[r.ID]; ok {
				c.recost(s, r)
			}
		})
		if err != nil {
			return err
		}
	}
	if !c.content || !held {
		return nil
	}
	return c.each(ctx, store.KindContent, at, filter, nil, func(r *store.Row) {
		if s, ok := spans[r.ID]; ok {
			c.addContent(s, r)
		}
	})
}

func (c *corrections) each(ctx context.Context, kind store.Kind, at signal.TimeRange, f store.Filter, fields []string, do func(*store.Row)) error {
	rows := c.events.Select(ctx, c.project, store.Select{Scope: store.Scope{Kind: kind, Time: at, Filter: f}, Fields: fields})
	for r, err := range rows {
		if err != nil {
			return fmt.Errorf("read corrections: %w", err) // a part that does not answer must not show an old cost as the newest
		}
		do(r.Clone())
	}
	return nil
}

func (c *corrections) recost(span, r *store.Row) {
	span.Fields = slices.DeleteFunc(span.Fields, func(f store.Field) bool { return slices.Contains(c.costs, f.Name) })
	for _, f := range r.Fields {
		if slices.Contains(c.costs, f.Name) {
			span.Add(f.Name, f.Value)
		}
	}
}

func (c *corrections) addContent(span, r *store.Row) {
	for _, f := range r.Fields {
		if strings.HasPrefix(f.Name, store.PrefixAttr) && !span.Has(f.Name) && (c.want == nil || slices.Contains(c.want, f.Name)) {
			span.Add(f.Name, f.Value)
		}
	}
}

// Aggregate implements store.Reader. Sums of costs that were computed anew are added up span by span, since the engine
// does not know which row is the newest of two kinds.
func (e *Events) Aggregate(ctx context.Context, p signal.Project, q store.Aggregate) ([]store.Group, error) {
	if q.Kind != store.KindSpan || !ofCosts(q) {
		return e.Events.Aggregate(ctx, p, q)
	}
	s, err := e.state(ctx, p)
	if err != nil {
		return nil, err
	}
	if !s.cost {
		return e.Events.Aggregate(ctx, p, q)
	}
	if err := q.Check(); err != nil {
		return nil, err
	}
	fields := slices.Clone(q.By)
	for _, c := range q.Columns {
		if c.Field != "" {
			fields = append(fields, c.Field)
		}
	}
	return store.AggregateRows(ctx, q, e.Select(ctx, p, store.Select{Scope: q.Scope, Fields: unique(fields)}))
}

func unique(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}

// ofCosts tells whether an aggregate looks at a field that cost rows replace.
func ofCosts(q store.Aggregate) bool {
	costs := CostFields()
	return slices.ContainsFunc(q.By, func(f string) bool { return slices.Contains(costs, f) }) ||
		slices.ContainsFunc(q.Columns, func(c store.Column) bool { return slices.Contains(costs, c.Field) })
}
