package jaeger

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/query/traceql"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// mostLinked bounds the spans that dependencies are made of, about 100 bytes each.
const mostLinked = 2_000_000

type dependency struct {
	Parent    string `json:"parent"`
	Child     string `json:"child"`
	CallCount int    `json:"callCount"`
}

// dependencies counts the spans whose parent is another service's. Parents and children must both start in the time.
func (a *API) dependencies(r *request) (any, error) {
	at, err := a.lookedBack(r)
	if err != nil {
		return nil, err
	}
	g := &callGraph{services: map[[24]byte]uint32{}, names: map[string]uint32{}}
	partial := false
	rows := a.events.Select(r.Context(), r.project, store.Select{
		Scope:  store.Scope{Kind: store.KindSpan, Time: at},
		Fields: []string{store.FieldTraceID, store.FieldSpanID, store.FieldParentSpanID, store.FieldService},
	})
	for row, err := range rows {
		if errors.Is(err, store.ErrPartial) {
			partial = true
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read spans: %w", err)
		}
		if err := g.add(row); err != nil {
			return nil, err
		}
	}
	list := g.dependencies()
	return answer{Data: list, Total: len(list), Errors: partialErrors(partial)}, nil
}

// lookedBack reads endTs and lookback, in milliseconds.
func (a *API) lookedBack(r *request) (signal.TimeRange, error) {
	end, lookback := a.clock().UnixMilli(), (24 * time.Hour).Milliseconds()
	for name, to := range map[string]*int64{"endTs": &end, "lookback": &lookback} {
		text := r.params.Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return signal.TimeRange{}, badRequest("%s %q: milliseconds are expected", name, text)
		}
		*to = min(n, mostMicros/1000)
	}
	return signal.TimeRange{Start: max(0, end-lookback) * 1e6, End: end * 1e6}, nil
}

// callGraph knows the service of each span and who calls whom.
type callGraph struct {
	services map[[24]byte]uint32 // of a span, by the bytes of its ids
	names    map[string]uint32
	list     []string
	calls    []call
}

// call is a span that has a parent.
type call struct {
	parent  [24]byte
	service uint32
}

func (g *callGraph) add(row *store.Row) error {
	if len(g.services) >= mostLinked {
		return signal.Permanent(fmt.Errorf("%w: more than %d spans: ask for a shorter time", traceql.ErrTooLarge, mostLinked))
	}
	name := row.Text(store.FieldService)
	service, ok := g.names[name]
	if !ok {
		service = uint32(len(g.list))
		name = strings.Clone(name)
		g.names[name] = service
		g.list = append(g.list, name)
	}
	trace := row.Text(store.FieldTraceID)
	if id, ok := idOf(trace, row.Text(store.FieldSpanID)); ok {
		g.services[id] = service
	}
	if id, ok := idOf(trace, row.Text(store.FieldParentSpanID)); ok {
		g.calls = append(g.calls, call{id, service})
	}
	return nil
}

// idOf packs the ids of a span.
func idOf(trace, span string) (id [24]byte, ok bool) {
	text := trace + span
	if len(text) != 2*len(id) {
		return id, false
	}
	for i := range id {
		high, low := nibble(text[2*i]), nibble(text[2*i+1])
		id[i] = high<<4 | low
	}
	return id, true
}

func nibble(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

func (g *callGraph) dependencies() []dependency {
	counts := map[[2]uint32]int{}
	for _, c := range g.calls {
		if parent, ok := g.services[c.parent]; ok && parent != c.service {
			counts[[2]uint32{parent, c.service}]++
		}
	}
	out := []dependency{}
	for pair, n := range counts {
		out = append(out, dependency{g.list[pair[0]], g.list[pair[1]], n})
	}
	slices.SortFunc(out, func(a, b dependency) int {
		return cmp.Or(cmp.Compare(b.CallCount, a.CallCount), strings.Compare(a.Parent, b.Parent), strings.Compare(a.Child, b.Child))
	})
	return out
}
