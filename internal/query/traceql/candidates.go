package traceql

import (
	"context"
	"slices"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// requirement is a condition that at least one span of a matching trace meets: one of its expressions holds. A nil
// expression holds for every span.
type requirement []Expr

// requirements returns those of a pipeline.
func requirements(stages []Stage) []requirement {
	var out []requirement
	for _, s := range stages {
		if set, ok := s.(Spanset); ok {
			out = append(out, requirementsOf(set)...)
		}
	}
	if len(out) == 0 {
		return []requirement{{nil}}
	}
	return out
}

func requirementsOf(set Spanset) []requirement {
	switch set := set.(type) {
	case *Filter:
		e := rewriteAll(set.E)
		return append([]requirement{{e}}, rootRequirements(e)...)
	case *Pipeline:
		return requirements(set.Stages)
	case *SpansetOp:
		l, r := requirementsOf(set.L), requirementsOf(set.R)
		switch {
		case set.Op == "||":
			return []requirement{slices.Concat(best(l), best(r))}
		case set.Op[0] == '!':
			return r
		default:
			return slices.Concat(l, r)
		}
	}
	return nil
}

// counted returns the requirements that every span meets which a pipeline ends with: each stage hands on spans that it was
// handed.
func counted(stages []Stage) []requirement {
	var out []requirement
	for _, s := range stages {
		if set, ok := s.(Spanset); ok {
			out = append(out, countedOf(set)...)
		}
	}
	return out
}

func countedOf(set Spanset) []requirement {
	switch set := set.(type) {
	case *Filter:
		return []requirement{{rewriteAll(set.E)}}
	case *Pipeline:
		return counted(set.Stages)
	case *SpansetOp:
		r := countedOf(set.R)
		if set.Op == "||" || set.Op[0] == '&' { // spans of both sides
			return []requirement{slices.Concat(best(countedOf(set.L)), best(r))}
		}
		return r
	}
	return nil
}

// rootRequirements turns what is asked of a trace's root into conditions on one span.
func rootRequirements(e Expr) []requirement {
	b, ok := e.(*Binary)
	if !ok {
		return nil
	}
	if b.Op == OpAnd {
		return append(rootRequirements(b.L), rootRequirements(b.R)...)
	}
	f, ok := b.L.(*Field)
	if !ok || b.Op != OpEqual && b.Op != OpMatch || isNil(b.R) {
		return nil
	}
	var of Attribute
	switch f.Attribute.Intrinsic {
	case IntrinsicRootName:
		of = Attribute{Intrinsic: IntrinsicName}
	case IntrinsicRootService:
		of = Attribute{Scope: ScopeResource, Name: "service.name"}
	default:
		return nil
	}
	root := &Binary{Op: OpEqual, L: &Field{Attribute: Attribute{Scope: ScopeSpan, Intrinsic: IntrinsicParentID}}, R: &Literal{}}
	return []requirement{{&Binary{Op: OpAnd, L: root, R: &Binary{Op: b.Op, L: &Field{Attribute: of}, R: b.R, re: b.re}}}}
}

// best returns the requirement that the store is likely to find the fewest spans for.
func best(rs []requirement) requirement {
	if len(rs) == 0 {
		return requirement{nil}
	}
	return slices.MaxFunc(rs, func(a, b requirement) int { return rarity(a.pushed().filter) - rarity(b.pushed().filter) })
}

func (q requirement) pushed() pushed {
	parts := make([]pushed, len(q))
	for i, e := range q {
		parts[i] = pushDown(e, false)
	}
	return joinPushed(false, parts...)
}

// rarity guesses how few spans a filter holds for.
func rarity(f store.Filter) int {
	switch f := f.(type) {
	case store.And:
		sum := 0
		for i, part := range f {
			if r := rarity(part); i == 0 || r > sum {
				sum = r
			}
		}
		return sum + len(f)
	case store.Or:
		least := 100
		for _, part := range f {
			least = min(least, rarity(part))
		}
		return least
	case store.Compare:
		switch {
		case f.Op == store.OpNe:
			return 2
		case f.Op != store.OpEq:
			return 8
		case f.Field == store.FieldStatus:
			return map[string]int{"error": 15}[f.Value.Text()] + 1
		case f.Field == store.FieldSpanKind || f.Field == store.FieldService || f.Field == store.FieldParentSpanID:
			return 6
		}
		return 20
	case store.In:
		return 18
	case store.Match:
		return 10
	case store.Exists:
		return 3
	case store.Not:
		return 1
	default:
		return 0
	}
}

// candidates reads, newest first, the traces with a span that meets a requirement, and hands their ids on in batches of the
// sizes that size says, with the time in which these spans lie. It ends when f returns false.
type candidates struct {
	run  *run
	need requirement
	at   signal.TimeRange
	size func() int
	f    func(ids []string, within signal.TimeRange) (more bool, err error)
	// groups, when not nil, finds the candidates.
	groups *groupFilter

	ids     []string
	within  signal.TimeRange
	seen    map[string]bool
	stopped bool
}

func (c *candidates) read(ctx context.Context) error {
	c.seen = map[string]bool{}
	if c.groups != nil {
		return c.inGroups(ctx, c.at)
	}
	schema := newSchema()
	var holds []condition
	for _, e := range c.need {
		if needsTrace(e) {
			holds = append(holds, func(*span) bool { return true }) // the trace will show
			continue
		}
		holds = append(holds, schema.condition(e))
	}
	p := c.need.pushed()
	fields := append([]string{store.FieldTraceID}, schema.fields...)
	if p.exact { // the store's word is enough
		fields, holds = fields[:1], nil
	}
	q := store.Select{
		Scope:  store.Scope{Kind: store.KindSpan, Time: c.at, Filter: p.filter},
		Fields: unique(fields), Order: store.NewestFirst,
	}
	err := c.run.each(ctx, q, func(row *store.Row) error {
		c.run.spans++
		if len(holds) > 0 {
			s := &span{start: row.Time, values: schema.read(row)}
			if !slices.ContainsFunc(holds, func(h condition) bool { return h(s) }) {
				return nil
			}
		}
		more, err := c.add(row.Text(store.FieldTraceID), signal.TimeRange{Start: row.Time, End: row.Time + 1})
		if err == nil && !more {
			c.stopped = true
			return errStop
		}
		return err
	})
	if err != nil || c.stopped {
		return err
	}
	return c.flush()
}

// flush hands on what there is.
func (c *candidates) flush() error {
	if len(c.ids) == 0 {
		return nil
	}
	more, err := c.f(c.ids, c.within)
	c.ids, c.within, c.stopped = nil, signal.TimeRange{}, !more
	return err
}

// add notes a candidate with the time of a span of it, and hands a full batch on.
func (c *candidates) add(id string, at signal.TimeRange) (more bool, err error) {
	if c.seen[id] || id == "" {
		return true, nil
	}
	if id, err = c.note(id); err != nil {
		return false, err
	}
	c.ids = append(c.ids, id)
	c.within = c.within.Include(at.Start).Include(at.End - 1)
	if len(c.ids) < c.size() {
		return true, nil
	}
	more, err = c.f(c.ids, c.within)
	c.ids, c.within = nil, signal.TimeRange{}
	return more, err
}

// note keeps that a trace was looked at, and returns the text that it keeps.
func (c *candidates) note(id string) (string, error) {
	id, err := c.run.texts.text(id)
	if err != nil {
		return "", err
	}
	c.seen[id] = true
	c.run.traces++
	return id, c.run.budget.take(len(id) + 40)
}
