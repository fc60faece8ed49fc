package team

import (
	"cmp"
	"slices"

	"github.com/mindscope/mindscope/internal/derive/live"
)

// conclude sets status, cause, quality, attempts, idle time and duration. The newest attempt gives the outcome.
func (f *Fold) conclude(t *forest, sum *Summary, now int64) {
	attempts := f.attempts(t)
	sum.Attempts = len(attempts)
	for _, i := range attempts {
		if q := f.quality(&f.spans[i]); q != nil {
			sum.Quality = q
		}
	}
	if v, ok := f.verdicts[SpanID{}]; ok && sum.Quality == nil {
		sum.Quality = &v.score
	}
	ends := f.ends()
	end := sum.Start
	for _, e := range ends {
		end = max(end, e)
	}
	sum.Idle = f.idle(t, attempts, ends)
	newest := attempts[len(attempts)-1]
	switch sum.Status = statusOf(&f.spans[newest]); sum.Status {
	case Failed, Cancelled:
		sum.Cause = f.cause(t, newest)
	case Running:
		if end = f.lost(t, sum, end, now); sum.Status == Running {
			end = max(end, now)
		}
	}
	sum.Duration = end - sum.Start
}

// ends returns when the last sign of each trace's spans was.
func (f *Fold) ends() map[string]int64 {
	ends := map[string]int64{}
	for i := range f.spans {
		s := &f.spans[i]
		at := max(s.Start, s.End())
		if e, ok := ends[s.TraceID]; !ok || at > e {
			ends[s.TraceID] = at
		}
	}
	return ends
}

// idle adds up the gaps between the attempts. What an attempt hangs under counts as part of it; one that has no end yet
// ran as long as anything of its trace did.
func (f *Fold) idle(t *forest, attempts []int, ends map[string]int64) int64 {
	running := slices.Clone(attempts)
	for i := range f.spans {
		if t.parent[i] < 0 && !t.orphan[i] {
			running = append(running, i)
		}
	}
	slices.Sort(running)
	idle, busyUntil := int64(0), f.spans[0].Start
	for n, i := range slices.Compact(running) {
		s := &f.spans[i]
		end := max(s.Start, s.End())
		if s.Running {
			end = ends[s.TraceID]
		}
		if gap := s.Start - busyUntil; gap > 0 && n > 0 {
			idle = plus(idle, gap)
		}
		busyUntil = max(busyUntil, end)
	}
	return idle
}

func statusOf(attempt *Span) string {
	switch {
	case attempt.Running:
		return Running
	case slices.Contains([]string{Completed, Failed, Cancelled}, attempt.Outcome):
		return attempt.Outcome
	case attempt.Failed() && attempt.ErrorType == Cancelled:
		return Cancelled
	case attempt.Failed():
		return Failed
	default:
		return Completed
	}
}

// lost decides whether a task that has not ended still runs, and returns when it last showed a sign of life. Those who
// hold the work are the running spans without another one below them.
func (f *Fold) lost(t *forest, sum *Summary, end, now int64) (lastSign int64) {
	lastSign = end
	holder := -1
	below := make([]bool, len(f.spans)) // something runs below the span
	for _, i := range slices.Backward(t.order) {
		s := &f.spans[i]
		if p := t.parent[i]; p >= 0 {
			below[p] = below[p] || below[i] || s.Running
		}
		if !s.Running {
			continue
		}
		lastSign = max(lastSign, s.LastSign)
		if !below[i] && f.holdsRather(i, holder, now) {
			holder = i
		}
	}
	switch {
	case now-lastSign > int64(live.ForgetAfter):
		sum.Status, sum.Cause = Failed, &Cause{Error: "no sign of life for 10 minutes"}
	case f.silent(holder, now):
		sum.Status, sum.Cause = Lost, &Cause{Error: "three heartbeats missed"}
	default:
		return lastSign
	}
	s := &f.spans[holder]
	sum.Cause.ErrorType = Lost
	sum.Cause.Agent, sum.Cause.TraceID, sum.Cause.SpanID = t.agent[holder], s.TraceID, s.SpanID
	return lastSign
}

// holdsRather tells whether span i is to be named as the holder of the work rather than span j: the one that went
// silent, else the one that started last. j is -1 for none.
func (f *Fold) holdsRather(i, j int, now int64) bool {
	switch {
	case j < 0:
		return true
	case f.silent(i, now) != f.silent(j, now):
		return f.silent(i, now)
	}
	return i > j
}

// silent tells whether a running span gave signs of life and has stopped to.
func (f *Fold) silent(i int, now int64) bool {
	sign := f.spans[i].LastSign
	return sign != 0 && now-sign > int64(live.SilentAfter)
}

// attempts returns the spans that each hold one attempt at the task, in order of start: the task spans that are in no
// other one, else one top span a trace.
func (f *Fold) attempts(t *forest) []int {
	inTask := make([]bool, len(f.spans))
	var tasks []int
	for _, i := range t.order {
		if p := t.parent[i]; p >= 0 && inTask[p] {
			inTask[i] = true
			continue
		}
		if inTask[i] = f.spans[i].Operation == opTask; inTask[i] {
			tasks = append(tasks, i)
		}
	}
	if len(tasks) > 0 {
		slices.Sort(tasks)
		return tasks
	}
	// One a trace: real roots before orphans, the earliest of them.
	best := map[string]int{}
	for i := range f.spans {
		if t.parent[i] >= 0 {
			continue
		}
		j, ok := best[f.spans[i].TraceID]
		if !ok || t.orphan[j] && !t.orphan[i] {
			best[f.spans[i].TraceID] = i
		}
	}
	out := make([]int, 0, len(best))
	for _, i := range best {
		out = append(out, i)
	}
	slices.Sort(out)
	return out
}

// cause follows the failed spans down from the attempt to where the failure began: at each level the failed child that
// ended last, since it is the one whose error went up.
func (f *Fold) cause(t *forest, attempt int) *Cause {
	at := attempt
	for {
		next := -1
		for _, c := range t.children[at] {
			if f.leadsToFailure(t, c, 0) && (next < 0 || f.spans[c].End() > f.spans[next].End()) {
				next = c
			}
		}
		if next < 0 {
			break
		}
		at = next
	}
	s := &f.spans[at]
	return &Cause{
		Agent: t.agent[at], Error: cmp.Or(s.Error, f.spans[attempt].Error, s.ErrorType), ErrorType: s.ErrorType,
		TraceID: s.TraceID, SpanID: s.SpanID,
	}
}

// leadsToFailure tells whether a span failed, or is a message on whose other side something failed.
func (f *Fold) leadsToFailure(t *forest, i, depth int) bool {
	if f.spans[i].Failed() {
		return true
	}
	message := f.spans[i].Message != nil || f.spans[i].Kind == "producer" || f.spans[i].Kind == "consumer"
	if !message || depth > 1 {
		return false
	}
	return slices.ContainsFunc(t.children[i], func(c int) bool { return f.leadsToFailure(t, c, depth+1) })
}
