package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// batches is an exporter that keeps the names of what it got, and waits where it is told to.
type batches struct {
	mu   sync.Mutex
	got  [][]string
	err  error
	hold chan struct{} // nil, or closed when exports may go on
}

func (b *batches) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	if b.hold != nil {
		<-b.hold
	}
	var names []string
	for _, s := range spans {
		names = append(names, s.Name())
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, names)
	return b.err
}

func (*batches) Shutdown(context.Context) error { return nil }

func (b *batches) want(t *testing.T, want ...[]string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if diff := cmp.Diff(want, b.got); diff != "" {
		t.Errorf("exported (-want +got):\n%s", diff)
	}
}

func ended(name string, flags trace.TraceFlags) sdktrace.ReadOnlySpan {
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: flags})
	return tracetest.SpanStub{Name: name, SpanContext: sc}.Snapshot()
}

// withQueue runs f with a queue of 5 spans in batches of 3, every second.
func withQueue(t *testing.T, exp *batches, f func(t *testing.T, q *spanQueue)) {
	t.Helper()
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "5")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "3")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1000")
	synctest.Test(t, func(t *testing.T) {
		q := newSpanQueue(exp)
		f(t, q)
		if err := q.Shutdown(t.Context()); err != nil {
			t.Errorf("shut down: %v", err)
		}
		if err := q.Shutdown(t.Context()); err != nil {
			t.Errorf("shut down again: %v", err)
		}
	})
}

func TestFullBatchIsExportedAtOnce(t *testing.T) {
	exp := &batches{}
	withQueue(t, exp, func(t *testing.T, q *spanQueue) {
		for _, name := range []string{"a", "b"} {
			q.OnEnd(ended(name, trace.FlagsSampled))
		}
		q.OnEnd(ended("not sampled", 0))
		synctest.Wait()
		exp.want(t)
		q.OnEnd(ended("c", trace.FlagsSampled))
		synctest.Wait()
		exp.want(t, []string{"a", "b", "c"})
		q.OnEnd(ended("d", trace.FlagsSampled))
		time.Sleep(1001 * time.Millisecond)
		exp.want(t, []string{"a", "b", "c"}, []string{"d"})
	})
}

func TestQueueFlushesAndShutsDown(t *testing.T) {
	exp := &batches{err: errors.New("no")}
	withQueue(t, exp, func(t *testing.T, q *spanQueue) {
		q.OnEnd(ended("a", trace.FlagsSampled))
		if err := q.ForceFlush(t.Context()); !errors.Is(err, exp.err) {
			t.Errorf("flush returned %v, want the exporter's error", err)
		}
		exp.want(t, []string{"a"})
		q.OnEnd(ended("b", trace.FlagsSampled))
	})
	exp.want(t, []string{"a"}, []string{"b"})
}

// TestQueueIsBounded: while an export hangs the queue takes what fits, and neither spans nor flushes wait for it.
func TestQueueIsBounded(t *testing.T) {
	exp := &batches{}
	withQueue(t, exp, func(t *testing.T, q *spanQueue) {
		exp.hold = make(chan struct{})
		for i := range 3 {
			q.OnEnd(ended(fmt.Sprint(i), trace.FlagsSampled))
		}
		synctest.Wait() // the goroutine has the three
		for i := range 7 {
			q.OnEnd(ended(fmt.Sprint(3+i), trace.FlagsSampled))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.ForceFlush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("flush returned %v, want the end of its context", err)
		}
		close(exp.hold)
	})
	exp.want(t, []string{"0", "1", "2"}, []string{"3", "4", "5"}, []string{"6", "7"})
}

// TestShutdownEndsWithItsContext: what the exporter does not take in time does not hold the process.
func TestShutdownEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exp := &batches{hold: make(chan struct{})}
		q := newSpanQueue(exp)
		q.OnEnd(ended("a", trace.FlagsSampled))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown returned %v, want the end of its context", err)
		}
		q.OnEnd(ended("late", trace.FlagsSampled))
		close(exp.hold)
		synctest.Wait()
		exp.want(t, []string{"a"})
	})
}

// records is an exporter of logs that keeps the bodies of what it got, and waits where it is told to.
type records struct {
	batches
	flushed, stopped int
}

func (r *records) Export(_ context.Context, recs []sdklog.Record) error {
	if r.hold != nil {
		<-r.hold
	}
	var bodies []string
	for i := range recs {
		bodies = append(bodies, recs[i].Body().AsString())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, bodies)
	return r.err
}

func (r *records) ForceFlush(context.Context) error { r.flushed++; return nil }
func (r *records) Shutdown(context.Context) error   { r.stopped++; return nil }

// TestLogQueue: logs are exported like spans, but of those that do not fit the newest stay.
func TestLogQueue(t *testing.T) {
	t.Setenv("OTEL_BLRP_MAX_QUEUE_SIZE", "5")
	t.Setenv("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "3")
	synctest.Test(t, func(t *testing.T) {
		exp := &records{}
		q := newLogQueue(exp)
		var rec sdklog.Record
		put := func(from, n int) {
			for i := range n {
				rec.SetBody(attribute.StringValue(fmt.Sprint(from + i)))
				if err := q.OnEmit(t.Context(), &rec); err != nil {
					t.Error(err)
				}
			}
		}
		put(0, 1)
		time.Sleep(1001 * time.Millisecond)
		exp.want(t, []string{"0"})
		put(1, 1)
		if err := q.ForceFlush(t.Context()); err != nil || exp.flushed != 1 {
			t.Errorf("flush returned %v, and flushed the exporter %d times", err, exp.flushed)
		}
		exp.want(t, []string{"0"}, []string{"1"})
		exp.hold = make(chan struct{})
		put(2, 3)
		synctest.Wait() // the goroutine has the three
		put(5, 7)
		close(exp.hold)
		synctest.Wait()
		put(12, 1)
		if err := q.Shutdown(t.Context()); err != nil || exp.stopped != 1 {
			t.Errorf("shutdown returned %v, and shut the exporter down %d times", err, exp.stopped)
		}
		put(13, 1)
		exp.want(t, []string{"0"}, []string{"1"}, []string{"2", "3", "4"}, []string{"7", "8", "9"}, []string{"10", "11"}, []string{"12"})
	})
}

func TestQueueLimits(t *testing.T) {
	f := func(size, batch string, want queueLimits) {
		t.Helper()
		values := map[string]string{"OTEL_BSP_MAX_QUEUE_SIZE": size, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": batch}
		got := limitsOf(func(name string) string { return values[name] }, "OTEL_BSP_", 5000)
		if got != want {
			t.Errorf("size %q, batch %q: %+v, want %+v", size, batch, got, want)
		}
	}
	f("", "", queueLimits{2048, 512, 5 * time.Second, 30 * time.Second})
	f("many", "-1", queueLimits{2048, 512, 5 * time.Second, 30 * time.Second})
	f("100", "", queueLimits{100, 100, 5 * time.Second, 30 * time.Second})
	f("5000", "1000", queueLimits{5000, 1000, 5 * time.Second, 30 * time.Second})
}
