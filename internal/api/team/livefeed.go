package team

import (
	"cmp"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/mindscope/mindscope/internal/derive/live"
	query "github.com/mindscope/mindscope/internal/query/team"
	"github.com/mindscope/mindscope/internal/signal"
)

const (
	// maxGone bounds the tasks that ended and are remembered for those who come back.
	maxGone = 4 * maxLive
	// maxFeeds bounds the projects whose state is kept though nobody watches them.
	maxFeeds = 16
	// steady is by how much, in hundredths, the usual duration of a kind must move to be told anew: it moves a little with
	// every task that ends, and would have all tasks of its kind told again.
	steady = 10
	// maxKinds bounds the kinds whose usual duration is remembered.
	maxKinds = 10_000
)

// GoneTask names a task that runs no longer.
type GoneTask struct {
	Team string `json:"team"`
	ID   string `json:"id"`
}

// TaskChanges is the data of an event that follows another one.
type TaskChanges struct {
	Tasks []RunningTask `json:"tasks" doc:"Tasks that began or changed, whole: each takes the place of the one of its team and id."`
	Gone  []GoneTask    `json:"gone" doc:"Tasks that run no longer, or are no longer among those that run for longest."`
	Total int           `json:"total"`
}

// feeds are the states that watchers of projects were told.
type feeds struct {
	view *live.View

	mu        sync.Mutex
	byProject map[signal.Project]*feed
}

// open returns the feed of a project; close must follow.
func (f *feeds) open(p signal.Project) *feed {
	f.mu.Lock()
	defer f.mu.Unlock()
	one := f.byProject[p]
	if one == nil {
		for idle, other := range f.byProject {
			if len(f.byProject) >= maxFeeds && other.watchers == 0 {
				delete(f.byProject, idle)
			}
		}
		// Numbers go on from the time, so that one which an earlier process gave is never taken for one of ours.
		begin := int(time.Now().UnixMicro())
		one = &feed{
			view: f.view, project: p, number: begin, floor: begin,
			tasks: map[GoneTask]*toldTask{}, usual: map[[3]string]time.Duration{},
		}
		f.byProject[p] = one
	}
	one.watchers++
	return one
}

func (f *feeds) close(one *feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	one.watchers--
}

// feed is what the watchers of one project are told: the tasks, and with which number each changed last.
type feed struct {
	view     *live.View
	project  signal.Project
	watchers int // guarded by the feeds' lock

	mu      sync.Mutex
	changed <-chan struct{} // closed when what follows is no longer all
	at      time.Time       // when the view was read last
	number  int             // of the last change
	floor   int             // changes after it are known
	total   int
	tasks   map[GoneTask]*toldTask
	gone    []goneTask // the oldest first
	usual   map[[3]string]time.Duration
}

// toldTask is a running task. plain is it without what alone is no change.
type toldTask struct {
	task, plain RunningTask
	number      int
}

type goneTask struct {
	GoneTask
	number int
}

// refresh reads the view, when it has changed or that is long ago. Of many watchers one reads for all: what another one read
// less than livePace ago is new enough, and news.at says when to read again.
func (f *feed) refresh() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed != nil && time.Since(f.at) < livePace {
		return
	}
	if f.changed != nil && time.Since(f.at) < liveBeat {
		select {
		case <-f.changed:
		default:
			return
		}
	}
	f.changed, f.at = f.view.Changed(), time.Now() // before reading, so that no change in between is missed
	tasks, total := f.view.Tasks(f.project, maxLive)
	next, changed, here := f.number+1, total != f.total, make(map[GoneTask]bool, len(tasks))
	for i := range tasks {
		here[GoneTask{tasks[i].Team, tasks[i].ID}] = true
		changed = f.put(&tasks[i], next) || changed
	}
	for key := range f.tasks {
		if !here[key] {
			delete(f.tasks, key)
			f.gone, changed = append(f.gone, goneTask{key, next}), true
		}
	}
	if over := len(f.gone) - maxGone; over > 0 {
		f.floor = f.gone[over-1].number
		f.gone = slices.Delete(f.gone, 0, over)
	}
	if f.total = total; changed {
		f.number = next
	}
}

// put takes a task as it is now and tells whether it changed. The caller holds the lock.
func (f *feed) put(t *live.Task, number int) bool {
	key, task, plain := GoneTask{t.Team, t.ID}, f.wire(t, true), f.wire(t, false)
	if old := f.tasks[key]; old != nil && reflect.DeepEqual(old.plain, plain) {
		old.task = task // whoever is told of it hears of the latest signs of life
		return false
	}
	f.tasks[key] = &toldTask{task, plain, number}
	return true
}

// news is what a watcher is to be told, and when there may be more.
type news struct {
	// data is RunningTasks or TaskChanges; empty says that nothing has changed.
	data   any
	number int
	empty  bool
	// more is closed when the view has changed, after which it is not read before at.
	more <-chan struct{}
	at   time.Time
}

// after returns what changed after a number that was told; everything, when what came after it is not known.
func (f *feed) after(number int) news {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := news{number: f.number, more: f.changed, at: f.at.Add(livePace)}
	if number < f.floor || number > f.number {
		n.data = RunningTasks{Tasks: f.changedAfter(0), Total: f.total}
		return n
	}
	c := TaskChanges{Tasks: []RunningTask{}, Gone: []GoneTask{}, Total: f.total}
	if n.empty = number == f.number; !n.empty {
		c.Tasks, c.Gone = f.changedAfter(number), f.goneAfter(number)
	}
	n.data = c
	return n
}

// changedAfter returns the tasks that changed after a number, the longest running first. The caller holds the lock.
func (f *feed) changedAfter(number int) []RunningTask {
	out := []RunningTask{}
	for _, t := range f.tasks {
		if t.number > number {
			out = append(out, t.task)
		}
	}
	slices.SortFunc(out, func(a, b RunningTask) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Team, b.Team), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// goneAfter returns the tasks that went after a number and did not come back. The caller holds the lock.
func (f *feed) goneAfter(number int) []GoneTask {
	out := []GoneTask{}
	for _, g := range slices.Backward(f.gone) {
		if g.number <= number {
			break
		}
		if f.tasks[g.GoneTask] == nil {
			out = append(out, g.GoneTask)
		}
	}
	slices.SortFunc(out, func(a, b GoneTask) int { return cmp.Or(cmp.Compare(a.Team, b.Team), cmp.Compare(a.ID, b.ID)) })
	return slices.Compact(out) // some began again and went again
}

// wire is a task as it is told. Without signs it lacks what alone is no change: when it and its spans last showed that
// they live, and when the last span came.
func (f *feed) wire(t *live.Task, signs bool) RunningTask {
	status := query.Running
	if t.Lost {
		status = query.Lost
	}
	usual := f.steady([3]string{t.Team, t.Type}, t.Usual)
	one := RunningTask{
		ID: t.ID, Team: t.Team, Type: t.Type, Status: status, Provisional: t.Provisional, Since: t.Since, Spans: t.Spans,
		Holder: Holder{
			Agent: t.Holder.Agent, Span: t.Holder.Name, TraceID: t.Holder.TraceID, SpanID: t.Holder.SpanID, Since: t.Holder.Since,
		},
		Quality: t.Quality, UsualNs: int64(usual), Stuck: t.Stuck, Tree: f.wireNodes(t, t.Tree, signs),
	}
	if t.Circles != nil {
		one.PingPong = &PingPong{t.Circles.Agents[:], t.Circles.Times}
	}
	if signs {
		one.LastSign, one.Holder.LastSign, one.Moved = t.LastSign, t.Holder.LastSign, t.Moved
	}
	return one
}

func (f *feed) wireNodes(t *live.Task, nodes []*live.Node, signs bool) []Running {
	out := make([]Running, 0, len(nodes))
	for _, n := range nodes {
		r := Running{
			Agent: n.Agent, Name: n.Name, TraceID: n.TraceID, SpanID: n.SpanID, Since: n.Since, Lost: n.Lost,
			UsualNs: int64(f.steady([3]string{t.Team, t.Type, n.Name + "\x00" + n.Agent}, n.Usual)),
		}
		if signs {
			r.LastSign = n.LastSign
		}
		for _, w := range n.WaitsFor {
			r.WaitsFor = append(r.WaitsFor, WaitFor(w))
		}
		if len(n.Children) > 0 {
			r.Children = f.wireNodes(t, n.Children, signs)
		}
		out = append(out, r)
	}
	return out
}

// steady is the usual duration of a kind as it is told: the one before, until it has moved.
func (f *feed) steady(kind [3]string, now time.Duration) time.Duration {
	if old := f.usual[kind]; old > 0 && now > 0 && (now-old).Abs()*100 <= old*steady {
		return old
	}
	if len(f.usual) >= maxKinds {
		clear(f.usual)
	}
	f.usual[kind] = now
	return now
}
