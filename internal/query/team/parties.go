package team

import (
	"context"
	"fmt"
	"slices"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// maxPartyTraces bounds the traces of one page of conversations or users that are added up, tracesAtOnce those that are
// asked for in one question.
const (
	maxPartyTraces = 5000
	tracesAtOnce   = 500
)

// tokensOf adds up what the conversations or users in ids used, by the rule of tasks: a call counts where no other call is
// below it, what an agent reports only where nothing below it reports anything. A span belongs to the party it names, else
// to the one that the nearest span above it names, else to the only one of its trace: many senders name the session on
// the first span only. cut tells that there are more traces or spans than are looked at.
func (q *Questions) tokensOf(
	ctx context.Context, p signal.Project, field string, within signal.TimeRange, ids []string,
) (tokens map[string]Tokens, cut bool, err error) {
	parties, err := q.partiesOfTraces(ctx, p, field, within, ids)
	if err != nil {
		return nil, false, err
	}
	var traces []string
	for trace := range parties {
		traces = append(traces, trace)
	}
	slices.Sort(traces)
	if len(traces) > maxPartyTraces {
		traces, cut = traces[:maxPartyTraces], true
	}
	tokens = map[string]Tokens{}
	for some := range slices.Chunk(traces, tracesAtOnce) {
		more, err := q.addTraces(ctx, p, field, within, some, parties, tokens)
		if err != nil {
			return nil, false, err
		}
		cut = cut || more
	}
	return tokens, cut, nil
}

// partiesOfTraces returns the traces in which the parties occur, and those of each.
func (q *Questions) partiesOfTraces(
	ctx context.Context, p signal.Project, field string, within signal.TimeRange, ids []string,
) (map[string][]string, error) {
	if len(ids) == 0 {
		return map[string][]string{}, nil
	}
	groups, err := q.events.Aggregate(ctx, p, store.Aggregate{
		Scope:   store.Scope{Kind: store.KindSpan, Time: within, Filter: store.In{Field: field, Values: ids}},
		By:      []string{store.FieldTraceID, field},
		Columns: []store.Column{{Func: store.CountRows}},
		Limit:   maxParties,
	})
	if err != nil {
		return nil, fmt.Errorf("find traces of %ss: %w", field, err)
	}
	parties := map[string][]string{}
	for _, g := range groups {
		parties[g.Key[0]] = append(parties[g.Key[0]], g.Key[1])
	}
	return parties, nil
}

// addTraces adds what was used in some traces to tokens.
func (q *Questions) addTraces(
	ctx context.Context, p signal.Project, field string, within signal.TimeRange, traces []string,
	parties map[string][]string, tokens map[string]Tokens,
) (cut bool, err error) {
	var fold Fold
	named := map[SpanID]string{}
	rows := q.events.Select(ctx, p, store.Select{
		Scope:  store.Scope{Kind: store.KindSpan, Time: within, Filter: store.In{Field: store.FieldTraceID, Values: traces}},
		Fields: append(spanFields(), field), Order: store.OldestFirst, Limit: MaxSpans + 1,
	})
	for r, err := range rows {
		if err != nil {
			return false, fmt.Errorf("add up %ss: %w", field, err)
		}
		if fold.Len() == MaxSpans {
			cut = true
			break
		}
		s := q.span(p, r)
		fold.Add(s)
		if id := r.Text(field); id != "" {
			named[SpanID{s.TraceID, s.SpanID}] = id
		}
	}
	forest := fold.arrange()
	for i := range fold.spans {
		if !forest.counts[i] {
			continue
		}
		party := ""
		for at := i; at >= 0 && party == ""; at = forest.parent[at] {
			party = named[SpanID{fold.spans[at].TraceID, fold.spans[at].SpanID}]
		}
		if only := parties[fold.spans[i].TraceID]; party == "" && len(only) == 1 {
			party = only[0]
		}
		sum := tokens[party]
		sum.add(fold.spans[i].Tokens)
		tokens[party] = sum
	}
	return cut, nil
}
