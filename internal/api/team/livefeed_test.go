package team

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/danielgtaylor/huma/v2/sse"
	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/derive/live"
	"github.com/mindscope/mindscope/internal/signal"
)

// watcher keeps what runs from the events, as a client does.
type watcher struct {
	last   int
	tasks  map[GoneTask]RunningTask
	total  int
	wholes int
}

func (w *watcher) read(f *feed) {
	n := f.after(w.last)
	w.last = n.number
	switch data := n.data.(type) {
	case RunningTasks:
		w.tasks, w.total = map[GoneTask]RunningTask{}, data.Total
		w.wholes++
		for _, t := range data.Tasks {
			w.tasks[GoneTask{t.Team, t.ID}] = t
		}
	case TaskChanges:
		w.total = data.Total
		for _, t := range data.Tasks {
			w.tasks[GoneTask{t.Team, t.ID}] = t
		}
		for _, gone := range data.Gone {
			delete(w.tasks, gone)
		}
	}
}

// shown are the tasks in words, without signs of life.
func shown(tasks []RunningTask) []string {
	out := []string{}
	for _, t := range tasks {
		var tree func(nodes []Running) string
		tree = func(nodes []Running) string {
			var b strings.Builder
			for _, n := range nodes {
				fmt.Fprintf(&b, "(%s %s lost=%v waits=%v%s)", n.Agent, n.SpanID, n.Lost, n.WaitsFor, tree(n.Children))
			}
			return b.String()
		}
		out = append(out, fmt.Sprint(t.Team, t.ID, t.Status, t.Spans, t.Holder.Agent, t.Since, t.Stuck, tree(t.Tree)))
	}
	slices.Sort(out)
	return out
}

// TestFeedAgreesWithView: whatever begins, beats, ends and goes silent, who reads every event, who reads seldom and who
// comes and goes all have what the view has.
func TestFeedAgreesWithView(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			view := live.New(live.Config{})
			f := (&feeds{view: view, byProject: map[signal.Project]*feed{}}).open(signal.DefaultProject)
			watchers := []*watcher{{last: -1}, {last: -1}, {last: -1}}
			for range 300 {
				var told strings.Builder
				fmt.Fprintf(&told, "at %s\n", time.Now().UTC().Format(time.RFC3339))
				for range 1 + rnd.IntN(3) {
					task, span := rnd.IntN(8), 1+rnd.IntN(3)
					of := fmt.Sprintf("id=%x parent=%x mindscope.task_id=t%d mindscope.team=press mindscope.agent=a%d", task*16+span, task*16+1, task, span)
					switch rnd.IntN(4) {
					case 0:
						fmt.Fprintf(&told, "invoke_agent a%d | 0s 1s | %s\n", span, of)
					case 1:
						fmt.Fprintf(&told, "! invoke_agent a%d | 0s | %s\n", span, of)
					default:
						fmt.Fprintf(&told, "? invoke_agent a%d | 0s | %s\n", span, of)
					}
				}
				committed(t, view, told.String())
				time.Sleep(livePace + time.Duration(rnd.IntN(8))*time.Second)
				view.Tick()
				f.refresh()
				for i, w := range watchers {
					if i == 0 || rnd.IntN(10*i) == 0 {
						w.read(f)
						agree(t, view, w)
					}
				}
			}
			for i, w := range watchers {
				w.read(f)
				agree(t, view, w)
				if w.wholes != 1 {
					t.Errorf("seed %d: watcher %d was told everything %d times", seed, i, w.wholes)
				}
			}
		})
	}
}

func agree(t *testing.T, view *live.View, w *watcher) {
	t.Helper()
	tasks, total := view.Tasks(signal.DefaultProject, maxLive)
	fresh := &feed{usual: map[[3]string]time.Duration{}}
	want, got := []RunningTask{}, []RunningTask{}
	for i := range tasks {
		want = append(want, fresh.wire(&tasks[i], true))
	}
	for _, task := range w.tasks {
		got = append(got, task)
	}
	if diff := cmp.Diff(shown(want), shown(got)); diff != "" || total != w.total {
		t.Fatalf("%d tasks, want %d (-want +got)\n%s", w.total, total, diff)
	}
}

// TestFeedForgets: what went long ago is not remembered, and who comes back after that is told everything.
func TestFeedForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		view := live.New(live.Config{})
		all := &feeds{view: view, byProject: map[signal.Project]*feed{}}
		f := all.open(signal.DefaultProject)
		early, late := &watcher{last: -1}, &watcher{last: -1}
		for i := range maxGone + 100 {
			committed(t, view, fmt.Sprintf("? execute_task | 0s | id=%xa mindscope.task_id=t%d mindscope.agent=a", i, i))
			time.Sleep(livePace)
			f.refresh()
			committed(t, view, fmt.Sprintf("execute_task | 0s 1s | id=%xa mindscope.task_id=t%d", i, i))
			time.Sleep(livePace)
			f.refresh()
			if i == 0 {
				early.read(f)
			}
			if i == 2000 {
				late.read(f)
			}
		}
		early.read(f)
		late.read(f)
		if early.wholes != 2 || late.wholes != 1 || len(f.gone) > maxGone {
			t.Errorf("told everything %d and %d times, want 2 and 1; %d tasks are remembered", early.wholes, late.wholes, len(f.gone))
		}
		all.close(f)
		for i := range 3 * maxFeeds {
			all.close(all.open(signal.Project(fmt.Sprint("p", i))))
		}
		if n := len(all.byProject); n > maxFeeds {
			t.Errorf("%d projects are remembered, want at most %d", n, maxFeeds)
		}
	})
}

// TestOneReadsForAll: however many watch, and whenever they came, the view is read once per livePace, and all hear of
// everything.
func TestOneReadsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const watchers, lasts = 20, 10 * time.Second
		readings := &howOften{}
		view := live.New(live.Config{Usual: readings})
		f := (&feeds{view: view, byProject: map[signal.Project]*feed{}}).open(signal.DefaultProject)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		var told [watchers]int
		for i := range watchers {
			running.Go(func() {
				time.Sleep(time.Duration(i) * 13 * time.Millisecond)
				watchTasks(ctx, f, -1, func(m sse.Message) error { told[i] = m.ID; return nil })
			})
		}
		for begin, task := time.Now(), 0; time.Since(begin) < lasts; task++ {
			time.Sleep(10 * time.Millisecond)
			committed(t, view, fmt.Sprintf("? execute_task | 0s | id=%xa mindscope.task_id=t%d mindscope.team=press", task, task))
		}
		time.Sleep(2 * livePace) // the last change too
		stop()
		running.Wait()
		if most := int64((lasts+2*livePace)/livePace) + 1; readings.n.Load() > most {
			t.Errorf("%d readings for %d watchers in %s, want at most %d", readings.n.Load(), watchers, lasts, most)
		}
		for i, number := range told {
			if number != f.number {
				t.Errorf("watcher %d was told up to %d, want %d", i, number, f.number)
			}
		}
		agreed := &watcher{last: -1}
		agreed.read(f)
		if _, total := view.Tasks(signal.DefaultProject, 0); agreed.total != total {
			t.Errorf("the watchers know %d tasks, want %d", agreed.total, total)
		}
	})
}

// howOften counts readings: each asks once for the one kind of task.
type howOften struct{ n atomic.Int64 }

func (h *howOften) Task(signal.Project, string, string) (time.Duration, bool) {
	h.n.Add(1)
	return 0, false
}
func (h *howOften) Agent(signal.Project, string, string) (time.Duration, bool) { return 0, false }

// TestSignsAreNoChange: heartbeats and small moves of what is usual tell nobody anything.
func TestSignsAreNoChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		usual := &howLong{time.Minute}
		view := live.New(live.Config{Usual: usual})
		f := (&feeds{view: view, byProject: map[signal.Project]*feed{}}).open(signal.DefaultProject)
		committed(t, view, runs)
		f.refresh()
		number := f.number
		told := func(want int) {
			t.Helper()
			time.Sleep(liveBeat)
			f.refresh()
			n := f.after(number)
			if c, ok := n.data.(TaskChanges); !ok || len(c.Tasks) != want {
				t.Errorf("told of %+v, want %d tasks", n.data, want)
			}
			number = n.number
		}
		committed(t, view, "! execute_task | 0s | id=1 mindscope.task_id=task-456\n! execute_task | 0s | id=2 mindscope.task_id=task-456")
		told(0)
		usual.d = 65 * time.Second
		told(0)
		usual.d = 70 * time.Second
		told(1)
	})
}

type howLong struct{ d time.Duration }

func (h *howLong) Task(signal.Project, string, string) (time.Duration, bool)  { return h.d, true }
func (h *howLong) Agent(signal.Project, string, string) (time.Duration, bool) { return h.d, true }
