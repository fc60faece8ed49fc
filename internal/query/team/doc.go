// Package team answers the questions of those who run a team of agents: which tasks were there, what became of them and
// why, what did one do from end to end, what did it cost.
//
// It reads rows through the small interface Reader and does the rest in Go; it knows neither HTTP nor an engine.
package team

import (
	"context"
	"iter"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Reader is what the questions need of a store.
type Reader interface {
	Select(ctx context.Context, p signal.Project, q store.Select) iter.Seq2[*store.Row, error]
	Aggregate(ctx context.Context, p signal.Project, q store.Aggregate) ([]store.Group, error)
	TraceRange(ctx context.Context, p signal.Project, traceID string) (signal.TimeRange, error)
	Payload(ctx context.Context, p signal.Project, hash string) (store.Payload, error)
	Stats(ctx context.Context) (store.Stats, error)
}

// Watch knows what happens just now and is not stored: heartbeats.
type Watch interface {
	// LastSign returns when the sender of a running span last showed that it lives, nanoseconds, and whether the span
	// is known to run.
	LastSign(p signal.Project, traceID, spanID string) (at int64, ok bool)
}

// Options complete Questions; the zero value is usable.
type Options struct {
	// Watch may be nil: then only what is stored counts as a sign of life.
	Watch Watch
	// Clock tells the time: time.Now.
	Clock func() time.Time
}

// Questions answers. It is safe for concurrent use.
type Questions struct {
	events Reader
	watch  Watch
	clock  func() time.Time
	kept   keptTasks
	// keepFrom is from how many spans on sums are kept.
	keepFrom int
}

// New returns Questions to events.
func New(events Reader, o Options) *Questions {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Questions{events: events, watch: o.Watch, clock: o.Clock, keepFrom: largeTask}
}

// span reads a span or start row of p.
func (q *Questions) span(p signal.Project, r *store.Row) Span {
	s := spanOf(r)
	if s.Running && q.watch != nil {
		s.LastSign, _ = q.watch.LastSign(p, s.TraceID, s.SpanID)
	}
	return s
}
