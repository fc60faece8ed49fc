package mindbus

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// DefaultMaxLength bounds a queue of Memory that does not say otherwise, in messages.
const DefaultMaxLength = 10_000

// Memory is a Transport inside one process. Messages live as long as it does. It copies bodies and headers on the way
// in, so that agents share nothing but bytes.
type Memory struct {
	mu     sync.Mutex
	queues map[string]*memQueue
	closed bool
	seq    uint64
	stats  MemoryStats
}

// MemoryStats counts what became of messages since the transport was made.
type MemoryStats struct {
	// Published counts accepted messages, Routed the copies that queues got of them.
	Published, Routed uint64
	// Unroutable counts messages no queue was bound for, refused or dropped.
	Unroutable uint64
	// Rejected counts messages refused because a queue was full, Dropped those pushed out by newer ones.
	Rejected, Dropped uint64
	// DeadLettered counts messages refused for good that went to a dead-letter queue, Discarded those without one.
	DeadLettered, Discarded uint64
	// Redelivered counts deliveries of messages that had been delivered before.
	Redelivered uint64
}

// NewMemory returns an empty in-memory transport. Close it.
func NewMemory() *Memory {
	return &Memory{queues: make(map[string]*memQueue)}
}

// memMessage is one message in one queue. Its headers are beside it: each delivery gets a map of its own.
type memMessage struct {
	pub         Publishing
	headers     []memHeader
	seq         uint64
	priority    uint8
	redelivered bool
	expiry      *time.Timer // of a queue with a TTL
}

type memHeader struct{ name, value string }

// headersOf copies headers, for all queues together.
func headersOf(m map[string]string) []memHeader {
	if len(m) == 0 {
		return nil
	}
	headers := make([]memHeader, 0, len(m))
	for name, value := range m {
		headers = append(headers, memHeader{name, value})
	}
	return headers
}

// memQueue is guarded by Memory.mu.
type memQueue struct {
	spec      Queue
	ready     []*memMessage // in the order of delivery
	consumers []*memConsumer
	next      int // the consumer whose turn it is
}

// System describes the transport.
func (t *Memory) System() System { return System{Name: "memory"} }

// Stats returns the counters.
func (t *Memory) Stats() MemoryStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

// Len returns how many messages wait in the queue, without those handed out. A missing queue has none.
func (t *Memory) Len(queue string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q := t.queues[queue]; q != nil {
		return len(q.ready)
	}
	return 0
}

// Declare creates the queue if it is missing and adds the bindings that it lacks.
func (t *Memory) Declare(ctx context.Context, q Queue) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("declare queue %s: %w", q.Name, err)
	}
	if q.Name == "" {
		return errors.New("declare queue: its name is empty")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return fmt.Errorf("declare queue %s: %w", q.Name, ErrClosed)
	}
	old := t.queues[q.Name]
	if old == nil {
		q.Bindings = slices.Clone(q.Bindings)
		q.MaxLength = cmp.Or(max(q.MaxLength, 0), DefaultMaxLength)
		t.queues[q.Name] = &memQueue{spec: q}
		return nil
	}
	for _, b := range q.Bindings {
		if !slices.Contains(old.spec.Bindings, b) {
			old.spec.Bindings = append(old.spec.Bindings, b)
		}
	}
	return nil
}

// Publish routes the message to all queues with a matching binding, or to none: when one that rejects is full, nobody
// gets it.
func (t *Memory) Publish(ctx context.Context, p Publishing) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("publish to %s: %w", p.Key, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return fmt.Errorf("publish to %s: %w", p.Key, ErrClosed)
	}
	targets := t.route(p)
	if len(targets) == 0 {
		t.stats.Unroutable++
		if p.Mandatory {
			return fmt.Errorf("publish to %s: %w", p.Key, ErrUnroutable)
		}
		return nil
	}
	for _, q := range targets {
		if !q.spec.DropOldest && len(q.ready) >= q.spec.MaxLength {
			t.stats.Rejected++
			return fmt.Errorf("publish to %s: queue %s holds %d messages: %w", p.Key, q.spec.Name, len(q.ready), ErrFull)
		}
	}
	t.stats.Published++
	p.Body = bytes.Clone(p.Body)
	headers := headersOf(p.Headers)
	p.Headers = nil
	for _, q := range targets {
		t.enqueue(q, p, headers)
	}
	return nil
}

// route returns the queues for p, each once, in the order of their names.
func (t *Memory) route(p Publishing) []*memQueue {
	if p.Exchange == "" {
		if q := t.queues[p.Key]; q != nil {
			return []*memQueue{q}
		}
		return nil
	}
	var targets []*memQueue
	for _, name := range slices.Sorted(maps.Keys(t.queues)) {
		if q := t.queues[name]; q.takes(p.Exchange, p.Key) {
			targets = append(targets, q)
		}
	}
	return targets
}

func (q *memQueue) takes(exchange, key string) bool {
	return slices.ContainsFunc(q.spec.Bindings, func(b Binding) bool {
		return b.Exchange == exchange && topicMatch(b.Pattern, key)
	})
}

// enqueue gives q its own copy of the message; t.mu is held.
func (t *Memory) enqueue(q *memQueue, p Publishing, headers []memHeader) {
	t.seq++
	t.stats.Routed++
	if len(q.ready) >= q.spec.MaxLength {
		t.stats.Dropped++
		q.dropOldest()
	}
	m := &memMessage{pub: p, headers: headers, seq: t.seq, priority: min(p.Priority, q.spec.MaxPriority)}
	q.insert(m)
	if q.spec.TTL > 0 {
		m.expiry = time.AfterFunc(q.spec.TTL, func() { t.expire(q, m) })
	}
	q.dispatch(t)
}

// expire moves a message that still waits to the dead letters.
func (t *Memory) expire(q *memQueue, m *memMessage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(q.ready, m)
	if i < 0 || t.queues[q.spec.Name] != q {
		return
	}
	q.ready = slices.Delete(q.ready, i, i+1)
	t.refuse(q, m)
}

// refuse passes a message to the dead letters of its queue; t.mu is held.
func (t *Memory) refuse(q *memQueue, m *memMessage) {
	dead := t.queues[q.spec.DeadLetter]
	if dead == nil {
		t.stats.Discarded++
		return
	}
	t.stats.DeadLettered++
	p := m.pub
	p.Exchange, p.Key = "", q.spec.DeadLetter
	t.enqueue(dead, p, m.headers)
}

// insert puts m at its place: higher priorities first, then the older.
func (q *memQueue) insert(m *memMessage) {
	i, _ := slices.BinarySearchFunc(q.ready, m, func(a, b *memMessage) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.seq, b.seq))
	})
	q.ready = slices.Insert(q.ready, i, m)
}

// dropOldest removes the oldest message of the lowest priority.
func (q *memQueue) dropOldest() {
	lowest := q.ready[len(q.ready)-1].priority
	i := slices.IndexFunc(q.ready, func(m *memMessage) bool { return m.priority == lowest })
	q.ready = slices.Delete(q.ready, i, i+1)
}

// dispatch hands messages to consumers with room, in turn; t.mu is held. It never blocks: a consumer's channel has
// room for its prefetch.
func (q *memQueue) dispatch(t *Memory) {
	for len(q.ready) > 0 {
		c := q.nextConsumer()
		if c == nil {
			return
		}
		m := q.ready[0]
		q.ready = slices.Delete(q.ready, 0, 1)
		c.deliver(t, m)
	}
}

func (q *memQueue) nextConsumer() *memConsumer {
	for range q.consumers {
		q.next = (q.next + 1) % len(q.consumers)
		if c := q.consumers[q.next]; len(c.unacked) < c.prefetch {
			return c
		}
	}
	return nil
}

// Consume starts a consumer of the queue.
func (t *Memory) Consume(ctx context.Context, queue string, prefetch int) (Consumer, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("consume queue %s: %w", queue, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, fmt.Errorf("consume queue %s: %w", queue, ErrClosed)
	}
	q := t.queues[queue]
	if q == nil {
		return nil, fmt.Errorf("consume queue %s: %w", queue, ErrNoQueue)
	}
	prefetch = max(prefetch, 1)
	c := &memConsumer{
		t: t, q: q, prefetch: prefetch,
		out:     make(chan Delivery, prefetch),
		unacked: make(map[uint64]*memMessage, prefetch),
	}
	q.consumers = append(q.consumers, c)
	q.dispatch(t)
	return c, nil
}

// Delete removes the queue, its messages and its consumers' streams.
func (t *Memory) Delete(_ context.Context, queue string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return fmt.Errorf("delete queue %s: %w", queue, ErrClosed)
	}
	q := t.queues[queue]
	if q == nil {
		return nil
	}
	delete(t.queues, queue)
	q.end()
	return nil
}

// end takes the queue from its consumers and forgets its messages; Memory.mu is held.
func (q *memQueue) end() {
	for _, c := range slices.Clone(q.consumers) {
		c.end()
	}
	for _, m := range q.ready {
		m.stopExpiry()
	}
}

func (m *memMessage) stopExpiry() {
	if m.expiry != nil {
		m.expiry.Stop()
	}
}

// Close ends all consumers and drops all queues. The transport has no goroutines of its own.
func (t *Memory) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	for _, q := range t.queues {
		q.end()
	}
	clear(t.queues)
	return nil
}

// memConsumer is guarded by Memory.mu.
type memConsumer struct {
	t        *Memory
	q        *memQueue
	prefetch int
	out      chan Delivery // never fuller than prefetch, so that sends do not block
	unacked  map[uint64]*memMessage
	tag      uint64
	ended    bool
}

// Deliveries returns the stream.
func (c *memConsumer) Deliveries() <-chan Delivery { return c.out }

// deliver hands m out; t.mu is held and there is room.
func (c *memConsumer) deliver(t *Memory, m *memMessage) {
	c.tag++
	c.unacked[c.tag] = m
	m.stopExpiry()
	if m.redelivered {
		t.stats.Redelivered++
	}
	d := Delivery{
		Exchange: m.pub.Exchange, Key: m.pub.Key, Queue: c.q.spec.Name, Tag: c.tag, Redelivered: m.redelivered,
		Properties: m.pub.Properties, Body: m.pub.Body, Settler: c,
	}
	if len(m.headers) > 0 {
		d.Headers = make(map[string]string, len(m.headers))
	}
	for _, h := range m.headers {
		d.Headers[h.name] = h.value
	}
	c.out <- d
}

// Ack removes the message from its queue.
func (c *memConsumer) Ack(tag uint64) error {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	if _, err := c.take(tag); err != nil {
		return err
	}
	c.q.dispatch(c.t)
	return nil
}

// Nack gives the message back to its queue or refuses it for good.
func (c *memConsumer) Nack(tag uint64, requeue bool) error {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	m, err := c.take(tag)
	if err != nil {
		return err
	}
	if requeue {
		m.redelivered = true
		c.q.insert(m)
	} else {
		c.t.refuse(c.q, m)
	}
	c.q.dispatch(c.t)
	return nil
}

func (c *memConsumer) take(tag uint64) (*memMessage, error) {
	m, ok := c.unacked[tag]
	if !ok {
		return nil, fmt.Errorf("settle delivery %d of queue %s: %w", tag, c.q.spec.Name, ErrSettled)
	}
	delete(c.unacked, tag)
	return m, nil
}

// Close ends the consumer; what it did not settle returns to the queue.
func (c *memConsumer) Close() error {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	if c.ended {
		return nil
	}
	c.end()
	c.q.dispatch(c.t)
	return nil
}

// end takes the consumer from its queue; t.mu is held.
func (c *memConsumer) end() {
	c.ended = true
	c.q.consumers = slices.DeleteFunc(c.q.consumers, func(o *memConsumer) bool { return o == c })
	c.q.next = 0
	for tag, m := range c.unacked {
		delete(c.unacked, tag)
		m.redelivered = true
		c.q.insert(m)
	}
	// Deliveries nobody has taken yet are back in the queue: they must not be worked on twice.
	for {
		select {
		case <-c.out:
			continue
		default:
		}
		break
	}
	close(c.out)
}
