package due

import (
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

var _ store.DeletionObserver = (*Tasks)(nil)

// Deleted implements store.DeletionObserver: a task of which rows are deleted is not accounted for, unless more of it
// comes. What is left of it would look as if it had been lost.
func (t *Tasks) Deleted(p signal.Project, rows []store.Row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.withdrawn = map[Task]*entry{}
	for i := range rows {
		task := taskOf(p, &rows[i])
		if e, ok := t.byTask[task]; ok {
			t.withdrawn[task] = e.Value.(*entry)
			t.drop(e)
		}
	}
}

// Rewritten implements store.DeletionObserver: a task that a scrub rewrote rows of is accounted for after all.
func (t *Tasks) Rewritten(p signal.Project, rows []store.Row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range rows {
		task := taskOf(p, &rows[i])
		e, ok := t.withdrawn[task]
		if !ok {
			continue
		}
		delete(t.withdrawn, task)
		if _, known := t.byTask[task]; !known {
			e.Moved = t.cfg.Clock().UnixNano()
			t.put(e)
		}
	}
}

func taskOf(p signal.Project, r *store.Row) Task {
	return Task{Project: p, Team: r.Text(store.FieldTeam), ID: r.Text(store.FieldTaskID)}
}
