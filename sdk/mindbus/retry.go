package mindbus

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"
)

// Headers that travel with a message that comes again: how often it did, why, and the key it was sent with.
const (
	headerRedeliveries = "mindbus-redeliveries"
	headerAttempt      = "mindbus-attempt"
	headerKey          = "mindbus-key"
)

// history is how often a message came before.
type history struct {
	// redeliveries counts the times it was handed out and came back; attempt is 1 for the first.
	redeliveries, attempt int
}

// historyOf reads the history from the headers and gives the delivery back the key it was sent with.
func historyOf(d Delivery) (Delivery, history) {
	h := history{attempt: 1}
	if len(d.Headers) == 0 {
		return d, h
	}
	h.redeliveries = countOf(d.Headers[headerRedeliveries], 1, h.redeliveries)
	h.attempt = countOf(d.Headers[headerAttempt], 2, h.attempt)
	if key := d.Headers[headerKey]; key != "" {
		d.Key = key
	}
	return d, h
}

// countOf returns the number that a header has, which is least or more, or otherwise. Most messages have no such header.
func countOf(header string, least, otherwise int) int {
	if header == "" {
		return otherwise
	}
	if n, err := strconv.Atoi(header); err == nil && n >= least {
		return n
	}
	return otherwise
}

// again returns the delivery as a message to a queue, with the history.
func again(d Delivery, queue string, h history) Publishing {
	p := Publishing{Key: queue, Mandatory: true, Properties: d.Properties, Body: d.Body}
	p.Headers = maps.Clone(d.Headers)
	if p.Headers == nil {
		p.Headers = make(Headers, 3)
	}
	if d.Key != queue { // one that was sent to the queue directly has none
		p.Headers[headerKey] = d.Key
	}
	if h.redeliveries > 0 {
		p.Headers[headerRedeliveries] = strconv.Itoa(h.redeliveries)
	}
	if h.attempt > 1 {
		p.Headers[headerAttempt] = strconv.Itoa(h.attempt)
	}
	return p
}

// countRedelivery writes into a message that came back how often it did: a broker says only that it came back, and
// whoever had it may have died of it. The message is sent to the queue again with the count, and this copy is settled.
// It returns false when that was not possible; then the message is handled as it is.
func (w *worker) countRedelivery(ctx context.Context, d Delivery) bool {
	d, h := historyOf(d)
	h.redeliveries++
	if err := w.bus.transport.Publish(ctx, again(d, w.queue.Name, h)); err != nil {
		return false
	}
	settle(d.Ack())
	return true
}

// later puts a message into the queue from which it comes back after the delay.
func (w *worker) later(ctx context.Context, d Delivery, h history) error {
	delay := w.cfg.delay << min(h.attempt-1, 16)
	h.attempt++
	q := Queue{
		Name: "retry." + keyWord(w.agent) + "." + delay.String(), MaxPriority: w.queue.MaxPriority,
		MaxLength: w.queue.MaxLength, TTL: delay.Round(time.Millisecond), DeadLetter: w.queue.Name,
	}
	if err := w.bus.transport.Declare(ctx, q); err != nil {
		return err
	}
	return w.bus.transport.Publish(ctx, again(d, q.Name, h))
}

// poisonous gives a message up that came back too often, and tells who waits for its answer.
func (w *worker) poisonous(ctx context.Context, m Message, d Delivery, h history) error {
	b := w.bus
	b.counts.poisonous.Add(1)
	err := error(NewError(CodeAborted, false, fmt.Errorf("message %s was given up: %d processes had it and did not end with it", m.ID, h.redeliveries)))
	if m.Type == Command {
		if sendErr := w.answer(ctx, m, nil, err); sendErr != nil {
			b.counts.answersLost.Add(1)
		}
	}
	settle(d.Nack(false))
	return err
}
