package traceql

import (
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/mindscope/mindscope/internal/store"
)

// pushed is what the store is asked instead of an expression: a filter that holds for every span for which the
// expression does.
type pushed struct {
	filter store.Filter // nil: every span
	// exact says that it holds for no other.
	exact bool
}

func all() pushed  { return pushed{exact: true} }
func none() pushed { return pushed{filter: store.Or{}, exact: true} }

// some is a filter that holds for other spans as well.
func some(f store.Filter) pushed { return pushed{filter: f} }

func exactly(f store.Filter) pushed { return pushed{filter: f, exact: true} }

// pushDown returns the filter of an expression that is true or false for a span, of its contrary when negated. Parts that
// need more than the span's own fields hold for every span.
func pushDown(e Expr, negated bool) pushed {
	switch e := e.(type) {
	case nil:
		return truth(!negated)
	case *Literal:
		return truth(e.Value.True() != negated)
	case *Field:
		if negated {
			return some(nil) // false, absent or no boolean
		}
		return pushBool(e, true)
	case *Unary:
		switch {
		case e.Op != OpNot:
			return truth(negated)
		case !negated:
			return pushFalse(e.E)
		case mayBeNil(e.E):
			return some(nil)
		default:
			return pushDown(e.E, false)
		}
	case *Binary:
		switch {
		case e.Op == OpAnd, e.Op == OpOr:
			return joinPushed((e.Op == OpAnd) != negated, pushDown(e.L, negated), pushDown(e.R, negated))
		case e.Op.comparison():
			p := pushComparison(e)
			if !negated {
				return p
			}
			return p.not()
		}
	}
	return some(nil)
}

func truth(yes bool) pushed {
	if yes {
		return all()
	}
	return none()
}

// pushFalse pushes that an expression is false, which what is absent or no boolean is not.
func pushFalse(e Expr) pushed {
	switch e := e.(type) {
	case *Field:
		return pushBool(e, false)
	case *Unary:
		if e.Op == OpNot {
			return pushDown(e.E, false)
		}
		return none()
	case *Literal:
		return truth(e.Value.typ == TypeBool && !e.Value.True())
	default:
		return pushDown(e, true)
	}
}

// mayBeNil tells whether a boolean expression may be neither true nor false.
func mayBeNil(e Expr) bool {
	switch e := e.(type) {
	case *Binary:
		return e.Op.arithmetic()
	case *Unary:
		return mayBeNil(e.E)
	case *Literal:
		return e.Value.typ != TypeBool
	default:
		return true
	}
}

// pushBool pushes an attribute that is itself the condition.
func pushBool(f *Field, want bool) pushed {
	srcs := sources(f.Attribute)
	if srcs == nil {
		return some(nil)
	}
	return firstOf(srcs, func(s source) pushed {
		return pushed{filter: store.Eq(s.field, Bool(want).Text()), exact: s.typ == boolType}
	})
}

// not is the contrary, which is known of exact filters only.
func (p pushed) not() pushed {
	switch {
	case !p.exact:
		return some(nil)
	case p.filter == nil:
		return none()
	}
	if or, ok := p.filter.(store.Or); ok && len(or) == 0 {
		return all()
	}
	return exactly(store.Not{Filter: p.filter})
}

// joinPushed makes an and or an or of parts.
func joinPushed(and bool, parts ...pushed) pushed {
	out := pushed{exact: true}
	var filters []store.Filter
	for _, p := range parts {
		out.exact = out.exact && p.exact
		or, isOr := p.filter.(store.Or)
		never := isOr && len(or) == 0
		switch {
		case and && never:
			return none()
		case !and && p.filter == nil:
			return pushed{exact: p.exact && out.exact}
		case and && p.filter == nil, !and && never:
			continue
		}
		if and {
			if inner, ok := p.filter.(store.And); ok {
				filters = append(filters, inner...)
				continue
			}
		} else if isOr {
			filters = append(filters, or...)
			continue
		}
		filters = append(filters, p.filter)
	}
	switch {
	case len(filters) == 1:
		out.filter = filters[0]
	case len(filters) == 0 && !and:
		out.filter = store.Or{}
	case len(filters) == 0:
	case and:
		// The store looks at later conditions where the earlier ones hold.
		slices.SortStableFunc(filters, func(a, b store.Filter) int { return effort(a) - effort(b) })
		out.filter = store.And(filters)
	default:
		out.filter = store.Or(filters)
	}
	return out
}

// effort says which of two conditions takes the store longer: it knows the bounds and the words of blocks, but that a
// field is absent, or matches an expression, it finds out value by value.
func effort(f store.Filter) int {
	switch f := f.(type) {
	case store.Compare:
		return map[bool]int{true: 2}[f.Op == store.OpNe || f.Value.Text() == ""]
	case store.In:
		return 0
	case store.Exists:
		return 1
	case store.And:
		return 1
	case store.Match:
		return 3
	default:
		return 2
	}
}

// firstOf pushes a condition on the first of several fields that is there.
func firstOf(srcs []source, push func(source) pushed) pushed {
	first := push(srcs[0])
	if len(srcs) == 1 {
		return first
	}
	second := push(srcs[1])
	if first.exact && second.exact {
		second = joinPushed(true, exactly(store.Not{Filter: store.Exists{Field: srcs[0].field}}), second)
	}
	return joinPushed(false, first, second)
}

func pushComparison(b *Binary) pushed {
	f, l, op, ok := fieldAndLiteral(b)
	if !ok {
		return pushPresence(b)
	}
	if isCost(f.Attribute) {
		return pushCost(op, l.Value)
	}
	srcs := sources(f.Attribute)
	if srcs == nil {
		return some(nil)
	}
	if l.Value.IsNil() {
		return pushNil(srcs, op)
	}
	return firstOf(srcs, func(s source) pushed { return pushOne(s, f.Attribute, op, l.Value, b.re) })
}

// fieldAndLiteral parts a comparison of an attribute with a constant, in whichever order they stand.
func fieldAndLiteral(b *Binary) (*Field, *Literal, Op, bool) {
	if f, ok := b.L.(*Field); ok {
		if v, ok := constant(b.R); ok {
			return f, &Literal{Value: v}, b.Op, true
		}
	}
	if f, ok := b.R.(*Field); ok {
		if v, ok := constant(b.L); ok {
			return f, &Literal{Value: v}, b.Op.flipped(), true
		}
	}
	return nil, nil, "", false
}

// constant evaluates an expression without attributes.
func constant(e Expr) (Value, bool) {
	switch e := e.(type) {
	case *Literal:
		return e.Value, true
	case *Unary:
		v, ok := constant(e.E)
		if !ok || e.Op != OpSub {
			return Value{}, false
		}
		return negative(v), true
	case *Binary:
		l, ok := constant(e.L)
		if !ok || !e.Op.arithmetic() {
			return Value{}, false
		}
		r, ok := constant(e.R)
		return arithmetic(e.Op, l, r), ok
	default:
		return Value{}, false
	}
}

// pushPresence is for comparisons of attributes with each other and of what is computed: all must be there, unless nil is
// asked for. A condition on either side is false, not absent, where its attributes are.
func pushPresence(b *Binary) pushed {
	if isNil(b.L) || isNil(b.R) || !absentWithout(b.L) || !absentWithout(b.R) {
		return some(nil)
	}
	var parts []pushed
	walk(b, func(e Expr) {
		f, ok := e.(*Field)
		if !ok {
			return
		}
		if srcs := sources(f.Attribute); srcs != nil && !srcs[0].always {
			there := pushNil(srcs, OpNotEqual)
			parts = append(parts, some(there.filter))
		}
	})
	if len(parts) == 0 {
		return some(nil)
	}
	p := joinPushed(true, parts...)
	p.exact = false
	return p
}

// absentWithout tells whether an expression has no value where one of its attributes has none.
func absentWithout(e Expr) bool {
	switch e := e.(type) {
	case *Unary:
		return e.Op == OpSub && absentWithout(e.E)
	case *Binary:
		return e.Op.arithmetic() && absentWithout(e.L) && absentWithout(e.R)
	default:
		return true
	}
}

// walk calls f with an expression and all in it.
func walk(e Expr, f func(Expr)) {
	if e == nil {
		return
	}
	f(e)
	switch e := e.(type) {
	case *Unary:
		walk(e.E, f)
	case *Binary:
		walk(e.L, f)
		walk(e.R, f)
	}
}

func pushNil(srcs []source, op Op) pushed {
	if srcs[0].always {
		return truth(op == OpNotEqual)
	}
	there := make([]pushed, len(srcs))
	for i, s := range srcs {
		there[i] = exactly(store.Exists{Field: s.field})
	}
	p := joinPushed(false, there...)
	if op == OpEqual {
		return p.not()
	}
	return p
}

// pushOne pushes the comparison of one field with a constant.
func pushOne(s source, a Attribute, op Op, v Value, re *regexp.Regexp) pushed {
	if a.Intrinsic == IntrinsicStatus || a.Intrinsic == IntrinsicKind {
		return pushKeyword(s, a, op, v)
	}
	switch v.typ {
	case TypeString:
		if s.typ == intType || s.typ == boolType {
			return none()
		}
		return pushText(s, op, v.text, re)
	case TypeInt, TypeFloat, TypeDuration:
		if s.typ == textType || s.typ == boolType {
			return none()
		}
		return pushNumber(s, op, v)
	case TypeBool:
		if s.typ == textType || s.typ == intType {
			return none()
		}
		if op != OpEqual && op != OpNotEqual {
			return none()
		}
		want := Bool(v.True() == (op == OpEqual))
		return pushed{filter: store.Eq(s.field, want.Text()), exact: s.typ == boolType}
	default: // keywords are no attribute's value
		return none()
	}
}

func pushKeyword(s source, a Attribute, op Op, v Value) pushed {
	if (a.Intrinsic == IntrinsicStatus) != (v.typ == TypeStatus) || v.typ != TypeStatus && v.typ != TypeKind {
		if op == OpMatch || op == OpNotMatch {
			return some(nil) // regular expressions look at the word
		}
		return none()
	}
	switch op {
	case OpEqual:
		return exactly(store.Eq(s.field, v.text))
	case OpNotEqual:
		return exactly(store.Compare{Field: s.field, Op: store.OpNe, Value: store.String(v.text)})
	default:
		return none()
	}
}

func pushText(s source, op Op, text string, re *regexp.Regexp) pushed {
	known := s.typ == textType || !otherTypes(text)
	switch op {
	case OpEqual:
		if text == "" && !s.always {
			return none()
		}
		return pushed{filter: oneOf(s, text), exact: known}
	case OpNotEqual:
		if text == "" {
			return pushed{filter: store.Exists{Field: s.field}, exact: s.typ == textType}
		}
		if s.typ != textType && strings.HasPrefix(text, "[") {
			return some(s.present(nil)) // it may be the text of a list, which counts as what is in it
		}
		return pushed{filter: s.present(store.Not{Filter: oneOf(s, text)}), exact: s.typ == textType}
	case OpMatch:
		return pushMatch(s, text, re)
	case OpNotMatch:
		p := pushMatch(s, text, re)
		if p.exact && s.typ == textType {
			return exactly(s.present(store.Not{Filter: p.filter}))
		}
		return some(s.present(nil))
	default:
		return some(s.present(nil))
	}
}

// present adds to a filter that the field is there, where it may not be.
func (s source) present(f store.Filter) store.Filter {
	switch {
	case s.always:
		return f
	case f == nil:
		return store.Exists{Field: s.field}
	default:
		return store.And{store.Exists{Field: s.field}, f}
	}
}

// oneOf holds for the texts, and for lists of one of them alone.
func oneOf(s source, texts ...string) store.Filter {
	if s.typ == textType {
		if len(texts) == 1 {
			return store.Eq(s.field, texts[0])
		}
		return store.In{Field: s.field, Values: texts}
	}
	in := store.In{Field: s.field}
	for _, t := range texts {
		in.Values = append(in.Values, t, listOf(t))
	}
	return in
}

// otherTypes tells whether a value of another type may have this text.
func otherTypes(text string) bool {
	if text == "true" || text == "false" {
		return true
	}
	_, number := store.String(text).Number()
	return number || strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{")
}

// pushMatch pushes a regular expression: as texts when it lists them, as the builder of Grafana does.
func pushMatch(s source, pattern string, re *regexp.Regexp) pushed {
	if texts, ok := alternatives(pattern); ok {
		known := s.typ == textType
		if !known {
			known = true
			for _, t := range texts {
				known = known && !otherTypes(t)
			}
		}
		return pushed{filter: oneOf(s, texts...), exact: known}
	}
	if re == nil {
		return some(nil)
	}
	if s.typ == textType {
		m := store.Match{Field: s.field, Pattern: re.String()}
		if s.always || !re.MatchString("") {
			return exactly(m)
		}
		return exactly(s.present(m))
	}
	// Lists are looked at afterwards.
	return some(s.present(store.Match{Field: s.field, Pattern: re.String() + `|^\["`}))
}

// alternatives returns the texts of an expression like a|b|c.
func alternatives(pattern string) ([]string, bool) {
	var out []string
	for part := range strings.SplitSeq(pattern, "|") {
		re, err := syntax.Parse(part, syntax.Perl)
		if err != nil {
			return nil, false
		}
		re = re.Simplify()
		if re.Op != syntax.OpLiteral || re.Flags&syntax.FoldCase != 0 {
			return nil, false
		}
		out = append(out, string(re.Rune))
	}
	return out, len(out) > 0
}

func pushNumber(s source, op Op, v Value) pushed {
	known := s.typ == intType
	n, _ := v.Number()
	number := store.Double(n)
	if v.typ != TypeFloat {
		number = store.Int(v.Int())
	}
	switch op {
	case OpEqual:
		return pushed{filter: store.Compare{Field: s.field, Op: store.OpEq, Value: number}, exact: known}
	case OpNotEqual:
		f := store.Compare{Field: s.field, Op: store.OpNe, Value: number}
		return pushed{filter: s.present(f), exact: known}
	case OpLess, OpLessEqual, OpGreater, OpGreaterEqual:
		return pushed{filter: store.Compare{Field: s.field, Op: store.Op(op), Value: number}, exact: known}
	default: // regular expressions look at texts
		return none()
	}
}

// isCost tells whether an attribute is the cost in dollars, which is computed from two columns.
func isCost(a Attribute) bool {
	return a.Name == costAttribute && (a.Scope == ScopeNone || a.Scope == ScopeSpan) && !a.Parent
}

func pushCost(op Op, v Value) pushed {
	there := store.Exists{Field: store.FieldCostMicro}
	n, ok := v.Number()
	if !ok {
		if v.IsNil() && op == OpEqual {
			return exactly(store.Not{Filter: there})
		}
		return some(there)
	}
	micro := n * 1e6
	switch op {
	case OpGreater, OpGreaterEqual:
		return some(store.Compare{Field: store.FieldCostMicro, Op: store.OpGe, Value: store.Double(math.Floor(micro) - 1)})
	case OpLess, OpLessEqual:
		return some(store.Compare{Field: store.FieldCostMicro, Op: store.OpLe, Value: store.Double(math.Ceil(micro) + 1)})
	default:
		return some(there)
	}
}
