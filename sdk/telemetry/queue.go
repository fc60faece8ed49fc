package telemetry

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// spanQueue keeps spans that ended until a batch of them is full or the delay is over, and then exports them: what
// OpenTelemetry's batch processor does, with its variables and their defaults. That one hands each span to a goroutine,
// which has to be woken for it; here a span that ends is put into a slice, and the goroutine wakes once for a batch. The
// queue is bounded: what does not fit is dropped, and Stats counts it as made and never exported.
type spanQueue struct {
	exporter sdktrace.SpanExporter
	limits   queueLimits

	mu      sync.Mutex
	waiting []sdktrace.ReadOnlySpan
	spare   []sdktrace.ReadOnlySpan // an emptied slice, for the next spans
	stopped bool

	full chan struct{} // holds one when a batch is full
	quit chan struct{}
	done chan struct{}
	turn chan struct{} // held by who exports
	stop sync.Once
	// left says that Shutdown returned before the goroutine ended: what fails then was told by its error.
	left atomic.Bool
}

// queueLimits are what the OTEL_BSP_ variables say.
type queueLimits struct {
	size, batch    int
	delay, timeout time.Duration
}

// newSpanQueue returns a queue to the exporter. Shutdown ends its goroutine.
func newSpanQueue(exporter sdktrace.SpanExporter) *spanQueue {
	q := &spanQueue{
		exporter: exporter, limits: limitsOf(os.Getenv),
		full: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}), turn: make(chan struct{}, 1),
	}
	go q.run()
	return q
}

// limitsOf reads the variables; what is no positive number is taken as not set, as OpenTelemetry asks.
func limitsOf(getenv func(string) string) queueLimits {
	number := func(name string, otherwise int) int {
		n, err := strconv.Atoi(getenv(name))
		if err != nil || n <= 0 {
			return otherwise
		}
		return n
	}
	l := queueLimits{
		size:    number("OTEL_BSP_MAX_QUEUE_SIZE", sdktrace.DefaultMaxQueueSize),
		batch:   number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", sdktrace.DefaultMaxExportBatchSize),
		delay:   time.Duration(number("OTEL_BSP_SCHEDULE_DELAY", sdktrace.DefaultScheduleDelay)) * time.Millisecond,
		timeout: time.Duration(number("OTEL_BSP_EXPORT_TIMEOUT", sdktrace.DefaultExportTimeout)) * time.Millisecond,
	}
	l.batch = min(l.batch, l.size)
	return l
}

// OnStart implements sdktrace.SpanProcessor.
func (*spanQueue) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements sdktrace.SpanProcessor. It never waits for an export.
func (q *spanQueue) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	q.mu.Lock()
	if q.stopped || len(q.waiting) >= q.limits.size {
		q.mu.Unlock()
		return
	}
	q.waiting = append(q.waiting, s)
	wake := len(q.waiting) == q.limits.batch
	q.mu.Unlock()
	if !wake {
		return
	}
	select {
	case q.full <- struct{}{}:
	default:
	}
}

// run exports until Shutdown, and then what is left.
func (q *spanQueue) run() {
	defer close(q.done)
	ctx := context.Background()
	tick := time.NewTimer(q.limits.delay)
	defer tick.Stop()
	for {
		select {
		case <-q.quit:
			q.report(q.export(ctx))
			return
		case <-q.full:
		case <-tick.C:
		}
		q.report(q.export(ctx))
		tick.Reset(q.limits.delay)
	}
}

func (q *spanQueue) report(errs []error) {
	for _, err := range errs {
		if !q.left.Load() {
			otel.Handle(err)
		}
	}
}

// export exports all that waits, batch by batch, and returns what failed. One does it at a time, as exporters ask.
func (q *spanQueue) export(ctx context.Context) (errs []error) {
	select {
	case q.turn <- struct{}{}:
	case <-ctx.Done():
		return []error{context.Cause(ctx)}
	}
	defer func() { <-q.turn }()
	q.mu.Lock()
	spans := q.waiting
	q.waiting, q.spare = q.spare, nil
	q.mu.Unlock()
	for rest := spans; len(rest) > 0; {
		n := min(len(rest), q.limits.batch)
		if err := q.send(ctx, rest[:n]); err != nil {
			errs = append(errs, err)
		}
		rest = rest[n:]
	}
	clear(spans) // they are the exporter's no more, and the slice lives on
	q.mu.Lock()
	q.spare = spans[:0]
	q.mu.Unlock()
	return errs
}

func (q *spanQueue) send(ctx context.Context, batch []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithTimeoutCause(ctx, q.limits.timeout, errors.New("export of spans took longer than OTEL_BSP_EXPORT_TIMEOUT"))
	defer cancel()
	return q.exporter.ExportSpans(ctx, batch)
}

// ForceFlush exports the spans that ended before it. It returns when ctx ends, whatever the exporter does.
func (q *spanQueue) ForceFlush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return within(ctx, func() error { return errors.Join(q.export(ctx)...) })
}

// Shutdown exports what is left and shuts the exporter down. It returns when ctx ends, whatever the exporter does; spans
// that end after it are dropped.
func (q *spanQueue) Shutdown(ctx context.Context) (err error) {
	q.stop.Do(func() {
		q.mu.Lock()
		q.stopped = true
		q.mu.Unlock()
		close(q.quit)
		err = within(ctx, func() error {
			<-q.done
			return q.exporter.Shutdown(ctx)
		})
		q.left.Store(true)
	})
	return err
}

// within returns what f returns, or the end of ctx if that comes first; f then goes on by itself.
func within(ctx context.Context, f func() error) error {
	result := make(chan error, 1)
	go func() { result <- f() }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
