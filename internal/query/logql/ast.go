package logql

import (
	"strconv"
	"strings"
	"time"
)

// Expr is a query: a *LogExpr, which answers lines, or one of the others, which answer numbers. String parses back to an
// equal tree.
type Expr interface {
	String() string
	expr()
}

// LogExpr selects streams and passes their lines through a pipeline.
type LogExpr struct {
	Matchers []*Matcher
	Stages   []Stage
}

// MatchOp is the operator of a matcher on labels or lines.
type MatchOp string

// The operators of matchers.
const (
	MatchEqual     MatchOp = "="
	MatchNotEqual  MatchOp = "!="
	MatchRegexp    MatchOp = "=~"
	MatchNotRegexp MatchOp = "!~"
)

// Matcher is a condition on a label. Expressions are matched against the whole value.
type Matcher struct {
	Name  string
	Op    MatchOp
	Value string
	re    *wholeRegexp // set for expressions by the parser
}

// LiteralExpr is a number.
type LiteralExpr struct{ Value float64 }

// VectorExpr is vector(number): one series without labels.
type VectorExpr struct{ Value float64 }

// RangeExpr aggregates the lines or unwrapped values of each series over a window of time before each step.
type RangeExpr struct {
	Op     string
	Param  float64 // quantile_over_time's φ
	Log    *LogExpr
	Range  time.Duration
	Offset time.Duration
	By     *Grouping
}

// AggregateExpr aggregates the series of each step.
type AggregateExpr struct {
	Op    string
	Param int // of topk, bottomk and approx_topk
	Of    Expr
	By    *Grouping
}

// Grouping names the labels that make groups, or with Without those that don't.
type Grouping struct {
	Without bool
	Names   []string
}

// BinaryExpr joins two expressions with an operator.
type BinaryExpr struct {
	Op          string
	Left, Right Expr
	// Bool answers 0 and 1 of a comparison, instead of keeping or dropping the left side.
	Bool  bool
	Match *Matching
}

// Matching says which series of the two sides of an operator belong together.
type Matching struct {
	On    bool // Names are the ones that count; else those that don't
	Names []string
	// Group is "", "group_left" or "group_right": the side that may have several. Include are labels taken over from the other.
	Group   string
	Include []string
}

// ReplaceExpr is label_replace.
type ReplaceExpr struct {
	Of                                  Expr
	Target, Replacement, Source, Regexp string
	re                                  *wholeRegexp
}

func (*LogExpr) expr()       {}
func (*LiteralExpr) expr()   {}
func (*VectorExpr) expr()    {}
func (*RangeExpr) expr()     {}
func (*AggregateExpr) expr() {}
func (*BinaryExpr) expr()    {}
func (*ReplaceExpr) expr()   {}

func (e *LogExpr) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range e.Matchers {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(m.String())
	}
	b.WriteByte('}')
	for _, s := range e.Stages {
		b.WriteByte(' ')
		b.WriteString(s.String())
	}
	return b.String()
}

func (m *Matcher) String() string { return m.Name + string(m.Op) + strconv.Quote(m.Value) }

func (e *LiteralExpr) String() string { return formatNumber(e.Value) }

func (e *VectorExpr) String() string { return "vector(" + formatNumber(e.Value) + ")" }

func formatNumber(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func (e *RangeExpr) String() string {
	var b strings.Builder
	b.WriteString(e.Op + "(")
	if e.Op == opQuantileOverTime {
		b.WriteString(formatNumber(e.Param) + ", ")
	}
	b.WriteString(e.Log.String() + " [" + formatDuration(e.Range) + "]")
	if e.Offset != 0 {
		b.WriteString(" offset " + formatDuration(e.Offset))
	}
	b.WriteString(")" + e.By.suffix())
	return b.String()
}

func (g *Grouping) suffix() string {
	if g == nil {
		return ""
	}
	word := " by ("
	if g.Without {
		word = " without ("
	}
	return word + strings.Join(g.Names, ", ") + ")"
}

func (e *AggregateExpr) String() string {
	param := ""
	if hasParam(e.Op) {
		param = strconv.Itoa(e.Param) + ", "
	}
	return e.Op + e.By.suffix() + " (" + param + e.Of.String() + ")"
}

func (e *BinaryExpr) String() string {
	var b strings.Builder
	b.WriteString(e.operand(e.Left, e.Op == "^") + " " + e.Op + " ")
	if e.Bool {
		b.WriteString("bool ")
	}
	if m := e.Match; m != nil {
		word := "ignoring ("
		if m.On {
			word = "on ("
		}
		b.WriteString(word + strings.Join(m.Names, ", ") + ") ")
		if m.Group != "" {
			b.WriteString(m.Group + " (" + strings.Join(m.Include, ", ") + ") ")
		}
	}
	b.WriteString(e.operand(e.Right, e.Op != "^"))
	return b.String()
}

// operand writes a side in parentheses where it would be read otherwise; far is the side that the operator does not lean to.
func (e *BinaryExpr) operand(side Expr, far bool) string {
	inner, nested := side.(*BinaryExpr)
	if nested && (precedence[inner.Op] < precedence[e.Op] || far && precedence[inner.Op] == precedence[e.Op]) {
		return "(" + side.String() + ")"
	}
	return side.String()
}

func (e *ReplaceExpr) String() string {
	parts := []string{e.Of.String()}
	for _, s := range []string{e.Target, e.Replacement, e.Source, e.Regexp} {
		parts = append(parts, strconv.Quote(s))
	}
	return "label_replace(" + strings.Join(parts, ", ") + ")"
}
