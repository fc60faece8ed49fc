package spanmetrics

import (
	"slices"
	"strings"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

var _ store.DeletionObserver = (*Metrics)(nil)

// Deleted implements store.DeletionObserver: calls of agents that wait for the agent above them get no edge. What was
// counted stays, with the texts that are labels.
func (m *Metrics) Deleted(p signal.Project, rows []store.Row) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.nested.n == 0 {
		return
	}
	spans := map[[2]string]bool{}
	for i := range rows {
		if r := &rows[i]; r.Kind == store.KindSpan {
			spans[[2]string{r.Text(store.FieldTraceID), r.Text(store.FieldSpanID)}] = true
		}
	}
	m.nested.remove(string(p), spans)
}

// Rewritten implements store.DeletionObserver: nothing is made of rewritten rows, they were counted.
func (*Metrics) Rewritten(signal.Project, []store.Row) {}

// remove takes the calls of these spans, by trace and id, out of what waits in a project.
func (n *nested) remove(project string, spans map[[2]string]bool) {
	for key, calls := range n.waiting {
		if !strings.HasPrefix(key, project+"/") {
			continue
		}
		left := slices.DeleteFunc(calls, func(c nestedCall) bool { return spans[[2]string{c.Trace, c.Span}] })
		n.n -= len(calls) - len(left)
		if n.waiting[key] = left; len(left) == 0 {
			delete(n.waiting, key)
		}
	}
}
