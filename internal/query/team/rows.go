package team

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// RowPage is one page of rows, oldest first.
type RowPage struct {
	Rows    []*store.Row
	Next    string
	Partial bool
}

// Trace returns a page of a trace's spans with all their fields. The id of a task is taken too, and names the spans of
// all its traces. It returns store.ErrNotFound for an unknown trace.
func (q *Questions) Trace(ctx context.Context, p signal.Project, id, page string, limit int) (RowPage, error) {
	after, err := parseToken(page, listSpans)
	if err != nil {
		return RowPage{}, err
	}
	traces, partial := []string{strings.ToLower(id)}, false
	within, err := q.events.TraceRange(ctx, p, traces[0])
	if errors.Is(err, store.ErrNotFound) {
		t, taskErr := q.resolve(ctx, p, "", id)
		if errors.Is(taskErr, store.ErrNotFound) {
			return RowPage{}, fmt.Errorf("trace %s: %w", id, store.ErrNotFound)
		}
		traces, within, partial, err = t.traces, signal.AllTime(), t.partial, taskErr
	}
	if errors.Is(err, store.ErrPartial) && len(traces) > 0 { // the range may be too short
		within, partial, err = signal.AllTime(), true, nil
	}
	if err != nil {
		return RowPage{}, err
	}
	scope := store.Scope{Kind: store.KindSpan, Time: within, Filter: store.In{Field: store.FieldTraceID, Values: traces}}
	out, err := q.rows(ctx, p, scope, listSpans, after, limit)
	out.Partial = out.Partial || partial
	return out, err
}

// TaskLogs returns a page of a task's log records. Errors as of Task.
func (q *Questions) TaskLogs(ctx context.Context, p signal.Project, team, id, page string, limit int) (RowPage, error) {
	after, err := parseToken(page, listLogs)
	if err != nil {
		return RowPage{}, err
	}
	t, err := q.resolve(ctx, p, team, id)
	if err != nil {
		return RowPage{}, err
	}
	scope := store.Scope{Kind: store.KindLog, Time: signal.AllTime(), Filter: t.rows()}
	out, err := q.rows(ctx, p, scope, listLogs, after, limit)
	out.Partial = out.Partial || t.partial
	return out, err
}

// sameTime is how many rows of the time at which a page begins may have been in the one before, at first.
const sameTime = 16

// rows reads one page of a scope. A page begins at the time where the one before ended and leaves out the rows of that
// time that were in it. Whether it is partial is known when the store has no more rows: it is asked for few.
func (q *Questions) rows(ctx context.Context, p signal.Project, scope store.Scope, list string, after *place, limit int) (RowPage, error) {
	limit = limitOf(limit)
	n := limit + 1
	if after != nil {
		scope.Time.Start = max(scope.Time.Start, after.Time)
		n += sameTime
	}
	for ; ; n *= 2 {
		out, all, err := q.firstRows(ctx, p, store.Select{Scope: scope, Order: store.OldestFirst, Limit: n}, after, limit)
		if err != nil {
			return out, err
		}
		if more := len(out.Rows) > limit; more || all {
			if more {
				last := out.Rows[limit-1]
				out.Rows, out.Next = out.Rows[:limit], place{list, last.Time, last.ID}.token()
			}
			return out, nil
		}
	}
}

// firstRows reads what a question answers, behind a place and no more than limit and one. all tells that there is no more.
func (q *Questions) firstRows(ctx context.Context, p signal.Project, s store.Select, after *place, limit int) (out RowPage, all bool, err error) {
	got := 0
	for r, err := range q.events.Select(ctx, p, s) {
		if errors.Is(err, store.ErrPartial) {
			out.Partial = true
			break
		}
		if err != nil {
			return out, false, fmt.Errorf("read rows: %w", err)
		}
		got++
		if len(out.Rows) > limit || after != nil && r.Time == after.Time && r.ID <= after.ID {
			continue
		}
		out.Rows = append(out.Rows, r.Clone())
	}
	return out, got < s.Limit, nil
}

// Payload returns the content of a hash, store.ErrNotFound when there is none.
func (q *Questions) Payload(ctx context.Context, p signal.Project, hash string) (store.Payload, error) {
	return q.events.Payload(ctx, p, hash)
}

// Party is a conversation or a user with what was done for it.
type Party struct {
	ID           string
	Tasks, Spans int
	// Tokens counts each call once, never the sums that agents' spans repeat.
	Tokens Tokens
}

// PartyPage is one page of conversations or users, by id.
type PartyPage struct {
	Parties []Party
	Next    string
	// Cut: there are more spans than are looked at; the tokens are those of the first ones.
	Cut bool
}

// Conversations lists the conversations since a time.
func (q *Questions) Conversations(ctx context.Context, p signal.Project, since time.Time, page string, limit int) (PartyPage, error) {
	return q.parties(ctx, p, listConversations, store.FieldConversation, since, page, limit)
}

// Users lists the users since a time.
func (q *Questions) Users(ctx context.Context, p signal.Project, since time.Time, page string, limit int) (PartyPage, error) {
	return q.parties(ctx, p, listUsers, store.FieldUser, since, page, limit)
}

func (q *Questions) parties(ctx context.Context, p signal.Project, list, field string, since time.Time, page string, limit int) (PartyPage, error) {
	var out PartyPage
	after, err := parseToken(page, list)
	if err != nil {
		return out, err
	}
	within := signal.AllTime()
	if !since.IsZero() {
		within.Start = since.UnixNano()
	}
	groups, err := q.events.Aggregate(ctx, p, store.Aggregate{
		Scope: store.Scope{Kind: store.KindSpan, Time: within, Filter: store.Exists{Field: field}},
		By:    []string{field},
		Columns: []store.Column{
			{Func: store.CountRows}, {Func: store.CountDistinct, Field: store.FieldTaskID},
		},
		Limit: maxParties,
	})
	if err != nil {
		return out, fmt.Errorf("list %ss: %w", field, err)
	}
	limit = limitOf(limit)
	var ids []string
	for _, g := range groups {
		if after != nil && g.Key[0] <= after.ID {
			continue
		}
		if len(out.Parties) == limit {
			out.Next = place{List: list, ID: out.Parties[limit-1].ID}.token()
			break
		}
		out.Parties = append(out.Parties, Party{ID: g.Key[0], Spans: int(g.Values[0]), Tasks: int(g.Values[1])})
		ids = append(ids, g.Key[0])
	}
	tokens, cut, err := q.tokensOf(ctx, p, field, within, ids)
	if err != nil {
		return out, err
	}
	out.Cut = cut
	for i := range out.Parties {
		out.Parties[i].Tokens = tokens[out.Parties[i].ID]
	}
	return out, nil
}

// maxParties bounds the conversations or users that one question looks at.
const maxParties = 100_000
