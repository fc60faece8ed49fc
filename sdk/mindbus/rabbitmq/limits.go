package rabbitmq

import (
	"fmt"

	"github.com/mindscope/mindscope/sdk/mindbus"
)

// What is larger can't be written, or the broker ends the connection over it. It would do so again after each reconnect,
// so that such a message must not reach a connection.
const (
	// maxShort is AMQP's longest short string, in bytes.
	maxShort = 255
	// maxHeaders bounds the names and values of the headers together, in bytes: with the other properties they have to fit
	// into one frame, by default 128 KiB.
	maxHeaders = 96 << 10
)

func fits(what, s string) error {
	if len(s) > maxShort {
		return fmt.Errorf("%w: %s has %d bytes, more than AMQP's %d", mindbus.ErrInvalid, what, len(s), maxShort)
	}
	return nil
}

func publishingFits(p mindbus.Publishing) error {
	for _, f := range [...]struct{ what, text string }{
		{"exchange", p.Exchange},
		{"routing key", p.Key},
		{"message id", p.MessageID},
		{"correlation id", p.CorrelationID},
		{"reply-to", p.ReplyTo},
		{"type", p.Type},
		{"content type", p.ContentType},
	} {
		if err := fits(f.what, f.text); err != nil {
			return err
		}
	}
	size := 0
	for name, value := range p.Headers {
		if err := fits("header name", name); err != nil {
			return err
		}
		size += len(name) + len(value)
	}
	if size > maxHeaders {
		return fmt.Errorf("%w: the headers have %d bytes, more than %d", mindbus.ErrInvalid, size, maxHeaders)
	}
	return nil
}

func queueFits(q mindbus.Queue) error {
	if err := fits("queue", q.Name); err != nil {
		return err
	}
	for _, b := range q.Bindings {
		if err := fits("exchange", b.Exchange); err != nil {
			return err
		}
		if err := fits("binding", b.Pattern); err != nil {
			return err
		}
	}
	return nil
}
