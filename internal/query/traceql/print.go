package traceql

import (
	"strconv"
	"strings"
)

// String methods write trees so that they parse back to the same trees. Parentheses stand around every operation that is
// part of another.

func (e *Literal) String() string { return e.Value.String() }
func (e *Field) String() string   { return e.Attribute.String() }
func (e *Unary) String() string   { return string(e.Op) + inner(e.E) }
func (e *Binary) String() string  { return inner(e.L) + " " + string(e.Op) + " " + inner(e.R) }

func inner(e Expr) string {
	switch e := e.(type) {
	case *Binary, *Unary:
		return "(" + e.String() + ")"
	default:
		return e.String()
	}
}

func (f *Filter) String() string {
	if f.E == nil {
		return "{ }"
	}
	return "{ " + f.E.String() + " }"
}

func (o *SpansetOp) String() string { return part(o.L) + " " + o.Op + " " + part(o.R) }

func part(s Spanset) string {
	if _, ok := s.(*SpansetOp); ok {
		return "(" + s.String() + ")"
	}
	return s.String()
}

func (p *Pipeline) String() string { return "(" + joined(p.Stages, " | ") + ")" }

func joined[T interface{ String() string }](list []T, between string) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = s.String()
	}
	return strings.Join(texts, between)
}

func (g *GroupBy) String() string      { return "by(" + joined(g.By, ", ") + ")" }
func (Coalesce) String() string        { return "coalesce()" }
func (s *Select) String() string       { return "select(" + joined(s.Fields, ", ") + ")" }
func (s *ScalarFilter) String() string { return s.L.String() + " " + string(s.Op) + " " + s.R.String() }

func (a *Aggregate) String() string {
	if a.E == nil {
		return a.Func + "()"
	}
	return a.Func + "(" + a.E.String() + ")"
}

func (o *ScalarOp) String() string {
	return "(" + o.L.String() + " " + string(o.Op) + " " + o.R.String() + ")"
}

func (p *ScalarPipeline) String() string {
	return "(" + joined(p.Stages, " | ") + " | " + p.Scalar.String() + ")"
}

// String writes the query.
func (q *Query) String() string {
	text := joined(q.Stages, " | ")
	if q.Metrics != nil {
		text = q.Metrics.String()
	}
	if len(q.Hints) == 0 {
		return text
	}
	hints := make([]string, len(q.Hints))
	for i, h := range q.Hints {
		hints[i] = h.Name + "=" + h.Value.String()
	}
	return text + " with(" + strings.Join(hints, ", ") + ")"
}

func (m *MetricsQuery) String() string {
	var b strings.Builder
	b.WriteString(joined(m.Stages, " | "))
	b.WriteString(" | " + m.Func + "(")
	switch {
	case m.Compare != nil:
		b.WriteString(m.Compare.String())
	case m.E != nil:
		b.WriteString(m.E.String())
	}
	for _, q := range m.Quantiles {
		b.WriteString(", " + strconv.FormatFloat(q, 'g', -1, 64))
	}
	b.WriteString(")")
	if len(m.By) > 0 {
		b.WriteString(" by(" + joined(m.By, ", ") + ")")
	}
	for _, s := range m.Second {
		b.WriteString(" | " + s.String())
	}
	return b.String()
}

// String writes the arguments.
func (c *Compare) String() string {
	text := c.Selection.String()
	if c.TopN > 0 {
		text += ", " + strconv.Itoa(c.TopN)
	}
	if c.full {
		text += ", " + strconv.FormatInt(c.Start, 10) + ", " + strconv.FormatInt(c.End, 10)
	}
	return text
}

// String writes the stage.
func (s SecondStage) String() string {
	if s.Func != "" {
		return s.Func + "(" + strconv.Itoa(s.N) + ")"
	}
	return string(s.Op) + " " + s.Number.String()
}

func (o *MetricsOp) String() string { return side(o.L) + " " + string(o.Op) + " " + side(o.R) }

func side(m MetricsExpr) string {
	if _, ok := m.(*MetricsNumber); ok {
		return m.String()
	}
	return "(" + m.String() + ")"
}

func (n *MetricsNumber) String() string { return n.Value.String() }
