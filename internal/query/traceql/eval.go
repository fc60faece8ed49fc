package traceql

import (
	"cmp"
	"slices"
)

// Pair is a name with a value.
type Pair struct {
	Key   string
	Value Value
}

// spanset is spans of one trace, in order of time, with what stages found out about them.
type spanset struct {
	spans []*span
	attrs []Pair
}

// stage works on the spansets of a trace.
type stage func([]spanset) []spanset

// pipeline compiles stages to one.
func (s *schema) pipeline(stages []Stage) stage {
	var compiled []stage
	for _, st := range stages {
		if c := s.stage(st); c != nil {
			compiled = append(compiled, c)
		}
	}
	return func(sets []spanset) []spanset {
		for _, c := range compiled {
			if len(sets) == 0 {
				return nil
			}
			sets = c(sets)
		}
		return sets
	}
}

func (s *schema) stage(st Stage) stage {
	switch st := st.(type) {
	case *Filter:
		return eachSet(s.filter(st))
	case *SpansetOp:
		return eachSet(s.operation(st))
	case *Pipeline:
		return s.pipeline(st.Stages)
	case *GroupBy:
		return s.group(st)
	case Coalesce:
		return coalesce
	case *ScalarFilter:
		return s.scalarFilter(st)
	default: // what select() adds is added when the answer is written
		return nil
	}
}

// selector selects spans of a spanset.
type selector func(spanset) []*span

// eachSet applies a selector to each spanset, and drops those of which nothing is left.
func eachSet(sel selector) stage {
	return func(sets []spanset) []spanset {
		out := sets[:0:0]
		for _, set := range sets {
			if spans := sel(set); len(spans) > 0 {
				out = append(out, spanset{spans: spans, attrs: set.attrs})
			}
		}
		return out
	}
}

func (s *schema) filter(f *Filter) selector {
	holds := s.condition(rewriteAll(f.E))
	return func(set spanset) []*span {
		var out []*span
		for _, sp := range set.spans {
			if holds(sp) {
				out = append(out, sp)
			}
		}
		return out
	}
}

func rewriteAll(e Expr) Expr {
	if e == nil {
		return nil
	}
	return rewrite(e)
}

func (s *schema) operation(o *SpansetOp) selector {
	l, r := s.selector(o.L), s.selector(o.R)
	switch o.Op {
	case "&&":
		return func(set spanset) []*span {
			a := l(set)
			if len(a) == 0 {
				return nil
			}
			b := r(set)
			if len(b) == 0 {
				return nil
			}
			return union(a, b)
		}
	case "||":
		return func(set spanset) []*span { return union(l(set), r(set)) }
	}
	related := relation(o.Op)
	return func(set spanset) []*span { return related(l(set), r(set)) }
}

func (s *schema) selector(set Spanset) selector {
	switch set := set.(type) {
	case *Filter:
		return s.filter(set)
	case *SpansetOp:
		return s.operation(set)
	}
	run := s.stage(set)
	return func(in spanset) []*span {
		var out []*span
		for _, set := range run([]spanset{in}) {
			out = union(out, set.spans)
		}
		return out
	}
}

// union joins spans of one trace, in order of time, each once.
func union(a, b []*span) []*span {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	out := slices.Concat(a, b)
	slices.SortFunc(out, inTime)
	return slices.Compact(out)
}

func inTime(a, b *span) int {
	return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.id, b.id), cmp.Compare(a.left, b.left))
}

// group parts spansets by the values of expressions. Spans without any of them are left out.
func (s *schema) group(g *GroupBy) stage {
	gets := make([]getter, len(g.By))
	for i, e := range g.By {
		gets[i] = s.expr(e)
	}
	return func(sets []spanset) []spanset {
		var out []spanset
		for _, set := range sets {
			places := map[string]int{}
			for _, sp := range set.spans {
				attrs, key, ok := groupOf(g, gets, sp)
				if !ok {
					continue
				}
				at, known := places[key]
				if !known {
					at = len(out)
					places[key] = at
					out = append(out, spanset{attrs: slices.Concat(set.attrs, attrs)})
				}
				out[at].spans = append(out[at].spans, sp)
			}
		}
		return out
	}
}

func groupOf(g *GroupBy, gets []getter, sp *span) (attrs []Pair, key string, ok bool) {
	for i, get := range gets {
		v := get(sp)
		ok = ok || !v.IsNil()
		attrs = append(attrs, Pair{"by(" + g.By[i].String() + ")", v})
		key += v.String() + "\x00" + v.typ.String() + "\x00"
	}
	return attrs, key, ok
}

func coalesce(sets []spanset) []spanset {
	var all []*span
	for _, set := range sets {
		all = union(all, set.spans)
	}
	return []spanset{{spans: all}}
}

// scalar evaluates a number for a spanset.
type scalar func(spanset) Value

func (s *schema) scalarFilter(f *ScalarFilter) stage {
	l, r := s.scalar(f.L), s.scalar(f.R)
	return func(sets []spanset) []spanset {
		out := sets[:0:0]
		for _, set := range sets {
			a, b := l(set), r(set)
			if !compare(f.Op, a, b) {
				continue
			}
			for _, side := range []struct {
				of Scalar
				v  Value
			}{{f.L, a}, {f.R, b}} {
				if _, constant := side.of.(*Literal); !constant {
					set.attrs = append(slices.Clip(set.attrs), Pair{side.of.String(), side.v})
				}
			}
			out = append(out, set)
		}
		return out
	}
}

func (s *schema) scalar(sc Scalar) scalar {
	switch sc := sc.(type) {
	case *Aggregate:
		return s.aggregate(sc)
	case *ScalarOp:
		l, r := s.scalar(sc.L), s.scalar(sc.R)
		return func(set spanset) Value { return arithmetic(sc.Op, l(set), r(set)) }
	case *ScalarPipeline:
		run, of := s.pipeline(sc.Stages), s.scalar(sc.Scalar)
		return func(set spanset) Value {
			if len(set.spans) == 0 { // of no trace
				return of(spanset{})
			}
			sets := run([]spanset{{spans: set.spans[0].trace.spans}})
			if len(sets) == 0 {
				return of(spanset{})
			}
			return of(coalesce(sets)[0])
		}
	case *Literal:
		return func(spanset) Value { return sc.Value }
	default:
		return func(spanset) Value { return Value{} }
	}
}

func (s *schema) aggregate(a *Aggregate) scalar {
	if a.Func == "count" {
		return func(set spanset) Value { return Int(int64(len(set.spans))) }
	}
	get := s.expr(rewriteAll(a.E))
	return func(set spanset) Value {
		var sum, lowest, highest Value
		n := int64(0)
		for _, sp := range set.spans {
			v := get(sp)
			if _, ok := v.Number(); !ok {
				continue
			}
			if n++; n == 1 {
				sum, lowest, highest = v, v, v
				continue
			}
			sum = arithmetic(OpAdd, sum, v)
			if compare(OpLess, v, lowest) {
				lowest = v
			}
			if compare(OpGreater, v, highest) {
				highest = v
			}
		}
		switch {
		case n == 0:
			return Value{}
		case a.Func == "min":
			return lowest
		case a.Func == "max":
			return highest
		case a.Func == "sum":
			return sum
		default:
			return arithmetic(OpDiv, sum, Int(n))
		}
	}
}
