package team

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// TaskQuery selects tasks of a list. Zero fields select everything.
type TaskQuery struct {
	Team, Type, Status, Agent, Model, Conversation, User string
	// Prefix is the beginning of the task's id.
	Prefix string
	// Failed selects what went wrong: failed and lost.
	Failed bool
	// Since and Until bound the task's start: [Since, Until). A zero Since is the beginning of the retention, a zero
	// Until is now.
	Since, Until time.Time
	MinDuration  time.Duration
	Limit        int
	Page         string
}

// TaskPage is one page of a list of tasks, newest first.
type TaskPage struct {
	Tasks []Summary
	// Next asks for the following page; "" when this is the last one.
	Next string
	// Partial: a part of the store did not answer.
	Partial bool
}

// taskKey names a task within a project. A provisional one is named by its trace alone, its team is "".
type taskKey struct{ team, id string }

const (
	// firstWindow is the first stretch of time that is searched for tasks. It becomes twice as long until the page is
	// full, and four times as long while nothing is found.
	firstWindow = 2 * time.Minute
	// windowSteps is into how many parts a window is divided: the newest ones are often enough.
	windowSteps = 8
	// minStep is the shortest part of a window.
	minStep = int64(time.Microsecond)
	// maxWindow is beyond any retention.
	maxWindow = int64(1) << 61
	// maxKeys bounds the tasks, each in each part, that are looked at in one window; a window with more is halved.
	maxKeys = 16_000
	// maxCrowd is how many more tasks than the page wants may be summed up for it; a part with more is divided. It becomes twice as
	// much with each look that leaves the page short: a filter that few tasks pass needs them all.
	maxCrowd = 50
	// maxOwners bounds the tasks of traces that are looked at once; traces with more are halved.
	maxOwners = 10_000
	// maxBatch bounds the spans, as far as a window shows them, of the tasks that are summed up at once.
	maxBatch = 100_000
	// futureLimit is how far the clocks of senders may run ahead.
	futureLimit = 48 * time.Hour
)

// Tasks lists tasks by their start, newest first. It searches windows of time that double in length, so that the latest
// tasks are found without looking through the whole retention.
func (q *Questions) Tasks(ctx context.Context, p signal.Project, tq TaskQuery) (TaskPage, error) {
	s, err := q.newTaskSearch(ctx, p, tq)
	if err != nil {
		return TaskPage{}, err
	}
	start, size := min(s.until, q.clock().UnixNano()), int64(firstWindow)
	for {
		want := start - min(size, max(start-s.since, 0))
		got, tooMany, err := s.look(ctx, want)
		if err != nil {
			return TaskPage{}, err
		}
		size *= 2
		switch {
		case tooMany:
			size = max(start-got, int64(time.Second))
		case len(s.tasks) == 0:
			size *= 2
		}
		start, size = got, min(size, maxWindow)
		found := s.found(start)
		if len(found) <= s.limit && start > s.since {
			continue
		}
		page := TaskPage{Tasks: found, Partial: s.partial}
		if len(found) > s.limit {
			page.Tasks = found[:s.limit]
			end := page.Tasks[s.limit-1]
			page.Next = place{listTasks, end.Start, placeOf(end)}.token()
		}
		return page, nil
	}
}

func placeOf(t Summary) string { return t.Team + "\x00" + t.ID }

type taskSearch struct {
	*Questions
	project      signal.Project
	query        TaskQuery
	since, until int64
	after        *place
	limit        int
	// looked: everything from here on was looked at, until included or not (see newTaskSearch).
	looked  int64
	crowd   int // see maxCrowd
	tasks   map[taskKey]Summary
	partial bool
}

func (q *Questions) newTaskSearch(ctx context.Context, p signal.Project, tq TaskQuery) (*taskSearch, error) {
	after, err := parseToken(tq.Page, listTasks)
	if err != nil {
		return nil, err
	}
	stats, err := q.events.Stats(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the store's limits: %w", err)
	}
	s := &taskSearch{
		Questions: q, project: p, query: tq, after: after, limit: limitOf(tq.Limit), tasks: map[taskKey]Summary{},
		until: q.clock().Add(futureLimit).UnixNano(), since: stats.Accept.Start,
	}
	s.looked, s.crowd = s.until, maxCrowd
	if !tq.Until.IsZero() {
		s.until = min(s.until, tq.Until.UnixNano())
	}
	if !tq.Since.IsZero() {
		s.since = max(s.since, tq.Since.UnixNano())
	}
	if after != nil {
		s.until = min(s.until, after.Time+1)
	}
	s.until = max(s.until, s.since)
	if !s.selective() {
		// Every task has a row at its start, of its own or of its trace's provisional task. One that is selected by a row may have that row long after its start.
		s.looked = s.until
	}
	return s, nil
}

// rowFilters are the conditions of the query that hold for single rows.
func (s *taskSearch) rowFilters() store.And {
	filters := store.And{store.Exists{Field: store.FieldTaskID}}
	for _, f := range []struct{ field, text string }{
		{store.FieldTeam, s.query.Team},
		{store.FieldConversation, s.query.Conversation},
		{store.FieldUser, s.query.User},
		{store.FieldAgent, s.query.Agent},
		{store.FieldModel, s.query.Model},
	} {
		if f.text != "" {
			filters = append(filters, store.Eq(f.field, f.text))
		}
	}
	return filters
}

func (s *taskSearch) selective() bool { return len(s.rowFilters()) > 1 || s.statuses() != nil }

// look finds the tasks that began in [start, looked) and sums them up, newest first. It returns how far it got: what has rows in the
// older half of the window is left to the next one, since most of it began before. It ends earlier when the page is full, in a part
// that is a crowd, and where there are tooMany tasks.
func (s *taskSearch) look(ctx context.Context, start int64) (got int64, tooMany bool, err error) {
	for start < s.looked {
		window := signal.TimeRange{Start: start, End: s.looked}
		parts, step, err := s.parts(ctx, window)
		if errors.Is(err, store.ErrTooMany) && s.looked-start > 1 {
			start += (s.looked - start) / 2
			tooMany = true
			continue
		}
		if err != nil {
			return 0, false, err
		}
		end := start
		if start > s.since {
			parts, end = newerHalf(parts, step, signal.TimeRange{Start: start, End: s.past(window.End)})
		}
		crowd, err := s.sumParts(ctx, parts, step, end)
		switch {
		case err != nil:
			return 0, false, err
		case crowd != nil: // it is divided before its tasks are summed up
			start, s.looked = max(start, crowd.start), min(s.looked, crowd.start+step)
		default:
			return s.looked, tooMany, nil
		}
	}
	return start, tooMany, nil
}

// past cuts off what lies ahead, where hardly anything is.
func (s *taskSearch) past(end int64) int64 { return min(end, s.clock().UnixNano()) }

// newerHalf returns the parts of the newer half of a window, and where they end. What has rows in the older half began there, or
// before.
func newerHalf(parts []part, step int64, window signal.TimeRange) ([]part, int64) {
	middle := window.Start + max(window.End-window.Start, 0)/2
	n := slices.IndexFunc(parts, func(p part) bool { return p.start < middle })
	if n < 0 || parts[n].start+step >= window.End {
		return parts, window.Start
	}
	return parts[:n], parts[n].start + step
}

// sumParts sums the tasks of parts up, newest first, until the page is full; end is where the parts end. It stops in front of a part
// with many more tasks than the page wants, and returns it.
func (s *taskSearch) sumParts(ctx context.Context, parts []part, step, end int64) (crowd *part, err error) {
	for len(parts) > 0 {
		wanted := s.limit + 1 - len(s.found(s.looked))
		if len(parts[0].keys) > wanted+s.crowd && step > minStep && parts[0].start < s.until {
			return &parts[0], nil
		}
		keys, from, n := take(parts, wanted)
		if parts = parts[n:]; len(parts) == 0 {
			from = end
		}
		s.looked = from
		if err := s.sumAll(ctx, keys); err != nil {
			return nil, err
		}
		if len(s.found(from)) > s.limit {
			return nil, nil
		}
		s.crowd *= 2
	}
	s.looked = end
	return nil, nil
}

// part is a part of a window with the tasks whose first rows of the window are in it, and how many rows they have.
type part struct {
	start int64
	keys  map[taskKey]int
}

// take joins the first parts until they have n tasks, and returns where the last one begins and how many they are.
func take(parts []part, n int) (keys map[taskKey]int, from int64, taken int) {
	keys = map[taskKey]int{}
	for _, p := range parts {
		for k, rows := range p.keys {
			keys[k] += rows
		}
		from = p.start
		if taken++; len(keys) >= n {
			break
		}
	}
	return keys, from, taken
}

// parts returns the parts of a range, of step's length, in which tasks that are not known yet have their first rows of the range,
// newest first. No task begins later than its first row.
func (s *taskSearch) parts(ctx context.Context, within signal.TimeRange) (parts []part, step int64, err error) {
	first, rows := map[taskKey]int64{}, map[taskKey]int{}
	step = max((s.past(within.End)-within.Start)/windowSteps, minStep)
	for _, kind := range workKinds() {
		groups, err := s.telling(ctx, kind, within, step)
		if err != nil {
			return nil, 0, err
		}
		for _, g := range groups {
			key := taskKey{g.Key[0], g.Key[1]}
			if g.Key[2] == "true" {
				key.team = ""
			}
			if _, known := s.tasks[key]; known || !strings.HasPrefix(key.id, s.query.Prefix) {
				continue
			}
			if start, known := first[key]; !known || g.Start < start {
				first[key] = g.Start
			}
			rows[key] += int(g.Values[0])
		}
	}
	return partsOf(first, rows), step, nil
}

func partsOf(first map[taskKey]int64, rows map[taskKey]int) []part {
	byStart := map[int64]map[taskKey]int{}
	for key, start := range first {
		if byStart[start] == nil {
			byStart[start] = map[taskKey]int{}
		}
		byStart[start][key] = rows[key]
	}
	out := make([]part, 0, len(byStart))
	for _, start := range slices.Backward(slices.Sorted(maps.Keys(byStart))) {
		out = append(out, part{start, byStart[start]})
	}
	return out
}

// sumAll sums tasks up, some of a team at a time.
func (s *taskSearch) sumAll(ctx context.Context, keys map[taskKey]int) error {
	byTeam := map[string][]string{}
	for k := range keys {
		byTeam[k.team] = append(byTeam[k.team], k.id)
	}
	for team, ids := range byTeam {
		slices.Sort(ids)
		for len(ids) > 0 {
			n, rows := 0, 0
			for n < len(ids) && (n == 0 || rows < maxBatch) {
				rows += keys[taskKey{team, ids[n]}]
				n++
			}
			if err := s.sum(ctx, team, ids[:n]); err != nil {
				return err
			}
			ids = ids[n:]
		}
	}
	return nil
}

// sum folds the tasks of a team with these ids; the provisional ones when team is "".
func (s *taskSearch) sum(ctx context.Context, team string, ids []string) error {
	whose := store.Eq(store.FieldTeam, team)
	if team == "" {
		whose = store.Eq(store.FieldTaskProvisional, "true")
		owners, err := s.owners(ctx, ids)
		if err != nil {
			return err
		}
		if err := s.sumOwners(ctx, owners); err != nil {
			return err
		}
		ids = slices.DeleteFunc(ids, func(id string) bool {
			_, owned := owners[id]
			return owned
		})
	}
	of := func(ids []string) store.And { return store.And{store.In{Field: store.FieldTaskID, Values: ids}, whose} }
	ids, known, taken, err := s.takeKept(ctx, team, ids, of)
	if err != nil || len(ids) == 0 {
		return err
	}
	filter := of(ids)
	folds, cut, err := s.fold(ctx, filter)
	if err != nil {
		return err
	}
	if team != "" {
		if err := s.adopt(ctx, folds, taken); err != nil {
			return err
		}
	}
	err = s.judge(ctx, s.project, filter, func(r *store.Row) *Fold { return folds[r.Text(store.FieldTaskID)] })
	if err != nil {
		return err
	}
	now := s.clock().UnixNano()
	for id, f := range folds {
		sum := f.Summary(now)
		sum.Cut = cut[id]
		s.tasks[taskKey{team, id}] = sum
		if err := s.keep(ctx, team, id, f, sum, known[id], of); err != nil {
			return err
		}
	}
	return nil
}

func (s *taskSearch) fold(ctx context.Context, filter store.Filter) (folds map[string]*Fold, cut map[string]bool, err error) {
	folds, cut = map[string]*Fold{}, map[string]bool{}
	for _, kind := range workKinds() {
		rows := s.events.Select(ctx, s.project, store.Select{
			Scope:  store.Scope{Kind: kind, Time: signal.AllTime(), Filter: filter},
			Fields: spanFields(), Order: store.OldestFirst,
		})
		for r, err := range rows {
			if errors.Is(err, store.ErrPartial) {
				s.partial = true
				break
			}
			if err != nil {
				return nil, nil, fmt.Errorf("read tasks: %w", err)
			}
			span := s.span(s.project, r)
			f, ok := folds[span.Task]
			if !ok {
				f = &Fold{}
				folds[span.Task] = f
			}
			if f.Len() >= MaxSpans {
				cut[span.Task] = true
				continue
			}
			f.Add(span)
		}
	}
	return folds, cut, nil
}

// adopt adds the spans that know of no task to the one task of their trace. Others have the traces that are taken.
func (s *taskSearch) adopt(ctx context.Context, folds map[string]*Fold, taken []string) error {
	owner := map[string]*Fold{} // nil: several tasks have the trace
	for _, trace := range taken {
		owner[trace] = nil
	}
	for _, f := range folds {
		for _, trace := range f.traces() {
			if other, taken := owner[trace]; taken {
				owner[trace], f.shared = nil, true
				if other != nil {
					other.shared = true
				}
				continue
			}
			owner[trace] = f
		}
	}
	written := map[string]*Fold{}
	if err := s.joins(ctx, folds, written); err != nil {
		return err
	}
	maps.Copy(owner, written)
	traces := slices.Sorted(maps.Keys(owner))
	traces = slices.DeleteFunc(traces, func(trace string) bool { return owner[trace] == nil })
	if len(traces) == 0 {
		return nil
	}
	more, _, err := s.fold(ctx, store.And{
		store.In{Field: store.FieldTraceID, Values: traces}, store.Eq(store.FieldTaskProvisional, "true"),
	})
	if err != nil {
		return err
	}
	if err := s.disown(ctx, owner, written, more); err != nil {
		return err
	}
	for _, f := range more {
		for _, span := range f.spans {
			if to := owner[span.TraceID]; to != nil && to.Len() < MaxSpans {
				to.Add(span)
			}
		}
	}
	return nil
}

// disown takes the traces of more from owners that share them with tasks of other batches, unless a join says whose they are.
func (s *taskSearch) disown(ctx context.Context, owner, written, more map[string]*Fold) error {
	var traces []string
	for _, f := range more {
		traces = append(traces, f.traces()...)
	}
	slices.Sort(traces)
	traces = slices.DeleteFunc(slices.Compact(traces), func(trace string) bool { return owner[trace] == nil || written[trace] != nil })
	if len(traces) == 0 {
		return nil
	}
	tasks, err := s.owners(ctx, traces)
	if err != nil {
		return err
	}
	for _, trace := range traces {
		if tasks[trace].shared {
			owner[trace].shared, owner[trace] = true, nil
		}
	}
	return nil
}

// traces returns the distinct traces of the spans, at most maxTraces.
func (f *Fold) traces() []string {
	var out []string
	seen := map[string]bool{"": true}
	for i := range f.spans {
		if trace := f.spans[i].TraceID; !seen[trace] && len(out) < maxTraces {
			seen[trace] = true
			out = append(out, trace)
		}
	}
	return out
}

// ownership is whose a trace is: the task that was found first, and whether there are others.
type ownership struct {
	task   taskKey
	shared bool
}

// owners tells which of the traces belong to tasks with an id of their own: the provisional task of such a trace is none.
func (s *taskSearch) owners(ctx context.Context, traces []string) (map[string]ownership, error) {
	out := map[string]ownership{}
	for _, kind := range append(workKinds(), store.KindJoin) {
		if err := s.addOwners(ctx, kind, traces, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *taskSearch) addOwners(ctx context.Context, kind store.Kind, traces []string, out map[string]ownership) error {
	groups, err := s.events.Aggregate(ctx, s.project, store.Aggregate{
		Scope: store.Scope{Kind: kind, Time: signal.AllTime(), Filter: store.And{
			store.In{Field: store.FieldTraceID, Values: traces},
			store.Not{Filter: store.Eq(store.FieldTaskProvisional, "true")},
			store.Exists{Field: store.FieldTaskID},
		}},
		By:      []string{store.FieldTraceID, store.FieldTeam, store.FieldTaskID},
		Columns: []store.Column{{Func: store.CountRows}},
		Limit:   maxOwners,
	})
	switch half := len(traces) / 2; {
	case errors.Is(err, store.ErrTooMany) && half > 0:
		return cmp.Or(s.addOwners(ctx, kind, traces[:half], out), s.addOwners(ctx, kind, traces[half:], out))
	case errors.Is(err, store.ErrTooMany):
		out[traces[0]] = ownership{shared: true}
	case errors.Is(err, store.ErrPartial):
		s.partial = true
	case err != nil:
		return fmt.Errorf("find tasks of traces: %w", err)
	}
	for _, g := range groups {
		trace, task := g.Key[0], taskKey{g.Key[1], g.Key[2]}
		o, known := out[trace]
		if !known {
			o.task = task
		}
		o.shared = o.shared || o.task != task
		out[trace] = o
	}
	return nil
}

// sumOwners sums up the tasks that have traces for themselves: such a task begins with the earliest span of its trace, which may be
// one that knows of no task.
func (s *taskSearch) sumOwners(ctx context.Context, owners map[string]ownership) error {
	keys := map[taskKey]int{}
	for _, o := range owners {
		_, known := s.tasks[o.task]
		asked := (s.query.Team == "" || s.query.Team == o.task.team) && strings.HasPrefix(o.task.id, s.query.Prefix)
		if !o.shared && !known && asked {
			keys[o.task] = 1
		}
	}
	return s.sumAll(ctx, keys)
}

// found returns the tasks that began in [start, until) and pass the query, newest first, behind the page before.
func (s *taskSearch) found(start int64) []Summary {
	var out []Summary
	for _, t := range s.tasks {
		if t.Start >= start && t.Start < s.until && s.passes(t) && s.behind(t) {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b Summary) int {
		return cmp.Or(cmp.Compare(b.Start, a.Start), strings.Compare(placeOf(a), placeOf(b)))
	})
	return out
}

func (s *taskSearch) behind(t Summary) bool {
	return s.after == nil || t.Start < s.after.Time || placeOf(t) > s.after.ID
}

func (s *taskSearch) passes(t Summary) bool {
	q := s.query
	switch {
	case q.Type != "" && t.Type != q.Type,
		q.Status != "" && t.Status != q.Status,
		q.Failed && t.Status != Failed && t.Status != Lost,
		time.Duration(t.Duration) < q.MinDuration:
		return false
	}
	return true
}
