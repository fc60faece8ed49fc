package logql

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

func sortSeries(s []Series) {
	slices.SortFunc(s, func(a, b Series) int { return compareLabels(a.Labels, b.Labels) })
}

func compareLabels(a, b Labels) int {
	return slices.CompareFunc(a, b, func(x, y Label) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.Value, y.Value))
	})
}

// aggregateNode aggregates the samples of each step.
type aggregateNode struct {
	run    *run
	expr   *AggregateExpr
	of     node
	groups map[string]*group
	of1    map[*metric]*group // by the metric of a sample
	out    []sample
	used   []*group
}

// group is what becomes one sample, or with topk and bottomk several.
type group struct {
	metric  *metric
	samples []sample
}

func newAggregate(r *run, e *AggregateExpr, of node) node {
	return &aggregateNode{run: r, expr: e, of: of, groups: map[string]*group{}, of1: map[*metric]*group{}}
}

// apply returns the labels of a group.
func (g *Grouping) apply(l Labels) Labels {
	var out Labels
	for _, one := range l {
		if g != nil && slices.Contains(g.Names, one.Name) != g.Without {
			out = append(out, one)
		}
	}
	return out
}

func (n *aggregateNode) groupOf(m *metric) (*group, error) {
	if g := n.of1[m]; g != nil {
		return g, nil
	}
	gm := newMetric(n.expr.By.apply(m.labels))
	g := n.groups[gm.key]
	if g == nil {
		g = &group{metric: gm}
		n.groups[gm.key] = g
		if err := n.run.hold(gm.labels.size() + 100); err != nil {
			return nil, err
		}
	}
	n.of1[m] = g
	return g, n.run.hold(32)
}

func (n *aggregateNode) at(i int) ([]sample, error) {
	samples, err := n.of.at(i)
	if err != nil {
		return nil, err
	}
	n.out = n.out[:0]
	switch n.expr.Op {
	case "sort", "sort_desc":
		n.out = append(n.out, samples...)
		sortSamples(n.out, n.expr.Op == "sort_desc")
		return n.out, nil
	}
	n.used = n.used[:0]
	for _, s := range samples {
		g, err := n.groupOf(s.metric)
		if err != nil {
			return nil, err
		}
		if len(g.samples) == 0 {
			n.used = append(n.used, g)
		}
		g.samples = append(g.samples, s)
	}
	for _, g := range n.used {
		if hasParam(n.expr.Op) {
			sortSamples(g.samples, n.expr.Op != "bottomk")
			n.out = append(n.out, g.samples[:min(n.expr.Param, len(g.samples))]...)
		} else {
			n.out = append(n.out, sample{g.metric, aggregateValue(n.expr.Op, g.samples)})
		}
		g.samples = g.samples[:0]
	}
	return n.out, nil
}

// sortSamples sorts by value, NaN last, equal ones by labels.
func sortSamples(s []sample, descending bool) {
	slices.SortFunc(s, func(a, b sample) int {
		byValue := cmp.Compare(a.value, b.value)
		switch aNaN, bNaN := math.IsNaN(a.value), math.IsNaN(b.value); {
		case aNaN != bNaN && aNaN:
			return 1
		case aNaN != bNaN:
			return -1
		case descending:
			byValue = -byValue
		}
		return cmp.Or(byValue, compareLabels(a.metric.labels, b.metric.labels))
	})
}

func aggregateValue(op string, samples []sample) float64 {
	n := float64(len(samples))
	total, low, high := 0.0, samples[0].value, samples[0].value
	for _, s := range samples {
		total += s.value
		low, high = min(low, s.value), max(high, s.value)
	}
	switch op {
	case "sum":
		return total
	case "avg":
		return total / n
	case "min":
		return low
	case "max":
		return high
	case "count":
		return n
	}
	spread := 0.0
	for _, s := range samples {
		spread += (s.value - total/n) * (s.value - total/n)
	}
	if op == "stdvar" {
		return spread / n
	}
	return math.Sqrt(spread / n)
}

// replaceNode is label_replace.
type replaceNode struct {
	run   *run
	expr  *ReplaceExpr
	of    node
	known map[*metric]*metric
	out   []sample
}

func (n *replaceNode) at(i int) ([]sample, error) {
	samples, err := n.of.at(i)
	if err != nil {
		return nil, err
	}
	n.out = n.out[:0]
	for _, s := range samples {
		m := n.known[s.metric]
		if m == nil {
			m = n.replace(s.metric)
			n.known[s.metric] = m
			if err := n.run.hold(m.labels.size() + 32); err != nil {
				return nil, err
			}
		}
		n.out = append(n.out, sample{m, s.value})
	}
	return n.out, nil
}

func (n *replaceNode) replace(m *metric) *metric {
	source := m.labels.Get(n.expr.Source)
	match := n.expr.re.re.FindStringSubmatchIndex(source)
	if match == nil {
		return m
	}
	value := string(n.expr.re.re.ExpandString(nil, n.expr.Replacement, source, match))
	var out Labels
	for _, l := range m.labels {
		if l.Name != n.expr.Target {
			out = append(out, l)
		}
	}
	if value != "" {
		out = append(out, Label{n.expr.Target, value})
	}
	return newMetric(sortLabels(out))
}
