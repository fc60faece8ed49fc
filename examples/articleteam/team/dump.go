package team

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/mindscope/mindscope/sdk/mindbus"
)

// dumping is a transport that also writes the bytes of every message to a file, one JSON object a line, so that a test
// can look at what really went over the bus.
type dumping struct {
	mindbus.Transport
	file *os.File
}

// DumpedMessage is a line of the dump.
type DumpedMessage struct {
	// Exchange and Key are where it went; an answer goes to the queue of who waits, without an exchange, and once more
	// through the exchange, for taps.
	Exchange string `json:"exchange"`
	Key      string `json:"key"`
	// MessageID and CorrelationID are the properties beside the headers.
	MessageID     string            `json:"message_id"`
	CorrelationID string            `json:"correlation_id,omitempty"`
	Headers       map[string]string `json:"headers"`
	// Body is the message as it went over the bus.
	Body []byte `json:"body"`
}

// Publish implements mindbus.Transport.
func (d dumping) Publish(ctx context.Context, p mindbus.Publishing) error {
	line, err := json.Marshal(DumpedMessage{p.Exchange, p.Key, p.MessageID, p.CorrelationID, p.Headers, p.Body})
	if err != nil {
		return fmt.Errorf("dump message: %w", err)
	}
	if _, err := d.file.Write(append(line, '\n')); err != nil { // one write, so that lines of goroutines don't mix
		return fmt.Errorf("dump message: %w", err)
	}
	return d.Transport.Publish(ctx, p)
}
