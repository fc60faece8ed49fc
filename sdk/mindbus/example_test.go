package mindbus_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mindscope/mindscope/sdk/mindbus"
)

func Example() {
	ctx := context.Background()
	transport := mindbus.NewMemory()
	defer transport.Close()
	bus, err := mindbus.New(transport, mindbus.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bus.Close(ctx)

	_ = bus.Handle(ctx, "writer", func(_ context.Context, m mindbus.Message) (any, error) {
		var topic string
		if err := m.Decode(&topic); err != nil {
			return nil, err
		}
		return "An article on " + topic + ".", nil
	})
	cmd, _ := mindbus.NewMessage(mindbus.Command, "orchestrator", "writer", "bees")
	answer, err := bus.Request(ctx, cmd)
	fmt.Println(string(answer.Payload), err)
	// Output: "An article on bees." <nil>
}

func ExampleBus_Publish() {
	ctx := context.Background()
	transport := mindbus.NewMemory()
	defer transport.Close()
	bus, _ := mindbus.New(transport, mindbus.Config{})
	defer bus.Close(ctx)

	got := make(chan string)
	_ = bus.Handle(ctx, "archivist", func(_ context.Context, m mindbus.Message) (any, error) {
		got <- m.To + " from " + m.From
		return nil, nil
	}, mindbus.WithPatterns("evt.article.*"), mindbus.WithConcurrency(2))
	_ = bus.Publish(ctx, mindbus.Message{Type: mindbus.Event, From: "editor", To: "article.published"})
	fmt.Println(<-got)
	// Output: article.published from editor
}

func ExampleBus_Request() {
	ctx := context.Background()
	transport := mindbus.NewMemory()
	defer transport.Close()
	bus, _ := mindbus.New(transport, mindbus.Config{})
	defer bus.Close(ctx)

	_ = bus.Handle(ctx, "writer", func(context.Context, mindbus.Message) (any, error) {
		return nil, mindbus.NewError(mindbus.CodeResourceExhausted, true, errors.New("too many requests"))
	})
	_, err := bus.Request(ctx, mindbus.Message{From: "orchestrator", To: "writer"})
	if failure, ok := errors.AsType[*mindbus.Error](err); ok {
		fmt.Println(failure.Code, failure.Retryable)
	}
	fmt.Println(err)
	// Output:
	// RESOURCE_EXHAUSTED true
	// agent writer: RESOURCE_EXHAUSTED: too many requests
}

// A model that is busy is asked again: after a millisecond here, after seconds in earnest.
func ExampleWithRetry() {
	t := mindbus.NewMemory()
	defer t.Close()
	bus, err := mindbus.New(t, mindbus.Config{MaxRedeliveries: 3})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer bus.Close(ctx)
	tries := 0
	_ = bus.Handle(ctx, "writer", func(context.Context, mindbus.Message) (any, error) {
		if tries++; tries < 3 {
			return nil, mindbus.NewError(mindbus.CodeUnavailable, true, errors.New("busy"))
		}
		return "a text", nil
	}, mindbus.WithRetry(5, time.Millisecond))
	answer, err := bus.Request(ctx, mindbus.Message{From: "orchestrator", To: "writer"})
	fmt.Println(string(answer.Payload), err, bus.Stats().Retried)
	// Output: "a text" <nil> 2
}

func ExampleEncode() {
	data, err := mindbus.Encode(mindbus.Message{
		ID: "1", Type: mindbus.Command, From: "orchestrator", To: "writer", TaskID: "task-456", Payload: []byte(`{"topic":"bees"}`),
	})
	fmt.Println(string(data), err)
	// Output: {"specversion":"1.0","id":"1","type":"ai.team.command","source":"orchestrator","toagent":"writer","subject":"task-456","datacontenttype":"application/json","data":{"topic":"bees"}} <nil>
}

func ExampleDecode() {
	m, err := mindbus.Decode([]byte(
		`{"id":"1","type":"COMMAND","from_agent":"orchestrator","to_agent":"writer","trace_id":"task-456","payload":"bees"}`))
	fmt.Println(m.Type, m.From, m.To, m.TaskID, string(m.Payload), err)
	_, err = mindbus.Decode([]byte(`{"specversion":"1.0","id":"1"}`))
	fmt.Println(err)
	// Output:
	// COMMAND orchestrator writer task-456 "bees" <nil>
	// invalid message: type is missing
}

func ExampleInject() {
	headers := mindbus.Headers{}
	ctx := mindbus.Extract(context.Background(), mindbus.Headers{
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "baggage": "ai_team.task.id=task-456",
	})
	mindbus.Inject(ctx, headers)
	for _, name := range headers.Keys() {
		fmt.Println(name, headers.Get(name))
	}
	// Output:
	// baggage ai_team.task.id=task-456
	// traceparent 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
}

func ExampleExtract() {
	h := mindbus.Headers{"Baggage": "ai_team.task.id=task-456"}
	again := mindbus.Headers{}
	mindbus.Inject(mindbus.Extract(context.Background(), h), again)
	fmt.Println(again)
	// Output: map[baggage:ai_team.task.id=task-456]
}

func ExampleMemory() {
	ctx := context.Background()
	t := mindbus.NewMemory()
	defer t.Close()
	_ = t.Declare(ctx, mindbus.Queue{Name: "tap", Bindings: []mindbus.Binding{{Exchange: "mindbus.main", Pattern: "cmd.#"}}})
	_ = t.Publish(ctx, mindbus.Publishing{Exchange: "mindbus.main", Key: "cmd.writer.writer", Body: []byte("hello")})
	consumer, err := t.Consume(ctx, "tap", 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	d := <-consumer.Deliveries()
	fmt.Println(d.Key, string(d.Body), d.Ack(), t.Stats().Published)
	// Output: cmd.writer.writer hello <nil> 1
}

// A transport of one's own has to say what became of every message. These are the errors and what they mean to a bus.
func ExampleTransport() {
	ctx := context.Background()
	var t mindbus.Transport = mindbus.NewMemory()
	err := t.Publish(ctx, mindbus.Publishing{
		Exchange: mindbus.DefaultExchange, Key: "cmd.writer.writer", Mandatory: true,
		Properties: mindbus.Properties{ContentType: mindbus.ContentType},
	})
	fmt.Println(errors.Is(err, mindbus.ErrUnroutable))
	fmt.Println(t.System().Name, t.Delete(ctx, "q"), t.Close())
	_, err = t.Consume(ctx, "q", 1)
	fmt.Println(errors.Is(err, mindbus.ErrClosed))
	// Output:
	// true
	// memory <nil> <nil>
	// true
}

// A delivery that is given back comes again; one that is refused goes to the dead letters.
func ExampleDelivery() {
	ctx := context.Background()
	t := mindbus.NewMemory()
	defer t.Close()
	_ = t.Declare(ctx, mindbus.Queue{Name: mindbus.DefaultDeadLetter})
	_ = t.Declare(ctx, mindbus.Queue{Name: "q", DeadLetter: mindbus.DefaultDeadLetter})
	_ = t.Publish(ctx, mindbus.Publishing{Key: "q", Body: []byte("hello")})
	var consumer mindbus.Consumer
	consumer, _ = t.Consume(ctx, "q", 1)
	d := <-consumer.Deliveries()
	_ = d.Nack(true)
	d = <-consumer.Deliveries()
	fmt.Println(d.Redelivered, d.Settler != nil)
	_ = d.Nack(false)
	fmt.Println(t.Len("q"), t.Len(mindbus.DefaultDeadLetter))
	// Output:
	// true true
	// 0 1
}

// A team whose deployment has priorities and names of its own.
func ExampleConfig() {
	t := mindbus.NewMemory()
	defer t.Close()
	p := mindbus.DefaultPriorities()
	p.Event, p.Control, p.Max = 10, 255, 255
	bus, err := mindbus.New(t, mindbus.Config{Exchange: "ai_team.main", Priorities: p, MaxLength: 2 * mindbus.DefaultMaxLength})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(bus.Close(context.Background()))
	err = bus.Publish(context.Background(), mindbus.Message{Type: mindbus.Event, From: "editor", To: "article.published"})
	fmt.Println(errors.Is(err, mindbus.ErrBusClosed), bus.Stats().Sent)
	// Output:
	// <nil>
	// true 0
}

// What an agent answers with tells what it used.
func ExampleMetrics() {
	payload := struct {
		Text    string          `json:"text"`
		Metrics mindbus.Metrics `json:"metrics"`
	}{"Bees hum.", mindbus.Metrics{Model: "gpt-4o", TokensUsed: 2016, EstimatedCostUSD: 0.0111}}
	m, err := mindbus.NewMessage(mindbus.Result, "writer", "orchestrator", payload)
	fmt.Println(string(m.Payload), err)
	// Output: {"text":"Bees hum.","metrics":{"model":"gpt-4o","tokens_used":2016,"estimated_cost_usd":0.0111}} <nil>
}

// The payload of an ERROR message, and what is made of it where it arrives.
func ExampleErrorPayload() {
	cause := errors.New("too many requests")
	failure := mindbus.NewError(mindbus.CodeResourceExhausted, true, cause)
	m, _ := mindbus.NewMessage(mindbus.ErrorResult, "writer", "orchestrator", mindbus.ErrorPayload{Error: failure})
	fmt.Println(string(m.Payload))
	var back mindbus.ErrorPayload
	_ = m.Decode(&back)
	fmt.Println(back.Error.ErrorType(), back.Error.Error(), errors.Is(failure.Unwrap(), cause))
	// Output:
	// {"error":{"code":"RESOURCE_EXHAUSTED","message":"too many requests","retryable":true}}
	// RESOURCE_EXHAUSTED RESOURCE_EXHAUSTED: too many requests true
}

// Headers are found whatever their case.
func ExampleHeaders() {
	h := mindbus.Headers{}
	h.Set("Baggage", "ai_team.task.id=task-456")
	fmt.Println(h.Get("baggage"))
	// Output: ai_team.task.id=task-456
}

// Messages are at most MaxSize bytes long; their ids are random.
func ExampleNewID() {
	one, another := mindbus.NewID(), mindbus.NewID()
	fmt.Println(one != another, mindbus.MaxSize)
	_, err := mindbus.Decode([]byte("{"))
	fmt.Println(errors.Is(err, mindbus.ErrInvalid))
	// Output:
	// true 16777216
	// true
}
