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
	// Usual is the 95th percentile of its type, 0 when it is not known. Stuck: it runs for three times as long, and no
	// span of it has come for a minute. Moved is when the last one came.
	Usual time.Duration
	Moved time.Time
	Stuck bool
	// Circles: two agents have handed the work over to each other so many times without the quality rising; nil for none.
	Circles *Circles
	// Quality is the last score, nil for none.
	Quality *float64
	// Tree holds the running spans.
	Tree []*Node
}

// Circles are two agents that hand over to each other.
type Circles struct {
	Agents [2]string
	Times  int
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
	byTask, flows := map[taskKey][]span{}, map[taskKey]flow{}
	for e := v.bySign.Front(); e != nil; e = e.Next() {
		if s := e.Value.(*span); s.Project == p {
			k := taskKey{s.Team, s.Task}
			byTask[k] = append(byTask[k], *s)
		}
	}
	for k := range byTask {
		f := *v.flows[taskRef{p, k.team, k.id}]
		f.Open = slices.Clone(f.Open)
		flows[k] = f
	}
	now := v.cfg.Clock()
	v.mu.Unlock()
	for k, spans := range byTask {
		f := flows[k]
		tasks = append(tasks, taskOf(spans, &f, now.UnixNano()))
	}
	slices.SortFunc(tasks, func(a, b Task) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Team, b.Team), cmp.Compare(a.ID, b.ID))
	})
	total = len(tasks)
	tasks = tasks[:min(limit, total)]
	v.measure(p, tasks, now)
	return tasks, total
}

func taskOf(spans []span, f *flow, now int64) Task {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.ID, b.ID)) })
	parents := map[[2]string]bool{}
	for i := range spans {
		parents[[2]string{spans[i].Trace, spans[i].Parent}] = true
	}
	t := Task{
		Team: spans[0].Team, ID: spans[0].Task, Provisional: spans[0].Provisional,
		Since: timeOf(spans[0].Start), Spans: len(spans), Moved: timeOf(f.Moved), Quality: f.Quality,
		Tree: treeOf(spans, f, now),
	}
	if pair, times := f.circles(); times > 0 {
		t.Circles = &Circles{pair, times}
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

// Stuck counts the tasks that are stuck, by project and team.
func (v *View) Stuck(each func(p signal.Project, team string, tasks int)) {
	type owner struct {
		project signal.Project
		team    string
	}
	projects, stuck := map[signal.Project]bool{}, map[owner]int{}
	v.mu.Lock()
	for ref := range v.flows {
		projects[ref.Project] = true
	}
	v.mu.Unlock()
	for p := range projects {
		tasks, _ := v.Tasks(p, v.cfg.Spans)
		for i := range tasks {
			if tasks[i].Stuck {
				stuck[owner{p, tasks[i].Team}]++
			}
		}
	}
	for o, n := range stuck {
		each(o.project, o.team, n)
	}
}
