package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/conv"
	"github.com/mindscope/mindscope/sdk/sdktest"
	"github.com/mindscope/mindscope/sdk/telemetry"
)

func TestWithoutCollectorNothingBlocks(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	var stats telemetry.Stats
	shutdown, err := telemetry.Setup(t.Context(), telemetry.WithStats(&stats))
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for range 10_000 {
		_, task := sdk.StartTask(t.Context(), "task-1")
		task.End(nil)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("10 000 tasks took %s without a collector", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if shutdown(ctx) == nil {
		t.Error("a shutdown that lost everything says that all is well")
	}
	// It can't send; what counts is that it comes back and that the loss is known: of spans and of start records.
	for signal, c := range map[string]telemetry.Counts{"spans": stats.Spans(), "logs": stats.Logs()} {
		if c.Made != 10_000 || c.Exported != 0 || c.Failed+c.Waiting() != 10_000 || c.Waiting() == 0 {
			t.Errorf("%s: %+v, %d waiting or dropped", signal, c, c.Waiting())
		}
	}
}

func TestOutcomes(t *testing.T) {
	rec := sdktest.New(t)
	f := func(want, wantType string, work func(ctx context.Context) error) {
		t.Helper()
		before := len(rec.Named("execute_task"))
		func() {
			defer func() { _ = recover() }() // the panic has to pass through End
			var err error
			ctx, task := sdk.StartTask(t.Context(), "id with spaces, % и кириллица")
			defer task.End(&err)
			err = work(ctx)
		}()
		span := rec.Named("execute_task")[before]
		if got := sdktest.Attr(span, conv.AITeamTaskStatus).AsString(); got != want {
			t.Errorf("status %q, want %q", got, want)
		}
		if got := sdktest.Attr(span, conv.ErrorType).AsString(); got != wantType {
			t.Errorf("error.type %q, want %q", got, wantType)
		}
	}
	f("completed", "", func(context.Context) error { return nil })
	f("failed", "*errors.errorString", func(context.Context) error { return errors.New("no") })
	f("failed", "timeout", func(context.Context) error { return context.DeadlineExceeded })
	f("cancelled", "cancelled", func(context.Context) error { return context.Canceled })
	f("cancelled", "cancelled", func(ctx context.Context) error { return fmt.Errorf("write: %w", context.Canceled) })
	f("failed", "429", func(context.Context) error { return fmt.Errorf("write: %w", refused{}) })
	f("failed", "panic", func(context.Context) error { panicDeeply(100); return nil })
	spans := rec.Named("execute_task")
	events := spans[len(spans)-1].Events()
	if len(events) != 1 || attr(events[0].Attributes, "exception.type") != "string" ||
		attr(events[0].Attributes, "exception.message") != "panic: boom" ||
		!strings.Contains(attr(events[0].Attributes, "exception.stacktrace"), "TestOutcomes") {
		t.Errorf("the panic's span has the events %v", events)
	}
}

// panicDeeply panics so far down that a short stack does not show who called it.
func panicDeeply(depth int) {
	if depth == 0 {
		panic("boom")
	}
	panicDeeply(depth - 1)
}

type refused struct{}

func (refused) Error() string     { return "too many requests" }
func (refused) ErrorType() string { return "429" }

// TestCancelledContext: without an error to look at, the context decides; an error that is nil is believed.
func TestCancelledContext(t *testing.T) {
	rec := sdktest.New(t)
	f := func(want string, end func(*sdk.Task)) {
		t.Helper()
		before := len(rec.Named("execute_task"))
		ctx, cancel := context.WithCancel(t.Context())
		_, task := sdk.StartTask(ctx, "task-1")
		cancel()
		end(task)
		if got := sdktest.Attr(rec.Named("execute_task")[before], conv.AITeamTaskStatus).AsString(); got != want {
			t.Errorf("status %q, want %q", got, want)
		}
	}
	var none error
	some := errors.New("connection closed")
	f("cancelled", func(task *sdk.Task) { task.End(nil) })
	f("cancelled", func(task *sdk.Task) { task.End(&some) })
	f("completed", func(task *sdk.Task) { task.End(&none) })
}

// TestEveryEndLetsPanicsPass: a panic that passes agents, tools and calls goes on, and each ends as failed.
func TestEveryEndLetsPanicsPass(t *testing.T) {
	rec := sdktest.New(t)
	func() {
		defer func() {
			if recover() != "boom" {
				t.Error("the panic did not pass")
			}
		}()
		ctx, agent := sdk.StartAgent(t.Context(), "writer")
		defer agent.End(nil)
		_, tool := sdk.StartTool(ctx, "search", "")
		defer tool.End(nil)
		_, call := sdk.StartLLM(ctx, "openai", "gpt-4o")
		defer call.End(nil)
		panic("boom")
	}()
	for _, s := range rec.Spans() {
		if s.Status().Code != codes.Error || sdktest.Attr(s, conv.ErrorType).AsString() != "panic" {
			t.Errorf("%s has the status %v", s.Name(), s.Status())
		}
	}
	if n := len(rec.Spans()); n != 3 {
		t.Errorf("%d spans ended, want 3", n)
	}
}

func attr(attrs []attribute.KeyValue, key string) string {
	for _, a := range attrs {
		if string(a.Key) == key {
			return a.Value.AsString()
		}
	}
	return ""
}

func TestStartRecordsAndHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := sdktest.New(t)
		ctx, task := sdk.StartTask(t.Context(), "task-1", sdk.TaskType("article"))
		_, agent := sdk.StartAgent(ctx, "writer")
		time.Sleep(25 * time.Second) // the bubble's clock: no time passes
		synctest.Wait()
		agent.End(nil)
		task.End(nil)
		count := map[string]int{}
		for _, r := range rec.Logs() {
			count[r.EventName()]++
			found := ""
			r.WalkAttributes(func(kv attribute.KeyValue) bool {
				if string(kv.Key) == conv.AITeamTaskID {
					found = kv.Value.AsString()
				}
				return true
			})
			if found != "task-1" {
				t.Errorf("a %s record has the task %q", r.EventName(), found)
			}
		}
		if count[conv.EventAITeamSpanStarted] != 2 || count[conv.EventAITeamSpanHeartbeat] != 4 {
			t.Errorf("records: %v, want 2 starts and 4 heartbeats", count)
		}
	})
}

// big keeps what it gets, by batch.
type big struct{ batches []int }

func (b *big) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	n := 0
	for _, s := range spans {
		for _, a := range s.Attributes() {
			n += len(a.Value.AsString())
		}
	}
	b.batches = append(b.batches, n)
	return nil
}
func (*big) Shutdown(context.Context) error { return nil }

// bigLogs keeps what it gets, by batch.
type bigLogs struct{ batches []int }

func (b *bigLogs) Export(_ context.Context, recs []sdklog.Record) error {
	n := 0
	for _, r := range recs {
		n += len(r.Body().AsString())
	}
	b.batches = append(b.batches, n)
	return nil
}
func (*bigLogs) Shutdown(context.Context) error   { return nil }
func (*bigLogs) ForceFlush(context.Context) error { return nil }

func TestBatchesAreCutByBytes(t *testing.T) {
	t.Setenv(sdk.CaptureVariable, "true")
	spans, logs := &big{}, &bigLogs{}
	shutdown, err := telemetry.Setup(t.Context(), telemetry.WithExporters(spans, logs))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", 1<<20)
	for range 20 {
		_, call := sdk.StartLLM(t.Context(), "openai", "gpt-4o")
		call.Input(text)
		call.End(nil)
		var rec log.Record
		rec.SetBody(attribute.StringValue(text))
		otel.GetLoggerProvider().Logger("test").Emit(t.Context(), rec)
	}
	if err := shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for signal, batches := range map[string][]int{"spans": spans.batches, "logs": logs.batches} {
		total := 0
		for _, n := range batches {
			total += n
			if n > 4<<20 {
				t.Errorf("a batch of %s has %d bytes", signal, n)
			}
		}
		if total < 20<<20 {
			t.Errorf("%d bytes of %s were exported", total, signal)
		}
	}
}
