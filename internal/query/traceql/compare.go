package traceql

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	metaLabel  = "__meta_type"
	errorLabel = "__meta_error"
	tooMany    = "__too_many_values__"

	usualTop = 10
	// comparedAttributes bounds the attributes that are compared, those that most spans have.
	comparedAttributes = 60
	// comparedValues bounds the values of one: beyond it, it tells spans apart and says nothing about groups of them.
	comparedValues = 1000
	// comparedText is the longest text that is compared. Contents of messages are longer.
	comparedText = 128
	// comparedSample is how many spans are looked at to find the attributes.
	comparedSample = 200
)

// compare counts the values of every attribute, apart for the spans that compare() selects and for the others.
func (m *measuring) compare(ctx context.Context, r *run, q *MetricsQuery) ([]Series, error) {
	filters, plain := onlyFilters(q.Stages)
	selected := rewriteAll(q.Compare.Selection.E)
	c := &comparison{m: m, q: q.Compare, selected: r.schema.condition(selected)}
	attrs, err := m.comparable(ctx, r, filters, plain)
	if err != nil {
		return nil, err
	}
	for _, a := range attrs {
		at := &compared{attribute: a, get: r.schema.field(a)}
		for side := range at.values {
			at.values[side] = map[string]*comparedValue{}
			at.totals[side] = make([]float64, m.steps.n)
		}
		c.attributes = append(c.attributes, at)
		if err := c.take(2 * (8 + pointBytes) * m.steps.n); err != nil {
			return nil, err
		}
	}
	if !plain || needsTraceAny(q, append(filters, selected)) {
		err = m.fromTraces(ctx, r, q, c)
	} else {
		err = m.fromRows(ctx, r, filters, false, c)
	}
	if err != nil {
		return nil, err
	}
	return c.series(), nil
}

// comparable returns the attributes that some of the newest spans have, unless their texts are long.
func (m *measuring) comparable(ctx context.Context, r *run, filters []Expr, plain bool) ([]Attribute, error) {
	p := all()
	for _, e := range filters {
		if plain {
			p = joinPushed(true, p, pushDown(e, false))
		}
	}
	counts := map[string]uint64{}
	long := map[string]bool{}
	ask := store.Select{
		Scope: store.Scope{Kind: store.KindSpan, Time: m.req.Time, Filter: p.filter},
		Order: store.NewestFirst, Limit: comparedSample,
	}
	err := r.each(ctx, ask, func(row *store.Row) error {
		for _, f := range row.Fields {
			counts[f.Name]++
			long[f.Name] = long[f.Name] || len(f.Value.Text()) > comparedText
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := []Attribute{
		{Intrinsic: IntrinsicName},
		{Intrinsic: IntrinsicStatus},
		{Intrinsic: IntrinsicKind},
		{Scope: ScopeResource, Name: conv.ServiceName},
	}
	for _, count := range store.SortCounts(counts, 0) {
		a, ok := attributeOfField(count.Text)
		if ok && !long[count.Text] && len(out) < comparedAttributes {
			out = append(out, a)
		}
	}
	return out, nil
}

// attributeOfField returns the attribute that a store's field holds.
func attributeOfField(field string) (Attribute, bool) {
	if name, ok := strings.CutPrefix(field, store.PrefixAttr); ok {
		return Attribute{Scope: ScopeSpan, Name: name}, name != ""
	}
	if name, ok := strings.CutPrefix(field, store.PrefixResource); ok {
		return Attribute{Scope: ScopeResource, Name: name}, name != "" && name != conv.ServiceName
	}
	if store.IsColumn(field) && field != store.FieldCostParts {
		return Attribute{Scope: ScopeSpan, Name: columnPrefix + field}, true
	}
	return Attribute{}, false
}

// comparison counts the spans of both sides: 0 is the baseline, 1 the selection.
type comparison struct {
	m          *measuring
	q          *Compare
	selected   condition
	attributes []*compared
	bytes      int
}

type compared struct {
	attribute Attribute
	get       getter
	values    [2]map[string]*comparedValue
	totals    [2][]float64
	tooMany   bool
}

type comparedValue struct {
	value  Value
	counts []float64
	sum    float64
}

func (c *comparison) take(n int) error {
	c.bytes += n
	return c.m.budget.take(n)
}

func (c *comparison) taken() int {
	n := c.bytes
	c.bytes = 0
	return n
}

func (c *comparison) add(s *span, _ func() string) error {
	side := 0
	if (!c.q.full || s.start >= c.q.Start && s.start < c.q.End) && c.selected(s) {
		side = 1
	}
	step := c.m.steps.of(s.start)
	var key []byte
	for _, a := range c.attributes {
		v := a.get(s)
		if v.IsNil() {
			continue
		}
		a.totals[side][step]++
		if a.tooMany {
			continue
		}
		key = appendKey(key[:0], v)
		known := a.values[side][string(key)]
		if known == nil {
			if len(a.values[side]) >= comparedValues {
				a.tooMany = true
				continue
			}
			v.text = strings.Clone(v.text)
			known = &comparedValue{value: v, counts: make([]float64, c.m.steps.n)}
			a.values[side][string(key)] = known
			if err := c.take((8+pointBytes)*c.m.steps.n + 2*len(v.text) + 200); err != nil {
				return err
			}
		}
		known.counts[step]++
		known.sum++
	}
	return nil
}

// series returns the most frequent values of each attribute on each side, and the totals.
func (c *comparison) series() []Series {
	var out []Series
	top := cmp.Or(c.q.TopN, usualTop)
	for side, name := range []string{"baseline", "selection"} {
		meta := Pair{metaLabel, String(name)}
		for _, a := range c.attributes {
			key := a.attribute.String()
			if a.tooMany {
				out = append(out, Series{Labels: []Pair{meta, {errorLabel, String(tooMany)}, {key, Value{}}}, Samples: []Sample{{c.m.steps.time(0), 0}}})
				continue
			}
			values := make([]*comparedValue, 0, len(a.values[side]))
			for _, v := range a.values[side] {
				values = append(values, v)
			}
			slices.SortFunc(values, func(x, y *comparedValue) int {
				return cmp.Or(cmp.Compare(y.sum, x.sum), strings.Compare(x.value.Text(), y.value.Text()))
			})
			for _, v := range values[:min(top, len(values))] {
				out = append(out, Series{Labels: []Pair{meta, {key, v.value}}, Samples: c.samples(v.counts)})
			}
			if total := c.samples(a.totals[side]); len(values) > 0 {
				out = append(out, Series{Labels: []Pair{{metaLabel, String(name + "_total")}, {key, Value{}}}, Samples: total})
			}
		}
	}
	return out
}

func (c *comparison) samples(counts []float64) []Sample {
	out := make([]Sample, len(counts))
	for i, n := range counts {
		out[i] = Sample{c.m.steps.time(i), n}
	}
	return out
}
