package traceql

import (
	"fmt"
	"math"
)

// maxTop bounds topk, bottomk and the values that compare() shows of an attribute.
const maxTop = 1000

const (
	// maxQuantiles bounds the quantiles of one function: each is a series of its own.
	maxQuantiles = 20
	// maxFunctions bounds the functions of a query that make series: each reads spans of its own.
	maxFunctions = 20
)

func isMetricsFunc(word string) bool {
	switch word {
	case "rate", "count_over_time", "min_over_time", "max_over_time", "sum_over_time", "avg_over_time",
		"quantile_over_time", "histogram_over_time", "compare":
		return true
	}
	return false
}

// metricsStage reads a function that makes series of the stages before it.
func (p *parser) metricsStage(out *parts) error {
	word := p.take()
	if len(out.stages) == 0 {
		return p.errorf(word.pos, "%s() needs spans in front of it, as in { } | %s()", word.text, word.text)
	}
	if p.functions++; p.functions > maxFunctions {
		return p.errorf(word.pos, "at most %d functions that make series are allowed in a query", maxFunctions)
	}
	m := &MetricsQuery{Stages: out.stages, Func: word.text}
	if err := p.expect("(", "behind "+word.text); err != nil {
		return err
	}
	var err error
	switch word.text {
	case "rate", "count_over_time":
	case "compare":
		m.Compare, err = p.compareArgs()
	default:
		m.E, err = p.measured()
	}
	if err != nil {
		return err
	}
	if word.text == "quantile_over_time" {
		if m.Quantiles, err = p.quantiles(); err != nil {
			return err
		}
	}
	if err := p.expect(")", "here"); err != nil {
		return err
	}
	if t := p.peek(); p.got("by") {
		if m.Compare != nil {
			return p.errorf(t.pos, "compare() takes no by")
		}
		if m.By, err = p.fieldList(); err != nil {
			return err
		}
	}
	out.stages, out.metrics = nil, m
	if p.comparesNext() {
		return p.secondStage(out)
	}
	return nil
}

func (p *parser) comparesNext() bool {
	t := p.peek()
	return t.kind == tokPunct && Op(t.text).comparison() && t.text != "=~" && t.text != "!~"
}

func (p *parser) quantiles() ([]float64, error) {
	var out []float64
	for p.got(",") {
		t := p.take()
		q, ok := t.value.Number()
		if t.kind != tokNumber || !ok || q < 0 || q > 1 {
			return nil, p.errorf(t.pos, "a quantile from 0 to 1 is expected, not %s", t.describe())
		}
		if len(out) == maxQuantiles {
			return nil, p.errorf(t.pos, "at most %d quantiles are allowed", maxQuantiles)
		}
		out = append(out, q)
	}
	if len(out) == 0 {
		return nil, p.errorf(p.peek().pos, "quantile_over_time needs quantiles, as in quantile_over_time(duration, 0.9)")
	}
	return out, nil
}

func (p *parser) compareArgs() (*Compare, error) {
	if t := p.peek(); !t.is("{") {
		return nil, p.errorf(t.pos, "compare needs spans in braces, as in compare({ status = error })")
	}
	f, err := p.filter()
	if err != nil {
		return nil, err
	}
	c := &Compare{Selection: f}
	var numbers []int64
	at := p.peek().pos
	for p.got(",") {
		n, err := p.integer(0, math.MaxInt64)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
	switch len(numbers) {
	case 0:
		return c, nil
	case 3:
		c.Start, c.End, c.full = numbers[1], numbers[2], true
		if c.Start >= c.End {
			return nil, p.errorf(at, "compare: the end must be after the start")
		}
	case 1:
	default:
		return nil, p.errorf(at, "compare takes the spans, how many values, and a start and an end in nanoseconds")
	}
	if numbers[0] < 1 || numbers[0] > maxTop {
		return nil, p.errorf(at, "compare shows 1 to %d values of an attribute", maxTop)
	}
	c.TopN = int(numbers[0])
	return c, nil
}

func (p *parser) integer(from, to int64) (int64, error) {
	t := p.take()
	if t.kind != tokNumber || t.value.typ != TypeInt || t.value.Int() < from || t.value.Int() > to {
		what := "a whole number"
		if to < math.MaxInt64 {
			what = fmt.Sprintf("a whole number from %d to %d", from, to)
		}
		return 0, p.errorf(t.pos, "%s is expected, not %s", what, t.describe())
	}
	return t.value.Int(), nil
}

// secondStage reads what works on series.
func (p *parser) secondStage(out *parts) error {
	t := p.take()
	m, ok := out.metrics.(*MetricsQuery)
	if !ok {
		return p.errorf(t.pos, "%s can't stand behind arithmetic on series", t.describe())
	}
	var s SecondStage
	switch {
	case t.is("topk") || t.is("bottomk"):
		s.Func = t.text
		if err := p.expect("(", "behind "+t.text); err != nil {
			return err
		}
		n, err := p.integer(1, maxTop)
		if err != nil {
			return err
		}
		s.N = int(n)
		if err := p.expect(")", "here"); err != nil {
			return err
		}
	case t.kind == tokPunct && Op(t.text).comparison() && t.text != "=~" && t.text != "!~":
		s.Op = Op(t.text)
		o, err := p.primary()
		if err != nil {
			return err
		}
		l, ok := o.scalar.(*Literal)
		if !ok {
			return p.errorf(o.pos, "series are compared with a number")
		}
		s.Number = l.Value
	default:
		return p.errorf(t.pos, "topk(n), bottomk(n) or a comparison is expected behind %s(), not %s", m.Func, t.describe())
	}
	m.Second = append(m.Second, s)
	if p.comparesNext() {
		return p.secondStage(out)
	}
	return nil
}
