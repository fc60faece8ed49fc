package live

import (
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

var _ store.DeletionObserver = (*View)(nil)

// Deleted implements store.DeletionObserver: what runs is forgotten with the row that told of it, and what a task's ended
// spans told of the way of its work is forgotten with any of them. An agent that goes on says so in its next heartbeat.
func (v *View) Deleted(p signal.Project, rows []store.Row) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.withdrawn = map[key]bool{}
	tasks, changed := map[taskRef]bool{}, false
	traces := map[string]bool{}
	for i := range rows {
		r := &rows[i]
		if r.Kind != store.KindSpan && r.Kind != store.KindStart {
			continue
		}
		k := key{p, r.Text(store.FieldTraceID), r.Text(store.FieldSpanID)}
		ref := taskRef{p, r.Text(store.FieldTeam), r.Text(store.FieldTaskID)}
		tasks[ref], traces[k.trace] = true, true
		if f := v.flows[ref]; f != nil && r.Kind == store.KindSpan {
			f.unlearn()
			changed = true
		}
		if e, ok := v.running[k]; ok && r.Kind == store.KindStart {
			v.forget(e)
			v.withdrawn[k] = true
			changed = true
		}
	}
	if len(tasks) > 0 {
		changed = v.forgetHeard(tasks, traces) || changed
	}
	if changed {
		v.tell()
	}
}

// forgetHeard forgets the spans of tasks that no stored row told of, and names that other rows gave to agents; it tells
// whether there were any.
func (v *View) forgetHeard(tasks map[taskRef]bool, traces map[string]bool) (changed bool) {
	for e := v.bySign.Front(); e != nil; {
		s, next := e.Value.(*span), e.Next()
		switch {
		case !tasks[taskRef{s.Project, s.Team, s.Task}] || !traces[s.Trace]:
		case s.Unstored:
			v.forget(e)
			changed = true
		case s.Named:
			s.Agent, s.Named = "", false
			changed = true
		}
		e = next
	}
	return changed
}

// Rewritten implements store.DeletionObserver: what a scrub took away runs on, under the texts that are left.
func (v *View) Rewritten(p signal.Project, rows []store.Row) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now, changed := v.cfg.Clock().UnixNano(), false
	for i := range rows {
		r := &rows[i]
		k := key{p, r.Text(store.FieldTraceID), r.Text(store.FieldSpanID)}
		if r.Kind != store.KindStart || !v.withdrawn[k] {
			continue
		}
		delete(v.withdrawn, k)
		if _, ok := v.running[k]; !ok && !v.ended[k] {
			v.put(spanOf(p, r, now))
			changed = true
		}
	}
	if changed {
		v.tell()
	}
}

// unlearn forgets what ended spans told.
func (f *flow) unlearn() {
	f.Open, f.Last, f.Pair, f.Count, f.Quality, f.Base = nil, "", [2]string{}, 0, nil, nil
}
