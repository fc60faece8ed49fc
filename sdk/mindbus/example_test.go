package mindbus_test

import (
	"context"
	"errors"
	"fmt"

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
