package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/sdk/mindbus"
	"github.com/mindscope/mindscope/sdk/servicetest"
)

// TestTooLong: what AMQP has no room for is refused by name, and the connection lives on.
func TestTooLong(t *testing.T) {
	broker := servicetest.RabbitMQ(t)
	tr := open(t, broker)
	defer tr.Close()
	long, fits := strings.Repeat("x", 256), strings.Repeat("x", 255)
	refused := func(err error, want string) {
		t.Helper()
		if !errors.Is(err, mindbus.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want ErrInvalid and %q", err, want)
		}
	}
	publish := func(want string, f func(*mindbus.Publishing)) {
		t.Helper()
		p := mindbus.Publishing{Exchange: "x", Key: "k", Body: []byte("{}")}
		f(&p)
		refused(tr.Publish(within(t, 5*time.Second), p), want)
	}
	publish("exchange has 256 bytes", func(p *mindbus.Publishing) { p.Exchange = long })
	publish("routing key", func(p *mindbus.Publishing) { p.Key = long })
	publish("message id", func(p *mindbus.Publishing) { p.MessageID = long })
	publish("correlation id", func(p *mindbus.Publishing) { p.CorrelationID = long })
	publish("reply-to", func(p *mindbus.Publishing) { p.ReplyTo = long })
	publish("type", func(p *mindbus.Publishing) { p.Type = long })
	publish("content type", func(p *mindbus.Publishing) { p.ContentType = long })
	publish("header name", func(p *mindbus.Publishing) { p.Headers = map[string]string{long: "v"} })
	publish("the headers have", func(p *mindbus.Publishing) { p.Headers = map[string]string{"h": strings.Repeat("x", 200<<10)} })
	for q, want := range map[*mindbus.Queue]string{
		{Name: long}: "queue has 256 bytes",
		{Name: "q", Bindings: []mindbus.Binding{{Exchange: long, Pattern: "k"}}}: "exchange",
		{Name: "q", Bindings: []mindbus.Binding{{Exchange: "x", Pattern: long}}}: "binding",
	} {
		refused(tr.Declare(within(t, 5*time.Second), *q), want)
	}
	_, err := tr.Consume(within(t, 5*time.Second), long, 1)
	refused(err, "queue")
	refused(tr.Delete(within(t, 5*time.Second), long), "queue")

	// The longest that is let through is delivered.
	ctx := within(t, patience)
	if err := tr.Declare(ctx, mindbus.Queue{Name: fits}); err != nil {
		t.Fatal(err)
	}
	err = tr.Publish(ctx, mindbus.Publishing{Key: fits, Mandatory: true, Properties: mindbus.Properties{
		MessageID: fits, CorrelationID: fits, ReplyTo: fits, Type: fits, ContentType: fits,
		Headers: map[string]string{fits: strings.Repeat("x", 96<<10-255)},
	}})
	if err != nil {
		t.Error(err)
	}
	if n := tr.Stats().Connects; n != 1 {
		t.Errorf("%d connections, want the first alone", n)
	}
}

// TestUnanswerable: a command whose id is too long for an answer is done once, and the agent goes on.
func TestUnanswerable(t *testing.T) {
	broker := servicetest.RabbitMQ(t)
	tr := open(t, broker)
	defer tr.Close()
	ctx := within(t, patience)
	bus, err := mindbus.New(tr, mindbus.Config{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string, 10)
	err = bus.Handle(ctx, "writer", func(_ context.Context, m mindbus.Message) (any, error) {
		done <- m.ID
		return "done", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{strings.Repeat("x", 300), "short"} {
		body := fmt.Appendf(nil, `{"id":%q,"type":"COMMAND","from_agent":"a","to_agent":"writer","trace_id":"t","payload":{}}`, id)
		if err := tr.Publish(ctx, mindbus.Publishing{Key: "agent.writer", Mandatory: true, Body: body}); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-done:
			if got != id {
				t.Errorf("handled %.10s, want %.10s", got, id)
			}
		case <-ctx.Done():
			t.Fatalf("%.10s is not handled", id)
		}
	}
	if err := bus.Close(ctx); err != nil {
		t.Error(err)
	}
	if s := bus.Stats(); s.AnswersLost != 1 || s.Processed != 2 || len(done) != 0 {
		t.Errorf("%+v, want 2 processed and 1 answer lost", s)
	}
}
