package logql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Config bounds queries. The zero value of a field means its default.
type Config struct {
	// MaxBytes bounds what a query holds in memory: 160 MiB, which stays below 256 MiB with the room that lists grow into and
	// the store's window of rows.
	MaxBytes int64
	// MaxSeries bounds the series of an answer and of each part of a query: 10 000.
	MaxSeries int
	// MaxSteps bounds the steps of an answer: 11 000, as Prometheus does.
	MaxSteps int
	// MaxLines bounds the lines of an answer: 5000.
	MaxLines int
	// Timeout ends a query: two minutes.
	Timeout time.Duration
}

func (c Config) withDefaults() Config {
	c.MaxBytes = cmp.Or(c.MaxBytes, 160<<20)
	c.MaxSeries = cmp.Or(c.MaxSeries, 10_000)
	c.MaxSteps = cmp.Or(c.MaxSteps, 11_000)
	c.MaxLines = cmp.Or(c.MaxLines, 5000)
	c.Timeout = cmp.Or(c.Timeout, 2*time.Minute)
	return c
}

// Engine answers queries. It is safe for concurrent use.
type Engine struct {
	events store.Reader
	cfg    Config
}

// New returns an Engine that reads from events.
func New(events store.Reader, cfg Config) *Engine {
	return &Engine{events: events, cfg: cfg.withDefaults()}
}

// Limits returns the bounds in force.
func (e *Engine) Limits() Config { return e.cfg }

// Steps are the instants that a metric query is evaluated at: Start, Start+Step … up to and including End, nanoseconds.
type Steps struct {
	Start, End int64
	Step       time.Duration
}

// Instant is one step.
func Instant(at int64) Steps { return Steps{Start: at, End: at} }

func (s Steps) count() int {
	if s.Step <= 0 || s.End <= s.Start {
		return 1
	}
	return int((s.End-s.Start)/int64(s.Step)) + 1
}

func (s Steps) at(i int) int64 { return s.Start + int64(i)*int64(s.Step) }

// Point is a value at an instant, nanoseconds.
type Point struct {
	At    int64
	Value float64
}

// Series are the values of one set of labels, oldest first.
type Series struct {
	Labels Labels
	Points []Point
}

// Stats say what a query looked at.
type Stats struct {
	Lines, Bytes int64 // read from the store and run through the pipeline; counts by the store itself are not among them
	Took         time.Duration
}

// Matrix is the answer to a metric query. Series are sorted by labels, except that a query for one instant that sorts by
// value is answered in that order.
type Matrix struct {
	Series []Series
	// Scalar says that the query is a number without labels.
	Scalar bool
	Stats  Stats
}

// permanent is an error of the query itself.
func permanent(format string, args ...any) error {
	return signal.Permanent(fmt.Errorf(format, args...))
}

// run is one query that is being answered. It is for one goroutine.
type run struct {
	ctx     context.Context
	events  store.Reader
	project signal.Project
	cfg     Config
	left    int64 // bytes that may still be held
	steps   Steps
	stats   Stats
	// mentioned are the labels that the query's groupings name.
	mentioned map[string]bool
	closers   []func()
	windows   int // of rows that are read at once
}

func (e *Engine) start(ctx context.Context, p signal.Project) (*run, context.CancelFunc) {
	ctx, cancel := context.WithTimeoutCause(ctx, e.cfg.Timeout,
		permanent("the query was not answered within %s: ask for less time or fewer lines", e.cfg.Timeout))
	return &run{ctx: ctx, events: e.events, project: p, cfg: e.cfg, left: e.cfg.MaxBytes, mentioned: map[string]bool{}}, cancel
}

// hold counts bytes that the query keeps.
func (r *run) hold(n int64) error {
	if r.left -= n; r.left < 0 {
		return permanent("the query needs more than %d MiB of memory: ask for less time, fewer lines, or fewer groups", r.cfg.MaxBytes>>20)
	}
	return nil
}

func (r *run) release(n int64) { r.left += n }

// done returns why the query must end, nil while it need not.
func (r *run) done() error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	return nil
}

// explain makes errors of the store those of the query where they are.
func (r *run) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case r.ctx.Err() != nil:
		return context.Cause(r.ctx)
	case errors.Is(err, store.ErrTooMany):
		return permanent("%w: ask for less time, or group by fewer labels", err)
	}
	return err
}

// Matrix answers a metric query at steps.
func (e *Engine) Matrix(ctx context.Context, p signal.Project, expr Expr, steps Steps) (*Matrix, error) {
	begin := time.Now()
	if _, isLog := expr.(*LogExpr); isLog {
		return nil, permanent("BUG: a query for lines has no numbers")
	}
	n := steps.count()
	if n > e.cfg.MaxSteps {
		return nil, permanent("the query has %d steps, at most %d are allowed: ask for a larger step or less time", n, e.cfg.MaxSteps)
	}
	r, cancel := e.start(ctx, p)
	defer cancel()
	r.steps = steps
	mention(expr, r.mentioned)
	defer r.close()
	root, err := r.compile(expr, nil)
	if err != nil {
		return nil, r.explain(err)
	}
	c := &collector{run: r, series: map[string]*Series{}}
	for i := range n {
		if err := r.done(); err != nil {
			return nil, err
		}
		v, err := root.at(i)
		if err != nil {
			return nil, r.explain(err)
		}
		if err := c.add(i, v); err != nil {
			return nil, err
		}
	}
	m := &Matrix{Series: c.sorted(keepsOrder(expr) && n == 1), Scalar: isScalar(expr), Stats: r.stats}
	m.Stats.Took = time.Since(begin)
	return m, nil
}

func (r *run) close() {
	for _, f := range r.closers {
		f()
	}
}

func keepsOrder(e Expr) bool {
	a, ok := e.(*AggregateExpr)
	return ok && (a.Op == "sort" || a.Op == "sort_desc" || hasParam(a.Op))
}

// isScalar tells whether an expression is a number without labels.
func isScalar(e Expr) bool {
	switch e := e.(type) {
	case *LiteralExpr:
		return true
	case *BinaryExpr:
		return isScalar(e.Left) && isScalar(e.Right)
	}
	return false
}

// mention collects the labels that the parts of a query around its ranges name. Structured metadata of these names splits
// series; that of others does not, or every record would be a series of its own.
func mention(e Expr, names map[string]bool) {
	add := func(list []string) {
		for _, n := range list {
			names[n] = true
		}
	}
	switch e := e.(type) {
	case *RangeExpr:
		if e.By != nil {
			add(e.By.Names)
		}
	case *AggregateExpr:
		if e.By != nil {
			add(e.By.Names)
		}
		mention(e.Of, names)
	case *BinaryExpr:
		if e.Match != nil {
			add(e.Match.Names)
			add(e.Match.Include)
		}
		mention(e.Left, names)
		mention(e.Right, names)
	case *ReplaceExpr:
		names[e.Source] = true
		mention(e.Of, names)
	}
}

// metric are the labels of a series while it is computed. Nodes hand on the same pointer for the same series, so that
// what follows from the labels is found by it.
type metric struct {
	labels Labels
	key    string
}

func newMetric(l Labels) *metric { return &metric{labels: l, key: l.key()} }

type sample struct {
	metric *metric
	value  float64
}

// node computes a part of a query, step after step: at is called with 0, 1, 2 …. The answer is the caller's until the
// next call.
type node interface {
	at(i int) ([]sample, error)
}

// compile makes the node of an expression. by, when not nil, are the labels that the expression around sums by.
func (r *run) compile(e Expr, by []string) (node, error) {
	switch e := e.(type) {
	case *LiteralExpr:
		return constant{{newMetric(nil), e.Value}}, nil
	case *VectorExpr:
		return constant{{newMetric(nil), e.Value}}, nil
	case *RangeExpr:
		return r.rangeNode(e, by)
	case *AggregateExpr:
		var inner []string
		if e.Op == "sum" && (e.By == nil || !e.By.Without) {
			inner = []string{}
			if e.By != nil {
				inner = e.By.Names
			}
		}
		of, err := r.compile(e.Of, inner)
		if err != nil {
			return nil, err
		}
		return newAggregate(r, e, of), nil
	case *BinaryExpr:
		left, err := r.compile(e.Left, nil)
		if err != nil {
			return nil, err
		}
		right, err := r.compile(e.Right, nil)
		if err != nil {
			return nil, err
		}
		return newBinary(r, e, left, right), nil
	case *ReplaceExpr:
		of, err := r.compile(e.Of, nil)
		if err != nil {
			return nil, err
		}
		return &replaceNode{run: r, expr: e, of: of, known: map[*metric]*metric{}}, nil
	}
	return nil, fmt.Errorf("BUG: expression %T", e)
}

type constant []sample

func (c constant) at(int) ([]sample, error) { return c, nil }

// collector puts the steps' samples together to series.
type collector struct {
	run    *run
	series map[string]*Series
	order  []*Series
}

func (c *collector) add(i int, samples []sample) error {
	at := c.run.steps.at(i)
	for _, s := range samples {
		one := c.series[s.metric.key]
		if one == nil {
			if len(c.series) >= c.run.cfg.MaxSeries {
				return tooManySeries(c.run.cfg.MaxSeries)
			}
			one = &Series{Labels: s.metric.labels}
			c.series[s.metric.key] = one
			c.order = append(c.order, one)
			if err := c.run.hold(s.metric.labels.size()); err != nil {
				return err
			}
		}
		if n := len(one.Points); n > 0 && one.Points[n-1].At == at {
			return permanent("two series have the same labels %s: the labels that told them apart are gone", s.metric.labels)
		}
		one.Points = append(one.Points, Point{at, s.value})
		if err := c.run.hold(16); err != nil {
			return err
		}
	}
	return nil
}

func tooManySeries(limit int) error {
	return permanent("the query has more than %d series: group by fewer labels or select fewer streams", limit)
}

func (c *collector) sorted(asComputed bool) []Series {
	out := make([]Series, len(c.order))
	for i, s := range c.order {
		out[i] = *s
	}
	if !asComputed {
		sortSeries(out)
	}
	return out
}

// before returns a − b without an overflow.
func before(a int64, b time.Duration) int64 {
	d := a - int64(b)
	switch {
	case b > 0 && d > a:
		return math.MinInt64
	case b < 0 && d < a:
		return math.MaxInt64
	}
	return d
}
