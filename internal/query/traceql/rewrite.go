package traceql

import (
	"strings"
)

// rewrite returns an expression of the same meaning that the store can filter better: that a span is a root is asked by
// its parent's id, as dashboards ask by its place among nested sets; ids are lower case.
func rewrite(e Expr) Expr {
	switch e := e.(type) {
	case *Unary:
		return &Unary{Op: e.Op, E: rewrite(e.E), pos: e.pos}
	case *Binary:
		if root, ok := asksForRoot(e); ok {
			op := OpNotEqual
			if root {
				op = OpEqual
			}
			return &Binary{Op: op, L: &Field{Attribute: Attribute{Scope: ScopeSpan, Intrinsic: IntrinsicParentID}}, R: &Literal{}}
		}
		if id, ok := lowerID(e); ok {
			return id
		}
		return &Binary{Op: e.Op, L: rewrite(e.L), R: rewrite(e.R), pos: e.pos, re: e.re}
	default:
		return e
	}
}

// asksForRoot tells whether a comparison of nestedSetParent holds for roots alone (-1), or for all others.
func asksForRoot(b *Binary) (root, ok bool) {
	f, l, op, ok := fieldAndLiteral(b)
	if !ok || f.Attribute.Intrinsic != IntrinsicNestedSetParent || l.Value.typ != TypeInt {
		return false, false
	}
	switch n := l.Value.Int(); {
	case op == OpLess && n == 0, op == OpEqual && n == -1, op == OpLessEqual && n == -1:
		return true, true
	case op == OpGreaterEqual && n == 0, op == OpNotEqual && n == -1, op == OpGreater && n == -1:
		return false, true
	}
	return false, false
}

func lowerID(b *Binary) (*Binary, bool) {
	f, ok := b.L.(*Field)
	l, isText := b.R.(*Literal)
	if !ok || !isText || l.Value.typ != TypeString || b.re != nil {
		return nil, false
	}
	switch f.Attribute.Intrinsic {
	case IntrinsicTraceID, IntrinsicSpanID, IntrinsicParentID, IntrinsicLinkTraceID, IntrinsicLinkSpanID:
		return &Binary{Op: b.Op, L: f, R: &Literal{Value: String(strings.ToLower(l.Value.text))}, pos: b.pos}, true
	}
	return nil, false
}

// needsTrace tells whether an expression looks at more than one span.
func needsTrace(e Expr) bool {
	needs := false
	walk(e, func(e Expr) {
		if f, ok := e.(*Field); ok {
			needs = needs || ofTrace(f.Attribute)
		}
	})
	return needs
}

// ofTrace tells whether an attribute is known when the whole trace is.
func ofTrace(a Attribute) bool {
	switch a.Intrinsic {
	case IntrinsicRootName, IntrinsicRootService, IntrinsicTraceDuration, IntrinsicNestedSetLeft, IntrinsicNestedSetRight,
		IntrinsicNestedSetParent, IntrinsicChildCount:
		return true
	}
	return a.Parent
}
