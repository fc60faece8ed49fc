package team

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// A list of tasks that failed, or still run, is of few among many: it looks for rows without which no task has such a status, in
// place of summing all of them up.

const (
	// spansPerLookup bounds the begun spans whose ends are looked for at once.
	spansPerLookup = 4000
	// lookAround is how far from the record that a span began its own start may lie: senders take the time of both.
	lookAround = int64(time.Minute)
)

// statuses are those that the query selects, nil when no rows are looked for by them: a task that completed has no mark, and what
// is asked of an agent, say, is asked of rows of its own.
func (s *taskSearch) statuses() []string {
	q, told := s.query, []string{Failed, Lost, Cancelled, Running}
	switch {
	case q.Agent != "" || q.Model != "" || q.Conversation != "" || q.User != "":
		return nil
	case slices.Contains(told, q.Status):
		return []string{q.Status}
	case q.Failed:
		return []string{Failed, Lost}
	}
	return nil
}

// statusFilter is what one of a task's ended spans must say for it to have one of the statuses. ok tells whether any could.
func statusFilter(statuses []string) (filter store.Filter, ok bool) {
	outcome := func(text string) store.Filter { return store.Eq(attr(conv.AITeamTaskStatus), text) }
	var any store.Or
	if slices.Contains(statuses, Failed) {
		any = append(any, store.Eq(store.FieldStatus, "error"), outcome(Failed))
	}
	if slices.Contains(statuses, Cancelled) {
		any = append(any, store.Eq(attr(conv.ErrorType), Cancelled), outcome(Cancelled))
	}
	return any, len(any) > 0
}

// needBegun tells whether a task may have one of the statuses because something has begun and not ended.
func needBegun(statuses []string) bool {
	return slices.ContainsFunc([]string{Failed, Lost, Running}, func(status string) bool { return slices.Contains(statuses, status) })
}

// telling returns the groups of rows of a kind that may tell of a task that the query selects: their keys begin with team, task
// and whether it is provisional.
func (s *taskSearch) telling(ctx context.Context, kind store.Kind, within signal.TimeRange, step int64) ([]store.Group, error) {
	filter := s.rowFilters()
	if statuses := s.statuses(); statuses != nil {
		if kind == store.KindStart {
			if !needBegun(statuses) {
				return nil, nil
			}
			return s.unended(ctx, within, step)
		}
		said, ok := statusFilter(statuses)
		if !ok {
			return nil, nil
		}
		filter = append(filter, said)
	}
	return s.groups(ctx, kind, within, step, filter)
}

// groups counts rows by task and, with more, by these fields. An answer that is partial is noted.
func (s *taskSearch) groups(
	ctx context.Context, kind store.Kind, within signal.TimeRange, step int64, filter store.Filter, more ...string,
) ([]store.Group, error) {
	groups, err := s.events.Aggregate(ctx, s.project, store.Aggregate{
		Scope:   store.Scope{Kind: kind, Time: within, Filter: filter},
		By:      append([]string{store.FieldTeam, store.FieldTaskID, store.FieldTaskProvisional}, more...),
		Step:    time.Duration(step),
		Columns: []store.Column{{Func: store.CountRows}},
		Limit:   maxKeys,
	})
	if errors.Is(err, store.ErrPartial) {
		s.partial = true
		return groups, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find tasks: %w", err)
	}
	return groups, nil
}

// begun is a span that has begun, as a task knows it.
type begun struct{ team, task, trace, span string }

func begunOf(g store.Group) begun { return begun{g.Key[0], g.Key[1], g.Key[3], g.Key[4]} }

// unended returns the groups of spans that have begun and, as far as the rows about then tell, not ended.
func (s *taskSearch) unended(ctx context.Context, within signal.TimeRange, step int64) ([]store.Group, error) {
	started, err := s.groups(ctx, store.KindStart, within, step, s.rowFilters(), store.FieldTraceID, store.FieldSpanID)
	if err != nil || len(started) == 0 {
		return nil, err
	}
	about := signal.TimeRange{Start: within.Start - lookAround, End: within.End + lookAround}
	ended := map[begun]bool{}
	for part := range slices.Chunk(started, spansPerLookup) {
		ids := make([]string, len(part))
		for i, g := range part {
			ids[i] = begunOf(g).span
		}
		slices.Sort(ids)
		filter := store.And{store.Exists{Field: store.FieldTaskID}, store.In{Field: store.FieldSpanID, Values: slices.Compact(ids)}}
		groups, err := s.groups(ctx, store.KindSpan, about, 0, filter, store.FieldTraceID, store.FieldSpanID)
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			ended[begunOf(g)] = true
		}
	}
	return slices.DeleteFunc(started, func(g store.Group) bool { return ended[begunOf(g)] }), nil
}
