// Package sdktest records what a program under test reports, for tests of one's own agents:
//
//	rec := sdktest.New(t)
//	runMyAgent(ctx)
//	if len(rec.Task("task-456")) == 0 { … }
package sdktest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mindscope/mindscope/sdk/conv"
	"github.com/mindscope/mindscope/sdk/telemetry"
)

// Recorder holds the spans that ended and the log records that were written since New. It is safe for concurrent use.
type Recorder struct {
	mu    sync.Mutex
	spans []sdktrace.ReadOnlySpan
	logs  []sdklog.Record
}

// New sets the telemetry of the process up to record into memory until the test ends, then puts back what was there.
// As the telemetry is the process's, tests that use it must not run in parallel with each other.
func New(t testing.TB, opts ...telemetry.Option) *Recorder {
	t.Helper()
	rec := &Recorder{}
	tracers, loggers, propagator := otel.GetTracerProvider(), otel.GetLoggerProvider(), otel.GetTextMapPropagator()
	opts = append([]telemetry.Option{telemetry.WithExporters(spanSink{rec}, logSink{rec}), telemetry.WithSync()}, opts...)
	shutdown, err := telemetry.Setup(context.WithoutCancel(t.Context()), opts...)
	if err != nil {
		t.Fatalf("set up telemetry: %v", err)
	}
	t.Cleanup(func() {
		if err := shutdown(context.Background()); err != nil {
			t.Errorf("shut telemetry down: %v", err)
		}
		otel.SetTracerProvider(tracers)
		otel.SetLoggerProvider(loggers)
		otel.SetTextMapPropagator(propagator)
	})
	return rec
}

// Spans returns the spans that ended, in that order.
func (r *Recorder) Spans() []sdktrace.ReadOnlySpan {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// Logs returns the log records, start records and heartbeats included, in the order they were written.
func (r *Recorder) Logs() []sdklog.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.logs)
}

// Task returns the spans that carry the task's id.
func (r *Recorder) Task(id string) []sdktrace.ReadOnlySpan {
	return slices.DeleteFunc(r.Spans(), func(s sdktrace.ReadOnlySpan) bool {
		return Attr(s, conv.AITeamTaskID).AsString() != id
	})
}

// Named returns the spans of that name.
func (r *Recorder) Named(name string) []sdktrace.ReadOnlySpan {
	return slices.DeleteFunc(r.Spans(), func(s sdktrace.ReadOnlySpan) bool { return s.Name() != name })
}

// Attr returns an attribute of a span, the empty value when it has none of that name.
func Attr(s sdktrace.ReadOnlySpan, key string) attribute.Value {
	for _, a := range s.Attributes() {
		if string(a.Key) == key {
			return a.Value
		}
	}
	return attribute.Value{}
}

type spanSink struct{ rec *Recorder }

func (s spanSink) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	s.rec.spans = append(s.rec.spans, spans...)
	return nil
}

func (spanSink) Shutdown(context.Context) error { return nil }

type logSink struct{ rec *Recorder }

func (s logSink) Export(_ context.Context, recs []sdklog.Record) error {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	for _, r := range recs {
		s.rec.logs = append(s.rec.logs, r.Clone())
	}
	return nil
}

func (logSink) Shutdown(context.Context) error   { return nil }
func (logSink) ForceFlush(context.Context) error { return nil }
