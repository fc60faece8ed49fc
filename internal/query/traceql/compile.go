package traceql

import (
	"slices"
	"time"

	"github.com/mindscope/mindscope/internal/store"
)

// getter evaluates an expression for a span, condition one that is true or false.
type (
	getter    func(*span) Value
	condition func(*span) bool
)

// schema is the attributes that a query looks at, and how they are read from a span's row.
type schema struct {
	slots   map[Attribute]int
	readers []func(*store.Row) Value
	fields  []string
}

func newSchema() *schema { return &schema{slots: map[Attribute]int{}} }

// read fills the values of a span from its row.
func (s *schema) read(r *store.Row) []Value {
	if len(s.readers) == 0 {
		return nil
	}
	values := make([]Value, len(s.readers))
	for i, read := range s.readers {
		values[i] = read(r)
	}
	return values
}

func (s *schema) need(fields ...string) {
	for _, f := range fields {
		if !slices.Contains(s.fields, f) {
			s.fields = append(s.fields, f)
		}
	}
}

// slot returns the number of an attribute that is read from a row.
func (s *schema) slot(a Attribute) int {
	a.Parent = false
	k := a.key()
	if i, ok := s.slots[k]; ok {
		return i
	}
	i := len(s.readers)
	s.slots[k] = i
	s.readers = append(s.readers, s.reader(a))
	return i
}

func (s *schema) reader(a Attribute) func(*store.Row) Value {
	if isCost(a) {
		s.need(store.FieldCostMicro, store.FieldCostRest)
		return costOf
	}
	if field := listField(a); field != "" {
		s.need(field)
		return listReader(a)
	}
	srcs := sources(a)
	for _, src := range srcs {
		s.need(src.field)
	}
	return func(r *store.Row) Value {
		for _, src := range srcs {
			if v := src.read(r.Get(src.field)); !v.IsNil() {
				return v
			}
		}
		return Value{}
	}
}

func costOf(r *store.Row) Value {
	micro := r.Get(store.FieldCostMicro)
	if micro.Type() != store.TypeInt {
		return Value{}
	}
	return Float(float64(micro.Int())/1e6 + float64(r.Get(store.FieldCostRest).Int())/1e12)
}

// field compiles an attribute.
func (s *schema) field(a Attribute) getter {
	if get := ofWholeTrace(a.Intrinsic); get != nil {
		return get
	}
	i := s.slot(a)
	if !a.Parent {
		return func(sp *span) Value { return sp.values[i] }
	}
	return func(sp *span) Value {
		if sp.parent == nil {
			return Value{}
		}
		return sp.parent.values[i]
	}
}

func ofWholeTrace(i Intrinsic) getter {
	switch i {
	case IntrinsicRootName:
		return func(s *span) Value { return textValue(s.trace.rootName()) }
	case IntrinsicRootService:
		return func(s *span) Value { return textValue(s.trace.rootService()) }
	case IntrinsicTraceDuration:
		return func(s *span) Value { return Duration(time.Duration(s.trace.end - s.trace.start)) }
	case IntrinsicNestedSetLeft:
		return func(s *span) Value { return Int(int64(s.left)) }
	case IntrinsicNestedSetRight:
		return func(s *span) Value { return Int(int64(s.right)) }
	case IntrinsicNestedSetParent:
		return func(s *span) Value { return Int(int64(s.nested)) }
	case IntrinsicChildCount:
		return func(s *span) Value { return Int(int64(s.children)) }
	default:
		return nil
	}
}

// expr compiles an expression.
func (s *schema) expr(e Expr) getter {
	switch e := e.(type) {
	case *Literal:
		return func(*span) Value { return e.Value }
	case *Field:
		return s.field(e.Attribute)
	case *Unary:
		if e.Op == OpNot {
			return s.not(e.E)
		}
		get := s.expr(e.E)
		return func(sp *span) Value { return negative(get(sp)) }
	case *Binary:
		if e.Op.arithmetic() {
			l, r := s.expr(e.L), s.expr(e.R)
			return func(sp *span) Value { return arithmetic(e.Op, l(sp), r(sp)) }
		}
		c := s.condition(e)
		return func(sp *span) Value { return Bool(c(sp)) }
	default:
		return func(*span) Value { return Value{} }
	}
}

// not is nil for what is no boolean.
func (s *schema) not(e Expr) getter {
	get := s.expr(e)
	return func(sp *span) Value {
		v := get(sp)
		if v.typ != TypeBool {
			return Value{}
		}
		return Bool(!v.True())
	}
}

// condition compiles what is true or false; nil holds always.
func (s *schema) condition(e Expr) condition {
	if e == nil {
		return func(*span) bool { return true }
	}
	b, ok := e.(*Binary)
	if !ok || b.Op.arithmetic() {
		get := s.expr(e)
		return func(sp *span) bool { return get(sp).True() }
	}
	switch b.Op {
	case OpAnd:
		l, r := s.condition(b.L), s.condition(b.R)
		return func(sp *span) bool { return l(sp) && r(sp) }
	case OpOr:
		l, r := s.condition(b.L), s.condition(b.R)
		return func(sp *span) bool { return l(sp) || r(sp) }
	case OpMatch, OpNotMatch:
		l, re, negated := s.expr(b.L), b.re, b.Op == OpNotMatch
		return func(sp *span) bool { return matches(l(sp), re, negated) }
	}
	if isNil(b.L) || isNil(b.R) {
		return s.presence(b)
	}
	l, r := s.expr(b.L), s.expr(b.R)
	return func(sp *span) bool { return compare(b.Op, l(sp), r(sp)) }
}

func (s *schema) presence(b *Binary) condition {
	e := b.L
	if isNil(e) {
		e = b.R
	}
	get, absent := s.expr(e), b.Op == OpEqual
	return func(sp *span) bool { return get(sp).IsNil() == absent }
}
