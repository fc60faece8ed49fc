package team

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// MaxSpans bounds the spans of one task that are read for its tree. A larger task is shown cut, and says so.
const MaxSpans = 50_000

// Detail is one task from end to end.
type Detail struct {
	Summary
	Tree []*Node
	// Cut: the task has more than MaxSpans spans; the tree and the sums hold the first ones.
	Cut     bool
	Partial bool
}

// Task returns the task of that id; team may be empty while the id is unique. The id of a trace is taken too, and names
// the task that the trace belongs to. Errors: store.ErrNotFound, *AmbiguousError.
func (q *Questions) Task(ctx context.Context, p signal.Project, team, id string) (Detail, error) {
	var d Detail
	key, traces, err := q.resolve(ctx, p, team, id)
	if err != nil {
		return d, err
	}
	fold := &Fold{}
	scopes := []store.Filter{store.And{store.Eq(store.FieldTaskID, key.id), store.Eq(store.FieldTeam, key.team)}}
	if len(traces) > 0 { // the same trace's spans that know of no task
		scopes = append(scopes, store.And{
			store.In{Field: store.FieldTraceID, Values: traces}, store.Eq(store.FieldTaskProvisional, "true"),
		})
	}
	for _, filter := range scopes {
		for _, kind := range []store.Kind{store.KindSpan, store.KindStart} {
			cut, err := q.gather(ctx, p, fold, kind, filter)
			d.Cut = d.Cut || cut
			if errors.Is(err, store.ErrPartial) {
				d.Partial = true
			} else if err != nil {
				return d, err
			}
		}
	}
	d.Summary = fold.Summary(q.clock().UnixNano())
	lines, err := q.logLines(ctx, p, key, d.Traces)
	if err != nil {
		return d, err
	}
	for _, n := range lines {
		d.Hops.LogLines += n
	}
	d.Tree = Tree(fold, lines)
	return d, nil
}

func (q *Questions) gather(ctx context.Context, p signal.Project, fold *Fold, kind store.Kind, filter store.Filter) (cut bool, err error) {
	rows := q.events.Select(ctx, p, store.Select{
		Scope:  store.Scope{Kind: kind, Time: signal.AllTime(), Filter: filter},
		Fields: spanFields(), Order: store.OldestFirst, Limit: MaxSpans + 1,
	})
	n := 0
	for r, err := range rows {
		if err != nil {
			return false, fmt.Errorf("read task: %w", err)
		}
		if n++; n > MaxSpans {
			return true, nil
		}
		fold.Add(spanOf(r))
	}
	return false, nil
}

// resolve finds the task that is meant, and its traces.
func (q *Questions) resolve(ctx context.Context, p signal.Project, team, id string) (taskKey, []string, error) {
	filter := store.And{store.Eq(store.FieldTaskID, id)}
	if team != "" {
		filter = append(filter, store.Eq(store.FieldTeam, team))
	}
	teams, traces, provisional, err := q.tasksOf(ctx, p, filter)
	if err != nil {
		return taskKey{}, nil, err
	}
	if (len(teams) == 0 || provisional) && len(id) == 32 { // perhaps a trace that belongs to a task
		if key, all, ok, err := q.ofTrace(ctx, p, id); err != nil || ok {
			return key, all, err
		}
	}
	switch len(teams) {
	case 0:
		return taskKey{}, nil, fmt.Errorf("task %q: %w", id, store.ErrNotFound)
	case 1:
		return taskKey{teams[0], id}, traces, nil
	}
	return taskKey{}, nil, &AmbiguousError{ID: id, Teams: teams}
}

func (q *Questions) tasksOf(ctx context.Context, p signal.Project, filter store.Filter) (teams, traces []string, provisional bool, err error) {
	for _, kind := range []store.Kind{store.KindSpan, store.KindStart} {
		groups, err := q.events.Aggregate(ctx, p, store.Aggregate{
			Scope:   store.Scope{Kind: kind, Time: signal.AllTime(), Filter: filter},
			By:      []string{store.FieldTeam, store.FieldTraceID, store.FieldTaskProvisional},
			Columns: []store.Column{{Func: store.CountRows}},
		})
		if err != nil {
			return nil, nil, false, fmt.Errorf("find task: %w", err)
		}
		for _, g := range groups {
			teams = append(teams, g.Key[0])
			if g.Key[1] != "" {
				traces = append(traces, g.Key[1])
			}
			provisional = provisional || g.Key[2] == "true"
		}
	}
	return unique(teams), unique(traces), provisional, nil
}

// ofTrace finds the task with an id of its own that a trace belongs to.
func (q *Questions) ofTrace(ctx context.Context, p signal.Project, trace string) (taskKey, []string, bool, error) {
	groups, err := q.events.Aggregate(ctx, p, store.Aggregate{
		Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.And{
			store.Eq(store.FieldTraceID, trace),
			store.Exists{Field: store.FieldTaskID},
			store.Not{Filter: store.Eq(store.FieldTaskProvisional, "true")},
		}},
		By:      []string{store.FieldTeam, store.FieldTaskID},
		Columns: []store.Column{{Func: store.CountRows}},
	})
	if err != nil || len(groups) == 0 {
		return taskKey{}, nil, false, err
	}
	most := slices.MaxFunc(groups, func(a, b store.Group) int { return cmp.Compare(a.Values[0], b.Values[0]) })
	key := taskKey{most.Key[0], most.Key[1]}
	_, traces, _, err := q.tasksOf(ctx, p, store.And{store.Eq(store.FieldTaskID, key.id), store.Eq(store.FieldTeam, key.team)})
	return key, traces, err == nil, err
}

// logLines counts the log records of a task by the span they were written in.
func (q *Questions) logLines(ctx context.Context, p signal.Project, key taskKey, traces []string) (map[string]int, error) {
	groups, err := q.events.Aggregate(ctx, p, store.Aggregate{
		Scope:   store.Scope{Kind: store.KindLog, Time: signal.AllTime(), Filter: logsOf(key, traces)},
		By:      []string{store.FieldSpanID},
		Columns: []store.Column{{Func: store.CountRows}},
		Limit:   MaxSpans,
	})
	if err != nil {
		return nil, fmt.Errorf("count log lines: %w", err)
	}
	out := make(map[string]int, len(groups))
	for _, g := range groups {
		out[g.Key[0]] = int(g.Values[0])
	}
	return out, nil
}

// logsOf selects the log records of a task: those that carry its id, and those written in its traces.
func logsOf(key taskKey, traces []string) store.Filter {
	own := store.And{store.Eq(store.FieldTaskID, key.id), store.Eq(store.FieldTeam, key.team)}
	if len(traces) == 0 {
		return own
	}
	return store.Or{own, store.In{Field: store.FieldTraceID, Values: traces}}
}
