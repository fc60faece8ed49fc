package traceql

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/mindscope/mindscope/internal/signal"
)

// SearchRequest asks for traces.
type SearchRequest struct {
	Query *Query
	// Time is where at least one of the spans that a trace was found by starts.
	Time signal.TimeRange
	// Limit is how many traces; 0 means 20.
	Limit int
	// SpansPerSet is how many spans of each spanset; 0 means 3.
	SpansPerSet int
}

// SearchResult is the traces found, those first that began last.
type SearchResult struct {
	Traces []Found
	// InspectedTraces and InspectedSpans say how much was looked at.
	InspectedTraces, InspectedSpans int
	// Partial says that a part of the store did not answer.
	Partial bool
}

// Found is a trace that was found. Times are in nanoseconds.
type Found struct {
	TraceID string
	// RootService and RootName are empty when the root span has not come.
	RootService, RootName string
	Start, Duration       int64
	Sets                  []FoundSet
	Services              map[string]ServiceStats
}

// ServiceStats counts a service's spans in a trace.
type ServiceStats struct{ Spans, Errors int }

// FoundSet is a spanset that a query ended with.
type FoundSet struct {
	// Matched counts its spans; Spans holds the first of them.
	Matched    int
	Spans      []FoundSpan
	Attributes []Pair
}

// FoundSpan is a span of a spanset, with the attributes that the query names.
type FoundSpan struct {
	SpanID, Name    string
	Start, Duration int64
	Attributes      []Pair
}

// errNoSearch is a query for series where traces are searched.
var errNoSearch = errors.New("the query makes series: ask for it as a metrics query")

// Search finds traces. Their spans count wherever they lie, but one that is required lies in the time asked for.
func (e *Engine) Search(ctx context.Context, p signal.Project, req SearchRequest) (*SearchResult, error) {
	if req.Query.Metrics != nil {
		return nil, signal.Permanent(errNoSearch)
	}
	ctx, cancel := e.start(ctx)
	defer cancel()
	limit := cmp.Or(req.Limit, 20)
	r := e.run(p)
	shown := r.shown(req.Query)
	eval := r.schema.pipeline(req.Query.Stages)
	out := &SearchResult{}
	plain := isPlain(req.Query.Stages)
	batch := max(2*limit, 50)
	c := &candidates{
		run: r, need: best(requirements(req.Query.Stages)), at: req.Time, groups: e.groupFilter(req.Query.Stages),
		size: func() int {
			if plain {
				return min(limit-len(out.Traces), batchOfTraces)
			}
			return min(batch, batchOfTraces)
		},
		f: func(ids []string, within signal.TimeRange) (bool, error) {
			free := r.texts.mark()
			traces, err := r.load(ctx, ids, within)
			if err != nil {
				return false, err
			}
			batch *= 2
			kept := 0
			for _, t := range traces {
				if sets := eval([]spanset{{spans: t.spans}}); len(sets) > 0 {
					found := foundTrace(t, sets, cmp.Or(req.SpansPerSet, 3), shown)
					out.Traces = append(out.Traces, found)
					kept += found.size()
				}
			}
			free()
			kept -= out.cut(limit)
			return len(out.Traces) < limit, r.budget.take(kept)
		},
	}
	if err := c.read(ctx); err != nil {
		return nil, ended(ctx, err)
	}
	out.cut(limit)
	out.InspectedTraces, out.InspectedSpans, out.Partial = r.traces, r.spans, r.partial
	return out, nil
}

// cut sorts the traces, keeps those that began last, and returns about how many bytes the others took.
func (r *SearchResult) cut(limit int) int {
	slices.SortFunc(r.Traces, func(a, b Found) int {
		return cmp.Or(cmp.Compare(b.Start, a.Start), strings.Compare(a.TraceID, b.TraceID))
	})
	size := 0
	for i := limit; i < len(r.Traces); i++ {
		size += r.Traces[i].size()
		r.Traces[i] = Found{}
	}
	r.Traces = r.Traces[:min(limit, len(r.Traces))]
	return size
}

// isPlain tells whether every candidate is a match.
func isPlain(stages []Stage) bool {
	f, ok := stages[0].(*Filter)
	if !ok || needsTrace(rewriteAll(f.E)) {
		return false
	}
	for _, s := range stages[1:] {
		if _, ok := s.(*Select); !ok {
			return false
		}
	}
	return true
}

// shownField is an attribute that is shown of each span.
type shownField struct {
	label string
	get   getter
}

// shown returns the attributes that the query names, each once. Those that the answer has anyway are left out.
func (r *run) shown(q *Query) []shownField {
	var out []shownField
	seen := map[string]bool{}
	show := func(a Attribute) {
		if hasPlace(a) || seen[a.Label()] {
			return
		}
		seen[a.Label()] = true
		out = append(out, shownField{a.Label(), r.schema.field(a)})
	}
	eachField(q.Stages, show)
	return out
}

// hasPlace tells whether the answer shows an attribute elsewhere.
func hasPlace(a Attribute) bool {
	switch a.Intrinsic {
	case IntrinsicName, IntrinsicDuration, IntrinsicTraceID, IntrinsicSpanID, IntrinsicRootName, IntrinsicRootService,
		IntrinsicTraceDuration:
		return true
	}
	return false
}

// eachField calls f with the attributes of filters and of select().
func eachField(stages []Stage, f func(Attribute)) {
	inExpr := func(e Expr) {
		walk(e, func(e Expr) {
			if field, ok := e.(*Field); ok {
				f(field.Attribute)
			}
		})
	}
	for _, s := range stages {
		switch s := s.(type) {
		case *Filter:
			inExpr(s.E)
		case *SpansetOp:
			eachField([]Stage{s.L, s.R}, f)
		case *Pipeline:
			eachField(s.Stages, f)
		case *Select:
			for _, field := range s.Fields {
				f(field.Attribute)
			}
		case *GroupBy:
			for _, e := range s.By {
				inExpr(e)
			}
		}
	}
}

func foundTrace(t *trace, sets []spanset, spansPerSet int, shown []shownField) Found {
	f := Found{
		TraceID: t.id, RootService: t.rootService(), RootName: t.rootName(), Start: t.start, Duration: t.end - t.start,
		Services: map[string]ServiceStats{},
	}
	for _, s := range t.spans {
		st := f.Services[s.service]
		st.Spans++
		if s.status == "error" {
			st.Errors++
		}
		f.Services[s.service] = st
	}
	for _, set := range sets {
		fs := FoundSet{Matched: len(set.spans), Attributes: set.attrs}
		for _, s := range set.spans[:min(spansPerSet, len(set.spans))] {
			fs.Spans = append(fs.Spans, foundSpan(s, shown))
		}
		f.Sets = append(f.Sets, fs)
	}
	return f
}

func foundSpan(s *span, shown []shownField) FoundSpan {
	out := FoundSpan{SpanID: s.id, Name: s.name, Start: s.start, Duration: max(s.duration, 0)}
	for _, field := range shown {
		if v := field.get(s); !v.IsNil() {
			out.Attributes = append(out.Attributes, Pair{field.label, v})
		}
	}
	return out
}

// size is about how many bytes a trace takes in the answer.
func (f *Found) size() int {
	n := 200
	for _, set := range f.Sets {
		n += 100
		for _, s := range set.Spans {
			n += 100
			for _, a := range s.Attributes {
				n += 2*valueBytes + a.Value.size()
			}
		}
	}
	return n
}
