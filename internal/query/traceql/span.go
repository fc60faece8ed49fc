package traceql

import (
	"cmp"
	"slices"
)

// span is a span of a trace with the values that a query looks at.
type span struct {
	trace             *trace
	id, parentID      string
	name, service     string
	status            string
	start, duration   int64
	values            []Value // by slot of the schema
	parent            *span
	left, right       int32 // nested sets, from 1
	nested            int32 // the parent's left; -1 for a root, 0 when the parent is not there
	children          int32
	firstChild, after *span // a list of the children
}

// trace is the spans of a trace.
type trace struct {
	id    string
	spans []*span
	// root is the first span without a parent; nil when it has not come.
	root       *span
	start, end int64
	// orphans counts spans whose parent is not there.
	orphans int
}

func (t *trace) rootName() string {
	if t.root == nil {
		return ""
	}
	return t.root.name
}

func (t *trace) rootService() string {
	if t.root == nil {
		return ""
	}
	return t.root.service
}

// arrange puts the spans in order of time, finds their parents and numbers them as nested sets.
func (t *trace) arrange() {
	slices.SortFunc(t.spans, func(a, b *span) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.id, b.id))
	})
	byID := make(map[string]*span, len(t.spans))
	for i, s := range t.spans {
		s.trace = t
		byID[s.id] = s
		if i == 0 {
			t.start, t.end = s.start, s.start
		}
		t.end = max(t.end, s.start+max(s.duration, 0))
	}
	for _, s := range slices.Backward(t.spans) { // so that the lists of children are in order
		if s.parentID == "" {
			s.nested = -1
			t.root = s
			continue
		}
		p := byID[s.parentID]
		if p == nil || p == s {
			t.orphans++
			continue
		}
		s.parent = p
		s.after, p.firstChild = p.firstChild, s
		p.children++
	}
	t.number()
}

// number numbers the trees. Spans that are each other's ancestors are in none and stay without numbers.
func (t *trace) number() {
	next := int32(1)
	for _, root := range t.spans {
		if root.parent != nil {
			continue
		}
		for s := root; s != nil; {
			if s.left == 0 {
				s.left = next
				next++
				if s.parent != nil {
					s.nested = s.parent.left
				}
				if s.firstChild != nil {
					s = s.firstChild
					continue
				}
			}
			s.right = next
			next++
			switch {
			case s == root:
				s = nil
			case s.after != nil:
				s = s.after
			default:
				s = s.parent
			}
		}
	}
}

// below tells whether s is a descendant of a.
func (s *span) below(a *span) bool { return a.left != 0 && a.left < s.left && s.right < a.right }
