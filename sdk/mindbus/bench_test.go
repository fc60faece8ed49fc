package mindbus_test

import (
	"context"
	"encoding/json"
	"testing"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/mindbus"
)

// BenchmarkPublishConsume measures a message through the bus with spans, and the same bytes through the bare transport:
// the difference is what the envelope and the telemetry cost.
func BenchmarkPublishConsume(b *testing.B) {
	payload := json.RawMessage(`{"topic":"Bees in cities","words":1200,"revision":0}`)
	b.Run("bare", func(b *testing.B) {
		tr := mindbus.NewMemory()
		defer tr.Close()
		q := mindbus.Queue{Name: "q", Bindings: []mindbus.Binding{{Exchange: "x", Pattern: "cmd.writer.writer"}}}
		if err := tr.Declare(b.Context(), q); err != nil {
			b.Fatal(err)
		}
		c, err := tr.Consume(b.Context(), "q", 1)
		if err != nil {
			b.Fatal(err)
		}
		body, err := mindbus.Encode(mindbus.Message{ID: "1", Type: mindbus.Command, From: "a", To: "b", Payload: payload})
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if err := tr.Publish(b.Context(), mindbus.Publishing{Exchange: "x", Key: "cmd.writer.writer", Body: body}); err != nil {
				b.Fatal(err)
			}
			d := <-c.Deliveries()
			if _, err := mindbus.Decode(d.Body); err != nil {
				b.Fatal(err)
			}
			if err := d.Ack(); err != nil {
				b.Fatal(err)
			}
		}
	})
	traced := func(b *testing.B) {
		tr := mindbus.NewMemory()
		defer tr.Close()
		bus, err := mindbus.New(tr, mindbus.Config{})
		if err != nil {
			b.Fatal(err)
		}
		defer bus.Close(context.Background())
		done := make(chan struct{})
		// An event is not answered: it is one message, there and taken.
		err = bus.Handle(b.Context(), "writer", func(context.Context, mindbus.Message) (any, error) {
			done <- struct{}{}
			return nil, nil
		}, mindbus.WithPatterns("evt.a.b"))
		if err != nil {
			b.Fatal(err)
		}
		ctx, task := sdk.StartTask(b.Context(), "task-456", sdk.TaskType("article"))
		defer task.End(nil)
		b.ReportAllocs()
		for b.Loop() {
			m := mindbus.Message{Type: mindbus.Event, From: "orchestrator", To: "a.b", Payload: payload}
			if err := bus.Publish(ctx, m); err != nil {
				b.Fatal(err)
			}
			<-done
		}
	}
	b.Run("without Setup", traced)
	b.Run("with spans", func(b *testing.B) {
		old := otel.GetTracerProvider()
		otel.SetTracerProvider(sdktrace.NewTracerProvider())
		defer otel.SetTracerProvider(old)
		traced(b)
	})
}
