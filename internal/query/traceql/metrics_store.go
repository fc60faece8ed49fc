package traceql

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// maxGroups bounds the groups, series times steps, that the store is asked for at once.
const maxGroups = 300_000

// groupBytes is about what one of them takes.
const groupBytes = 200

// fromStore lets the store aggregate, when it understands all of the query: the filter exactly, the groups, and what is
// measured is a column of integers. It returns false when it does not.
func (m *measuring) fromStore(ctx context.Context, r *run, q *MetricsQuery, filters []Expr, acc *seriesSet) (bool, error) {
	p := all()
	for _, e := range filters {
		p = joinPushed(true, p, pushDown(e, false))
	}
	columns, ok := storeColumns(q)
	if !ok || !p.exact {
		return false, nil
	}
	by, ok := storeGroups(q)
	if !ok {
		return false, nil
	}
	ask := store.Aggregate{
		Scope:   store.Scope{Kind: store.KindSpan, Time: m.req.Time, Filter: p.filter},
		Columns: columns, Limit: maxGroups,
	}
	for _, g := range by {
		for _, s := range g.sources {
			ask.By = append(ask.By, s.field)
		}
	}
	if !m.steps.whole {
		ask.Step = m.req.Step
	}
	groups, err := m.engine.events.Aggregate(ctx, m.project, ask)
	switch {
	case errors.Is(err, store.ErrTooMany):
		return true, tooManySeries(maxGroups / m.steps.n)
	case errors.Is(err, store.ErrPartial):
		r.partial = true
	case err != nil:
		return true, fmt.Errorf("aggregate spans: %w", err)
	}
	if err := m.budget.take(len(groups) * groupBytes); err != nil {
		return true, err
	}
	defer func() { m.budget.used -= int64(len(groups) * groupBytes) }()
	if err := m.types(ctx, r, by, groups); err != nil {
		return true, err
	}
	for i := range groups {
		r.spans += int(groups[i].Values[0])
		if err := acc.addGroup(by, &groups[i]); err != nil {
			return true, err
		}
	}
	if acc.wantsExemplars() {
		return true, m.storeExemplars(ctx, r, q, p.filter, acc)
	}
	return true, nil
}

// storeColumns returns the functions that the store computes: the number of spans, then what the query is about.
func storeColumns(q *MetricsQuery) ([]store.Column, bool) {
	count := []store.Column{{Func: store.CountRows}}
	if q.Func == "rate" || q.Func == "count_over_time" {
		return count, true
	}
	f, ok := q.E.(*Field)
	if !ok {
		return nil, false
	}
	srcs := sources(f.Attribute)
	// Rows without the field would count: only the duration is in every row.
	if len(srcs) != 1 || srcs[0].typ != intType || !srcs[0].always {
		return nil, false
	}
	field := srcs[0].field
	switch q.Func {
	case "min_over_time":
		return append(count, store.Column{Func: store.Min, Field: field}), true
	case "max_over_time":
		return append(count, store.Column{Func: store.Max, Field: field}), true
	case "sum_over_time", "avg_over_time":
		return append(count, store.Column{Func: store.Sum, Field: field}), true
	case "quantile_over_time":
		if slices.ContainsFunc(q.By, func(f *Field) bool { return len(sources(f.Attribute)) != 1 }) {
			return nil, false // groups that are joined afterwards have no quantile
		}
		for _, phi := range q.Quantiles {
			count = append(count, store.Column{Func: store.Quantile, Field: field, Phi: phi})
		}
		return count, true
	default:
		return nil, false
	}
}

// storeGroup is an attribute to group by.
type storeGroup struct {
	sources []source
	types   []Type // of each source's values
}

func storeGroups(q *MetricsQuery) ([]storeGroup, bool) {
	var out []storeGroup
	for _, f := range q.By {
		srcs := sources(f.Attribute)
		if srcs == nil {
			return nil, false
		}
		out = append(out, storeGroup{sources: srcs, types: make([]Type, len(srcs))})
	}
	return out, true
}

// types finds out what type the values of groups have: the store returns texts. Only texts that may be of several types
// need a look at a span.
func (m *measuring) types(ctx context.Context, r *run, by []storeGroup, groups []store.Group) error {
	column := 0
	for i := range by {
		for k, s := range by[i].sources {
			by[i].types[k] = TypeString
			if s.typ != textType && slices.ContainsFunc(groups, func(g store.Group) bool { return otherTypes(g.Key[column]) }) {
				q := sampleOf(TagsRequest{Time: m.req.Time}, s.field)
				q.Limit = 1
				err := r.each(ctx, q, func(row *store.Row) error {
					by[i].types[k] = s.read(row.Get(s.field)).typ
					return errStop
				})
				if err != nil {
					return err
				}
			}
			column++
		}
	}
	return nil
}

// value makes the value of a group's attribute of its texts: the first that is there.
func (g *storeGroup) value(texts []string) Value {
	for k, text := range texts {
		s := g.sources[k]
		if text == "" && !s.always {
			continue
		}
		if s.typ == textType || g.types[k] == TypeString {
			return s.read(store.String(text))
		}
		return typedValue(g.types[k], text)
	}
	return Value{}
}

// typedValue reads a text as a value of a type, as a text when it is none.
func typedValue(t Type, text string) Value {
	switch t {
	case TypeInt, TypeDuration:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			if t == TypeDuration {
				return Duration(time.Duration(n))
			}
			return Int(n)
		}
		fallthrough // a mix of integers and fractions
	case TypeFloat:
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return Float(f)
		}
	case TypeBool:
		if text == "true" || text == "false" {
			return Bool(text == "true")
		}
	}
	return textValue(text)
}

// addGroup adds a group that the store computed.
func (s *seriesSet) addGroup(by []storeGroup, g *store.Group) error {
	labels := make([]Pair, len(by))
	s.key = s.key[:0]
	column := 0
	for i := range by {
		n := len(by[i].sources)
		v := by[i].value(g.Key[column : column+n])
		column += n
		labels[i] = Pair{s.query.By[i].Attribute.String(), v}
		s.key = appendKey(s.key, v)
	}
	to := s.groups[string(s.key)]
	if to == nil {
		var err error
		if to, err = s.group(string(s.key), labels); err != nil {
			return err
		}
	}
	step := 0
	if !s.steps.whole {
		step = s.steps.of(g.Start)
	}
	s.merge(to, step, g.Values)
	return nil
}

func (s *seriesSet) merge(to *seriesGroup, step int, values []float64) {
	first := to.count[step] == 0
	to.count[step] += values[0]
	if len(values) < 2 || math.IsNaN(values[1]) {
		return
	}
	v := values[1] / 1e9
	switch s.query.Func {
	case "sum_over_time", "avg_over_time":
		to.value[step] += v
	case "min_over_time":
		if first || v < to.value[step] {
			to.value[step] = v
		}
	case "max_over_time":
		if first || v > to.value[step] {
			to.value[step] = v
		}
	case "quantile_over_time":
		known := make([]float64, len(values)-1)
		for i, v := range values[1:] {
			known[i] = v / 1e9
		}
		to.sketches[step].known = known
	}
}

// exemplarWindows is in how many parts of the time exemplars are looked for.
const exemplarWindows = 10

// storeExemplars finds some spans of what the store aggregated, spread over the time.
func (m *measuring) storeExemplars(ctx context.Context, r *run, q *MetricsQuery, f store.Filter, acc *seriesSet) error {
	schema := newSchema()
	look := newSeriesSet(q, m.steps, m.budget, 0)
	look.compile(schema, q)
	fields := unique(append(slices.Clone(schema.fields), store.FieldTraceID))
	length := (m.req.Time.End - m.req.Time.Start) / exemplarWindows
	each := (acc.exemplars + exemplarWindows - 1) / exemplarWindows
	for i := range int64(exemplarWindows) {
		start := m.req.Time.Start + i*length
		ask := store.Select{
			Scope:  store.Scope{Kind: store.KindSpan, Time: signal.TimeRange{Start: start, End: start + max(1, length)}, Filter: f},
			Fields: fields, Order: store.NewestFirst, Limit: each,
		}
		err := r.each(ctx, ask, func(row *store.Row) error {
			s := &span{start: row.Time, values: schema.read(row)}
			var n float64
			if look.value != nil {
				n, _ = measure(look.value(s))
			}
			look.key = look.key[:0]
			for _, get := range look.by {
				look.key = appendKey(look.key, get(s))
			}
			g, step := acc.groups[string(look.key)], acc.steps.of(row.Time)
			if g != nil && acc.exemplars > 0 && !g.at[step] {
				acc.exemplar(g, step, Exemplar{TraceID: strings.Clone(row.Text(store.FieldTraceID)), Time: row.Time, Value: n})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
