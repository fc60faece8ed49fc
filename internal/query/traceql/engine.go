package traceql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Options are limits; the zero value takes the defaults named beside the fields.
type Options struct {
	// Memory is how many bytes one question may hold; default 256 MiB.
	Memory int64
	// Series bounds the series of an answer; default 1 000.
	Series int
	// Points bounds the points of all series of an answer; default 1 000 000.
	Points int
	// Timeout ends a search and a question for series; default two minutes.
	Timeout time.Duration
}

// Engine answers queries from a store. It is safe for concurrent use.
type Engine struct {
	events store.Reader
	opts   Options
	// groupFilter finds what the store can compute of groups of spans: groupFilterOf.
	groupFilter func([]Stage) *groupFilter
}

// New returns an Engine.
func New(events store.Reader, opts Options) *Engine {
	opts.Memory = cmp.Or(opts.Memory, defaultMemory)
	opts.Series = cmp.Or(opts.Series, 1000)
	opts.Points = cmp.Or(opts.Points, 1_000_000)
	opts.Timeout = cmp.Or(opts.Timeout, 2*time.Minute)
	return &Engine{events: events, opts: opts, groupFilter: groupFilterOf}
}

// start bounds the time of a question.
func (e *Engine) start(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, e.opts.Timeout,
		tooLarge("it was not answered within %s: ask for a shorter time, or filter more", e.opts.Timeout))
}

// ended returns why a question ended with an error: the end of its time is the cause of whatever failed after it.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// spanBytes is what a span takes beside its values, with its places in maps.
const spanBytes = 320

// run is the state of one question.
type run struct {
	events  store.Reader
	project signal.Project
	budget  *budget
	texts   *interner
	schema  *schema
	spans   int // that were looked at
	traces  int
	partial bool
}

func (e *Engine) run(p signal.Project) *run {
	b := &budget{limit: e.opts.Memory}
	return &run{events: e.events, project: p, budget: b, texts: newInterner(b), schema: newSchema()}
}

// errStop ends a reading early.
var errStop = errors.New("stop")

// each calls f with the rows of a question until f returns an error, which it returns unless it is errStop. That a part of
// the store did not answer is noted.
func (r *run) each(ctx context.Context, q store.Select, f func(*store.Row) error) error {
	for row, err := range r.events.Select(ctx, r.project, q) {
		if errors.Is(err, store.ErrPartial) {
			r.partial = true
			return nil
		}
		if err != nil {
			return fmt.Errorf("read spans: %w", err)
		}
		if err := f(row); err != nil {
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		}
	}
	return ctx.Err()
}

// baseFields are read of every span of a trace.
func baseFields() []string {
	return []string{
		store.FieldTraceID, store.FieldSpanID, store.FieldParentSpanID, store.FieldName, store.FieldService,
		store.FieldStatus, store.FieldDuration,
	}
}

const (
	// singly is how many traces the store is asked for by their ids alone. More are read together, in the time where they lie.
	singly = 64
	// nearby is how far from its candidates the spans of a trace may lie for it to be read together with the others. The
	// store knows where traces lie to five minutes, and to half an hour where an earlier release wrote its index.
	nearby = int64(45 * time.Minute)
	// batchOfTraces bounds the traces that are held at once.
	batchOfTraces = 500
)

// load reads whole traces, by their ids. within is the time in which spans of them were found.
func (r *run) load(ctx context.Context, ids []string, within signal.TimeRange) ([]*trace, error) {
	if len(ids) <= singly {
		return r.read(ctx, ids, signal.AllTime())
	}
	ranges, err := r.events.TraceRanges(ctx, r.project, ids)
	if errors.Is(err, store.ErrPartial) {
		r.partial = true
		return r.read(ctx, ids, signal.AllTime())
	}
	if err != nil {
		return nil, fmt.Errorf("look up traces: %w", err)
	}
	var together, far []string
	var at signal.TimeRange
	for _, id := range ids {
		t, ok := ranges[id]
		if !ok { // deleted meanwhile
			continue
		}
		if t.Start < within.Start-nearby || t.End > within.End+nearby {
			far = append(far, id)
			continue
		}
		together = append(together, id)
		at = at.Include(t.Start).Include(t.End - 1)
	}
	whole, err := r.read(ctx, together, at)
	if err != nil {
		return nil, err
	}
	// Those that reach far are read apart, so that the time in which all are looked for stays short.
	slices.SortStableFunc(far, func(a, b string) int { return cmp.Compare(ranges[a].Start, ranges[b].Start) })
	for chunk := range slices.Chunk(far, singly) {
		more, err := r.read(ctx, chunk, signal.AllTime())
		if err != nil {
			return nil, err
		}
		whole = append(whole, more...)
	}
	return whole, nil
}

// read reads the spans of traces in a time.
func (r *run) read(ctx context.Context, ids []string, at signal.TimeRange) ([]*trace, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	q := store.Select{
		Scope:  store.Scope{Kind: store.KindSpan, Time: at, Filter: store.In{Field: store.FieldTraceID, Values: ids}},
		Fields: unique(slices.Concat(baseFields(), r.schema.fields)),
	}
	if len(ids) > singly {
		// Stores look up the time of each trace that a filter requires. Here it was looked up: a filter that might hold for
		// other traces as well requires none.
		q.Filter = store.Or{q.Filter, store.Or{}}
	}
	byID := make(map[string]*trace, len(ids))
	var out []*trace
	err := r.each(ctx, q, func(row *store.Row) error {
		s, err := r.span(row)
		if err != nil {
			return err
		}
		id := row.Text(store.FieldTraceID)
		t := byID[id]
		if t == nil {
			if id, err = r.texts.text(id); err != nil {
				return err
			}
			t = &trace{id: id}
			byID[id] = t
			out = append(out, t)
		}
		t.spans = append(t.spans, s)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, t := range out {
		t.arrange()
	}
	return out, nil
}

// span makes a span of a row.
func (r *run) span(row *store.Row) (*span, error) {
	r.spans++
	s := &span{
		start: row.Time, duration: row.Get(store.FieldDuration).Int(), status: keyword(row.Text(store.FieldStatus)),
		values: r.schema.read(row),
	}
	if err := r.budget.take(spanBytes + len(s.values)*valueBytes); err != nil {
		return nil, err
	}
	for _, text := range []struct {
		to    *string
		field string
	}{
		{&s.id, store.FieldSpanID}, {&s.parentID, store.FieldParentSpanID}, {&s.name, store.FieldName}, {&s.service, store.FieldService},
	} {
		var err error
		if *text.to, err = r.texts.text(row.Text(text.field)); err != nil {
			return nil, err
		}
	}
	for i := range s.values {
		if err := r.texts.value(&s.values[i]); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func unique(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}
