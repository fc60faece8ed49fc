package rabbitmq_test

import (
	"context"
	"fmt"
	"time"

	"github.com/mindscope/mindscope/sdk/mindbus"
	"github.com/mindscope/mindscope/sdk/mindbus/rabbitmq"
)

// An agent in a process of its own opens the broker and works on a bus over it. Here nobody listens at the address.
func ExampleOpen() {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	transport, err := rabbitmq.Open(ctx, "amqp://127.0.0.1:1/", rabbitmq.Config{Name: "writer"})
	if err != nil {
		fmt.Println("there is no broker at this address")
		return
	}
	defer transport.Close()
	bus, err := mindbus.New(transport, mindbus.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bus.Close(ctx)
	fmt.Println("reconnects:", transport.Stats().Connects-1)
	// Output: there is no broker at this address
}
