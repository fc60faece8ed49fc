package traceql

import (
	"strings"

	"github.com/mindscope/mindscope/internal/query"
)

// maxDepth bounds how deep a query nests.
const maxDepth = 100

// Parse reads a query. Its error is a *SyntaxError.
func Parse(text string) (*Query, error) {
	ts, err := tokens(text)
	if err != nil {
		return nil, err
	}
	p := &parser{text: text, tokens: ts}
	q, err := p.query()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != tokEnd {
		return nil, p.errorf(t.pos, "%s is not expected here", t.describe())
	}
	return q, nil
}

type parser struct {
	text   string
	tokens []token
	next   int
	depth  int
	// functions counts those that make series.
	functions int
	regexps   query.Regexps
}

func (p *parser) errorf(at Pos, format string, args ...any) error {
	return errorAt(p.text, at, format, args...)
}

func (p *parser) peek() token { return p.tokens[p.next] }

func (p *parser) take() token {
	t := p.tokens[p.next]
	if t.kind != tokEnd {
		p.next++
	}
	return t
}

// got takes the next token when it is that word or operator.
func (p *parser) got(text string) bool {
	if p.peek().is(text) {
		p.next++
		return true
	}
	return false
}

func (p *parser) expect(text, where string) error {
	if p.got(text) {
		return nil
	}
	t := p.peek()
	return p.errorf(t.pos, "'%s' is expected %s, not %s", text, where, t.describe())
}

// enter notes that the query nests deeper; leave goes with it.
func (p *parser) enter() error {
	if p.depth++; p.depth > maxDepth {
		return p.errorf(p.peek().pos, "the query nests deeper than %d levels", maxDepth)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

func (p *parser) query() (*Query, error) {
	if t := p.peek(); t.kind == tokEnd {
		return nil, p.errorf(t.pos, "the query is empty; { } finds every span")
	}
	parts, err := p.pipeline()
	if err != nil {
		return nil, err
	}
	q := &Query{Stages: parts.stages, Metrics: parts.metrics}
	if parts.scalar != nil {
		return nil, p.errorf(parts.pos, "the pipeline ends with a number: compare it with another, as in count() > 2")
	}
	if p.got("with") {
		if q.Hints, err = p.hints(); err != nil {
			return nil, err
		}
	}
	return q, nil
}

func (p *parser) hints() ([]Hint, error) {
	if err := p.expect("(", "behind with"); err != nil {
		return nil, err
	}
	var out []Hint
	for {
		name := p.take()
		if name.kind != tokWord {
			return nil, p.errorf(name.pos, "the name of a hint is expected, not %s", name.describe())
		}
		if err := p.expect("=", "behind the hint's name"); err != nil {
			return nil, err
		}
		v, err := p.hintValue()
		if err != nil {
			return nil, err
		}
		out = append(out, Hint{Name: name.text, Value: v})
		if p.got(")") {
			return out, nil
		}
		if err := p.expect(",", "or ')' behind the hint"); err != nil {
			return nil, err
		}
	}
}

func (p *parser) hintValue() (Value, error) {
	at := p.peek().pos
	e, err := p.primaryField()
	if err != nil {
		return Value{}, err
	}
	l, ok := e.(*Literal)
	if !ok {
		return Value{}, p.errorf(at, "the value of a hint is a constant")
	}
	return l.Value, nil
}

// operand is what stands between operators outside of braces: one of its members is set.
type operand struct {
	pos     Pos
	set     Spanset
	filter  *ScalarFilter
	scalar  Scalar
	metrics MetricsExpr
}

// parts are the stages of a pipeline, and the scalar or the metrics it ends with, if any.
type parts struct {
	pos     Pos // of the last stage
	stages  []Stage
	scalar  Scalar
	metrics MetricsExpr
}

// pipeline reads stages until something that is none.
func (p *parser) pipeline() (parts, error) {
	var out parts
	for {
		at := p.peek().pos
		if out.scalar != nil {
			return out, p.errorf(at, "a number can't be piped on: compare it first, as in count() > 2")
		}
		out.pos = at
		err := p.stage(&out)
		if err != nil {
			return out, err
		}
		if !p.got("|") {
			return out, nil
		}
	}
}

func (p *parser) stage(out *parts) error {
	t := p.peek()
	if out.metrics != nil {
		return p.secondStage(out)
	}
	if t.kind == tokWord {
		switch {
		case t.text == "by":
			p.take()
			by, err := p.exprList()
			out.stages = append(out.stages, &GroupBy{By: by})
			return err
		case t.text == "coalesce":
			p.take()
			out.stages = append(out.stages, Coalesce{})
			if err := p.expect("(", "behind coalesce"); err != nil {
				return err
			}
			return p.expect(")", "behind coalesce(")
		case t.text == "select":
			p.take()
			fields, err := p.fieldList()
			out.stages = append(out.stages, &Select{Fields: fields})
			return err
		case isMetricsFunc(t.text):
			return p.metricsStage(out)
		}
	}
	o, err := p.operation(0)
	if err != nil {
		return err
	}
	switch {
	case o.set != nil:
		out.stages = append(out.stages, o.set)
	case o.filter != nil:
		out.stages = append(out.stages, o.filter)
	case o.metrics != nil && len(out.stages) > 0:
		return p.errorf(o.pos, "arithmetic on series can't stand behind other stages")
	case o.metrics != nil:
		out.metrics = o.metrics
	default:
		out.scalar = o.scalar
	}
	return nil
}

// strength says how strong an operator binds outside of braces, 0 for none of them.
func strength(t token) int {
	if t.kind != tokPunct {
		return 0
	}
	switch t.text {
	case "||":
		return 1
	case "&&":
		return 2
	case "=", "!=", "<", "<=", ">", ">=", ">>", "<<", "~", "!>>", "!>", "!<<", "!<", "!~", "&>>", "&>", "&<<", "&<", "&~":
		return 3
	case "+", "-":
		return 4
	case "*", "/", "%":
		return 5
	case "^":
		return 6
	default:
		return 0
	}
}

// operation reads operands joined by operators that bind stronger than floor. All but ^ bind to the left.
func (p *parser) operation(floor int) (operand, error) {
	if err := p.enter(); err != nil {
		return operand{}, err
	}
	defer p.leave()
	left, err := p.primary()
	if err != nil {
		return operand{}, err
	}
	for {
		t := p.peek()
		s := strength(t)
		if s <= floor {
			return left, nil
		}
		p.take()
		if s == 6 {
			s = 5
		}
		right, err := p.operation(s)
		if err != nil {
			return operand{}, err
		}
		if left, err = p.join(left, t, right); err != nil {
			return operand{}, err
		}
	}
}

// join applies an operator to two operands.
func (p *parser) join(l operand, op token, r operand) (operand, error) {
	out := operand{pos: l.pos}
	o := Op(op.text)
	ls, rs := l.asSpanset(), r.asSpanset()
	lm, rm := l.asMetrics(), r.asMetrics()
	switch {
	case (o == OpAnd || o == OpOr || isStructural(op.text)) && l.set != nil && r.set != nil,
		(o == OpAnd || o == OpOr) && ls != nil && rs != nil:
		out.set = &SpansetOp{Op: op.text, L: ls, R: rs}
	case o.comparison() && o != OpNotMatch && l.scalar != nil && r.scalar != nil:
		out.filter = &ScalarFilter{Op: o, L: l.scalar, R: r.scalar}
	case o.arithmetic() && l.scalar != nil && r.scalar != nil:
		out.scalar = &ScalarOp{Op: o, L: l.scalar, R: r.scalar}
	case o.arithmetic() && (l.metrics != nil || r.metrics != nil) && lm != nil && rm != nil:
		out.metrics = &MetricsOp{Op: o, L: lm, R: rm}
	default:
		return out, p.errorf(op.pos, "'%s' does not work on %s and %s", op.text, l.kind(), r.kind())
	}
	return out, nil
}

func isStructural(op string) bool {
	switch strings.TrimLeft(op, "!&") {
	case ">", ">>", "<", "<<", "~":
		return true
	}
	return false
}

func (o operand) asSpanset() Spanset {
	if o.filter != nil {
		return &Pipeline{Stages: []Stage{o.filter}}
	}
	return o.set
}

func (o operand) asMetrics() MetricsExpr {
	if l, ok := o.scalar.(*Literal); ok {
		return &MetricsNumber{Value: l.Value}
	}
	return o.metrics
}

func (o operand) kind() string {
	switch {
	case o.set != nil:
		return "spans"
	case o.filter != nil:
		return "a comparison"
	case o.metrics != nil:
		return "series"
	default:
		return "a number"
	}
}

// primary reads a filter, something in parentheses, an aggregate or a number.
func (p *parser) primary() (operand, error) {
	t := p.peek()
	o := operand{pos: t.pos}
	var err error
	switch {
	case t.is("{"):
		o.set, err = p.filter()
	case t.is("("):
		return p.parenthesis()
	case t.is("-"):
		p.take()
		n := p.take()
		v := negative(n.value)
		if v.IsNil() {
			return o, p.errorf(n.pos, "a number is expected behind '-', not %s", n.describe())
		}
		o.scalar = &Literal{Value: v, pos: t.pos}
	case t.kind == tokNumber || t.kind == tokDuration:
		p.take()
		o.scalar = &Literal{Value: t.value, pos: t.pos}
	case t.kind == tokWord && isAggregate(t.text):
		o.scalar, err = p.aggregate()
	case t.kind == tokWord && isMetricsFunc(t.text):
		return o, p.errorf(t.pos, "%s() needs spans in front of it, as in { } | %s()", t.text, t.text)
	default:
		return o, p.errorf(t.pos, "spans in braces, as in { status = error }, are expected, not %s", t.describe())
	}
	return o, err
}

func (p *parser) parenthesis() (operand, error) {
	open := p.take()
	o := operand{pos: open.pos}
	if err := p.enter(); err != nil {
		return o, err
	}
	defer p.leave()
	inner, err := p.pipeline()
	if err != nil {
		return o, err
	}
	if err := p.expect(")", "here"); err != nil {
		return o, err
	}
	switch {
	case inner.metrics != nil:
		o.metrics = inner.metrics
	case inner.scalar != nil && len(inner.stages) > 0:
		o.scalar = &ScalarPipeline{Stages: inner.stages, Scalar: inner.scalar}
	case inner.scalar != nil:
		o.scalar = inner.scalar
	default:
		o.set = &Pipeline{Stages: inner.stages}
		if one, ok := inner.stages[0].(Spanset); ok && len(inner.stages) == 1 {
			o.set = one
		}
	}
	return o, nil
}

func (p *parser) filter() (*Filter, error) {
	p.take()
	if p.got("}") {
		return &Filter{}, nil
	}
	at := p.peek().pos
	e, err := p.expr(0)
	if err != nil {
		return nil, err
	}
	if err := p.expect("}", "or an operator here"); err != nil {
		return nil, err
	}
	if t := typeOf(e); t != typeAny && t != typeBool {
		return nil, p.errorf(at, "the expression in braces is %s: it must be true or false for a span", t)
	}
	return &Filter{E: e}, nil
}

func isAggregate(word string) bool {
	switch word {
	case "count", "avg", "min", "max", "sum":
		return true
	}
	return false
}

func (p *parser) aggregate() (Scalar, error) {
	word := p.take()
	a := &Aggregate{Func: word.text}
	if err := p.expect("(", "behind "+word.text); err != nil {
		return nil, err
	}
	if word.text == "count" {
		return a, p.expect(")", "behind count(")
	}
	var err error
	if a.E, err = p.measured(); err != nil {
		return nil, err
	}
	return a, p.expect(")", "behind the expression")
}

// measured reads an expression that is a number.
func (p *parser) measured() (Expr, error) {
	at := p.peek().pos
	e, err := p.expr(0)
	if err != nil {
		return nil, err
	}
	if t := typeOf(e); t != typeAny && t != typeNumber {
		return nil, p.errorf(at, "a number is expected here, not %s", t)
	}
	return e, nil
}

// exprList reads expressions in parentheses.
func (p *parser) exprList() ([]Expr, error) {
	if err := p.expect("(", "here"); err != nil {
		return nil, err
	}
	var out []Expr
	for {
		e, err := p.expr(0)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		if p.got(")") {
			return out, nil
		}
		if err := p.expect(",", "or ')' here"); err != nil {
			return nil, err
		}
	}
}

// fieldList reads attributes in parentheses.
func (p *parser) fieldList() ([]*Field, error) {
	at := p.peek().pos
	list, err := p.exprList()
	if err != nil {
		return nil, err
	}
	var out []*Field
	for _, e := range list {
		f, ok := e.(*Field)
		if !ok {
			return nil, p.errorf(at, "only attributes can stand in this list, not %s", e)
		}
		out = append(out, f)
	}
	return out, nil
}
