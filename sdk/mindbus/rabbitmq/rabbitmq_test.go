package rabbitmq_test

import (
	"context"
	"testing"
	"time"

	"github.com/mindscope/mindscope/sdk/mindbus"
	"github.com/mindscope/mindscope/sdk/mindbus/mindbustest"
	"github.com/mindscope/mindscope/sdk/mindbus/rabbitmq"
	"github.com/mindscope/mindscope/sdk/servicetest"
)

const patience = 30 * time.Second

func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

func open(t *testing.T, broker *servicetest.Service) *rabbitmq.Transport {
	t.Helper()
	tr, err := rabbitmq.Open(within(t, patience), broker.URL, rabbitmq.Config{Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// TestTransport holds the broker against the contract of the transports.
func TestTransport(t *testing.T) {
	broker := servicetest.RabbitMQ(t)
	mindbustest.Run(t, func(t *testing.T) mindbus.Transport { return open(t, broker) })
}
