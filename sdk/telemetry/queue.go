package telemetry

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// queue keeps spans or log records until a batch of them is full or the delay is over, and then exports them: what
// OpenTelemetry's batch processors do, with their variables and their defaults. That of spans hands each to a goroutine, which
// has to be woken for it; here one that ends is put into a slice, and the goroutine wakes once for a batch. That of logs
// has room for a full queue from the start, which every garbage collection looks through. The queue is bounded: what does not
// fit is dropped, and Stats counts it as made and never exported.
type queue[T any] struct {
	send     func(context.Context, []T) error
	shutdown func(context.Context) error
	limits   queueLimits
	// newest says that what does not fit takes the place of the oldest, as logs do; spans are dropped themselves.
	newest bool

	mu      sync.Mutex
	waiting []T
	oldest  int // where waiting begins once it was full
	spare   []T // an emptied slice, for the next ones
	stopped bool

	full chan struct{} // holds one when a batch is full
	quit chan struct{}
	done chan struct{}
	turn chan struct{} // held by who exports
	stop sync.Once
	// left says that Shutdown returned before the goroutine ended: what fails then was told by its error.
	left atomic.Bool
}

// queueLimits are what the variables of a signal say.
type queueLimits struct {
	size, batch    int
	delay, timeout time.Duration
}

// start starts the queue's goroutine. Shutdown ends it.
func (q *queue[T]) start() {
	q.full, q.turn = make(chan struct{}, 1), make(chan struct{}, 1)
	q.quit, q.done = make(chan struct{}), make(chan struct{})
	go q.run()
}

// limitsOf reads the variables that begin with the prefix; what is no positive number is taken as not set, as OpenTelemetry
// asks. delay is the default, in milliseconds; the others are the same for spans and logs.
func limitsOf(getenv func(string) string, prefix string, delay int) queueLimits {
	number := func(name string, otherwise int) int {
		n, err := strconv.Atoi(getenv(prefix + name))
		if err != nil || n <= 0 {
			return otherwise
		}
		return n
	}
	l := queueLimits{
		size:    number("MAX_QUEUE_SIZE", sdktrace.DefaultMaxQueueSize),
		batch:   number("MAX_EXPORT_BATCH_SIZE", sdktrace.DefaultMaxExportBatchSize),
		delay:   time.Duration(number("SCHEDULE_DELAY", delay)) * time.Millisecond,
		timeout: time.Duration(number("EXPORT_TIMEOUT", sdktrace.DefaultExportTimeout)) * time.Millisecond,
	}
	l.batch = min(l.batch, l.size)
	return l
}

// put never waits for an export.
func (q *queue[T]) put(item T) {
	if q.add(item) != q.limits.batch {
		return
	}
	select {
	case q.full <- struct{}{}:
	default:
	}
}

// add returns how many wait now, 0 when the item did not add to them.
func (q *queue[T]) add(item T) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.stopped:
		return 0
	case len(q.waiting) < q.limits.size:
		q.waiting = append(q.waiting, item)
		return len(q.waiting)
	case q.newest:
		q.waiting[q.oldest] = item
		q.oldest = (q.oldest + 1) % len(q.waiting)
	}
	return 0
}

// run exports until Shutdown, and then what is left.
func (q *queue[T]) run() {
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

func (q *queue[T]) report(errs []error) {
	for _, err := range errs {
		if !q.left.Load() {
			otel.Handle(err)
		}
	}
}

// export exports all that waits, batch by batch, and returns what failed. One does it at a time, as exporters ask.
func (q *queue[T]) export(ctx context.Context) (errs []error) {
	select {
	case q.turn <- struct{}{}:
	case <-ctx.Done():
		return []error{context.Cause(ctx)}
	}
	defer func() { <-q.turn }()
	items := q.take()
	for rest := items; len(rest) > 0; {
		n := min(len(rest), q.limits.batch)
		if err := q.exportBatch(ctx, rest[:n]); err != nil {
			errs = append(errs, err)
		}
		rest = rest[n:]
	}
	clear(items) // they are the exporter's no more, and the slice may live on
	if cap(items) <= 2*q.limits.batch {
		q.mu.Lock()
		q.spare = items[:0]
		q.mu.Unlock()
	}
	return errs
}

// take returns all that waits, the oldest first.
func (q *queue[T]) take() []T {
	q.mu.Lock()
	items, oldest := q.waiting, q.oldest
	q.waiting, q.spare, q.oldest = q.spare, nil, 0
	q.mu.Unlock()
	if oldest > 0 {
		items = slices.Concat(items[oldest:], items[:oldest])
	}
	return items
}

func (q *queue[T]) exportBatch(ctx context.Context, batch []T) error {
	ctx, cancel := context.WithTimeoutCause(ctx, q.limits.timeout, errLateExport)
	defer cancel()
	return q.send(ctx, batch)
}

var errLateExport = errors.New("export took longer than OTEL_BSP_EXPORT_TIMEOUT (spans) or OTEL_BLRP_EXPORT_TIMEOUT (logs)")

// ForceFlush exports what waits. It returns when ctx ends, whatever the exporter does.
func (q *queue[T]) ForceFlush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return within(ctx, func() error { return errors.Join(q.export(ctx)...) })
}

// Shutdown exports what is left and shuts the exporter down. It returns when ctx ends, whatever the exporter does; what
// comes after it is dropped.
func (q *queue[T]) Shutdown(ctx context.Context) (err error) {
	q.stop.Do(func() {
		q.mu.Lock()
		q.stopped = true
		q.mu.Unlock()
		close(q.quit)
		err = within(ctx, func() error {
			<-q.done
			return q.shutdown(ctx)
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

// spanQueue is the queue of spans, as a processor.
type spanQueue struct {
	queue[sdktrace.ReadOnlySpan]
}

// newSpanQueue returns a queue to the exporter. Shutdown ends its goroutine.
func newSpanQueue(exporter sdktrace.SpanExporter) *spanQueue {
	q := &spanQueue{}
	q.send, q.shutdown = exporter.ExportSpans, exporter.Shutdown
	q.limits = limitsOf(os.Getenv, "OTEL_BSP_", sdktrace.DefaultScheduleDelay)
	q.start()
	return q
}

// OnStart implements sdktrace.SpanProcessor.
func (*spanQueue) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements sdktrace.SpanProcessor.
func (q *spanQueue) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		q.put(s)
	}
}

// logQueue is the queue of log records, as a processor.
type logQueue struct {
	queue[sdklog.Record]
	exporter sdklog.Exporter
}

// logDelay is how long a record waits at most, in milliseconds.
const logDelay = 1000

// newLogQueue returns a queue to the exporter. Shutdown ends its goroutine.
func newLogQueue(exporter sdklog.Exporter) *logQueue {
	q := &logQueue{exporter: exporter}
	q.send, q.newest = exporter.Export, true
	q.shutdown = func(ctx context.Context) error { return errors.Join(exporter.ForceFlush(ctx), exporter.Shutdown(ctx)) }
	q.limits = limitsOf(os.Getenv, "OTEL_BLRP_", logDelay)
	q.start()
	return q
}

// Enabled implements sdklog.Processor.
func (*logQueue) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }

// OnEmit implements sdklog.Processor. The record is copied: it is the caller's again afterwards.
func (q *logQueue) OnEmit(_ context.Context, r *sdklog.Record) error {
	q.put(r.Clone())
	return nil
}

// ForceFlush exports what waits, and flushes the exporter.
func (q *logQueue) ForceFlush(ctx context.Context) error {
	return errors.Join(q.queue.ForceFlush(ctx), q.exporter.ForceFlush(ctx))
}
