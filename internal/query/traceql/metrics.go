package traceql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// maxSteps bounds the samples of a series, as Prometheus does.
	maxSteps = 11_000
	// minStep is the shortest step.
	minStep = time.Millisecond
	// maxBuilt bounds the series that are computed before topk and the like leave fewer.
	maxBuilt = 10_000
)

// MetricsRequest asks for series.
type MetricsRequest struct {
	Query *Query
	// Time is where the spans start that count. It begins with a whole step: at a multiple of Step.
	Time signal.TimeRange
	// Step is the time from sample to sample; 0 asks for one sample over all the time.
	Step time.Duration
	// Exemplars is how many examples are wanted at most.
	Exemplars int
}

// MetricsResult is series, in order of their labels.
type MetricsResult struct {
	Series         []Series
	InspectedSpans int
	// Partial says that a part of the store did not answer.
	Partial bool
}

// Series is values over time. A sample stands at the beginning of the step that it is about.
type Series struct {
	Labels    []Pair
	Samples   []Sample
	Exemplars []Exemplar
}

// Sample is a value at a time, in nanoseconds.
type Sample struct {
	Time  int64
	Value float64
}

// Exemplar is a span behind a sample.
type Exemplar struct {
	TraceID string
	Time    int64
	Value   float64
}

// errNoMetrics is a query for traces where series are asked for.
var errNoMetrics = errors.New("the query finds traces: end it with | rate() or another function over time to make series")

// steps is how time is parted.
type steps struct {
	start int64
	size  int64
	n     int
	whole bool // one step: all the time
}

func stepsOf(req *MetricsRequest) (steps, error) {
	at := req.Time
	if req.Step == 0 {
		return steps{start: at.Start, size: max(1, at.End-at.Start), n: 1, whole: true}, nil
	}
	if req.Step < minStep {
		return steps{}, signal.Permanent(fmt.Errorf("step %s: at least %s is needed", req.Step, minStep))
	}
	size := int64(req.Step)
	if size >= at.End-at.Start { // one step, which is the time itself
		req.Step = time.Duration(at.End - at.Start)
		return steps{start: at.Start, size: at.End - at.Start, n: 1}, nil
	}
	start := at.Start - at.Start%size
	n := (at.End - start + size - 1) / size
	if n > maxSteps {
		return steps{}, signal.Permanent(fmt.Errorf(
			"a step of %s makes %d points of each series: at most %d are allowed; ask for a longer step or a shorter time", req.Step, n, maxSteps))
	}
	req.Time.Start = start
	return steps{start: start, size: size, n: int(n)}, nil
}

func (s steps) of(t int64) int { return max(0, min(s.n-1, int((t-s.start)/s.size))) }

func (s steps) time(i int) int64 {
	if s.whole {
		return s.start + s.size
	}
	return s.start + int64(i)*s.size
}

// Metrics makes series of spans.
func (e *Engine) Metrics(ctx context.Context, p signal.Project, req MetricsRequest) (*MetricsResult, error) {
	if req.Query.Metrics == nil {
		return nil, signal.Permanent(errNoMetrics)
	}
	if req.Time.Empty() {
		return &MetricsResult{}, nil
	}
	st, err := stepsOf(&req)
	if err != nil {
		return nil, err
	}
	ctx, cancel := e.start(ctx)
	defer cancel()
	m := &measuring{engine: e, project: p, req: req, steps: st, budget: &budget{limit: e.opts.Memory}}
	series, err := m.expr(ctx, req.Query.Metrics)
	if err != nil {
		return nil, ended(ctx, err)
	}
	if len(series) > e.opts.Series {
		return nil, tooManySeries(e.opts.Series)
	}
	if points(series) > e.opts.Points {
		return nil, tooLarge("more than %d points: ask for a longer step, a shorter time, or topk of the series", e.opts.Points)
	}
	return &MetricsResult{Series: series, InspectedSpans: m.spans, Partial: m.partial}, nil
}

func points(series []Series) int {
	n := 0
	for i := range series {
		n += len(series[i].Samples)
	}
	return n
}

const (
	pointBytes = 16
	// combinedBytes is about what a point takes while series are combined: its place in a map, and the point made of it.
	combinedBytes = 64
)

func tooManySeries(n int) error {
	return tooLarge("more than %d series: group by something with fewer values, or take topk of them", n)
}

// measuring is the state of one question for series.
type measuring struct {
	engine  *Engine
	project signal.Project
	req     MetricsRequest
	steps   steps
	budget  *budget
	spans   int
	partial bool
}

func (m *measuring) expr(ctx context.Context, e MetricsExpr) ([]Series, error) {
	switch e := e.(type) {
	case *MetricsQuery:
		return m.query(ctx, e)
	case *MetricsOp:
		l, err := m.expr(ctx, e.L)
		if err != nil {
			return nil, err
		}
		r, err := m.expr(ctx, e.R)
		if err != nil {
			return nil, err
		}
		held := combinedBytes * (points(l) + points(r))
		if err := m.budget.take(held); err != nil {
			return nil, err
		}
		defer func() { m.budget.used -= int64(held) }()
		return combine(e, l, r), nil
	default: // a number is added where it is used
		return nil, nil
	}
}

func (m *measuring) query(ctx context.Context, q *MetricsQuery) ([]Series, error) {
	r := m.engine.run(m.project)
	r.budget = m.budget
	r.texts.budget = m.budget
	acc := newSeriesSet(q, m.steps, m.budget, m.req.Exemplars)
	var err error
	filters, plain := onlyFilters(q.Stages)
	switch {
	case q.Compare != nil:
		var series []Series
		series, err = m.compare(ctx, r, q)
		m.spans, m.partial = m.spans+r.spans, m.partial || r.partial
		return series, err
	case !plain || needsTraceAny(q, filters):
		acc.compile(r.schema, q)
		err = m.fromTraces(ctx, r, q, acc)
	default:
		var pushed bool
		if pushed, err = m.fromStore(ctx, r, q, filters, acc); !pushed && err == nil {
			acc.compile(r.schema, q)
			err = m.fromRows(ctx, r, filters, acc.wantsExemplars(), acc)
		}
	}
	m.spans += r.spans
	m.partial = m.partial || r.partial
	if err != nil {
		return nil, err
	}
	if err := m.budget.take(acc.answerBytes()); err != nil {
		return nil, err
	}
	series := acc.series()
	for _, s := range q.Second {
		series = s.apply(series)
	}
	sortSeries(series)
	return series, nil
}

// onlyFilters returns the conditions of stages that all are filters on single spans.
func onlyFilters(stages []Stage) ([]Expr, bool) {
	var out []Expr
	for _, s := range stages {
		switch s := s.(type) {
		case *Filter:
			out = append(out, rewriteAll(s.E))
		case *Select: // changes nothing
		default:
			return nil, false
		}
	}
	return out, true
}

func needsTraceAny(q *MetricsQuery, filters []Expr) bool {
	if q.E != nil && needsTrace(q.E) {
		return true
	}
	for _, f := range q.By {
		if ofTrace(f.Attribute) {
			return true
		}
	}
	return slices.ContainsFunc(filters, func(e Expr) bool { return e != nil && needsTrace(e) })
}

// counter counts spans. It says how many bytes it took since it was asked last.
type counter interface {
	add(s *span, traceID func() string) error
	taken() int
}

// fromRows evaluates span by span, in whatever order the store has them. The counter's attributes are in the schema.
func (m *measuring) fromRows(ctx context.Context, r *run, filters []Expr, ids bool, acc counter) error {
	var holds []condition
	p := all()
	for _, e := range filters {
		p = joinPushed(true, p, pushDown(e, false))
	}
	if !p.exact {
		for _, e := range filters {
			holds = append(holds, r.schema.condition(e))
		}
	}
	fields := r.schema.fields
	if ids {
		fields = append(slices.Clone(fields), store.FieldTraceID)
	}
	sel := store.Select{
		Scope:  store.Scope{Kind: store.KindSpan, Time: m.req.Time, Filter: p.filter},
		Fields: append([]string{}, unique(fields)...),
	}
	s := &span{values: make([]Value, len(r.schema.readers))}
	return r.each(ctx, sel, func(row *store.Row) error {
		r.spans++
		s.start = row.Time
		for i, read := range r.schema.readers {
			s.values[i] = read(row)
		}
		for _, h := range holds {
			if !h(s) {
				return nil
			}
		}
		return acc.add(s, func() string { return row.Text(store.FieldTraceID) })
	})
}

// fromTraces evaluates whole traces: those with a span in the asked time that may count. Spans that it is related to may
// lie outside that time, so what is required of them finds no candidates.
func (m *measuring) fromTraces(ctx context.Context, r *run, q *MetricsQuery, acc counter) error {
	eval := r.schema.pipeline(q.Stages)
	c := &candidates{
		run: r, need: best(counted(q.Stages)), at: m.req.Time, groups: m.engine.groupFilter(q.Stages),
		size: func() int { return batchOfTraces },
		f: func(ids []string, within signal.TimeRange) (bool, error) {
			free := r.texts.mark()
			traces, err := r.load(ctx, ids, within)
			if err != nil {
				return false, err
			}
			for _, t := range traces {
				var spans []*span
				for _, set := range eval([]spanset{{spans: t.spans}}) {
					spans = union(spans, set.spans)
				}
				for _, s := range spans {
					if !m.req.Time.Contains(s.start) {
						continue
					}
					if err := acc.add(s, func() string { return t.id }); err != nil {
						return false, err
					}
				}
			}
			free() // but for what was counted
			return true, m.budget.take(acc.taken())
		},
	}
	return c.read(ctx)
}

// combine computes series of equal labels, or series and a number.
func combine(op *MetricsOp, l, r []Series) []Series {
	ln, lNumber := op.L.(*MetricsNumber)
	rn, rNumber := op.R.(*MetricsNumber)
	value := func(a, b float64) float64 {
		v, _ := arithmetic(op.Op, Float(a), Float(b)).Number()
		return v
	}
	switch {
	case lNumber && rNumber:
		return nil
	case rNumber:
		n, _ := rn.Value.Number()
		return mapped(l, func(v float64) float64 { return value(v, n) })
	case lNumber:
		n, _ := ln.Value.Number()
		return mapped(r, func(v float64) float64 { return value(n, v) })
	}
	right := map[string]map[int64]float64{}
	for _, s := range r {
		at := map[int64]float64{}
		for _, sample := range s.Samples {
			at[sample.Time] = sample.Value
		}
		right[labelKey(s.Labels)] = at
	}
	var out []Series
	for _, s := range l {
		at, ok := right[labelKey(s.Labels)]
		if !ok {
			continue
		}
		joined := Series{Labels: s.Labels}
		for _, sample := range s.Samples {
			if v, ok := at[sample.Time]; ok {
				joined.Samples = appendFinite(joined.Samples, Sample{sample.Time, value(sample.Value, v)})
			}
		}
		if len(joined.Samples) > 0 {
			out = append(out, joined)
		}
	}
	return out
}

func mapped(series []Series, f func(float64) float64) []Series {
	out := make([]Series, 0, len(series))
	for _, s := range series {
		mapped := Series{Labels: s.Labels}
		for _, sample := range s.Samples {
			mapped.Samples = appendFinite(mapped.Samples, Sample{sample.Time, f(sample.Value)})
		}
		if len(mapped.Samples) > 0 {
			out = append(out, mapped)
		}
	}
	return out
}

// appendFinite leaves out what a quotient by zero is.
func appendFinite(samples []Sample, s Sample) []Sample {
	if math.IsNaN(s.Value) || math.IsInf(s.Value, 0) {
		return samples
	}
	return append(samples, s)
}

// labelKey identifies labels but for the name.
func labelKey(labels []Pair) string {
	var b strings.Builder
	for _, l := range labels {
		if l.Key != nameLabel {
			b.WriteString(l.Key + "\x00" + l.Value.String() + "\x00")
		}
	}
	return b.String()
}

func sortSeries(series []Series) {
	slices.SortStableFunc(series, func(a, b Series) int {
		for i := range min(len(a.Labels), len(b.Labels)) {
			x, y := a.Labels[i].Value, b.Labels[i].Value
			n, isNumber := x.Number()
			k, both := y.Number()
			byValue := strings.Compare(x.Text(), y.Text())
			if isNumber && both {
				byValue = cmp.Compare(n, k)
			}
			if c := cmp.Or(strings.Compare(a.Labels[i].Key, b.Labels[i].Key), byValue); c != 0 {
				return c
			}
		}
		return cmp.Compare(len(a.Labels), len(b.Labels))
	})
}

// apply keeps what a second stage lets pass.
func (s SecondStage) apply(series []Series) []Series {
	if s.Func == "" {
		limit, _ := s.Number.Number()
		if s.Number.typ == TypeDuration {
			limit /= 1e9 // series are in seconds
		}
		return kept(series, func(_ int, sample Sample) bool { return compareOrdered(s.Op, sample.Value, limit) })
	}
	type ranked struct {
		value  float64
		series int
	}
	at := map[int64][]ranked{}
	keys := make([]string, len(series))
	for i, se := range series {
		keys[i] = labelKey(se.Labels)
		for _, sample := range se.Samples {
			at[sample.Time] = append(at[sample.Time], ranked{sample.Value, i})
		}
	}
	keep := map[int64]map[int]bool{}
	for t, all := range at {
		slices.SortFunc(all, func(a, b ranked) int {
			byValue := cmp.Compare(a.value, b.value)
			if s.Func == "topk" {
				byValue = -byValue
			}
			return cmp.Or(byValue, strings.Compare(keys[a.series], keys[b.series]))
		})
		keep[t] = map[int]bool{}
		for _, one := range all[:min(s.N, len(all))] {
			keep[t][one.series] = true
		}
	}
	return kept(series, func(i int, sample Sample) bool { return keep[sample.Time][i] })
}

func kept(series []Series, keep func(i int, s Sample) bool) []Series {
	var out []Series
	for i, s := range series {
		left := Series{Labels: s.Labels, Exemplars: s.Exemplars}
		for _, sample := range s.Samples {
			if keep(i, sample) {
				left.Samples = append(left.Samples, sample)
			}
		}
		if len(left.Samples) > 0 {
			out = append(out, left)
		}
	}
	return out
}
