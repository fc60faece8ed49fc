package rabbitmq_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/mindbus"
	"github.com/mindscope/mindscope/sdk/servicetest"
)

// agentBus is a bus over a connection of its own, as in a process of its own.
func agentBus(t *testing.T, broker *servicetest.Service) *mindbus.Bus {
	t.Helper()
	tr := open(t, broker)
	bus, err := mindbus.New(tr, mindbus.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := bus.Close(ctx); err != nil {
			t.Errorf("close bus: %v", err)
		}
		tr.Close()
	})
	return bus
}

// TestTeam lets agents on connections of their own work over a real broker, which fails in the middle of it.
func TestTeam(t *testing.T) {
	broker := servicetest.RabbitMQ(t)
	spans := tracetest.NewSpanRecorder()
	old := otel.GetTracerProvider()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	defer otel.SetTracerProvider(old)
	ctx, task := sdk.StartTask(within(t, 2*time.Minute), "task-456")
	defer task.End(nil)

	writer, orchestrator := agentBus(t, broker), agentBus(t, broker)
	_, err := orchestrator.Request(ctx, mindbus.Message{From: "orchestrator", To: "nobody"})
	if !errors.Is(err, mindbus.ErrUnroutable) {
		t.Errorf("command for nobody: %v", err)
	}
	tap := open(t, broker)
	defer tap.Close()
	seen := tapOf(t, tap)
	inHandler, goOn := make(chan struct{}, 1), make(chan struct{})
	var slow, busy atomic.Int64
	err = writer.Handle(t.Context(), "writer", func(ctx context.Context, m mindbus.Message) (any, error) {
		var what string
		if err := m.Decode(&what); err != nil {
			return nil, err
		}
		if sdk.TaskID(ctx) != "task-456" {
			t.Errorf("the handler works on task %q", sdk.TaskID(ctx))
		}
		switch {
		case what == "slow" && slow.Add(1) == 1:
			inHandler <- struct{}{}
			<-goOn
		case what == "busy" && busy.Add(1) < 4:
			return nil, mindbus.NewError(mindbus.CodeUnavailable, true, errors.New("busy"))
		}
		return what + " done", nil
	}, mindbus.WithRetry(10, 10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(what string) (string, error) {
		payload, _ := json.Marshal(what)
		r, err := orchestrator.Request(ctx, mindbus.Message{From: "orchestrator", To: "writer", Payload: payload})
		return string(r.Payload), err
	}

	if got, err := ask("quick"); err != nil || got != `"quick done"` {
		t.Errorf("answer %s, %v", got, err)
	}
	for _, want := range []string{"cmd.writer.writer", "res.orchestrator.writer"} {
		if d := <-seen; d.Key != want || d.Headers["traceparent"] == "" || d.Headers["baggage"] == "" {
			t.Errorf("on the bus: %s with %v, want %s with a context", d.Key, d.Headers, want)
		}
	}

	answer := make(chan error, 1)
	go func() {
		got, err := ask("slow")
		if err == nil && got != `"slow done"` {
			err = errors.New(got)
		}
		answer <- err
	}()
	<-inHandler
	broker.Kill(t)
	close(goOn)
	broker.Start(t)
	if err := <-answer; err != nil {
		t.Errorf("the broker died while the agent worked: %v", err)
	}

	if got, err := ask("busy"); err != nil || got != `"busy done"` {
		t.Errorf("answer after retries %s, %v", got, err)
	}
	for _, bus := range []*mindbus.Bus{orchestrator, writer} { // then all spans have ended
		if err := bus.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	checkSpans(t, spans.Ended())
}

func tapOf(t *testing.T, tr mindbus.Transport) <-chan mindbus.Delivery {
	t.Helper()
	ctx := within(t, patience)
	q := mindbus.Queue{
		Name: "tap", Temporary: true, DropOldest: true, TTL: time.Minute,
		Bindings: []mindbus.Binding{{Exchange: mindbus.DefaultExchange, Pattern: "#"}},
	}
	if err := tr.Declare(ctx, q); err != nil {
		t.Fatal(err)
	}
	c, err := tr.Consume(ctx, q.Name, 100)
	if err != nil {
		t.Fatal(err)
	}
	return c.Deliveries()
}

// checkSpans: every process span hangs under the send span of its message, with one link to it, and says what broker it was.
func checkSpans(t *testing.T, ended []sdktrace.ReadOnlySpan) {
	t.Helper()
	sent := map[string]trace.SpanContext{}
	attr := func(s sdktrace.ReadOnlySpan, key string) string {
		for _, kv := range s.Attributes() {
			if string(kv.Key) == key {
				return kv.Value.String()
			}
		}
		return ""
	}
	for _, s := range ended {
		if s.SpanKind() == trace.SpanKindProducer {
			sent[attr(s, "messaging.message.id")] = s.SpanContext()
		}
	}
	retried := 0
	for _, s := range ended {
		if s.SpanKind() != trace.SpanKindConsumer {
			continue
		}
		by := sent[attr(s, "messaging.message.id")]
		if !by.IsValid() || s.Parent().SpanID() != by.SpanID() || len(s.Links()) != 1 || s.Links()[0].SpanContext.SpanID() != by.SpanID() {
			t.Errorf("%s is not below the span that sent its message, with one link to it", s.Name())
		}
		if attr(s, "messaging.system") != "rabbitmq" || attr(s, "server.address") != "127.0.0.1" || attr(s, "server.port") == "" ||
			attr(s, "ai_team.message.wait_ms") == "" || attr(s, "ai_team.task.id") != "task-456" {
			t.Errorf("%s: %v", s.Name(), s.Attributes())
		}
		if attr(s, "ai_team.message.attempt") != "" {
			retried++
		}
	}
	if retried != 3 {
		t.Errorf("%d spans of later attempts, want 3", retried)
	}
}
