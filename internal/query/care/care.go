// Package care answers what a person may ask of data about them or gone astray: remove a task, a trace or all of a
// user; take a leaked secret out of everything; hand out what is known of a user. Each removal ends with a receipt.
package care

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// idsPerFilter bounds the ids of one filter.
	idsPerFilter = 1000
	// maxTraces bounds the traces of one target: what a project of a user has in years, not in weeks.
	maxTraces = 200_000
	// maxID is the longest id of a task, trace or user, in bytes.
	maxID = 1024
)

// ErrBusy says that another removal runs; they go one at a time.
var ErrBusy = errors.New("another removal is running")

// kinds are what rows a removal looks at. Logs and spans are what people see first, so they come first.
func kinds() []store.Kind {
	return []store.Kind{
		store.KindSpan, store.KindLog, store.KindStart, store.KindTask, store.KindCost, store.KindContent, store.KindRange,
		store.KindJoin, store.KindFinding,
	}
}

// Care removes and hands out data of one store. It is safe for concurrent use.
type Care struct {
	events store.Events
	clock  func() time.Time
	busy   sync.Mutex
}

// New returns a Care for events. A nil clock is time.Now.
func New(events store.Events, clock func() time.Time) *Care {
	if clock == nil {
		clock = time.Now
	}
	return &Care{events: events, clock: clock}
}

// Target names what a removal or an export is about; exactly one of Task, Trace and User is set.
type Target struct {
	// Task is a task's id; Team narrows it where several teams have a task of this id.
	Task, Team string
	// Trace is a trace's id.
	Trace string
	// User is a user's id: all traces in which the user occurs, with their logs.
	User string
}

// String names the target for people.
func (t Target) String() string {
	switch {
	case t.Task != "" && t.Team != "":
		return "task " + t.Task + " of team " + t.Team
	case t.Task != "":
		return "task " + t.Task
	case t.Trace != "":
		return "trace " + t.Trace
	default:
		return "user " + t.User
	}
}

func (t Target) check() error {
	set := 0
	for _, id := range []string{t.Task, t.Trace, t.User} {
		if id != "" {
			set++
		}
		if len(id) > maxID {
			return signal.Permanent(fmt.Errorf("an id of %d bytes: at most %d are allowed", len(id), maxID))
		}
	}
	if set != 1 {
		return signal.Permanent(errors.New("name one of task, trace and user"))
	}
	if t.Team != "" && t.Task == "" {
		return signal.Permanent(errors.New("a team goes with a task"))
	}
	return nil
}

// own is the condition of the rows that say themselves that they belong to the target.
func (t Target) own() store.Filter {
	switch {
	case t.Trace != "":
		return store.Eq(store.FieldTraceID, t.Trace)
	case t.User != "":
		return store.Eq(store.FieldUser, t.User)
	case t.Team != "":
		return store.And{store.Eq(store.FieldTaskID, t.Task), store.Eq(store.FieldTeam, t.Team)}
	default:
		return store.Eq(store.FieldTaskID, t.Task)
	}
}

// filters returns conditions that together select every row of the target: its own and those of its traces. A trace in
// which other tasks run, too, belongs to a task with that task's rows only.
func (c *Care) filters(ctx context.Context, p signal.Project, t Target) ([]store.Filter, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	out := []store.Filter{t.own()}
	if t.Trace != "" {
		return out, nil
	}
	traces, err := c.traces(ctx, p, t)
	if err != nil {
		return nil, err
	}
	for ; len(traces) > 0; traces = traces[min(idsPerFilter, len(traces)):] {
		out = append(out, store.In{Field: store.FieldTraceID, Values: traces[:min(idsPerFilter, len(traces))]})
	}
	return out, nil
}

// traces returns the ids of the traces that belong to the target as a whole.
func (c *Care) traces(ctx context.Context, p signal.Project, t Target) ([]string, error) {
	seen := map[string]bool{}
	var ids []string
	for _, k := range []store.Kind{store.KindSpan, store.KindLog, store.KindStart, store.KindJoin} {
		groups, err := c.events.Aggregate(ctx, p, store.Aggregate{
			Scope: store.Scope{Kind: k, Time: signal.AllTime(), Filter: store.And{t.own(), store.Exists{Field: store.FieldTraceID}}},
			By:    []string{store.FieldTraceID}, Columns: []store.Column{{Func: store.CountRows}}, Limit: maxTraces,
		})
		if err != nil {
			return nil, fmt.Errorf("find traces of %s: %w", t, err)
		}
		for _, g := range groups {
			if !seen[g.Key[0]] {
				seen[g.Key[0]] = true
				ids = append(ids, g.Key[0])
			}
		}
	}
	if t.Task == "" {
		return ids, nil
	}
	return c.notShared(ctx, p, t, ids)
}

// notShared leaves out the traces in which another task runs.
func (c *Care) notShared(ctx context.Context, p signal.Project, t Target, traces []string) ([]string, error) {
	var alone []string
	for len(traces) > 0 {
		part := traces[:min(idsPerFilter, len(traces))]
		traces = traces[len(part):]
		shared := map[string]bool{}
		for _, k := range []store.Kind{store.KindSpan, store.KindStart} {
			groups, err := c.events.Aggregate(ctx, p, store.Aggregate{
				Scope: store.Scope{Kind: k, Time: signal.AllTime(), Filter: store.And{
					store.In{Field: store.FieldTraceID, Values: part},
					store.Exists{Field: store.FieldTaskID},
					store.Not{Filter: t.own()},
					store.Not{Filter: store.Eq(store.FieldTaskProvisional, "true")}, // rows that name no task belong to the trace's
				}},
				By: []string{store.FieldTraceID}, Columns: []store.Column{{Func: store.CountRows}}, Limit: maxTraces,
			})
			if err != nil {
				return nil, fmt.Errorf("find other tasks: %w", err)
			}
			for _, g := range groups {
				shared[g.Key[0]] = true
			}
		}
		for _, id := range part {
			if !shared[id] {
				alone = append(alone, id)
			}
		}
	}
	return alone, nil
}

// count returns how many rows of a kind are in scope.
func (c *Care) count(ctx context.Context, p signal.Project, s store.Scope) (int64, error) {
	groups, err := c.events.Aggregate(ctx, p, store.Aggregate{Scope: s, Columns: []store.Column{{Func: store.CountRows}}})
	if err != nil || len(groups) == 0 {
		return 0, err
	}
	return int64(groups[0].Values[0]), nil
}
