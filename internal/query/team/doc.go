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

// Questions answers. It is safe for concurrent use.
type Questions struct {
	events Reader
	clock  func() time.Time
}

// New returns Questions to events; clock may be nil for time.Now.
func New(events Reader, clock func() time.Time) *Questions {
	if clock == nil {
		clock = time.Now
	}
	return &Questions{events: events, clock: clock}
}
