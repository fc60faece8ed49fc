package traceql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// sampled is how many of the newest spans with events or links are looked at for what is in these lists.
	sampled = 1000
	// maxNames bounds the names and values that are returned.
	maxNames = 10_000
)

// Tags are the names of attributes by scope, and of intrinsics.
type Tags struct {
	Span, Resource, Event, Link, Instrumentation, Intrinsic []string
}

// TagsRequest asks what attributes there are.
type TagsRequest struct {
	Time signal.TimeRange
	// Query narrows to the spans of its first filter; nil for all.
	Query *Query
	// Limit is how many a scope; 0 means 10 000.
	Limit int
}

// Intrinsics lists how intrinsics are written, as Tempo lists them.
func Intrinsics() []string {
	var out []string
	for _, s := range spellings() {
		if s.scope != ScopeNone {
			out = append(out, s.scope.String()+":"+s.word)
			continue
		}
		out = append(out, s.word)
	}
	return out
}

// Tags lists attributes, those that most spans have first.
func (e *Engine) Tags(ctx context.Context, p signal.Project, req TagsRequest) (*Tags, error) {
	limit := cmp.Or(req.Limit, maxNames)
	counts, err := e.events.FieldNames(ctx, p, store.Scope{Kind: store.KindSpan, Time: req.Time, Filter: narrowing(req.Query)})
	if err != nil && !errors.Is(err, store.ErrPartial) {
		return nil, fmt.Errorf("list attributes: %w", err)
	}
	t := &Tags{Intrinsic: Intrinsics()}
	lists := map[string]bool{}
	for _, c := range counts {
		t.add(c.Text, limit)
		lists[c.Text] = true
	}
	for field, to := range map[string]*[]string{store.FieldEvents: &t.Event, store.FieldLinks: &t.Link} {
		if !lists[field] {
			continue
		}
		counts := map[string]uint64{}
		err := e.sampleLists(ctx, p, req, field, func(attrs pcommon.Map) {
			for k := range attrs.All() {
				counts[k]++
			}
		})
		if err != nil {
			return nil, err
		}
		for _, c := range store.SortCounts(counts, limit) {
			*to = append(*to, c.Text)
		}
	}
	return t, nil
}

// add sorts a field of the store into its scope.
func (t *Tags) add(field string, limit int) {
	put := func(to *[]string, name string) {
		if len(*to) < limit && name != "" {
			*to = append(*to, name)
		}
	}
	if name, ok := strings.CutPrefix(field, store.PrefixAttr); ok {
		put(&t.Span, name)
		return
	}
	if name, ok := strings.CutPrefix(field, store.PrefixResource); ok {
		if name != conv.ServiceName {
			put(&t.Resource, name)
		}
		return
	}
	if name, ok := strings.CutPrefix(field, store.PrefixScopeAttr); ok {
		put(&t.Instrumentation, name)
		return
	}
	switch {
	case field == store.FieldService:
		put(&t.Resource, conv.ServiceName)
	case field == store.FieldCostMicro:
		put(&t.Span, costAttribute)
	case field == store.FieldCostRest, field == store.FieldCostParts: // parts of what the line above shows
	case store.IsColumn(field):
		put(&t.Span, columnPrefix+field)
	}
}

// narrowing is the filter of the spans that the first stage of a query is about.
func narrowing(q *Query) store.Filter {
	if q == nil {
		return nil
	}
	stages := q.Stages
	if m, ok := q.Metrics.(*MetricsQuery); ok {
		stages = m.Stages
	}
	if len(stages) == 0 {
		return nil
	}
	f, ok := stages[0].(*Filter)
	if !ok {
		return nil
	}
	return pushDown(rewriteAll(f.E), false).filter
}

// sampleLists calls f with the attributes of events or links of some of the newest spans that have any.
func (e *Engine) sampleLists(ctx context.Context, p signal.Project, req TagsRequest, field string, f func(pcommon.Map)) error {
	r := e.run(p)
	return r.each(ctx, sampleOf(req, field), func(row *store.Row) error {
		if field == store.FieldLinks {
			links, err := store.SpanLinks(row)
			for _, l := range links {
				f(l.Attributes)
			}
			return err
		}
		events, err := store.SpanEvents(row)
		for _, ev := range events {
			f(ev.Attributes)
		}
		return err
	})
}

// sampleOf selects some of the newest spans that have a field.
func sampleOf(req TagsRequest, field string) store.Select {
	return store.Select{
		Scope: store.Scope{
			Kind: store.KindSpan, Time: req.Time,
			Filter: joinPushed(true, some(store.Exists{Field: field}), some(narrowing(req.Query))).filter,
		},
		Fields: []string{field}, Order: store.NewestFirst, Limit: sampled,
	}
}

// TagValue is a value that an attribute has.
type TagValue struct {
	// Type is as Tempo's API names it: string, int, float, bool, keyword, duration.
	Type string
	Text string
}

// ParseTag reads the name of an attribute as tags are named in addresses: like in a query, or the name alone.
func ParseTag(text string) (Attribute, error) {
	if text == "" || !utf8.ValidString(text) {
		return Attribute{}, signal.Permanent(errors.New("the name of a tag is expected, as UTF-8"))
	}
	ts, err := tokens(text)
	if err == nil && len(ts) == 2 {
		switch t := ts[0]; t.kind {
		case tokAttr:
			return t.attr, nil
		case tokWord:
			if i, ok := intrinsicOf(ScopeNone, t.text); ok {
				return Attribute{Intrinsic: i}, nil
			}
		}
	}
	for _, s := range []Scope{ScopeSpan, ScopeResource, ScopeEvent, ScopeLink, ScopeInstrumentation, ScopeNone} {
		if name, ok := strings.CutPrefix(text, s.String()+"."); ok && name != "" {
			return Attribute{Scope: s, Name: name}, nil
		}
	}
	return Attribute{Name: text}, nil
}

// Values lists the values of an attribute, those that most spans have first.
func (e *Engine) Values(ctx context.Context, p signal.Project, a Attribute, req TagsRequest) ([]TagValue, error) {
	limit := cmp.Or(req.Limit, maxNames)
	switch a.Intrinsic {
	case IntrinsicStatus:
		return keywords("error", "ok", "unset"), nil
	case IntrinsicKind:
		return keywords("client", "server", "internal", "producer", "consumer", "unspecified"), nil
	case IntrinsicRootName, IntrinsicRootService:
		return e.rootValues(ctx, p, a, req, limit)
	case IntrinsicDuration, IntrinsicTraceDuration, IntrinsicTraceID, IntrinsicSpanID, IntrinsicParentID,
		IntrinsicNestedSetLeft, IntrinsicNestedSetRight, IntrinsicNestedSetParent, IntrinsicChildCount,
		IntrinsicEventTimeSinceStart, IntrinsicLinkTraceID, IntrinsicLinkSpanID:
		return nil, nil // there are as many as spans
	}
	if listField(a) != "" {
		return e.listValues(ctx, p, a, req, limit)
	}
	counts := map[string]uint64{}
	var srcs []source
	for _, s := range sources(a) {
		values, err := e.fieldValues(ctx, p, s.field, req, narrowing(req.Query))
		if err != nil {
			return nil, err
		}
		for _, c := range values {
			text := c.Text
			if one, ok := onlyText(text); ok {
				text = one
			}
			counts[text] += c.Rows
		}
		srcs = append(srcs, s)
	}
	return e.typed(ctx, p, srcs, req, store.SortCounts(counts, limit))
}

func keywords(words ...string) []TagValue {
	out := make([]TagValue, len(words))
	for i, w := range words {
		out[i] = TagValue{Type: TypeStatus.String(), Text: w}
	}
	return out
}

func (e *Engine) fieldValues(ctx context.Context, p signal.Project, field string, req TagsRequest, f store.Filter) ([]store.Count, error) {
	counts, err := e.events.FieldValues(ctx, p, store.Scope{Kind: store.KindSpan, Time: req.Time, Filter: f}, field, cmp.Or(req.Limit, maxNames))
	switch {
	case errors.Is(err, store.ErrTooMany):
		return nil, nil // a list of half a million helps nobody to choose
	case err != nil && !errors.Is(err, store.ErrPartial):
		return nil, fmt.Errorf("list values: %w", err)
	}
	return counts, nil
}

// rootValues lists the names or services of root spans, whatever else the query asks of spans.
func (e *Engine) rootValues(ctx context.Context, p signal.Project, a Attribute, req TagsRequest, limit int) ([]TagValue, error) {
	field := store.FieldName
	if a.Intrinsic == IntrinsicRootService {
		field = store.FieldService
	}
	counts, err := e.fieldValues(ctx, p, field, req, store.Not{Filter: store.Exists{Field: store.FieldParentSpanID}})
	if err != nil {
		return nil, err
	}
	return textValues(counts[:min(limit, len(counts))]), nil
}

func textValues(counts []store.Count) []TagValue {
	out := make([]TagValue, len(counts))
	for i, c := range counts {
		out[i] = TagValue{Type: TypeString.String(), Text: c.Text}
	}
	return out
}

// listValues lists what some of the newest events or links have under a name.
func (e *Engine) listValues(ctx context.Context, p signal.Project, a Attribute, req TagsRequest, limit int) ([]TagValue, error) {
	types := map[string]string{}
	counts := map[string]uint64{}
	read := listReader(a)
	err := e.run(p).each(ctx, sampleOf(req, listField(a)), func(row *store.Row) error {
		v := read(row)
		if v.IsNil() {
			return nil
		}
		for _, one := range *v.list {
			text := strings.Clone(one.Text())
			counts[text]++
			types[text] = one.typ.String()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := textValues(store.SortCounts(counts, limit))
	for i := range out {
		out[i].Type = types[out[i].Text]
	}
	return out, nil
}

// typed adds the types. The store lists texts: only when all of them look like numbers or booleans, a span is looked at.
func (e *Engine) typed(ctx context.Context, p signal.Project, srcs []source, req TagsRequest, counts []store.Count) ([]TagValue, error) {
	out := textValues(counts)
	for _, c := range counts {
		if !otherTypes(c.Text) {
			return out, nil
		}
	}
	for _, s := range srcs {
		q := sampleOf(TagsRequest{Time: req.Time}, s.field)
		q.Limit = 1
		err := e.run(p).each(ctx, q, func(row *store.Row) error {
			typ := s.read(row.Get(s.field)).typ
			for i := range out {
				out[i].Type = typ.String()
				out[i].Text = inType(typ, out[i].Text)
			}
			return errStop
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// inType writes a value's text as a query has it.
func inType(t Type, text string) string {
	if t != TypeDuration {
		return text
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return text
	}
	return time.Duration(n).String()
}

// Lately returns the time in which attributes are looked for when none is asked for: a day.
func Lately(now int64) signal.TimeRange {
	return signal.TimeRange{Start: now - int64(24*time.Hour), End: now + int64(time.Hour)}
}
