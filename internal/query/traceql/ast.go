package traceql

import "regexp"

// Op is an operator.
type Op string

// The operators of field expressions and scalars.
const (
	OpAdd          Op = "+"
	OpSub          Op = "-"
	OpMul          Op = "*"
	OpDiv          Op = "/"
	OpMod          Op = "%"
	OpPow          Op = "^"
	OpEqual        Op = "="
	OpNotEqual     Op = "!="
	OpLess         Op = "<"
	OpLessEqual    Op = "<="
	OpGreater      Op = ">"
	OpGreaterEqual Op = ">="
	OpMatch        Op = "=~"
	OpNotMatch     Op = "!~"
	OpAnd          Op = "&&"
	OpOr           Op = "||"
	OpNot          Op = "!"
)

func (o Op) comparison() bool {
	switch o {
	case OpEqual, OpNotEqual, OpLess, OpLessEqual, OpGreater, OpGreaterEqual, OpMatch, OpNotMatch:
		return true
	}
	return false
}

func (o Op) arithmetic() bool {
	switch o {
	case OpAdd, OpSub, OpMul, OpDiv, OpMod, OpPow:
		return true
	}
	return false
}

// flipped returns the operator that holds for b, a when o holds for a, b.
func (o Op) flipped() Op {
	switch o {
	case OpLess:
		return OpGreater
	case OpLessEqual:
		return OpGreaterEqual
	case OpGreater:
		return OpLess
	case OpGreaterEqual:
		return OpLessEqual
	default:
		return o
	}
}

// Expr is an expression on a span's fields: a Literal, Field, Unary or Binary.
type Expr interface {
	String() string
	// at returns where it stands.
	at() Pos
}

// Literal is a constant.
type Literal struct {
	Value Value
	pos   Pos
}

// Field is the value of an attribute or intrinsic.
type Field struct {
	Attribute Attribute
	pos       Pos
}

// Unary is !E or -E.
type Unary struct {
	Op  Op
	E   Expr
	pos Pos
}

// Binary is L Op R.
type Binary struct {
	Op   Op
	L, R Expr
	pos  Pos
	// re is the expression of =~ and !~, anchored.
	re *regexp.Regexp
}

func (e *Literal) at() Pos { return e.pos }
func (e *Field) at() Pos   { return e.pos }
func (e *Unary) at() Pos   { return e.pos }
func (e *Binary) at() Pos  { return e.pos }

// Stage is a stage of a pipeline: a Spanset, ScalarFilter, GroupBy, Coalesce or Select.
type Stage interface{ String() string }

// Spanset selects spans of a trace: a Filter, SpansetOp or Pipeline.
type Spanset interface {
	Stage
	spanset()
}

// Filter keeps the spans for which E holds; all when E is nil.
type Filter struct{ E Expr }

// SpansetOp combines two spansets. Op is &&, || or structural.
type SpansetOp struct {
	Op   string
	L, R Spanset
}

// Pipeline is a pipeline in parentheses.
type Pipeline struct{ Stages []Stage }

func (*Filter) spanset()    {}
func (*SpansetOp) spanset() {}
func (*Pipeline) spanset()  {}

// GroupBy parts spansets by the values of expressions.
type GroupBy struct{ By []Expr }

// Coalesce joins spansets to one.
type Coalesce struct{}

// Select adds attributes to the answer.
type Select struct{ Fields []*Field }

// ScalarFilter keeps the spansets for which a comparison of scalars holds.
type ScalarFilter struct {
	Op   Op
	L, R Scalar
}

// Scalar is a number for a spanset: an Aggregate, Literal, ScalarOp or ScalarPipeline.
type Scalar interface{ String() string }

// Aggregate is count(), or avg, min, max or sum of E.
type Aggregate struct {
	Func string
	E    Expr // nil for count
}

// ScalarOp is arithmetic on scalars.
type ScalarOp struct {
	Op   Op
	L, R Scalar
}

// ScalarPipeline is the scalar of a pipeline in parentheses, which begins with the spans of the whole trace's spanset.
type ScalarPipeline struct {
	Stages []Stage
	Scalar Scalar
}

// Query is a whole query: a search when Metrics is nil.
type Query struct {
	Stages  []Stage
	Metrics MetricsExpr
	Hints   []Hint
}

// Hint is a wish how to answer.
type Hint struct {
	Name  string
	Value Value
}

// MetricsExpr makes series: a MetricsQuery, a MetricsOp or a MetricsNumber.
type MetricsExpr interface{ String() string }

// MetricsQuery makes series of the spans of a pipeline.
type MetricsQuery struct {
	Stages []Stage
	// Func is rate, count_over_time, min_over_time, max_over_time, sum_over_time, avg_over_time, quantile_over_time,
	// histogram_over_time or compare.
	Func      string
	E         Expr // what is measured; nil for rate, count_over_time and compare
	Quantiles []float64
	By        []*Field
	Compare   *Compare
	Second    []SecondStage
}

// Compare is what compare() is called with.
type Compare struct {
	Selection  *Filter
	TopN       int
	Start, End int64 // nanoseconds, 0 for the whole range
	full       bool  // the times were given
}

// SecondStage works on series: topk(N), bottomk(N), or a comparison with Number.
type SecondStage struct {
	Func   string // topk, bottomk or "" for a comparison
	N      int
	Op     Op
	Number Value
}

// MetricsOp is arithmetic on series of equal labels.
type MetricsOp struct {
	Op   Op
	L, R MetricsExpr
}

// MetricsNumber is a constant series.
type MetricsNumber struct{ Value Value }
