package mindbus

import (
	"context"
	"errors"
	"time"
)

// Errors that a Transport returns; compare with errors.Is.
var (
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("transport is closed")
	// ErrUnroutable is returned for a mandatory message that no queue is bound for.
	ErrUnroutable = errors.New("no queue takes the message")
	// ErrFull is returned when a queue that should get the message is full and rejects what comes on top.
	ErrFull = errors.New("queue is full")
	// ErrNoQueue is returned when a queue does not exist.
	ErrNoQueue = errors.New("no such queue")
	// ErrSettled is returned by a second Ack or Nack, or by one after the consumer was closed.
	ErrSettled = errors.New("delivery is settled already")
)

// Transport moves bytes between agents with the semantics of an AMQP 0-9-1 broker: topic exchanges, queues with
// priorities, acknowledgements and redelivery. Package mindbustest has the suite that every implementation passes.
//
// Concurrency: all methods may be called at any time from any goroutine. Ownership: a Publishing belongs to the caller
// again when Publish returns; a Delivery belongs to who received it.
//
// Order: within a queue a higher priority goes first, and equal priorities leave in the order in which they were
// published by one goroutine. A message that comes back takes its old place.
//
// Durability: when Publish returns nil every queue that the message was routed to has it, and keeps it until it is
// acknowledged, for as long as the implementation says (memory: the life of the process; a broker: on its disk).
// Delivery is at least once.
//
// Bounds: queues have a maximal length. What does not fit is refused with ErrFull, or pushes out the oldest message of
// the lowest priority when the queue says so; both are counted.
type Transport interface {
	// Declare creates the queue if it is missing and adds the bindings that it lacks. Exchanges come into being when
	// they are first named.
	Declare(ctx context.Context, q Queue) error
	// Publish routes the message to every queue with a matching binding; the empty exchange routes to the queue that
	// is named by the key.
	Publish(ctx context.Context, p Publishing) error
	// Consume starts a consumer of the queue, with at most prefetch deliveries unacknowledged at a time (at least 1).
	// The context is for the start alone; the consumer lives until it is closed.
	Consume(ctx context.Context, queue string, prefetch int) (Consumer, error)
	// Delete removes the queue and its messages. Deleting a missing queue is no error.
	Delete(ctx context.Context, queue string) error
	// System describes the other side, for spans.
	System() System
	// Close ends the consumers and gives back what the transport holds. It waits for its goroutines, and may be called
	// twice.
	Close() error
}

// Consumer is a stream of deliveries from one queue.
type Consumer interface {
	// Deliveries returns the stream. It is closed after Close, and when the queue or the transport goes away.
	Deliveries() <-chan Delivery
	// Close ends the consumer. What it got and did not settle returns to the queue, marked as redelivered. May be
	// called twice.
	Close() error
}

// System says what a transport speaks to.
type System struct {
	// Name is the value of messaging.system, for example `rabbitmq`.
	Name string
	// Address and Port are the server's; empty and 0 inside a process.
	Address string
	Port    int
}

// Queue describes a queue.
type Queue struct {
	// Name is the queue's name.
	Name string
	// Bindings are the messages it takes.
	Bindings []Binding
	// MaxPriority is the highest priority the queue tells apart, 0 to 255.
	MaxPriority uint8
	// MaxLength bounds the messages that wait. 0 takes the transport's default.
	MaxLength int
	// DropOldest makes a full queue push out its oldest message of the lowest priority instead of refusing the new one.
	DropOldest bool
	// Temporary queues belong to the transport that declared them and are deleted when it is closed. They outlive a lost
	// connection, and a process that died, by a few minutes.
	Temporary bool
	// DeadLetter is the queue for messages that are refused for good or waited longer than TTL; empty throws them away,
	// counted.
	DeadLetter string
	// TTL is how long a message may wait, to the millisecond; 0 is for ever. One that waited longer goes to DeadLetter.
	TTL time.Duration
}

// Binding lets a queue take the messages of an exchange whose key matches. In a pattern `*` stands for one word and
// `#` for any number of words; dots part words.
type Binding struct {
	Exchange, Pattern string
}

// Properties are what travels beside the body.
type Properties struct {
	// Headers carry the hop's context, see Inject.
	Headers map[string]string
	// ContentType is the media type of the body.
	ContentType string
	// MessageID and CorrelationID are the ids of this message and of the one it answers.
	MessageID, CorrelationID string
	// ReplyTo is the queue that waits for the answer.
	ReplyTo string
	// Type is the message's type, readable without decoding the body.
	Type string
	// Priority is higher for what goes first.
	Priority uint8
	// Timestamp is when the message was sent. A transport may cut it to seconds.
	Timestamp time.Time
}

// Publishing is a message on its way in.
type Publishing struct {
	// Exchange and Key route the message.
	Exchange, Key string
	// Mandatory asks for ErrUnroutable when no queue takes the message. Otherwise it is dropped, counted.
	Mandatory bool
	Properties
	// Body is the encoded message.
	Body []byte
}

// Delivery is a message on its way out. It has to be settled once, by Ack or Nack, from any goroutine.
type Delivery struct {
	// Exchange and Key are what the message was published with, Queue is where it was taken from.
	Exchange, Key, Queue string
	// Tag numbers the deliveries of a consumer.
	Tag uint64
	// Redelivered is true when the message was handed out before and not acknowledged.
	Redelivered bool
	Properties
	// Body is the encoded message. It must not be changed.
	Body []byte
	// Settler settles the delivery; nil in tests that need none.
	Settler Settler
}

// Settler is the part of a transport that settles a delivery.
type Settler interface {
	// Ack removes the message from its queue.
	Ack(tag uint64) error
	// Nack gives the message back to its queue, or to the dead-letter queue when requeue is false.
	Nack(tag uint64, requeue bool) error
}

// Ack says that the message was dealt with.
func (d Delivery) Ack() error {
	if d.Settler == nil {
		return ErrSettled
	}
	return d.Settler.Ack(d.Tag)
}

// Nack gives the message back to its queue, or refuses it for good when requeue is false.
func (d Delivery) Nack(requeue bool) error {
	if d.Settler == nil {
		return ErrSettled
	}
	return d.Settler.Nack(d.Tag, requeue)
}
