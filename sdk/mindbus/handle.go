package mindbus

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Handler does what a message asks for. Its payload, as JSON, is the answer to a command, its error becomes an Error
// message; both are ignored for other types. The context has the sender's trace and task, and ends when the agent is
// stopped. A panic is answered as an INTERNAL error and does not end the process.
type Handler func(ctx context.Context, m Message) (payload any, err error)

// HandleOption changes how an agent handles messages.
type HandleOption interface{ apply(*handleConfig) }

type handleConfig struct {
	concurrency int
	patterns    []string
	attempts    int
	delay       time.Duration
}

type handleOption func(*handleConfig)

func (f handleOption) apply(c *handleConfig) { f(c) }

// WithConcurrency lets up to n messages be handled at a time; the default is 1.
func WithConcurrency(n int) HandleOption {
	return handleOption(func(c *handleConfig) { c.concurrency = max(n, 1) })
}

// WithPatterns lets the agent also take messages whose key matches, for example `evt.article.*` or `ctl.writer.#`.
func WithPatterns(patterns ...string) HandleOption {
	return handleOption(func(c *handleConfig) { c.patterns = append(c.patterns, patterns...) })
}

// WithRetry lets a message that h fails at with a retryable error (see Error.Retryable) be tried again after the delay,
// after twice the delay the next time, and so on, until it was tried as often as attempts says. Only the last failure is
// answered. Meanwhile the message waits in a queue of its own, and other messages are handled.
func WithRetry(attempts int, delay time.Duration) HandleOption {
	return handleOption(func(c *handleConfig) { c.attempts, c.delay = max(attempts, 1), max(delay, time.Millisecond) })
}

// Handle makes h the worker of the agent's queue. It returns when the queue is there, so that a command sent
// afterwards finds it; the work goes on in goroutines until ctx ends or the bus is closed. Several calls for one
// agent, in any process, share its messages. A message is acknowledged after its answer is sent; one that is cut off
// by the end of ctx goes back to the queue. One that came back more often than Config.MaxRedeliveries, since the
// processes that had it died, goes to the dead-letter queue; if it is a command it is answered as ABORTED.
func (b *Bus) Handle(ctx context.Context, agent string, h Handler, opts ...HandleOption) error {
	cfg := handleConfig{concurrency: 1, attempts: 1}
	for _, o := range opts {
		o.apply(&cfg)
	}
	if agent == "" {
		return fmt.Errorf("handle: %w", invalid("the agent has no name"))
	}
	q := Queue{
		Name:        "agent." + keyWord(agent),
		Bindings:    []Binding{{b.cfg.Exchange, b.cfg.commandKey(agent)}},
		MaxPriority: b.cfg.Priorities.Max, MaxLength: b.cfg.MaxLength, DeadLetter: b.cfg.DeadLetter,
	}
	for _, p := range cfg.patterns {
		q.Bindings = append(q.Bindings, Binding{b.cfg.Exchange, p})
	}
	if !b.startDeclaring() {
		return fmt.Errorf("handle messages of %s: %w", agent, ErrBusClosed)
	}
	defer b.declares.Done()
	declaring, cancel := b.toDeclare(ctx)
	defer cancel()
	consumer, err := b.open(declaring, q, cfg.concurrency)
	if err != nil {
		return fmt.Errorf("handle messages of %s: %w", agent, err)
	}
	w := &worker{
		bus: b, handler: h, agent: agent, consumer: consumer,
		template: "agent." + keyWord(b.cfg.Role(agent)), queue: q, cfg: cfg,
	}
	if !b.employ(ctx, w) {
		settle(consumer.Close())
		return fmt.Errorf("handle messages of %s: %w", agent, ErrBusClosed)
	}
	return nil
}

// startDeclaring lets Close wait for declares, unless the bus is being closed.
func (b *Bus) startDeclaring() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return false
	}
	b.declares.Add(1)
	return true
}

// employ lets the worker run, unless the bus is being closed.
func (b *Bus) employ(ctx context.Context, w *worker) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return false
	}
	b.handlers.Go(func() { w.run(ctx, w.cfg.concurrency) })
	return true
}

func (b *Bus) open(ctx context.Context, q Queue, prefetch int) (Consumer, error) {
	dead := Queue{Name: q.DeadLetter, MaxPriority: b.cfg.Priorities.Max, MaxLength: b.cfg.MaxLength, DropOldest: true}
	if err := b.transport.Declare(ctx, dead); err != nil {
		return nil, err
	}
	if err := b.transport.Declare(ctx, q); err != nil {
		return nil, err
	}
	return b.transport.Consume(ctx, q.Name, prefetch)
}

// worker handles the messages of one agent.
type worker struct {
	bus      *Bus
	handler  Handler
	agent    string
	template string
	consumer Consumer
	queue    Queue
	cfg      handleConfig
}

// run works until ctx ends, the bus is closed or the stream ends. Then it waits for what is being handled.
func (w *worker) run(ctx context.Context, concurrency int) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	defer close(done)
	w.bus.handlers.Go(func() {
		select {
		case <-w.bus.abort:
			cancel(ErrBusClosed)
		case <-done:
		}
	})
	finished := make(chan struct{})
	for range concurrency {
		go func() {
			defer func() { finished <- struct{}{} }()
			for w.next(ctx) {
			}
		}()
	}
	for range concurrency {
		<-finished
	}
	settle(w.consumer.Close())
}

// next handles one message and reports whether to go on.
func (w *worker) next(ctx context.Context) bool {
	// Of several ready cases select takes any; the end has to win.
	if w.bus.isClosed() || ctx.Err() != nil {
		return false
	}
	select {
	case <-w.bus.stop:
		return false
	case <-ctx.Done():
		return false
	case d, ok := <-w.consumer.Deliveries():
		if ok {
			w.process(ctx, d)
		}
		return ok
	}
}

// process handles one delivery under its `process` span and settles it.
func (w *worker) process(work context.Context, d Delivery) {
	b := w.bus
	if d.Redelivered && w.countRedelivery(work, d) {
		return
	}
	d, h := historyOf(d)
	m, err := decodeDelivery(d)
	ctx, span := b.tel.startProcess(work, &m, &d, h, w.template)
	defer func() { endSpan(span, err) }()
	if err != nil {
		b.counts.invalid.Add(1)
		settle(d.Nack(false))
		return
	}
	if h.redeliveries > b.cfg.MaxRedeliveries {
		err = w.poisonous(ctx, m, d, h)
		return
	}
	payload, err := w.call(ctx, m)
	if err != nil && work.Err() != nil {
		// The agent is being stopped: somebody else, or the next start, does the work.
		b.counts.requeued.Add(1)
		settle(d.Nack(true))
		return
	}
	if err != nil && h.attempt < w.cfg.attempts && asError(err).Retryable && w.later(work, d, h) == nil {
		b.counts.retried.Add(1)
		settle(d.Ack())
		return
	}
	b.counts.processed.Add(1)
	if err != nil {
		b.counts.failed.Add(1)
	}
	if m.Type == Command {
		if sendErr := w.answer(ctx, m, payload, err); sendErr != nil {
			b.counts.answersLost.Add(1)
			err = errors.Join(err, sendErr)
		}
	}
	settle(d.Ack())
}

// answerGrace is how long an answer may take to be sent after the agent was stopped.
const answerGrace = 5 * time.Second

// answer sends the Result or Error of a command. It belongs to the work that was done: the end of the agent does not hold
// it back, unless the transport does not take it.
func (w *worker) answer(ctx context.Context, m Message, payload any, err error) error {
	r := Message{Type: Result, From: w.agent, To: m.From, TaskID: m.TaskID, CorrelationID: m.ID, ReplyTo: m.ReplyTo}
	if err == nil {
		r.Payload, err = marshalPayload(payload)
	}
	if err != nil {
		r.Type = ErrorResult
		// An ErrorPayload is strings and a bool; it always has a JSON form.
		r.Payload, _ = marshalPayload(ErrorPayload{asError(err)})
	}
	ctx, cancel := graceful(ctx, answerGrace)
	defer cancel()
	return w.bus.publish(ctx, r)
}

// graceful returns a context that ends some time after ctx does.
func graceful(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(context.Cause(ctx))
		case <-longer.Done():
		}
	})
	return longer, func() {
		stop()
		cancel(nil)
	}
}

// panicError is a panic of a handler.
type panicError struct {
	value any
	stack []byte
}

// Error returns what was passed to panic.
func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// Unwrap returns the error that was passed to panic, if it was one.
func (e *panicError) Unwrap() error {
	err, _ := e.value.(error)
	return err
}

// call runs the handler and turns a panic into an error.
func (w *worker) call(ctx context.Context, m Message) (payload any, err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		w.bus.counts.panicked.Add(1)
		payload, err = nil, NewError(CodeInternal, false, &panicError{v, debug.Stack()})
	}()
	return w.handler(ctx, m)
}
