package logql

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// labelGroup are the figures of the records that have the same labels.
type labelGroup struct {
	labels Labels
	values []float64
}

// groups returns figures by known labels. The expression must be one that the store can answer by itself.
func (r *run) groups(e *LogExpr, at signal.TimeRange, labels []*known, columns ...store.Column) ([]labelGroup, error) {
	pl, err := newPlan(e, nil)
	if err != nil {
		return nil, err
	}
	if len(pl.left) > 0 {
		return nil, permanent("%s can't be used here: only labels and line filters can", pl.left[0])
	}
	var fields []string
	add := func(k *known) {
		for _, f := range k.fields {
			if !slices.Contains(fields, f) {
				fields = append(fields, f)
			}
		}
	}
	for _, k := range labels {
		add(k)
	}
	for _, m := range pl.selector {
		add(knownByName[m.Name])
	}
	found, err := r.events.Aggregate(r.ctx, r.project, store.Aggregate{
		Scope: pl.scope(at), By: fields, Columns: columns, Limit: maxGroups,
	})
	if err != nil {
		return nil, r.explain(err)
	}
	const groupBytes = 200
	if err := r.hold(int64(len(found)) * groupBytes); err != nil {
		return nil, err
	}
	text := func(k *known, g *store.Group) string {
		args := make([]string, len(k.fields))
		for i, f := range k.fields {
			args[i] = g.Key[slices.Index(fields, f)]
		}
		return k.text(args)
	}
	merged := map[string]int{}
	var out []labelGroup
	for i := range found {
		g := &found[i]
		if slices.ContainsFunc(pl.selector, func(m *Matcher) bool { return !m.Matches(text(knownByName[m.Name], g)) }) {
			continue
		}
		var l Labels
		for _, k := range labels {
			if v := text(k, g); v != "" {
				l = append(l, Label{k.name, v})
			}
		}
		key := sortLabels(l).key()
		at, known := merged[key]
		if !known {
			merged[key] = len(out)
			out = append(out, labelGroup{l, g.Values})
			continue
		}
		for c := range g.Values {
			out[at].values[c] += g.Values[c]
		}
	}
	return out, nil
}

func streamLabels() []*known {
	var out []*known
	for _, k := range knownLabels {
		if k.stream {
			out = append(out, k)
		}
	}
	return out
}

// Streams returns the labels of all streams that one of the selectors matches, sorted.
func (e *Engine) Streams(ctx context.Context, p signal.Project, selectors []*LogExpr, at signal.TimeRange) ([]Labels, error) {
	r, cancel := e.start(ctx, p)
	defer cancel()
	seen := map[string]Labels{}
	for _, s := range selectors {
		groups, err := r.groups(s, at, streamLabels(), store.Column{Func: store.CountRows})
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			seen[g.labels.key()] = g.labels
		}
	}
	if len(seen) > e.cfg.MaxSeries {
		return nil, tooManySeries(e.cfg.MaxSeries)
	}
	return slices.SortedFunc(maps.Values(seen), compareLabels), nil
}

// LabelNames returns the labels that a selector may name and that some record in scope has, sorted.
func (e *Engine) LabelNames(ctx context.Context, p signal.Project, selector *LogExpr, at signal.TimeRange) ([]string, error) {
	r, cancel := e.start(ctx, p)
	defer cancel()
	pl, err := newPlan(selector, nil)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, k := range knownLabels {
		if !k.offered {
			continue
		}
		some, err := r.anyWith(pl, at, k)
		if err != nil {
			return nil, err
		}
		if some {
			out = append(out, k.name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// anyWith tells whether a record in scope has a label.
func (r *run) anyWith(pl *plan, at signal.TimeRange, k *known) (bool, error) {
	var has store.Or
	for _, f := range k.fields {
		has = append(has, store.Exists{Field: f})
	}
	scope := pl.scope(at)
	if scope.Filter = has; pl.filter != nil {
		scope.Filter = store.And{pl.filter, has}
	}
	rows := r.events.Select(r.ctx, r.project, store.Select{Scope: scope, Fields: k.fields, Order: store.NewestFirst, Limit: 1})
	for _, err := range rows {
		return err == nil, r.explain(err)
	}
	return false, nil
}

// LabelValues returns the values of a label, sorted; none for a label that isn't known.
func (e *Engine) LabelValues(ctx context.Context, p signal.Project, name string, selector *LogExpr, at signal.TimeRange) ([]string, error) {
	k := knownByName[name]
	if k == nil {
		return nil, nil
	}
	r, cancel := e.start(ctx, p)
	defer cancel()
	groups, err := r.groups(selector, at, []*known{k}, store.Column{Func: store.CountRows})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, g := range groups {
		if v := g.labels.Get(name); v != "" {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Size says how much a selector matches.
type Size struct{ Streams, Entries, Bytes int64 }

// Size returns how much a selector matches. Where there are more streams than can be counted, their number is that bound.
func (e *Engine) Size(ctx context.Context, p signal.Project, selector *LogExpr, at signal.TimeRange) (Size, error) {
	r, cancel := e.start(ctx, p)
	defer cancel()
	columns := []store.Column{{Func: store.CountRows}, {Func: store.SumLen, Field: store.FieldBody}}
	groups, err := r.groups(selector, at, streamLabels(), columns...)
	size := Size{Streams: int64(len(groups))}
	if errors.Is(err, store.ErrTooMany) {
		size.Streams = maxGroups
		groups, err = r.groups(selector, at, nil, columns...)
	}
	if err != nil {
		return Size{}, err
	}
	for _, g := range groups {
		size.Entries += int64(g.values[0])
		size.Bytes += int64(g.values[1])
	}
	return size, nil
}

// LabelCount is a label with its number of values.
type LabelCount struct {
	Name   string
	Values int
}

// LabelCounts returns the labels that a selector may name with their number of values, sorted by name.
func (e *Engine) LabelCounts(ctx context.Context, p signal.Project, selector *LogExpr, at signal.TimeRange) ([]LabelCount, error) {
	names, err := e.LabelNames(ctx, p, selector, at)
	if err != nil {
		return nil, err
	}
	out := make([]LabelCount, 0, len(names))
	for _, name := range names {
		values, err := e.LabelValues(ctx, p, name, selector, at)
		if err != nil {
			return nil, err
		}
		out = append(out, LabelCount{name, len(values)})
	}
	return out, nil
}
