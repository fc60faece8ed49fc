package traceql

import (
	"math"
	"regexp"
)

// fieldStrength says how strong an operator binds inside of braces, 0 for none of them.
func fieldStrength(t token) int {
	if t.kind != tokPunct {
		return 0
	}
	switch o := Op(t.text); {
	case o == OpOr:
		return 1
	case o == OpAnd:
		return 2
	case o.comparison():
		return 3
	case o == OpAdd || o == OpSub:
		return 4
	case o == OpMul || o == OpDiv || o == OpMod:
		return 5
	case o == OpPow:
		return 6
	default:
		return 0
	}
}

// expr reads an expression whose operators bind stronger than floor. All but ^ bind to the left.
func (p *parser) expr(floor int) (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	left, err := p.unary()
	if err != nil {
		return nil, err
	}
	for {
		t := p.peek()
		s := fieldStrength(t)
		if s <= floor {
			return left, nil
		}
		p.take()
		if s == 6 {
			s = 5
		}
		right, err := p.expr(s)
		if err != nil {
			return nil, err
		}
		b := &Binary{Op: Op(t.text), L: left, R: right, pos: t.pos}
		if err := p.checkBinary(b); err != nil {
			return nil, err
		}
		left = b
	}
}

func (p *parser) unary() (Expr, error) {
	t := p.peek()
	if !t.is("-") && !t.is("!") {
		return p.primaryField()
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	p.take()
	e, err := p.unary()
	if err != nil {
		return nil, err
	}
	u := &Unary{Op: Op(t.text), E: e, pos: t.pos}
	want := typeNumber
	if u.Op == OpNot {
		want = typeBool
	}
	if got := typeOf(e); got != typeAny && got != want {
		return nil, p.errorf(t.pos, "'%s' does not work on %s", t.text, got)
	}
	if l, ok := e.(*Literal); ok && u.Op == OpSub {
		return &Literal{Value: negative(l.Value), pos: t.pos}, nil
	}
	return u, nil
}

func (p *parser) primaryField() (Expr, error) {
	t := p.take()
	switch t.kind {
	case tokString, tokNumber, tokDuration:
		return &Literal{Value: t.value, pos: t.pos}, nil
	case tokAttr:
		return &Field{Attribute: t.attr, pos: t.pos}, nil
	case tokWord:
		if v, ok := wordValue(t.text); ok {
			return &Literal{Value: v, pos: t.pos}, nil
		}
		if i, ok := intrinsicOf(ScopeNone, t.text); ok {
			return &Field{Attribute: Attribute{Intrinsic: i}, pos: t.pos}, nil
		}
		return nil, p.errorf(t.pos, "%q is unknown: attributes are written .%s, span.%s or resource.%s, texts in quotes", t.text, t.text, t.text, t.text)
	case tokPunct:
		if t.text == "(" {
			e, err := p.expr(0)
			if err != nil {
				return nil, err
			}
			return e, p.expect(")", "here")
		}
	}
	return nil, p.errorf(t.pos, "an attribute or a value is expected, not %s", t.describe())
}

func wordValue(word string) (Value, bool) {
	switch word {
	case "true", "false":
		return Bool(word == "true"), true
	case "nil":
		return Value{}, true
	case "ok", "error", "unset":
		return statusValue(word), true
	case "unspecified", "internal", "server", "client", "producer", "consumer":
		return kindValue(word), true
	case "minInt":
		return Int(math.MinInt64), true
	case "maxInt":
		return Int(math.MaxInt64), true
	}
	return Value{}, false
}

// exprType is what can be said of an expression's type before it is evaluated.
type exprType string

const (
	typeAny     exprType = "anything"
	typeBool    exprType = "a boolean"
	typeNumber  exprType = "a number"
	typeText    exprType = "a text"
	typeKeyword exprType = "a keyword"
	typeNothing exprType = "nil"
)

func typeOf(e Expr) exprType {
	switch e := e.(type) {
	case *Literal:
		return typeOfValue(e.Value)
	case *Field:
		return typeOfIntrinsic(e.Attribute.Intrinsic)
	case *Unary:
		if e.Op == OpNot {
			return typeBool
		}
		return typeNumber
	case *Binary:
		if e.Op.arithmetic() {
			return typeNumber
		}
		return typeBool
	default:
		return typeAny
	}
}

func typeOfValue(v Value) exprType {
	switch v.typ {
	case TypeNil:
		return typeNothing
	case TypeInt, TypeFloat, TypeDuration:
		return typeNumber
	case TypeString:
		return typeText
	case TypeBool:
		return typeBool
	default:
		return typeKeyword
	}
}

func typeOfIntrinsic(i Intrinsic) exprType {
	switch i {
	case NoIntrinsic:
		return typeAny
	case IntrinsicDuration, IntrinsicTraceDuration, IntrinsicNestedSetLeft, IntrinsicNestedSetRight,
		IntrinsicNestedSetParent, IntrinsicChildCount, IntrinsicEventTimeSinceStart:
		return typeNumber
	case IntrinsicStatus, IntrinsicKind:
		return typeKeyword
	default:
		return typeText
	}
}

// checkBinary refuses operators on what can never have the type they need, and prepares regular expressions.
func (p *parser) checkBinary(b *Binary) error {
	need := func(want exprType) error {
		for _, e := range []Expr{b.L, b.R} {
			if got := typeOf(e); got != typeAny && got != want {
				return p.errorf(b.pos, "'%s' needs %s on both sides, not %s", b.Op, want, got)
			}
		}
		return nil
	}
	switch {
	case b.Op == OpAnd || b.Op == OpOr:
		return need(typeBool)
	case b.Op.arithmetic():
		return need(typeNumber)
	case b.Op == OpMatch || b.Op == OpNotMatch:
		return p.prepareMatch(b)
	}
	if isNil(b.L) || isNil(b.R) {
		if b.Op != OpEqual && b.Op != OpNotEqual {
			return p.errorf(b.pos, "only = and != compare with nil")
		}
	}
	return nil
}

func isNil(e Expr) bool {
	l, ok := e.(*Literal)
	return ok && l.Value.IsNil()
}

func (p *parser) prepareMatch(b *Binary) error {
	l, ok := b.R.(*Literal)
	if !ok || l.Value.typ != TypeString {
		return p.errorf(b.R.at(), "a regular expression in quotes is expected behind %s", b.Op)
	}
	if err := p.regexps.Add(l.Value.text); err != nil {
		return p.errorf(l.pos, "%v", err)
	}
	re, err := regexp.Compile(anchored(l.Value.text))
	if err != nil {
		return p.errorf(l.pos, "%s is no regular expression (RE2): %v", l.Value, err)
	}
	b.re = re
	return nil
}

// anchored makes an expression match whole texts.
func anchored(pattern string) string { return "^(?s:" + pattern + ")$" }
