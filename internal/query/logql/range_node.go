package logql

import (
	"errors"
	"slices"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// rangeNode computes an aggregation over a range: from counts of the store where it can give them, else from rows. by,
// when not nil, are the labels that the expression around sums by.
func (r *run) rangeNode(e *RangeExpr, by []string) (node, error) {
	t, err := r.lookUp(e, by)
	if err != nil {
		return nil, err
	}
	pl, err := newPlan(e.Log, t)
	if err != nil {
		return nil, err
	}
	g := r.grouping(e, by)
	if labels, ok := g.labels(t); ok && pl.whole && countable(e) {
		n, err := r.countsNode(e, pl, labels)
		if n != nil || !errors.Is(err, store.ErrTooMany) && err != nil {
			return n, err
		}
	}
	return r.rowsNode(e, pl, g, t)
}

// countable tells whether an aggregation is made of numbers of lines and bytes.
func countable(e *RangeExpr) bool {
	switch e.Op {
	case opCountOverTime, opRate, opBytesOverTime, opBytesRate, opAbsentOverTime:
		return !e.unwraps()
	}
	return false
}

// seriesBy says which labels make the series of a range.
type seriesBy struct {
	// names are the labels; with all, every label of the stream and of what was parsed, and metadata of these names.
	names []string
	all   bool
	// without are labels that are left out, with all.
	without []string
}

// grouping finds out what series a range has.
func (r *run) grouping(e *RangeExpr, by []string) seriesBy {
	summable := false
	switch e.Op {
	case opCountOverTime, opRate, opBytesOverTime, opBytesRate, opSumOverTime:
		summable = true
	}
	switch {
	case e.Op == opAbsentOverTime:
		return seriesBy{}
	case e.By != nil && !e.By.Without:
		return seriesBy{names: e.By.Names}
	case e.By == nil && by != nil && summable:
		return seriesBy{names: by}
	}
	g := seriesBy{all: true}
	for name := range r.mentioned {
		g.names = append(g.names, name)
	}
	slices.Sort(g.names)
	if e.By != nil {
		g.without = e.By.Names
	}
	return g
}

// labels returns the known labels that make the series of records without parsed labels; false when a label may be an
// attribute that isn't known.
func (g seriesBy) labels(t *table) (labels []*known, ok bool) {
	for _, name := range g.names {
		k := t.known(name)
		if k == nil {
			if fields, ok := t.of(name); ok && len(fields) == 0 {
				continue // no record has it
			}
			return nil, false
		}
		if !g.all || !k.stream && k.shown && !slices.Contains(g.without, name) {
			labels = append(labels, k)
		}
	}
	if !g.all {
		return labels, true
	}
	for _, k := range knownLabels {
		if k.stream && !slices.Contains(g.without, k.name) {
			labels = append(labels, k)
		}
	}
	return labels, true
}

// fieldsOfAll returns the fields of labels, each once.
func fieldsOfAll(labels []*known) []string {
	var fields []string
	for _, k := range labels {
		for _, f := range k.fields {
			if !slices.Contains(fields, f) {
				fields = append(fields, f)
			}
		}
	}
	return fields
}

// of returns the labels of the series of a line that reader has read.
func (g seriesBy) of(reader *rowReader, ln *line) Labels {
	out := make(Labels, 0, 8)
	if !g.all {
		for _, name := range g.names {
			v := ln.labels.get(name)
			if k := knownByName[name]; v == "" && k != nil && !k.shown {
				v = reader.text(k)
			}
			if v != "" {
				out = append(out, Label{name, v})
			}
		}
		return out // names are sorted
	}
	for i := range ln.labels.list {
		l := &ln.labels.list[i]
		switch {
		case l.Name == ln.unwrapped, slices.Contains(g.without, l.Name):
		case l.from != fromMetadata || slices.Contains(g.names, l.Name):
			out = append(out, l.Label)
		}
	}
	return sortLabels(out)
}

// window returns the time that all windows of a range cover: windows reach from behind t−range up to and including t.
func (r *run) window(e *RangeExpr) signal.TimeRange {
	first, last := before(r.steps.Start, e.Offset), before(r.steps.at(r.steps.count()-1), e.Offset)
	return signal.TimeRange{Start: before(first, e.Range) + 1, End: before(last, -1)}
}

const (
	// maxBuckets bounds the steps of time that the store is asked for at once, maxGroups the groups in its answer.
	maxBuckets = 13_000
	maxGroups  = 200_000
)

// countsNode asks the store for lines and bytes by label and time. It returns nil when the windows don't fit into steps.
func (r *run) countsNode(e *RangeExpr, pl *plan, labels []*known) (node, error) {
	fields := fieldsOfAll(labels)
	size := e.Range
	steps := r.steps.count()
	if steps > 1 {
		size = gcd(e.Range, r.steps.Step)
	}
	at := r.window(e)
	if steps > 1 && (at.End-at.Start)/int64(size) > maxBuckets {
		return nil, nil //nolint:nilnil // the caller has another way
	}
	n := &countsNode{run: r, expr: e, perWindow: int(e.Range / size), series: map[string]*counts{}}
	q := store.Aggregate{Scope: pl.scope(at), By: fields, Limit: maxGroups, Columns: []store.Column{{Func: store.CountRows}}}
	if e.Op == opBytesOverTime || e.Op == opBytesRate {
		q.Columns[0] = store.Column{Func: store.SumLen, Field: store.FieldBody}
	}
	if steps > 1 {
		n.perStep = int(r.steps.Step / size)
		q.Step = size
		if at.Start < 0 { // there are no rows before 1970, and engines know no such steps
			n.skipped = int((-at.Start + int64(size) - 1) / int64(size))
			q.Time.Start += int64(n.skipped) * int64(size)
		}
	}
	groups, err := r.events.Aggregate(r.ctx, r.project, q)
	if err != nil {
		return nil, err
	}
	for i := range groups {
		bucket := 0
		if q.Step > 0 {
			bucket = n.skipped + int((groups[i].Start-q.Time.Start)/int64(size))
		}
		if err := n.add(labels, fields, &groups[i], bucket); err != nil {
			return nil, err
		}
	}
	if e.Op == opAbsentOverTime {
		return &absentNode{of: n, labels: absentLabels(e.Log)}, nil
	}
	return n, nil
}

func gcd(a, b time.Duration) time.Duration {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// countsNode slides windows over counts by steps of time.
type countsNode struct {
	run       *run
	expr      *RangeExpr
	perWindow int // steps of time in a window
	perStep   int // steps of time between two windows
	skipped   int
	series    map[string]*counts
	order     []*counts
	out       []sample
}

// counts are those of one series, by steps of time. lo and hi bound the ones in the window, sum is theirs.
type counts struct {
	metric  *metric
	buckets []int
	values  []float64
	lo, hi  int
	sum     float64
}

func (n *countsNode) add(labels []*known, fields []string, g *store.Group, bucket int) error {
	out := make(Labels, 0, len(labels))
	args := make([]string, 0, 2)
	for _, k := range labels {
		args = args[:0]
		for _, f := range k.fields {
			args = append(args, g.Key[slices.Index(fields, f)])
		}
		if v := k.text(args); v != "" {
			out = append(out, Label{k.name, v})
		}
	}
	m := newMetric(sortLabels(out))
	c := n.series[m.key]
	if c == nil {
		if len(n.series) >= n.run.cfg.MaxSeries {
			return tooManySeries(n.run.cfg.MaxSeries)
		}
		c = &counts{metric: m}
		n.series[m.key] = c
		n.order = append(n.order, c)
		if err := n.run.hold(m.labels.size()); err != nil {
			return err
		}
	}
	if last := len(c.buckets) - 1; last >= 0 && c.buckets[last] == bucket {
		c.values[last] += g.Values[0]
		return nil
	}
	c.buckets, c.values = append(c.buckets, bucket), append(c.values, g.Values[0])
	return n.run.hold(16)
}

func (n *countsNode) at(i int) ([]sample, error) {
	n.out = n.out[:0]
	from := i * n.perStep
	for _, c := range n.order {
		for c.hi < len(c.buckets) && c.buckets[c.hi] < from+n.perWindow {
			c.sum += c.values[c.hi]
			c.hi++
		}
		for c.lo < c.hi && c.buckets[c.lo] < from {
			c.sum -= c.values[c.lo]
			c.lo++
		}
		if c.lo < c.hi {
			value := c.sum
			if n.expr.Op == opRate || n.expr.Op == opBytesRate {
				value /= n.expr.Range.Seconds()
			}
			n.out = append(n.out, sample{c.metric, value})
		}
	}
	return n.out, nil
}

// absentNode answers 1 where there is nothing.
type absentNode struct {
	of     node
	labels *metric
	out    [1]sample
}

func (n *absentNode) at(i int) ([]sample, error) {
	samples, err := n.of.at(i)
	if err != nil || len(samples) > 0 {
		return nil, err
	}
	n.out[0] = sample{n.labels, 1}
	return n.out[:], nil
}

// absentLabels are those that a selector fixes.
func absentLabels(e *LogExpr) *metric {
	var out Labels
	for _, m := range e.Matchers {
		if m.Op == MatchEqual && m.Value != "" {
			out = slices.DeleteFunc(out, func(l Label) bool { return l.Name == m.Name })
			out = append(out, Label{m.Name, m.Value})
		}
	}
	return newMetric(sortLabels(out))
}
