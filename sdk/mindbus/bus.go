package mindbus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mindscope/mindscope/sdk"
)

// ErrBusClosed is returned by a Bus after Close.
var ErrBusClosed = errors.New("bus is closed")

// Bus sends and handles messages over a Transport, with the spans and the context that let a task be followed through
// it. All methods may be called from any goroutine. Close it before its transport.
type Bus struct {
	transport Transport
	cfg       Config
	tel       *telemetry

	stop  chan struct{} // closed when no new work is taken
	abort chan struct{} // closed when running handlers are cancelled
	done  chan struct{} // closed when nobody is left to answer
	gone  chan struct{} // closed when Close is through

	declaring    context.Context // ends when queues that are being declared are given up
	endDeclaring context.CancelCauseFunc

	mu       sync.Mutex // not held while a queue is declared: without a broker that takes as long as its caller waits
	closing  bool
	inboxes  map[string]*inbox // by the agent that waits
	declares sync.WaitGroup    // who declares queues
	handlers sync.WaitGroup

	counts counters
}

// BusStats counts what went through a Bus since it was made.
type BusStats struct {
	// Sent and SendErrors count messages that were published and that were not.
	Sent, SendErrors uint64
	// Processed counts messages whose handler returned, Failed those of them that ended in an error, Panicked those of
	// the failed that panicked.
	Processed, Failed, Panicked uint64
	// Requeued counts messages given back because the agent was stopped in the middle of them.
	Requeued uint64
	// Retried counts messages whose handler failed and that are tried again, Poisonous those given up since they came back
	// too often.
	Retried, Poisonous uint64
	// Invalid counts messages that could not be read and went to the dead-letter queue.
	Invalid uint64
	// Late counts answers nobody waited for any more.
	Late uint64
	// AnswersLost counts answers that the transport did not take.
	AnswersLost uint64
}

type counters struct {
	sent, sendErrors, processed, failed, panicked, requeued, retried, poisonous, invalid, late, answersLost atomic.Uint64
}

// New returns a Bus over the transport, which stays the caller's.
func New(t Transport, cfg Config) (*Bus, error) {
	if t == nil {
		return nil, errors.New("new bus: there is no transport")
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("new bus: %w", err)
	}
	declaring, endDeclaring := context.WithCancelCause(context.Background())
	return &Bus{
		declaring: declaring, endDeclaring: endDeclaring,
		transport: t,
		cfg:       cfg,
		tel:       newTelemetry(t.System(), cfg.Exchange),
		stop:      make(chan struct{}),
		abort:     make(chan struct{}),
		done:      make(chan struct{}),
		gone:      make(chan struct{}),
		inboxes:   make(map[string]*inbox),
	}, nil
}

// Stats returns the counters.
func (b *Bus) Stats() BusStats {
	c := &b.counts
	return BusStats{
		Sent: c.sent.Load(), SendErrors: c.sendErrors.Load(), Processed: c.processed.Load(), Failed: c.failed.Load(),
		Panicked: c.panicked.Load(), Requeued: c.requeued.Load(), Retried: c.retried.Load(), Poisonous: c.poisonous.Load(),
		Invalid: c.invalid.Load(), Late: c.late.Load(),
		AnswersLost: c.answersLost.Load(),
	}
}

// Publish sends a message and returns when the transport has it. Empty ID, From, TaskID and Time are filled in: the
// agent and the task are the context's. A command that no agent takes is an error (ErrUnroutable). The span
// `send {destination}` is the parent of the one that processes the message.
func (b *Bus) Publish(ctx context.Context, m Message) error {
	if b.isClosed() {
		return fmt.Errorf("publish to %s: %w", m.To, ErrBusClosed)
	}
	return b.publish(ctx, m)
}

// publish works until the last handler has answered, which is later than Publish does.
func (b *Bus) publish(ctx context.Context, m Message) (err error) {
	m = complete(ctx, m)
	r, err := b.cfg.routeOf(m)
	if err == nil {
		err = m.check()
	}
	if err != nil {
		b.counts.sendErrors.Add(1)
		return fmt.Errorf("publish to %s: %w", m.To, err)
	}
	ctx = withTask(ctx, m.TaskID)
	ctx, span := b.tel.startSend(ctx, r)
	defer func() { endSpan(span, err) }()
	headers := b.tel.headers()
	defer b.tel.freeHeaders(headers)
	b.tel.inject(ctx, headers)
	if m.TraceParent == "" {
		m.TraceParent, m.TraceState = headers["traceparent"], headers["tracestate"]
	}
	body, err := Encode(m)
	b.tel.describeSend(ctx, span, &m, r, len(body))
	if err != nil {
		b.counts.sendErrors.Add(1)
		return fmt.Errorf("publish to %s: %w", m.To, err)
	}
	if err = b.send(ctx, m, r, headers, body); err != nil {
		b.counts.sendErrors.Add(1)
		return err
	}
	b.counts.sent.Add(1)
	return nil
}

// send hands the bytes to the transport. An answer goes to who waits for it and, for taps, through the exchange.
func (b *Bus) send(ctx context.Context, m Message, r route, headers Headers, body []byte) error {
	p := Publishing{
		Exchange: b.cfg.Exchange, Key: r.key, Mandatory: m.Type == Command, Body: body,
		Properties: Properties{
			Headers: headers, ContentType: ContentType, MessageID: m.ID, CorrelationID: m.CorrelationID,
			ReplyTo: m.ReplyTo, Type: string(m.Type), Priority: b.cfg.Priorities.of(m.Type), Timestamp: time.Now(),
		},
	}
	if isAnswer := m.Type == Result || m.Type == ErrorResult; isAnswer && m.ReplyTo != "" {
		direct := p
		direct.Exchange, direct.Key, direct.ReplyTo = "", m.ReplyTo, ""
		p.ReplyTo = ""
		if err := b.transport.Publish(ctx, direct); err != nil {
			return fmt.Errorf("answer %s: %w", m.To, err)
		}
	}
	err := b.transport.Publish(ctx, p)
	if errors.Is(err, ErrUnroutable) {
		return fmt.Errorf("no agent %q handles commands: %w", m.To, err)
	}
	return err
}

// complete fills in what the context and the clock know.
func complete(ctx context.Context, m Message) Message {
	m.ID = cmp.Or(m.ID, NewID())
	m.From = cmp.Or(m.From, sdk.AgentFrom(ctx))
	m.TaskID = cmp.Or(m.TaskID, sdk.TaskID(ctx))
	if m.Time.IsZero() {
		m.Time = time.Now()
	}
	return m
}

// toDeclare returns the context for declaring a queue: it ends also when the bus is closed.
func (b *Bus) toDeclare(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(b.declaring, func() { cancel(ErrBusClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

func (b *Bus) isClosed() bool {
	select {
	case <-b.stop:
		return true
	default:
		return false
	}
}

// cleanUpWithin bounds how long Close removes what the bus declared.
const cleanUpWithin = 2 * time.Second

// Close takes no new work and waits for the handlers that run. When ctx ends first they are cancelled, and their
// messages go back to the queues; answers that the transport does not take within some seconds are lost. Requests that
// still wait then return ErrBusClosed. May be called twice.
func (b *Bus) Close(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { b.endDeclaring(ErrBusClosed) })()
	b.mu.Lock()
	first := !b.closing
	b.closing = true
	if first {
		close(b.stop)
	}
	b.mu.Unlock()
	if !first {
		<-b.gone
		return nil
	}
	idle := make(chan struct{})
	go func() {
		b.handlers.Wait()
		close(idle)
	}()
	var err error
	select {
	case <-idle:
	case <-ctx.Done():
		err = fmt.Errorf("close bus: %w", context.Cause(ctx))
		close(b.abort)
		<-idle
	}
	b.mu.Lock()
	close(b.done)
	b.mu.Unlock()
	b.endDeclaring(ErrBusClosed)
	b.declares.Wait()
	// Nobody opens an inbox any more. Their queues are removed in any case, yet not for ever when the broker is away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpWithin)
	defer cancel()
	// At once, not one after the other: each waits a while when the broker does not answer.
	var closing sync.WaitGroup
	for _, in := range b.inboxes {
		closing.Go(func() { in.close(ctx) })
	}
	closing.Wait()
	close(b.gone)
	return err
}
