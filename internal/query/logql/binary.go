package logql

import (
	"math"
	"slices"
)

// binaryNode joins the samples of two sides.
type binaryNode struct {
	run         *run
	expr        *BinaryExpr
	left, right node
	keys        map[*metric]string
	results     map[pair]*metric
	out         []sample
}

type pair struct{ left, right *metric }

func newBinary(r *run, e *BinaryExpr, left, right node) node {
	return &binaryNode{run: r, expr: e, left: left, right: right, keys: map[*metric]string{}, results: map[pair]*metric{}}
}

func (n *binaryNode) at(i int) ([]sample, error) {
	left, err := n.left.at(i)
	if err != nil {
		return nil, err
	}
	right, err := n.right.at(i)
	if err != nil {
		return nil, err
	}
	n.out = n.out[:0]
	leftScalar, rightScalar := isScalar(n.expr.Left), isScalar(n.expr.Right)
	switch {
	case leftScalar && rightScalar:
		n.out = append(n.out, sample{left[0].metric, scalarOp(n.expr.Op, left[0].value, right[0].value)})
	case rightScalar:
		n.withScalar(left, func(v float64) (float64, bool) { return n.apply(v, right[0].value) }, false)
	case leftScalar:
		n.withScalar(right, func(v float64) (float64, bool) { return n.apply(left[0].value, v) }, isComparison(n.expr.Op) && !n.expr.Bool)
	case isSetOp(n.expr.Op):
		return n.out, n.sets(left, right)
	default:
		return n.out, n.join(left, right)
	}
	return n.out, nil
}

// withScalar applies a number to each sample. own says that a sample that is kept has its own value.
func (n *binaryNode) withScalar(samples []sample, f func(float64) (float64, bool), own bool) {
	for _, s := range samples {
		v, keep := f(s.value)
		if own {
			v = s.value
		}
		if keep {
			n.out = append(n.out, sample{s.metric, v})
		}
	}
}

// apply returns the operator's value and whether the sample is kept.
func (n *binaryNode) apply(a, b float64) (float64, bool) {
	if !isComparison(n.expr.Op) {
		return arithmetic(n.expr.Op, a, b), true
	}
	holds := compareNumbers(n.expr.Op, a, b)
	if !n.expr.Bool {
		return a, holds
	}
	if holds {
		return 1, true
	}
	return 0, true
}

// scalarOp joins two numbers; comparisons of them are 0 or 1.
func scalarOp(op string, a, b float64) float64 {
	switch {
	case !isComparison(op):
		return arithmetic(op, a, b)
	case compareNumbers(op, a, b):
		return 1
	default:
		return 0
	}
}

func arithmetic(op string, a, b float64) float64 {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		return a / b
	case "%":
		return math.Mod(a, b)
	default:
		return math.Pow(a, b)
	}
}

// key returns the text that is equal for series that belong together.
func (n *binaryNode) key(m *metric) (string, error) {
	if k, ok := n.keys[m]; ok {
		return k, nil
	}
	k := n.matching(m.labels).key()
	n.keys[m] = k
	return k, n.run.hold(int64(len(k)) + 64)
}

func (n *binaryNode) matching(l Labels) Labels {
	match := n.expr.Match
	if match == nil {
		return l
	}
	var out Labels
	for _, one := range l {
		if slices.Contains(match.Names, one.Name) == match.On {
			out = append(out, one)
		}
	}
	return out
}

func (n *binaryNode) sets(left, right []sample) error {
	if n.expr.Op == "or" {
		return n.union(left, right)
	}
	has, err := n.keySet(right)
	if err != nil {
		return err
	}
	for _, s := range left {
		k, err := n.key(s.metric)
		if err != nil {
			return err
		}
		if has[k] == (n.expr.Op == "and") {
			n.out = append(n.out, s)
		}
	}
	return nil
}

func (n *binaryNode) union(left, right []sample) error {
	has, err := n.keySet(left)
	if err != nil {
		return err
	}
	n.out = append(n.out, left...)
	for _, s := range right {
		k, err := n.key(s.metric)
		if err != nil {
			return err
		}
		if !has[k] {
			n.out = append(n.out, s)
		}
	}
	return nil
}

func (n *binaryNode) keySet(samples []sample) (map[string]bool, error) {
	has := make(map[string]bool, len(samples))
	for _, s := range samples {
		k, err := n.key(s.metric)
		if err != nil {
			return nil, err
		}
		has[k] = true
	}
	return has, nil
}

// join joins series one to one, or many to one where a side may have several.
func (n *binaryNode) join(left, right []sample) error {
	grouped := n.expr.Match != nil && n.expr.Match.Group != ""
	swapped := grouped && n.expr.Match.Group == "group_right"
	many, one := left, right
	if swapped {
		many, one = right, left
	}
	byKey := make(map[string]sample, len(one))
	for _, s := range one {
		k, err := n.key(s.metric)
		if err != nil {
			return err
		}
		if other, twice := byKey[k]; twice {
			return permanent("%s and %s of the %q side belong to the same series of the other side: name more labels with on, or fewer with ignoring",
				other.metric.labels, s.metric.labels, n.expr.Op)
		}
		byKey[k] = s
	}
	seen := map[string]bool{}
	for _, s := range many {
		k, err := n.key(s.metric)
		if err != nil {
			return err
		}
		other, ok := byKey[k]
		if !ok {
			continue
		}
		if !grouped && seen[k] {
			return permanent("several series match %s: say so with group_left or group_right", other.metric.labels)
		}
		seen[k] = true
		a, b := s.value, other.value
		if swapped {
			a, b = b, a
		}
		v, keep := n.apply(a, b)
		if !keep {
			continue
		}
		m, err := n.result(s.metric, other.metric, grouped)
		if err != nil {
			return err
		}
		n.out = append(n.out, sample{m, v})
	}
	return nil
}

// result returns the labels of two joined series: those that matched, or the ones of the side that has many and the
// included ones of the other.
func (n *binaryNode) result(many, one *metric, grouped bool) (*metric, error) {
	if m := n.results[pair{many, one}]; m != nil {
		return m, nil
	}
	m := many
	switch {
	case grouped && len(n.expr.Match.Include) > 0:
		var out Labels
		for _, l := range many.labels {
			if !slices.Contains(n.expr.Match.Include, l.Name) {
				out = append(out, l)
			}
		}
		for _, name := range n.expr.Match.Include {
			if v := one.labels.Get(name); v != "" {
				out = append(out, Label{name, v})
			}
		}
		m = newMetric(sortLabels(out))
	case !grouped && n.expr.Match != nil:
		m = newMetric(n.matching(many.labels))
	}
	n.results[pair{many, one}] = m
	return m, n.run.hold(m.labels.size() + 64)
}
