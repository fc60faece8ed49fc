package logql

import (
	"iter"
	"slices"
	"strings"

	"github.com/mindscope/mindscope/internal/store"
)

// rowsNode reads rows, oldest first, as the windows reach them, and keeps those of the current windows.
type rowsNode struct {
	run    *run
	expr   *RangeExpr
	plan   *plan
	by     seriesBy
	reader *rowReader
	line   line

	next func() (*store.Row, error, bool)
	// waiting says that line holds a row that no window has reached yet.
	waiting bool
	ended   bool

	series map[string]*window
	active []*window
	out    []sample
}

// window holds the samples of one series that the current window covers, from head on.
type window struct {
	metric *metric
	times  []int64
	values []float64
	head   int
	active bool
}

const (
	sampleBytes = 16
	// windowBytes is what the store's window of rows takes at most. The bound of a query leaves room for one.
	windowBytes = 32 << 20
)

func (r *run) rowsNode(e *RangeExpr, pl *plan, g seriesBy, t *table) (node, error) {
	if r.windows++; r.windows > 1 {
		if err := r.hold(windowBytes); err != nil {
			return nil, err
		}
	}
	only, fields := needs(e, pl, g, t)
	n := &rowsNode{run: r, expr: e, plan: pl, by: g, reader: newRowReader(only), series: map[string]*window{}}
	n.line.labels.want, n.line.done = only, r.done
	next, stop := iter.Pull2(r.events.Select(r.ctx, r.project, store.Select{
		Scope: pl.scope(r.window(e)), Order: store.OldestFirst, Fields: fields,
	}))
	n.next = next
	r.closers = append(r.closers, stop)
	if e.Op == opAbsentOverTime {
		return &absentNode{of: n, labels: absentLabels(e.Log)}, nil
	}
	return n, nil
}

// needs returns the labels that a range looks at, nil for all of them, and the fields to read, nil for all.
func needs(e *RangeExpr, pl *plan, g seriesBy, t *table) (only map[string]bool, fields []string) {
	only = map[string]bool{"service_name": true} // errors name it
	for _, name := range g.names {
		only[name] = true
	}
	if g.all {
		for _, k := range knownLabels {
			if k.stream {
				only[k.name] = true
			}
		}
	}
	body := e.Op == opBytesOverTime || e.Op == opBytesRate
	for _, m := range pl.selector {
		only[m.Name] = true
	}
	for _, s := range pl.left {
		switch s := s.(type) {
		case *LineStage, *DecolorizeStage:
			body = true
		case *JSONStage, *LogfmtStage, *RegexpStage, *PatternStage, *UnpackStage:
			if g.all {
				return nil, nil // whatever is found makes series
			}
			body = true
		case *FilterStage:
			filterNames(s.Filter, only)
		case *UnwrapStage:
			only[s.Label] = true
		case *DropStage, *KeepStage:
			// They are about labels that are looked at, or about none.
		default:
			return nil, nil
		}
	}
	return only, t.fieldsOf(only, body)
}

// fieldsOf returns the fields that labels are made of, nil when some may be attributes of any name.
func (t *table) fieldsOf(only map[string]bool, body bool) []string {
	fields, all := []string{}, false
	if body {
		fields = append(fields, store.FieldBody)
	}
	for name := range only {
		if plain, ok := strings.CutSuffix(name, extracted); ok {
			only[plain] = true // a parser finds it under that name
		}
		of, ok := t.of(name)
		all = all || !ok
		fields = append(fields, of...)
	}
	if all {
		return nil
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

func filterNames(f LabelFilter, names map[string]bool) {
	switch f := f.(type) {
	case *AndFilter:
		filterNames(f.Left, names)
		filterNames(f.Right, names)
	case *OrFilter:
		filterNames(f.Left, names)
		filterNames(f.Right, names)
	case *StringFilter:
		names[f.Name] = true
	case *NumberFilter:
		names[f.Name] = true
	case *IPFilter:
		names[f.Name] = true
	}
}

func (n *rowsNode) at(i int) ([]sample, error) {
	end := before(n.run.steps.at(i), n.expr.Offset)
	start := before(end, n.expr.Range) // not in the window itself
	if err := n.advance(start, end); err != nil {
		return nil, err
	}
	n.out = n.out[:0]
	n.active = slices.DeleteFunc(n.active, func(w *window) bool {
		n.run.release(w.forget(start) * sampleBytes)
		if w.active = w.head < len(w.times); !w.active {
			return true
		}
		n.out = append(n.out, sample{w.metric, n.value(w, start, end)})
		return false
	})
	return n.out, nil
}

// advance takes in the rows up to end.
func (n *rowsNode) advance(start, end int64) error {
	for {
		if !n.waiting {
			more, err := n.fetch()
			if err != nil || !more {
				return err
			}
		}
		if n.line.at > end {
			return nil
		}
		n.waiting = false
		if n.line.at > start {
			if err := n.take(); err != nil {
				return err
			}
		}
	}
}

// fetch reads rows until one is wanted.
func (n *rowsNode) fetch() (bool, error) {
	for !n.ended {
		row, err, ok := n.next()
		if !ok {
			n.ended = true
			break
		}
		if err != nil {
			return false, err
		}
		if err := n.run.done(); err != nil {
			return false, err
		}
		n.run.count(row)
		if n.plan.keep(n.reader, row, &n.line) {
			n.waiting = true
			return true, nil
		}
	}
	return false, nil
}

// take adds the line that waits to its series.
func (n *rowsNode) take() error {
	ln := &n.line
	if kind := ln.labels.get(labelError); kind != "" {
		return permanent("a line of %s can't be counted: %s: %s. Keep such lines out with | %s=\"\" or | drop %s",
			ln.labels.of(func(from origin) bool { return from == fromStream }), kind,
			ln.labels.get(labelErrorDetails), labelError, labelError)
	}
	labels := n.by.of(n.reader, ln)
	key := labels.key()
	w := n.series[key]
	if w == nil {
		if len(n.series) >= n.run.cfg.MaxSeries {
			return tooManySeries(n.run.cfg.MaxSeries)
		}
		for i := range labels {
			labels[i].Value = strings.Clone(labels[i].Value) // it outlives the row
		}
		w = &window{metric: &metric{labels: labels, key: key}}
		n.series[key] = w
		if err := n.run.hold(labels.size() + int64(len(key)) + 100); err != nil {
			return err
		}
	}
	if !w.active {
		w.active = true
		n.active = append(n.active, w)
	}
	value := ln.value
	if !n.expr.unwraps() {
		value = 1
		if n.expr.Op == opBytesOverTime || n.expr.Op == opBytesRate {
			value = float64(len(ln.text))
		}
	}
	w.times, w.values = append(w.times, ln.at), append(w.values, value)
	return n.run.hold(sampleBytes)
}

// forget drops the samples up to start and returns their number.
func (w *window) forget(start int64) int64 {
	was := w.head
	for w.head < len(w.times) && w.times[w.head] <= start {
		w.head++
	}
	dropped := int64(w.head - was)
	if w.head > 64 && w.head > len(w.times)/2 {
		w.times = slices.Delete(w.times, 0, w.head)
		w.values = slices.Delete(w.values, 0, w.head)
		w.head = 0
	}
	return dropped
}
