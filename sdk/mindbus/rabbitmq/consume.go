package rabbitmq

import (
	"context"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mindscope/mindscope/sdk/mindbus"
)

// consumer is a stream of deliveries that goes on over one connection after the other.
type consumer struct {
	t        *Transport
	queue    string
	prefetch int
	out      chan mindbus.Delivery

	life context.Context // ends with Close
	end  context.CancelFunc
	done chan struct{} // closed when out is
}

// Consume implements mindbus.Transport. After a reconnect the consumer goes on; what was handed out before comes again,
// marked as redelivered, and can no longer be settled.
func (t *Transport) Consume(ctx context.Context, queue string, prefetch int) (mindbus.Consumer, error) {
	if err := fits("queue", queue); err != nil {
		return nil, fmt.Errorf("consume queue %.40s: %w", queue, err)
	}
	c := &consumer{t: t, queue: queue, prefetch: max(prefetch, 1), done: make(chan struct{})}
	c.out = make(chan mindbus.Delivery, c.prefetch)
	var first *stream
	err := t.do(ctx, func(s *session) (err error) {
		first, err = await(ctx, t, func() (*stream, error) { return c.open(s) }, (*stream).close)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("consume queue %s: %w", queue, err)
	}
	c.life, c.end = context.WithCancel(t.life)
	if !t.start(func() { c.run(first) }) {
		c.end()
		return nil, fmt.Errorf("consume queue %s: %w", queue, mindbus.ErrClosed)
	}
	return c, nil
}

// Deliveries returns the stream.
func (c *consumer) Deliveries() <-chan mindbus.Delivery { return c.out }

// Close ends the consumer; what it did not settle returns to the queue.
func (c *consumer) Close() error {
	c.end()
	<-c.done
	return nil
}

// open starts to consume on a channel of its own, so that closing it gives back what is not settled.
func (c *consumer) open(s *session) (*stream, error) {
	ch, err := s.conn.Channel()
	if err != nil {
		return nil, lost(err)
	}
	st := &stream{c: c, ch: ch, session: s, unsettled: make(map[uint64]struct{}, c.prefetch)}
	if err = ch.Qos(c.prefetch, 0, false); err == nil {
		st.in, err = ch.Consume(c.queue, "", false, false, false, false, nil)
	}
	switch {
	case isCode(err, amqp.NotFound):
		return nil, mindbus.ErrNoQueue
	case err != nil:
		_ = ch.Close()
		return nil, lost(err)
	}
	return st, nil
}

// run passes deliveries on until the consumer is closed or the queue is gone.
func (c *consumer) run(st *stream) {
	defer close(c.done)
	defer close(c.out)
	defer c.end()
	for {
		st.forward()
		st.close()
		c.drain()
		if st.cancelled || c.life.Err() != nil {
			return
		}
		var next *stream
		err := c.t.do(c.life, func(s *session) (err error) {
			next, err = await(c.life, c.t, func() (*stream, error) { return c.open(s) }, (*stream).close)
			return err
		})
		if err != nil {
			return
		}
		st = next
	}
}

// drain throws away what nobody has taken yet: the broker delivers it again.
func (c *consumer) drain() {
	for {
		select {
		case <-c.out:
		default:
			return
		}
	}
}

// stream is what a consumer gets over one connection.
type stream struct {
	c         *consumer
	ch        *amqp.Channel
	session   *session
	in        <-chan amqp.Delivery
	cancelled bool // the broker took the queue away

	mu        sync.Mutex
	ended     bool
	unsettled map[uint64]struct{}
}

func (st *stream) forward() {
	for {
		select {
		case m, ok := <-st.in:
			if !ok {
				st.cancelled = !st.ch.IsClosed()
				return
			}
			// There is room: the broker hands out no more than the prefetch.
			select {
			case st.c.out <- st.delivery(m):
			case <-st.c.life.Done():
				return
			}
		case <-st.c.life.Done():
			return
		}
	}
}

// close gives back what is not settled. The channel's end is known to the broker when it returns, unless the broker does not
// answer.
func (st *stream) close() {
	st.mu.Lock()
	st.ended = true
	st.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	closed := make(chan struct{})
	// Not start: after Close of the transport there is still a goroutine of it that calls this.
	st.c.t.worker.Go(func() {
		defer close(closed)
		_ = st.ch.Close()
		for range st.in {
			continue // the library's goroutine wants to hand over what it has
		}
	})
	select {
	case <-closed:
	case <-ctx.Done():
	}
}

func (st *stream) delivery(m amqp.Delivery) mindbus.Delivery {
	st.mu.Lock()
	st.unsettled[m.DeliveryTag] = struct{}{}
	st.mu.Unlock()
	return mindbus.Delivery{
		Exchange: m.Exchange, Key: m.RoutingKey, Queue: st.c.queue, Tag: m.DeliveryTag, Redelivered: m.Redelivered,
		Properties: mindbus.Properties{
			Headers: headers(m.Headers), ContentType: m.ContentType, MessageID: m.MessageId, CorrelationID: m.CorrelationId,
			ReplyTo: m.ReplyTo, Type: m.Type, Priority: m.Priority, Timestamp: m.Timestamp,
		},
		Body: m.Body, Settler: st,
	}
}

// headers returns the table's simple values as text. Nested ones, such as the broker's history of a dead letter, have no
// place in mindbus.
func headers(table amqp.Table) map[string]string {
	if len(table) == 0 {
		return nil
	}
	h := make(map[string]string, len(table))
	for k, v := range table {
		switch v := v.(type) {
		case string:
			h[k] = v
		case []byte:
			h[k] = string(v)
		case bool, int8, int16, int32, int64, uint8, uint16, uint32, float32, float64:
			h[k] = fmt.Sprint(v)
		}
	}
	return h
}

// Ack removes the message from its queue.
func (st *stream) Ack(tag uint64) error {
	return st.settle(tag, func() error { return st.ch.Ack(tag, false) })
}

// Nack gives the message back to its queue, or to the dead-letter queue.
func (st *stream) Nack(tag uint64, requeue bool) error {
	return st.settle(tag, func() error { return st.ch.Nack(tag, false, requeue) })
}

func (st *stream) settle(tag uint64, f func() error) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	_, ok := st.unsettled[tag]
	delete(st.unsettled, tag)
	if !ok || st.ended {
		return fmt.Errorf("settle delivery %d of queue %s: %w", tag, st.c.queue, mindbus.ErrSettled)
	}
	if err := f(); err != nil {
		return fmt.Errorf("settle delivery %d of queue %s: %w", tag, st.c.queue, err)
	}
	return nil
}
