package mindbus

import (
	"cmp"
	"context"
	"fmt"
	"sync"
)

// Request sends a command and waits for its answer until ctx ends. An Error message comes back as an *Error in the
// chain of err, along with the message itself. The answer's span is `process reply.{agent}`.
func (b *Bus) Request(ctx context.Context, m Message) (Message, error) {
	m = complete(ctx, m)
	m.Type = cmp.Or(m.Type, Command)
	if m.Type != Command {
		return Message{}, fmt.Errorf("request %s: %w", m.To, invalid("type is %s; only a COMMAND is answered", m.Type))
	}
	in, err := b.inboxFor(ctx, m.From)
	if err != nil {
		return Message{}, fmt.Errorf("request %s: %w", m.To, err)
	}
	answer, err := in.expect(m.ID)
	if err != nil {
		return Message{}, fmt.Errorf("request %s: %w", m.To, err)
	}
	defer in.forget(m.ID)
	m.ReplyTo = in.queue
	if err := b.publish(ctx, m); err != nil {
		return Message{}, fmt.Errorf("request %s: %w", m.To, err)
	}
	select {
	case r := <-answer:
		if r.Type == ErrorResult {
			return r, fmt.Errorf("agent %s: %w", r.From, errorOf(r))
		}
		return r, nil
	case <-ctx.Done():
		return Message{}, fmt.Errorf("request %s: no answer: %w", m.To, context.Cause(ctx))
	case <-b.done:
		return Message{}, fmt.Errorf("request %s: no answer: %w", m.To, ErrBusClosed)
	}
}

// inbox is the queue on which an agent's answers come in, and those that wait for them.
type inbox struct {
	bus      *Bus
	queue    string
	template string
	turn     chan struct{} // held by who opens it
	reader   sync.WaitGroup

	mu       sync.Mutex
	declared bool                    // the queue is there, whether it has a consumer or not
	consumer Consumer                // nil until the queue is read
	waiting  map[string]chan Message // by the command's id; room for one answer each
}

// inboxFor returns the agent's inbox. It is opened by the first request and lives as long as the bus.
func (b *Bus) inboxFor(ctx context.Context, agent string) (*inbox, error) {
	if agent == "" {
		return nil, invalid("from_agent is empty and the context has no agent")
	}
	in, err := b.enter(agent)
	if err != nil {
		return nil, err
	}
	defer b.declares.Done()
	if err := in.open(ctx); err != nil {
		return nil, err
	}
	return in, nil
}

// enter returns the agent's inbox, which may not be open yet. The caller says declares.Done when it is.
func (b *Bus) enter(agent string) (*inbox, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.done:
		return nil, ErrBusClosed
	default:
	}
	in := b.inboxes[agent]
	if in == nil {
		in = &inbox{
			bus:      b,
			queue:    "reply." + keyWord(agent) + "." + NewID(),
			template: "reply." + keyWord(b.cfg.Role(agent)),
			turn:     make(chan struct{}, 1),
			waiting:  make(map[string]chan Message),
		}
		b.inboxes[agent] = in
	}
	b.declares.Add(1)
	return in, nil
}

// open declares the queue and starts its consumer, unless that is done. One request does it, and others of the agent wait
// for it; each gives up at the end of its own context, and then the next one tries.
func (in *inbox) open(ctx context.Context) error {
	if in.isOpen() {
		return nil
	}
	ctx, cancel := in.bus.toDeclare(ctx)
	defer cancel()
	select {
	case in.turn <- struct{}{}:
		defer func() { <-in.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if in.isOpen() {
		return nil
	}
	cfg := &in.bus.cfg
	q := Queue{Name: in.queue, Temporary: true, MaxPriority: cfg.Priorities.Max, MaxLength: cfg.MaxLength}
	if err := in.bus.transport.Declare(ctx, q); err != nil {
		return err
	}
	in.mu.Lock()
	in.declared = true
	in.mu.Unlock()
	consumer, err := in.bus.transport.Consume(ctx, in.queue, inboxPrefetch)
	if err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.consumer = consumer
	in.reader.Go(func() { in.read(consumer) })
	return nil
}

func (in *inbox) isOpen() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.consumer != nil
}

// inboxPrefetch is how many answers may be on their way into the process; taking one is quick.
const inboxPrefetch = 64

func (in *inbox) expect(id string) (<-chan Message, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.waiting[id] != nil {
		return nil, invalid("a command with the id %q waits for its answer already", id)
	}
	c := make(chan Message, 1)
	in.waiting[id] = c
	return c, nil
}

func (in *inbox) forget(id string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.waiting, id)
}

// read passes answers on until the consumer is closed.
func (in *inbox) read(consumer Consumer) {
	for d := range consumer.Deliveries() {
		in.take(d)
	}
}

func (in *inbox) take(d Delivery) {
	b := in.bus
	m, err := decodeDelivery(d)
	_, span := b.tel.startProcess(context.Background(), &m, &d, history{attempt: 1}, in.template)
	defer func() { endSpan(span, err) }()
	if err != nil {
		b.counts.invalid.Add(1)
		settle(d.Nack(false))
		return
	}
	settle(d.Ack())
	in.mu.Lock()
	c := in.waiting[m.CorrelationID]
	delete(in.waiting, m.CorrelationID)
	in.mu.Unlock()
	if c == nil {
		b.counts.late.Add(1)
		return
	}
	c <- m
}

// close ends the inbox, which nobody opens any more; ctx bounds how long it tries to remove the queue.
func (in *inbox) close(ctx context.Context) {
	in.mu.Lock()
	consumer, declared := in.consumer, in.declared
	in.mu.Unlock()
	if consumer != nil {
		settle(consumer.Close())
		in.reader.Wait()
	}
	if !declared {
		return
	}
	// A bus may go before its connection does. Without a connection the queue goes by itself a little later.
	settle(in.bus.transport.Delete(ctx, in.queue))
}

// decodeDelivery reads a message with the properties that travel outside the event.
func decodeDelivery(d Delivery) (Message, error) {
	m, err := Decode(d.Body)
	m.CorrelationID, m.ReplyTo = d.CorrelationID, d.ReplyTo
	return m, err
}

// settle takes the outcome of Ack, Nack and clean-up. An error means that the connection went away, and then the
// transport gives the message back by itself: there is nothing left to do.
func settle(error) {}
