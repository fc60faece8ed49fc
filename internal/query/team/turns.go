package team

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Turn is one call of a model with the rows that may hold what was said: the call's span, the spans around it that stand
// for the same call, and the log records written in them.
type Turn struct {
	Span  Span
	Spans []*store.Row
	Logs  []*store.Row
}

// TurnPage is one page of a conversation, oldest first.
type TurnPage struct {
	Turns []Turn
	Next  string
	// Cut: the conversation has more traces or spans than are looked at.
	Cut     bool
	Partial bool
}

// maxConversationTraces bounds the traces of one conversation that are looked at.
const maxConversationTraces = 1000

// SpanTurn returns one span and the log records written in it, store.ErrNotFound when there is none.
func (q *Questions) SpanTurn(ctx context.Context, p signal.Project, traceID, spanID string) (Turn, error) {
	traceID, spanID = strings.ToLower(traceID), strings.ToLower(spanID)
	within, err := q.events.TraceRange(ctx, p, traceID)
	if err != nil {
		return Turn{}, err
	}
	turns := []Turn{{Span: Span{TraceID: traceID, SpanID: spanID}}}
	err = q.fillTurns(ctx, p, within, turns, map[SpanID]int{{traceID, spanID}: 0}, []string{traceID}, []string{spanID})
	if err != nil {
		return Turn{}, err
	}
	if len(turns[0].Spans) == 0 {
		return Turn{}, fmt.Errorf("span %s of trace %s: %w", spanID, traceID, store.ErrNotFound)
	}
	turns[0].Span = spanOf(turns[0].Spans[0])
	return turns[0], nil
}

// Conversation returns the calls of a conversation's traces. Spans that repeat the calls below them are no turns.
func (q *Questions) Conversation(ctx context.Context, p signal.Project, id, page string, limit int) (TurnPage, error) {
	var out TurnPage
	traces, err := q.tracesOf(ctx, p, id)
	if err != nil {
		return out, err
	}
	if len(traces) == 0 {
		return out, fmt.Errorf("conversation %q: %w", id, store.ErrNotFound)
	}
	if len(traces) > maxConversationTraces {
		traces, out.Cut = traces[:maxConversationTraces], true
	}
	var fold Fold
	cut, err := q.gather(ctx, p, &fold, store.KindSpan, store.In{Field: store.FieldTraceID, Values: traces})
	if err != nil {
		return out, err
	}
	out.Cut = out.Cut || cut
	if err := out.take(&fold, page, limitOf(limit)); err != nil {
		return out, err
	}
	return out, q.fillPage(ctx, p, &fold, &out)
}

func (q *Questions) tracesOf(ctx context.Context, p signal.Project, conversation string) ([]string, error) {
	groups, err := q.events.Aggregate(ctx, p, store.Aggregate{
		Scope: store.Scope{
			Kind: store.KindSpan, Time: signal.AllTime(),
			Filter: store.And{store.Eq(store.FieldConversation, conversation), store.Exists{Field: store.FieldTraceID}},
		},
		By:      []string{store.FieldTraceID},
		Columns: []store.Column{{Func: store.CountRows}},
		Limit:   maxConversationTraces + 1,
	})
	if err != nil {
		return nil, fmt.Errorf("find conversation: %w", err)
	}
	traces := make([]string, 0, len(groups))
	for _, g := range groups {
		traces = append(traces, g.Key[0])
	}
	return unique(traces), nil
}

// take puts the turns of one page into the page.
func (out *TurnPage) take(fold *Fold, page string, limit int) error {
	after, err := parseToken(page, listTurns)
	if err != nil {
		return err
	}
	spans, counts := fold.Spans(), fold.arrange().counts
	for i := range spans {
		s := &spans[i]
		id := s.TraceID + s.SpanID
		if !counts[i] {
			continue
		}
		if after != nil && cmp.Or(cmp.Compare(s.Start, after.Time), strings.Compare(id, after.ID)) <= 0 {
			continue
		}
		if len(out.Turns) == limit {
			last := out.Turns[limit-1].Span
			out.Next = place{listTurns, last.Start, last.TraceID + last.SpanID}.token()
			return nil
		}
		out.Turns = append(out.Turns, Turn{Span: *s})
	}
	return nil
}

// fillPage reads the rows of a page's turns. A call's wrappers are read too: some frameworks write the messages on one
// span and the usage on another one inside it.
func (q *Questions) fillPage(ctx context.Context, p signal.Project, fold *Fold, out *TurnPage) error {
	forest, turnOf := fold.arrange(), map[SpanID]int{}
	var traces, ids []string
	within := signal.TimeRange{}
	for t, turn := range out.Turns {
		own := fold.index[SpanID{turn.Span.TraceID, turn.Span.SpanID}]
		for i := own; i == own || i >= 0 && fold.spans[i].Inference(); i = forest.parent[i] {
			s := &fold.spans[i]
			key := SpanID{s.TraceID, s.SpanID}
			if _, taken := turnOf[key]; taken {
				break
			}
			turnOf[key] = t
			traces, ids = append(traces, s.TraceID), append(ids, s.SpanID)
			if within.End == 0 || s.Start < within.Start {
				within.Start = s.Start
			}
			within.End = max(within.End, s.End()+1)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return q.fillTurns(ctx, p, within, out.Turns, turnOf, unique(traces), unique(ids))
}

// fillTurns reads the rows of the spans and hands each to its turn, the call's own span first.
func (q *Questions) fillTurns(
	ctx context.Context, p signal.Project, within signal.TimeRange, turns []Turn, turnOf map[SpanID]int, traces, ids []string,
) error {
	filter := store.And{
		store.In{Field: store.FieldTraceID, Values: traces}, store.In{Field: store.FieldSpanID, Values: ids},
	}
	for _, kind := range []store.Kind{store.KindSpan, store.KindLog} {
		scope := store.Scope{Kind: kind, Time: within, Filter: filter}
		if kind == store.KindLog { // a record may be written after its span's end
			scope.Time.End = signal.AllTime().End
		}
		for r, err := range q.events.Select(ctx, p, store.Select{Scope: scope, Order: store.OldestFirst, Limit: MaxSpans}) {
			if err != nil {
				return fmt.Errorf("read messages: %w", err)
			}
			key := SpanID{r.Text(store.FieldTraceID), r.Text(store.FieldSpanID)}
			t, ok := turnOf[key]
			if !ok {
				continue
			}
			if kind == store.KindLog {
				turns[t].Logs = append(turns[t].Logs, r.Clone())
				continue
			}
			turns[t].Spans = append(turns[t].Spans, r.Clone())
		}
	}
	for t := range turns {
		own := turns[t].Span.SpanID
		slices.SortStableFunc(turns[t].Spans, func(a, b *store.Row) int {
			return rank(a, own) - rank(b, own)
		})
	}
	return nil
}

func rank(r *store.Row, own string) int {
	if r.Text(store.FieldSpanID) == own {
		return 0
	}
	return 1
}
