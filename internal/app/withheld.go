package app

import (
	"io"
	"sync/atomic"

	"github.com/mindscope/mindscope/internal/enrich/policy"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// withheld tells the content policy, once there is one, of deleted spans: it holds content of spans that are stored. It
// keeps no state.
type withheld struct{ policy *atomic.Pointer[policy.Sink] }

var _ store.DeletionObserver = withheld{}

// Committed implements store.Observer.
func (withheld) Committed(signal.Project, []store.Row) {}

// Deleted implements store.DeletionObserver.
func (w withheld) Deleted(p signal.Project, rows []store.Row) {
	to := w.policy.Load()
	if to == nil {
		return // the store opens: nothing was sent yet
	}
	var spans []policy.Span
	for i := range rows {
		if r := &rows[i]; r.Kind == store.KindSpan {
			spans = append(spans, policy.Span{Trace: r.Text(store.FieldTraceID), ID: r.Text(store.FieldSpanID)})
		}
	}
	to.Forget(p, spans)
}

// Rewritten implements store.DeletionObserver: what is held was not scrubbed, so it stays dropped.
func (withheld) Rewritten(signal.Project, []store.Row) {}

// Save implements store.StatefulObserver.
func (withheld) Save(io.Writer) error { return nil }

// Load implements store.StatefulObserver.
func (withheld) Load([]byte) error { return nil }
