package traceql

import (
	"slices"
	"strings"
)

// relation returns how a structural operator selects: of the spans on its right side those that stand in a relation to
// one on its left. Behind "!" those that stand in none; behind "&" the partners on the left side as well.
func relation(op string) func(left, right []*span) []*span {
	kind := strings.TrimLeft(op, "!&")
	switch op[0] {
	case '!':
		return func(left, right []*span) []*span {
			return pick(right, related(kind, left), false)
		}
	case '&':
		back := map[string]string{">": "<", "<": ">", ">>": "<<", "<<": ">>", "~": "~"}[kind]
		return func(left, right []*span) []*span {
			return union(pick(right, related(kind, left), true), pick(left, related(back, right), true))
		}
	default:
		return func(left, right []*span) []*span {
			if len(left) == 0 {
				return nil
			}
			return pick(right, related(kind, left), true)
		}
	}
}

func pick(spans []*span, holds func(*span) bool, want bool) []*span {
	var out []*span
	for _, s := range spans {
		if holds(s) == want {
			out = append(out, s)
		}
	}
	return out
}

// related returns whether a span is a child (>), descendant (>>), parent (<), ancestor (<<) or sibling (~) of one of others.
func related(kind string, others []*span) func(*span) bool {
	switch kind {
	case ">":
		in := setOf(others)
		return func(s *span) bool { return s.parent != nil && in[s.parent] }
	case "<":
		parents := make(map[*span]bool, len(others))
		for _, o := range others {
			parents[o.parent] = true
		}
		return func(s *span) bool { return parents[s] }
	case "~":
		// A span is no sibling of itself: two children of a parent make it true for both.
		children := make(map[*span]int, len(others))
		in := setOf(others)
		for _, o := range others {
			if o.parent != nil {
				children[o.parent]++
			}
		}
		return func(s *span) bool {
			n := children[s.parent]
			if in[s] {
				n--
			}
			return s.parent != nil && n > 0
		}
	case ">>":
		outer := outermost(others)
		return func(s *span) bool {
			// Of disjoint sets, the last that begins before s is the one that can hold it.
			i, _ := slices.BinarySearchFunc(outer, s, func(a, s *span) int { return int(a.left - s.left) })
			return s.left != 0 && i > 0 && s.below(outer[i-1])
		}
	default: // <<
		lefts := make([]int32, 0, len(others))
		for _, o := range others {
			if o.left != 0 {
				lefts = append(lefts, o.left)
			}
		}
		slices.Sort(lefts)
		return func(s *span) bool {
			i, _ := slices.BinarySearch(lefts, s.left+1)
			return s.left != 0 && i < len(lefts) && lefts[i] < s.right
		}
	}
}

func setOf(spans []*span) map[*span]bool {
	set := make(map[*span]bool, len(spans))
	for _, s := range spans {
		set[s] = true
	}
	return set
}

// outermost returns those spans that are below none of the others, by their place among nested sets.
func outermost(spans []*span) []*span {
	sorted := slices.DeleteFunc(slices.Clone(spans), func(s *span) bool { return s.left == 0 })
	slices.SortFunc(sorted, func(a, b *span) int { return int(a.left - b.left) })
	out := sorted[:0]
	for _, s := range sorted {
		if len(out) == 0 || !s.below(out[len(out)-1]) {
			out = append(out, s)
		}
	}
	return out
}
