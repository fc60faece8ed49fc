package team

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// MaxSpans bounds the spans of one task that are read. A larger task is shown cut, and says so.
const MaxSpans = 50_000

// maxTraces bounds the traces of a task whose spans and log records count as the task's though they don't name it.
const maxTraces = 2000

// Detail is one task from end to end.
type Detail struct {
	Summary
	Tree []*Node
	// OtherLogLines counts the log records of the task that were written in no span of the tree.
	OtherLogLines int
	Partial       bool
}

// found is a task that an id names, with its traces.
type found struct {
	team, id string
	// provisional: no sender named a task; id is the trace's.
	provisional bool
	traces      []string
	// partial: a part of the store did not answer; there may be more traces, or another task of this id.
	partial bool
}

// Task returns the task of that id; team may be empty while the id is unique. The id of a trace is taken too, and names
// the task that the trace belongs to. Errors: store.ErrNotFound, *AmbiguousError.
func (q *Questions) Task(ctx context.Context, p signal.Project, team, id string) (Detail, error) {
	var d Detail
	t, err := q.resolve(ctx, p, team, id)
	if err != nil {
		return d, err
	}
	d.Partial = t.partial
	fold := &Fold{}
	cut := false
	for _, kind := range []store.Kind{store.KindSpan, store.KindStart} {
		more, err := q.gather(ctx, p, fold, kind, t.rows())
		cut = cut || more
		if errors.Is(err, store.ErrPartial) {
			d.Partial = true
		} else if err != nil {
			return d, err
		}
	}
	if err := q.judge(ctx, p, t.rows(), func(*store.Row) *Fold { return fold }); err != nil {
		return d, err
	}
	d.Summary = fold.Summary(q.clock().UnixNano())
	d.Cut = cut
	lines, err := q.logLines(ctx, p, t)
	if errors.Is(err, store.ErrPartial) {
		d.Partial = true
	} else if err != nil {
		return d, err
	}
	for _, n := range lines {
		d.Hops.LogLines += n
	}
	d.Tree, d.OtherLogLines = Tree(fold, lines)
	return d, nil
}

// rows selects what belongs to the task: what carries its id, and what of its traces knows of no task. A provisional task's
// id is its trace's; log records outside of any trace may have one too.
func (t found) rows() store.Filter {
	ofTraces := store.And{
		store.In{Field: store.FieldTaskID, Values: t.traces}, store.Eq(store.FieldTaskProvisional, "true"),
	}
	if t.provisional {
		return ofTraces
	}
	own := store.And{store.Eq(store.FieldTaskID, t.id), store.Eq(store.FieldTeam, t.team)}
	if len(t.traces) == 0 {
		return own
	}
	return store.Or{own, ofTraces}
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
		fold.Add(q.span(p, r))
	}
	return false, nil
}

// judge gives the scores that came in log records to the folds that of names; nil is none.
func (q *Questions) judge(ctx context.Context, p signal.Project, filter store.Filter, of func(*store.Row) *Fold) error {
	rows := q.events.Select(ctx, p, store.Select{
		Scope: store.Scope{
			Kind: store.KindLog, Time: signal.AllTime(),
			Filter: store.And{store.Exists{Field: store.FieldQuality}, filter},
		},
		Fields: []string{store.FieldTraceID, store.FieldSpanID, store.FieldTaskID, store.FieldTeam, store.FieldQuality},
		Limit:  MaxSpans,
	})
	for r, err := range rows {
		if errors.Is(err, store.ErrPartial) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read scores: %w", err)
		}
		score, ok := r.Get(store.FieldQuality).Number()
		if fold := of(r); ok && fold != nil {
			trace, span := r.Text(store.FieldTraceID), r.Text(store.FieldSpanID)
			if span == "" { // of the task as a whole
				trace = ""
			}
			fold.Judge(trace, span, r.Time, score)
		}
	}
	return nil
}

// resolve finds the task that is meant, and its traces. When a part of the store does not answer and the rest has nothing of it,
// the error is store.ErrPartial.
func (q *Questions) resolve(ctx context.Context, p signal.Project, team, id string) (found, error) {
	s := &resolver{Questions: q}
	t, err := s.resolve(ctx, p, team, id)
	t.partial = s.partial != nil
	if errors.Is(err, store.ErrNotFound) && t.partial {
		return t, fmt.Errorf("find task %q: %w", id, s.partial)
	}
	return t, err
}

// resolver is one search for a task.
type resolver struct {
	*Questions
	partial error // of the parts of the store that did not answer
}

// groups are those that the parts of the store which answer have.
func (q *resolver) groups(ctx context.Context, p signal.Project, a store.Aggregate) ([]store.Group, error) {
	groups, err := q.events.Aggregate(ctx, p, a)
	if errors.Is(err, store.ErrPartial) {
		q.partial = err
		return groups, nil
	}
	return groups, err
}

func (q *resolver) resolve(ctx context.Context, p signal.Project, team, id string) (found, error) {
	filter := store.And{store.Eq(store.FieldTaskID, id)}
	if team != "" {
		filter = append(filter, store.Eq(store.FieldTeam, team))
	}
	teams, err := q.teamsOf(ctx, p, filter)
	if err != nil {
		return found{}, err
	}
	if len(teams) == 0 { // perhaps a trace, in whatever case
		if trace := strings.ToLower(id); isTraceID(trace) {
			if t, ok, err := q.ofTrace(ctx, p, trace); err != nil || ok {
				return t, err
			}
			return q.provisional(ctx, p, team, trace)
		}
		return found{}, fmt.Errorf("task %q: %w", id, store.ErrNotFound)
	}
	if len(teams) > 1 {
		return found{}, &AmbiguousError{ID: id, Teams: teams}
	}
	return q.traced(ctx, p, found{team: teams[0], id: id})
}

func isTraceID(id string) bool {
	return len(id) == 32 && strings.Trim(id, "0123456789abcdef") == ""
}

// teamsOf returns the teams that have a task with an id of its own in filter.
func (q *resolver) teamsOf(ctx context.Context, p signal.Project, filter store.And) ([]string, error) {
	var teams []string
	filter = append(slices.Clone(filter), store.Not{Filter: store.Eq(store.FieldTaskProvisional, "true")})
	for _, kind := range workKinds() {
		groups, err := q.groups(ctx, p, store.Aggregate{
			Scope:   store.Scope{Kind: kind, Time: signal.AllTime(), Filter: filter},
			By:      []string{store.FieldTeam},
			Columns: []store.Column{{Func: store.CountRows}},
		})
		if err != nil {
			return nil, fmt.Errorf("find task: %w", err)
		}
		for _, g := range groups {
			teams = append(teams, g.Key[0])
		}
	}
	return unique(teams), nil
}

// workKinds are the kinds of rows that tell of work: ended and begun.
func workKinds() []store.Kind { return []store.Kind{store.KindSpan, store.KindStart} }

// traced adds the traces of a task. One with more than maxTraces gets none: then only what names it is read.
func (q *resolver) traced(ctx context.Context, p signal.Project, t found) (found, error) {
	filter := store.And{store.Eq(store.FieldTaskID, t.id), store.Eq(store.FieldTeam, t.team)}
	for _, kind := range append(workKinds(), store.KindJoin) {
		groups, err := q.groups(ctx, p, store.Aggregate{
			Scope:   store.Scope{Kind: kind, Time: signal.AllTime(), Filter: filter},
			By:      []string{store.FieldTraceID},
			Columns: []store.Column{{Func: store.CountRows}},
			Limit:   maxTraces,
		})
		if errors.Is(err, store.ErrTooMany) {
			t.traces = nil
			return t, nil
		}
		if err != nil {
			return t, fmt.Errorf("find the task's traces: %w", err)
		}
		for _, g := range groups {
			if g.Key[0] != "" {
				t.traces = append(t.traces, g.Key[0])
			}
		}
	}
	t.traces = unique(t.traces)
	return t, nil
}

// ofTrace finds the task with an id of its own that a trace belongs to.
func (q *resolver) ofTrace(ctx context.Context, p signal.Project, trace string) (found, bool, error) {
	for _, kind := range append(workKinds(), store.KindJoin) {
		groups, err := q.groups(ctx, p, store.Aggregate{
			Scope: store.Scope{Kind: kind, Time: signal.AllTime(), Filter: store.And{
				store.Eq(store.FieldTraceID, trace),
				store.Exists{Field: store.FieldTaskID},
				store.Not{Filter: store.Eq(store.FieldTaskProvisional, "true")},
			}},
			By:      []string{store.FieldTeam, store.FieldTaskID},
			Columns: []store.Column{{Func: store.CountRows}},
		})
		if err != nil {
			return found{}, false, fmt.Errorf("find the trace's task: %w", err)
		}
		if len(groups) == 0 {
			continue
		}
		most := slices.MaxFunc(groups, func(a, b store.Group) int { return cmp.Compare(a.Values[0], b.Values[0]) })
		t, err := q.traced(ctx, p, found{team: most.Key[0], id: most.Key[1]})
		return t, err == nil, err
	}
	return found{}, false, nil
}

// provisional finds a trace that belongs to no task. Its services may be of several teams; it is one all the same.
func (q *resolver) provisional(ctx context.Context, p signal.Project, team, id string) (found, error) {
	filter := store.And{store.Eq(store.FieldTaskID, id), store.Eq(store.FieldTaskProvisional, "true")}
	if team != "" {
		filter = append(filter, store.Eq(store.FieldTeam, team))
	}
	for _, kind := range workKinds() {
		groups, err := q.groups(ctx, p, store.Aggregate{
			Scope:   store.Scope{Kind: kind, Time: signal.AllTime(), Filter: filter},
			Columns: []store.Column{{Func: store.CountRows}},
		})
		if err != nil {
			return found{}, fmt.Errorf("find trace: %w", err)
		}
		if len(groups) > 0 && groups[0].Values[0] > 0 {
			return found{id: id, provisional: true, traces: []string{id}}, nil
		}
	}
	return found{}, fmt.Errorf("task %q: %w", id, store.ErrNotFound)
}

// logLines counts the log records of a task by the span they were written in. When there are more spans than a tree
// shows, they are counted together.
func (q *Questions) logLines(ctx context.Context, p signal.Project, t found) (map[SpanID]int, error) {
	count := store.Aggregate{
		Scope:   store.Scope{Kind: store.KindLog, Time: signal.AllTime(), Filter: t.rows()},
		By:      []string{store.FieldTraceID, store.FieldSpanID},
		Columns: []store.Column{{Func: store.CountRows}},
		Limit:   MaxSpans,
	}
	groups, err := q.events.Aggregate(ctx, p, count)
	if errors.Is(err, store.ErrTooMany) {
		count.By = nil
		groups, err = q.events.Aggregate(ctx, p, count)
	}
	if err != nil {
		err = fmt.Errorf("count log lines: %w", err)
	}
	out := make(map[SpanID]int, len(groups))
	for _, g := range groups {
		var id SpanID
		if len(g.Key) == 2 {
			id = SpanID{g.Key[0], g.Key[1]}
		}
		out[id] += int(g.Values[0])
	}
	return out, err
}
