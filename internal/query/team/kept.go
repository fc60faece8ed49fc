package team

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// largeTask is from how many spans on the sums of an ended task are kept: smaller ones are summed up sooner than it is
	// found out that nothing changed.
	largeTask = 2000
	// maxKept bounds the tasks whose sums are kept.
	maxKept = 200
	// quiet is how long nothing must have changed: later corrections are seen by all readers some seconds after their commit.
	quiet = 15 * time.Second
)

// keptTasks holds the sums of large tasks that have ended, each with a print of the rows that it was made of. Whether they
// still hold is asked of the store, which counts rows in no time, and not of an observer: other servers write to the same
// store, and deletions and retention are told to nobody.
type keptTasks struct {
	mu    sync.Mutex
	tasks map[keptKey]kept
	uses  int64
}

type keptKey struct {
	project signal.Project
	taskKey
}

// kept is what is known of a large task.
type kept struct {
	traces []string
	// print is that of its rows, as it is since a time.
	print string
	since int64
	// sum is there when the rows have had the print for long enough.
	sum  *Summary
	used int64
}

func (k *keptTasks) get(key keptKey) (kept, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t, ok := k.tasks[key]
	return t, ok
}

func (k *keptTasks) put(key keptKey, t kept) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.uses++
	t.used = k.uses
	if k.tasks == nil {
		k.tasks = map[keptKey]kept{}
	}
	k.tasks[key] = t
	if len(k.tasks) <= maxKept {
		return
	}
	oldest, at := key, t.used
	for other, o := range k.tasks {
		if o.used < at {
			oldest, at = other, o.used
		}
	}
	delete(k.tasks, oldest)
}

func (k *keptTasks) drop(key keptKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.tasks, key)
}

// takeKept answers for those tasks of a team whose kept sums still hold, and returns the others: their ids, and what is known of
// them. traces are those of the tasks that it answered for.
func (s *taskSearch) takeKept(ctx context.Context, team string, ids []string, filter func([]string) store.And) (rest []string, known map[string]kept, traces []string, err error) {
	known = map[string]kept{}
	var asked []string
	for _, id := range ids {
		if t, ok := s.kept.get(s.keptKey(team, id)); ok {
			known[id] = t
			asked = append(asked, id)
		}
	}
	if len(asked) == 0 {
		return ids, known, nil, nil
	}
	prints, err := s.prints(ctx, filter(asked), known)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, id := range asked {
		t := known[id]
		if t.print != prints[id] {
			t.print, t.since, t.sum = prints[id], s.clock().UnixNano(), nil
		}
		known[id] = t
		s.kept.put(s.keptKey(team, id), t)
		if t.sum != nil {
			s.tasks[taskKey{team, id}] = *t.sum
			traces = append(traces, t.traces...)
		}
	}
	rest = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return known[id].sum != nil })
	return rest, known, traces, nil
}

func (s *taskSearch) keptKey(team, id string) keptKey {
	return keptKey{s.project, taskKey{team, id}}
}

// keep keeps the sum of a large task that has ended, when nothing about it has changed for long enough: not since before
// it was read, since t was known then.
func (s *taskSearch) keep(ctx context.Context, team, id string, f *Fold, sum Summary, t kept, filter func([]string) store.And) error {
	key := s.keptKey(team, id)
	traces := f.traces()
	if f.Len() < s.keepFrom || f.shared || s.partial || len(traces) >= maxTraces || f.running() {
		if t.traces != nil {
			s.kept.drop(key)
		}
		return nil
	}
	if !slices.Equal(t.traces, traces) { // it is new, or has a new trace
		t = kept{traces: traces, since: s.clock().UnixNano()}
		prints, err := s.prints(ctx, filter([]string{id}), map[string]kept{id: t})
		if err != nil {
			return err
		}
		t.print = prints[id]
	} else if t.print != "" && s.clock().UnixNano()-t.since >= int64(quiet) {
		t.sum = &sum
	}
	s.kept.put(key, t)
	return nil
}

// running tells whether a span has not ended: what becomes of the task depends on the time then.
func (f *Fold) running() bool {
	return slices.ContainsFunc(f.spans, func(s Span) bool { return s.Running })
}

// printPart is a question whose answers are part of a print.
type printPart struct {
	kind    store.Kind
	filter  store.Filter
	by      string
	columns []store.Column
}

// printParts are the questions about all rows that the sums of tasks are made of: their spans, all spans of their traces,
// which may be adopted, and what corrects, joins and judges them.
func printParts(filter store.And, ids, traces []string) []printPart {
	count, newest := store.Column{Func: store.CountRows}, store.Column{Func: store.Max, Field: store.FieldRevision}
	sum := func(field string) store.Column { return store.Column{Func: store.Sum, Field: field} }
	ofTraces := store.In{Field: store.FieldTraceID, Values: traces}
	var out []printPart
	for _, kind := range workKinds() {
		columns := []store.Column{count, newest, sum(store.FieldDuration)}
		out = append(out, printPart{kind, filter, store.FieldTaskID, columns}, printPart{kind, ofTraces, store.FieldTraceID, columns})
	}
	return append(out,
		printPart{store.KindCost, ofTraces, store.FieldTraceID, []store.Column{count, newest, sum(store.FieldCostMicro), sum(store.FieldCostRest)}},
		printPart{store.KindContent, ofTraces, store.FieldTraceID, []store.Column{count, newest}},
		printPart{store.KindJoin, store.In{Field: store.FieldTaskID, Values: ids}, store.FieldTaskID, []store.Column{count, newest}},
		printPart{
			store.KindLog,
			store.And{store.Exists{Field: store.FieldQuality}, filter},
			store.FieldTaskID,
			[]store.Column{count, sum(store.FieldQuality)},
		},
	)
}

// prints returns a text for each of the known tasks that differs when their rows do; "" when a part of the store did not
// answer.
func (s *taskSearch) prints(ctx context.Context, filter store.And, known map[string]kept) (map[string]string, error) {
	owners := map[string][]string{} // of traces
	var ids, traces []string
	for id, t := range known {
		ids = append(ids, id)
		for _, trace := range t.traces {
			owners[trace] = append(owners[trace], id)
			traces = append(traces, trace)
		}
	}
	out := make(map[string]string, len(known))
	for _, part := range printParts(filter, ids, traces) {
		groups, err := s.events.Aggregate(ctx, s.project, store.Aggregate{
			Scope: store.Scope{Kind: part.kind, Time: signal.AllTime(), Filter: part.filter},
			By:    []string{part.by}, Columns: part.columns, Limit: len(ids) + len(traces) + 1,
		})
		if errors.Is(err, store.ErrPartial) {
			s.partial = true
			return map[string]string{}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("look for changes of tasks: %w", err)
		}
		figures := map[string][]float64{}
		for _, g := range groups {
			of := []string{g.Key[0]}
			if part.by == store.FieldTraceID {
				of = owners[g.Key[0]]
			}
			for _, id := range of {
				figures[id] = joinFigures(part.columns, figures[id], g.Values)
			}
		}
		for id := range known {
			out[id] += fmt.Sprint(figures[id])
		}
	}
	return out, nil
}

// joinFigures adds the figures of a group to those of others; what is not there is 0.
func joinFigures(columns []store.Column, to, more []float64) []float64 {
	if to == nil {
		to = make([]float64, len(columns))
	}
	for i, v := range more {
		switch {
		case math.IsNaN(v):
		case columns[i].Func == store.Max:
			to[i] = max(to[i], v)
		default:
			to[i] += v
		}
	}
	return to
}
