package telemetry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
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
	_ = shutdown(ctx) // it can't send; what counts is that it comes back and that the loss is known
	if c := stats.Spans(); c.Made != 10_000 || c.Exported != 0 || c.Failed+c.Waiting() != 10_000 {
		t.Errorf("spans: %+v", c)
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
	f("failed", "panic", func(context.Context) error { panic("boom") })
	spans := rec.Named("execute_task")
	events := spans[len(spans)-1].Events()
	if len(events) != 1 || !strings.Contains(attr(events[0].Attributes, "exception.stacktrace"), "setup_test.go") {
		t.Errorf("the panic's span has the events %v", events)
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

type noLogs struct{}

func (noLogs) Export(context.Context, []sdklog.Record) error { return nil }
func (noLogs) Shutdown(context.Context) error                { return nil }
func (noLogs) ForceFlush(context.Context) error              { return nil }

func TestBatchesAreCutByBytes(t *testing.T) {
	t.Setenv(sdk.CaptureVariable, "true")
	exp := &big{}
	shutdown, err := telemetry.Setup(t.Context(), telemetry.WithExporters(exp, noLogs{}))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		_, call := sdk.StartLLM(t.Context(), "openai", "gpt-4o")
		call.Input(strings.Repeat("x", 1<<20))
		call.End(nil)
	}
	if err := shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, n := range exp.batches {
		total += n
		if n > 4<<20 {
			t.Errorf("a batch has %d bytes", n)
		}
	}
	if total < 20<<20 {
		t.Errorf("%d bytes were exported", total)
	}
}
