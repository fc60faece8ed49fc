package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/signal"
)

// MaxFields bounds the fields of a row, attributes included. A span with more is rejected and its sender told.
const MaxFields = 8192

// MetricsFunc takes the metrics that arrive at a Sink.
type MetricsFunc func(ctx context.Context, p signal.Project, md pmetric.Metrics) (signal.Rejected, error)

// Sink ends the chain of sinks: it writes spans and log records as rows to a Writer.
type Sink struct {
	writer  Writer
	metrics MetricsFunc
	rows    sync.Pool
	clock   func() time.Time
}

// NewSink returns a Sink that writes to w and gives metrics to m.
func NewSink(w Writer, m MetricsFunc) *Sink {
	return &Sink{writer: w, metrics: m, rows: sync.Pool{New: func() any { return new([]Row) }}, clock: time.Now}
}

// Traces writes the spans of td.
func (s *Sink) Traces(ctx context.Context, p signal.Project, td ptrace.Traces) (signal.Rejected, error) {
	buf := s.rows.Get().(*[]Row)
	*buf = AppendSpanRows((*buf)[:0], td)
	defer s.release(buf)
	return s.write(ctx, p, *buf, "span")
}

// Logs writes the log records of ld. One without any time gets its place in time by its arrival, as the data model of
// OpenTelemetry asks of who receives it; its own times stay empty.
func (s *Sink) Logs(ctx context.Context, p signal.Project, ld plog.Logs) (signal.Rejected, error) {
	buf := s.rows.Get().(*[]Row)
	*buf = AppendLogRows((*buf)[:0], ld)
	defer s.release(buf)
	for i := range *buf {
		if r := &(*buf)[i]; r.Time == 0 {
			r.Time = s.clock().UnixNano()
		}
	}
	return s.write(ctx, p, *buf, "log record")
}

// Metrics passes md on.
func (s *Sink) Metrics(ctx context.Context, p signal.Project, md pmetric.Metrics) (signal.Rejected, error) {
	return s.metrics(ctx, p, md)
}

func (s *Sink) write(ctx context.Context, p signal.Project, rows []Row, what string) (signal.Rejected, error) {
	var rejected signal.Rejected
	kept := rows[:0]
	for i := range rows {
		if len(rows[i].Fields) > MaxFields {
			rejected.Add(1, fmt.Sprintf("a %s has more than %d attributes", what, MaxFields))
			continue
		}
		kept = append(kept, rows[i])
	}
	if len(kept) == 0 {
		return rejected, nil
	}
	more, err := s.writer.Write(ctx, p, kept)
	rejected.Merge(more)
	return rejected, err
}

// release lets go of what the rows held, so that the pool keeps no request alive.
func (s *Sink) release(buf *[]Row) {
	clear((*buf)[:cap(*buf)])
	s.rows.Put(buf)
}
