package live

import (
	"cmp"
	"slices"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
)

// Task is a task that runs.
type Task struct {
	Team, ID, Type string
	// Provisional: the sender named no task; the id is the trace's.
	Provisional bool
	// Since is when its earliest running span began, LastSign when any of them last showed that it lives.
	Since, LastSign time.Time
	// Lost: the holder shows no sign of life.
	Lost bool
	// Holder is who holds the work: a running span without another one below it. Of several it is the one that went
	// silent, else the one that began last.
	Holder Holder
	// Spans counts the running spans.
	Spans int
}

// Holder is a span that holds a task's work.
type Holder struct {
	Agent, Name, TraceID, SpanID string
	Since, LastSign              time.Time
}

type taskKey struct{ team, id string }

// Tasks returns the tasks of a project that run, the longest running first, at most limit, and how many there are.
func (v *View) Tasks(p signal.Project, limit int) (tasks []Task, total int) {
	v.mu.Lock()
	byTask := map[taskKey][]span{}
	for e := v.bySign.Front(); e != nil; e = e.Next() {
		if s := e.Value.(*span); s.Project == p {
			k := taskKey{s.Team, s.Task}
			byTask[k] = append(byTask[k], *s)
		}
	}
	now := v.cfg.Clock().UnixNano()
	v.mu.Unlock()
	for _, spans := range byTask {
		tasks = append(tasks, taskOf(spans, now))
	}
	slices.SortFunc(tasks, func(a, b Task) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Team, b.Team), cmp.Compare(a.ID, b.ID))
	})
	return tasks[:min(limit, len(tasks))], len(tasks)
}

func taskOf(spans []span, now int64) Task {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.ID, b.ID)) })
	parents := map[[2]string]bool{}
	for i := range spans {
		parents[[2]string{spans[i].Trace, spans[i].Parent}] = true
	}
	t := Task{
		Team: spans[0].Team, ID: spans[0].Task, Provisional: spans[0].Provisional,
		Since: timeOf(spans[0].Start), Spans: len(spans),
	}
	holder := &spans[len(spans)-1]
	silent := false
	for i := range spans {
		s := &spans[i]
		t.Type = cmp.Or(t.Type, s.Type)
		if at := timeOf(s.Sign); at.After(t.LastSign) {
			t.LastSign = at
		}
		if parents[[2]string{s.Trace, s.ID}] {
			continue
		}
		if gone := now-s.Sign > int64(SilentAfter); gone || !silent {
			holder, silent = s, gone
		}
	}
	t.Lost = silent
	t.Holder = Holder{
		Agent: holder.Agent, Name: holder.Name, TraceID: holder.Trace, SpanID: holder.ID,
		Since: timeOf(holder.Start), LastSign: timeOf(holder.Sign),
	}
	return t
}

func timeOf(ns int64) time.Time { return time.Unix(0, ns).UTC() }
