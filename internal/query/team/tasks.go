package team

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

// taskKey names a task within a project.
type taskKey struct{ team, id string }

// firstWindow is the first stretch of time that is searched for tasks; it doubles until the page is full.
const firstWindow = time.Hour

// maxKeys bounds the tasks that are looked at in one window.
const maxKeys = 5000

// Tasks lists tasks by their start, newest first. It searches windows of time that double in length, so that the latest
// tasks are found without looking through the whole retention.
func (q *Questions) Tasks(ctx context.Context, p signal.Project, tq TaskQuery) (TaskPage, error) {
	var page TaskPage
	s, err := q.newTaskSearch(ctx, p, tq)
	if err != nil {
		return page, err
	}
	for window := firstWindow; ; window *= 2 {
		start := s.until - int64(window)
		last := start <= s.since
		if last {
			start = s.since
		}
		if err := s.look(ctx, start); err != nil {
			if !errors.Is(err, store.ErrPartial) {
				return page, err
			}
			page.Partial = true
		}
		found := s.found(start)
		if len(found) > s.limit {
			page.Tasks = found[:s.limit]
			end := page.Tasks[s.limit-1]
			page.Next = place{end.Start, end.Team + "\x00" + end.ID}.token()
			return page, nil
		}
		if last {
			page.Tasks = found
			return page, nil
		}
	}
}

type taskSearch struct {
	*Questions
	project      signal.Project
	query        TaskQuery
	since, until int64
	after        *place
	limit        int
	looked       int64 // everything from here to until was looked at
	tasks        map[taskKey]Summary
}

func (q *Questions) newTaskSearch(ctx context.Context, p signal.Project, tq TaskQuery) (*taskSearch, error) {
	now := q.clock()
	s := &taskSearch{Questions: q, project: p, query: tq, limit: limitOf(tq.Limit), tasks: map[taskKey]Summary{}}
	s.until = now.Add(48 * time.Hour).UnixNano() // clocks of senders run ahead
	if !tq.Until.IsZero() {
		s.until = tq.Until.UnixNano()
	}
	stats, err := q.events.Stats(ctx)
	if err != nil {
		return nil, err
	}
	s.since = stats.Accept.Start
	if !tq.Since.IsZero() {
		s.since = max(s.since, tq.Since.UnixNano())
	}
	if tq.Page != "" {
		at, err := parseToken(tq.Page)
		if err != nil {
			return nil, err
		}
		s.after = &at
		s.until = min(s.until, at.Time+1)
	}
	s.looked = s.until
	return s, nil
}

// look finds the tasks that have a row in [start, looked) and sums them up.
func (s *taskSearch) look(ctx context.Context, start int64) error {
	if start >= s.looked {
		return nil
	}
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
	byTeam := map[string][]string{}
	for _, kind := range []store.Kind{store.KindSpan, store.KindStart} {
		groups, err := s.events.Aggregate(ctx, s.project, store.Aggregate{
			Scope:   store.Scope{Kind: kind, Time: signal.TimeRange{Start: start, End: s.looked}, Filter: filters},
			By:      []string{store.FieldTeam, store.FieldTaskID},
			Columns: []store.Column{{Func: store.CountRows}},
			Limit:   maxKeys,
		})
		if err != nil {
			return fmt.Errorf("find tasks: %w", err)
		}
		for _, g := range groups {
			key := taskKey{g.Key[0], g.Key[1]}
			if _, known := s.tasks[key]; !known && strings.HasPrefix(key.id, s.query.Prefix) {
				byTeam[key.team] = append(byTeam[key.team], key.id)
			}
		}
	}
	s.looked = start
	for team, ids := range byTeam {
		if err := s.sum(ctx, team, unique(ids)); err != nil {
			return err
		}
	}
	return nil
}

// sum folds the tasks of a team with these ids.
func (s *taskSearch) sum(ctx context.Context, team string, ids []string) error {
	folds := map[string]*Fold{}
	filter := store.And{store.In{Field: store.FieldTaskID, Values: ids}, store.Eq(store.FieldTeam, team)}
	var provisional []string
	for _, kind := range []store.Kind{store.KindSpan, store.KindStart} {
		rows := s.events.Select(ctx, s.project, store.Select{
			Scope:  store.Scope{Kind: kind, Time: signal.AllTime(), Filter: filter},
			Fields: spanFields(),
		})
		for r, err := range rows {
			if err != nil {
				return fmt.Errorf("read tasks: %w", err)
			}
			span := spanOf(r)
			f, ok := folds[span.Task]
			if !ok {
				f = &Fold{}
				folds[span.Task] = f
				if span.Provisional {
					provisional = append(provisional, span.Task)
				}
			}
			if len(f.spans) < MaxSpans {
				f.Add(span)
			}
		}
	}
	joined, err := s.joined(ctx, provisional)
	if err != nil {
		return err
	}
	now := s.clock().UnixNano()
	for id, f := range folds {
		if !joined[id] {
			s.tasks[taskKey{team, id}] = f.Summary(now)
		}
	}
	return nil
}

// joined tells which of the traces belong to a task with an id of its own: their provisional task is part of that one.
func (s *taskSearch) joined(ctx context.Context, traces []string) (map[string]bool, error) {
	out := map[string]bool{}
	if len(traces) == 0 {
		return out, nil
	}
	groups, err := s.events.Aggregate(ctx, s.project, store.Aggregate{
		Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.And{
			store.In{Field: store.FieldTraceID, Values: traces},
			store.Not{Filter: store.Eq(store.FieldTaskProvisional, "true")},
			store.Exists{Field: store.FieldTaskID},
		}},
		By:      []string{store.FieldTraceID},
		Columns: []store.Column{{Func: store.CountRows}},
		Limit:   len(traces) + 1,
	})
	if err != nil {
		return nil, fmt.Errorf("find tasks of traces: %w", err)
	}
	for _, g := range groups {
		out[g.Key[0]] = true
	}
	return out, nil
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
		return cmp.Or(cmp.Compare(b.Start, a.Start), strings.Compare(a.Team+"\x00"+a.ID, b.Team+"\x00"+b.ID))
	})
	return out
}

func (s *taskSearch) behind(t Summary) bool {
	return s.after == nil || t.Start < s.after.Time || t.Team+"\x00"+t.ID > s.after.ID
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
