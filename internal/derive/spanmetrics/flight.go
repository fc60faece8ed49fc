package spanmetrics

import (
	"container/list"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mindscope/mindscope/internal/signal"
)

// attempt is one attempt at a task that runs. It is followed when its rows are deleted, too, so that what was counted as
// accepted is counted as ended: it holds no text but the team's name, which is a label.
type attempt struct {
	Project string `json:"p"`
	Team    string `json:"t"`
	Trace   string `json:"trace"`
	Span    string `json:"span"`
	Start   int64  `json:"start"`
	// Seen is when the last sign of life came.
	Seen int64 `json:"seen"`
	// SDK: its sender counts it; it is followed for what is in progress only.
	SDK bool `json:"sdk,omitempty"`

	place *list.Element
}

// flight follows the attempts that run.
type flight struct {
	limit   int
	running map[string]*attempt
	byTrace map[string][]*attempt
	oldest  *list.List // of attempts, by their last sign of life
	ended   *recent    // attempts that were counted to their end, and the lost ones
}

func newFlight(limit int) *flight {
	return &flight{limit: limit, running: map[string]*attempt{}, byTrace: map[string][]*attempt{}, oldest: list.New(), ended: newRecent(recentSpans)}
}

func keyOf(p signal.Project, s *span) string { return string(p) + "/" + s.trace + s.id }

// open begins to follow an attempt. opened is false for one that is known; dropped is the one that had to make room.
func (f *flight) open(p signal.Project, s *span, now int64) (opened bool, dropped *attempt) {
	key := keyOf(p, s)
	if _, ok := f.running[key]; ok || f.ended.hasKey(key) {
		return false, nil
	}
	if len(f.running) >= f.limit {
		dropped = f.oldest.Front().Value.(*attempt)
		f.remove(dropped)
	}
	f.put(&attempt{
		Project: string(p), Team: strings.Clone(valid(s.team)), Trace: strings.Clone(s.trace), Span: strings.Clone(s.id),
		Start: s.start, Seen: now,
	})
	if dropped != nil && dropped.SDK {
		dropped = nil
	}
	return true, dropped
}

// follow notes an attempt that its sender counts itself.
func (f *flight) follow(p signal.Project, s *span, now int64) {
	f.alive(p, s, now)
	if !s.sdkMetrics || s.operation != "invoke_workflow" && s.startName != "execute_task" {
		return
	}
	if opened, _ := f.open(p, s, now); opened {
		f.running[keyOf(p, s)].SDK = true
	}
}

func (f *flight) put(a *attempt) {
	a.place = f.oldest.PushBack(a)
	f.running[a.Project+"/"+a.Trace+a.Span] = a
	trace := a.Project + "/" + a.Trace
	f.byTrace[trace] = append(f.byTrace[trace], a)
}

func (f *flight) remove(a *attempt) {
	key, trace := a.Project+"/"+a.Trace+a.Span, a.Project+"/"+a.Trace
	delete(f.running, key)
	f.oldest.Remove(a.place)
	f.ended.addKey(key)
	rest := slices.DeleteFunc(f.byTrace[trace], func(o *attempt) bool { return o == a })
	if len(rest) == 0 {
		delete(f.byTrace, trace)
		return
	}
	f.byTrace[trace] = rest
}

// close ends an attempt; false when it had ended before.
func (f *flight) close(p signal.Project, s *span, _ int64) bool {
	a, ok := f.running[keyOf(p, s)]
	if ok {
		f.remove(a)
	}
	return ok
}

// alive notes a sign of life of what runs in a span's trace.
func (f *flight) alive(p signal.Project, s *span, now int64) {
	if len(f.running) == 0 {
		return
	}
	for _, a := range f.byTrace[string(p)+"/"+s.trace] {
		a.Seen = now
		f.oldest.MoveToBack(a.place)
	}
	if s.sdkMetrics && s.operation == "invoke_workflow" && s.end != 0 {
		f.close(p, s, now)
	}
}

// lost ends and returns the attempts without a sign of life since then, those left out that their senders count.
func (f *flight) lost(since int64) []*attempt {
	var lost []*attempt
	for e := f.oldest.Front(); e != nil; e = f.oldest.Front() {
		a := e.Value.(*attempt)
		if a.Seen > since {
			break
		}
		f.remove(a)
		if !a.SDK {
			lost = append(lost, a)
		}
	}
	return lost
}

// owner is whose attempts are counted together.
type owner struct{ project, team string }

// Owner names a team of a project.
type Owner struct{ Project, Team string }

// collectFlight exposes what runs now.
func (m *Metrics) collectFlight(to chan<- prometheus.Metric, stuck map[Owner]int) {
	labels := []string{"project", "team"}
	progress := prometheus.NewDesc(inProgress, "Tasks that run now.", labels, nil)
	oldest := prometheus.NewDesc("ai_team_oldest_task_seconds", "Age of the oldest task that runs.", labels, nil)
	hung := prometheus.NewDesc("ai_team_tasks_stuck", "Tasks that run three times as long as is usual for their type and show no new span.", labels, nil)
	count, first := map[owner]int{}, map[owner]int64{}
	for o := range m.teams() {
		count[o] = 0
	}
	for _, a := range m.flight.running {
		o := owner{a.Project, a.Team}
		count[o]++
		if start, ok := first[o]; !ok || a.Start < start {
			first[o] = a.Start
		}
	}
	now := m.cfg.Clock().UnixNano()
	for o, n := range count {
		to <- prometheus.MustNewConstMetric(hung, prometheus.GaugeValue, float64(stuck[Owner{o.project, o.team}]), o.project, o.team)
		to <- prometheus.MustNewConstMetric(progress, prometheus.GaugeValue, float64(n), o.project, o.team)
		age := 0.0
		if start, ok := first[o]; ok {
			age = max(0, float64(now-start)/1e9)
		}
		to <- prometheus.MustNewConstMetric(oldest, prometheus.GaugeValue, age, o.project, o.team)
	}
}

// teams are those that had a task: their gauges stay when nothing runs.
func (m *Metrics) teams() map[owner]struct{} {
	teams := map[owner]struct{}{}
	for s := range maps.Values(m.vectors["ai_team_tasks_total"].series) {
		teams[owner{s.Values[0], s.Values[1]}] = struct{}{}
	}
	return teams
}
