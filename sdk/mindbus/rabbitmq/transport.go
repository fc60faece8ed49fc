package rabbitmq

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mindscope/mindscope/sdk/mindbus"
)

// Config says how a Transport connects. The zero value is the default of every field.
type Config struct {
	// Name is shown in the broker's list of connections.
	Name string
	// TLS is used for amqps URLs; by default the system's authorities are trusted.
	TLS *tls.Config
	// Heartbeat is how often both sides say that they live; default 10 s. A dead peer is noticed after twice that.
	Heartbeat time.Duration
	// Publishers bounds the messages that wait for their confirmation at a time; default 32. More wait their turn.
	Publishers int
}

// Stats counts what happened since the transport was opened.
type Stats struct {
	// Connects counts connections made; all but the first are reconnects.
	Connects uint64
	// Resent counts messages that were sent again because the connection broke before they were confirmed.
	Resent uint64
	// Unroutable counts messages no queue was bound for, refused or dropped.
	Unroutable uint64
	// Rejected counts messages refused because a queue was full.
	Rejected uint64
}

// Transport is a mindbus.Transport over a broker. Make it with Open and close it.
type Transport struct {
	url    string
	cfg    Config
	system mindbus.System

	life   context.Context // ends with Close
	end    context.CancelFunc
	worker sync.WaitGroup

	mu       sync.Mutex
	session  *session      // nil while there is no connection
	changed  chan struct{} // closed when session is set or lost
	lastErr  error         // why there is no connection
	queues   map[string]mindbus.Queue
	declared []string // the queues' names, in the order of their declaration

	connects, resent, unroutable, rejected atomic.Uint64
}

// Open connects to the broker and returns when it is connected or ctx ends. A refused password or virtual host is
// reported at once.
func Open(ctx context.Context, address string, cfg Config) (*Transport, error) {
	uri, err := amqp.ParseURI(address)
	if err != nil {
		return nil, fmt.Errorf("open RabbitMQ: read URL: %w", withoutURL(err))
	}
	cfg.Heartbeat = cmp.Or(cfg.Heartbeat, 10*time.Second)
	cfg.Publishers = cmp.Or(max(cfg.Publishers, 0), 32)
	t := &Transport{
		url: address, cfg: cfg,
		system:  mindbus.System{Name: "rabbitmq", Address: uri.Host, Port: uri.Port},
		changed: make(chan struct{}),
		queues:  make(map[string]mindbus.Queue),
	}
	t.life, t.end = context.WithCancel(context.Background())
	refused := make(chan error, 1)
	t.worker.Go(func() { t.keepConnected(refused) })
	if err := t.firstSession(ctx, refused); err != nil {
		t.end()
		t.worker.Wait()
		return nil, fmt.Errorf("open RabbitMQ at %s:%d: %w", uri.Host, uri.Port, err)
	}
	return t, nil
}

// withoutURL keeps the password out of an error: net/url's repeat the URL, or a part of it.
func withoutURL(err error) error {
	if _, ok := errors.AsType[*url.Error](err); ok {
		return errors.New("it is none; a scheme comes first, and characters like / ? # @ : % in the user or password are written %2F %3F %23 %40 %3A %25")
	}
	return err
}

// firstSession waits for the first connection; a refusal is no reason to wait on.
func (t *Transport) firstSession(ctx context.Context, refused <-chan error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	connected := make(chan error, 1)
	t.worker.Go(func() {
		_, err := t.current(ctx)
		connected <- err
	})
	select {
	case err := <-connected:
		return err
	case err := <-refused:
		return err
	}
}

// System implements mindbus.Transport: it names the broker.
func (t *Transport) System() mindbus.System { return t.system }

// Stats returns the counters.
func (t *Transport) Stats() Stats {
	return Stats{
		Connects: t.connects.Load(), Resent: t.resent.Load(),
		Unroutable: t.unroutable.Load(), Rejected: t.rejected.Load(),
	}
}

// keepConnected connects, waits for the connection's end and connects again, until Close.
func (t *Transport) keepConnected(refused chan<- error) {
	const shortest, longest = 50 * time.Millisecond, 5 * time.Second
	pause := shortest
	for t.life.Err() == nil {
		s, err := t.connect()
		if err != nil {
			t.failed(err)
			var e *amqp.Error
			if errors.As(err, &e) && (e.Code == amqp.AccessRefused || e.Code == amqp.NotAllowed) {
				select {
				case refused <- err:
				default:
				}
			}
			select {
			case <-time.After(pause/2 + rand.N(pause)):
			case <-t.life.Done():
			}
			pause = min(2*pause, longest)
			continue
		}
		pause = shortest
		select {
		case <-s.gone:
		case <-t.life.Done():
		}
		t.lost(s)
	}
}

// connect makes a connection and declares again what was declared before. The caller ends it.
func (t *Transport) connect() (*session, error) {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(cmp.Or(t.cfg.Name, "mindbus"))
	conn, err := amqp.DialConfig(t.url, amqp.Config{
		Heartbeat: t.cfg.Heartbeat, TLSClientConfig: t.cfg.TLS, Properties: properties, Locale: "en_US",
	})
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	s := &session{
		conn: conn, owner: t, gone: make(chan struct{}),
		slots: make(chan struct{}, t.cfg.Publishers), exchanges: make(map[string]bool),
	}
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))
	t.worker.Go(func() {
		reason, ok := <-closed
		if ok {
			t.failed(fmt.Errorf("connection lost: %w", reason))
		}
		close(s.gone)
	})
	// Close does not wait for what this broker may never answer.
	stop := context.AfterFunc(t.life, s.close)
	defer stop()
	// Not under the lock: a connection that ends meanwhile says so under it.
	for _, q := range t.known() {
		if err := s.declare(q); err != nil {
			s.close()
			return nil, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.connects.Add(1)
	t.session = s
	close(t.changed)
	t.changed = make(chan struct{})
	return s, nil
}

// known returns the queues in the order of their declaration.
func (t *Transport) known() []mindbus.Queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	queues := make([]mindbus.Queue, 0, len(t.declared))
	for _, name := range t.declared {
		queues = append(queues, t.queues[name])
	}
	return queues
}

func (t *Transport) failed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastErr = err
}

// lost forgets the session.
func (t *Transport) lost(s *session) {
	t.mu.Lock()
	t.session = nil
	close(t.changed)
	t.changed = make(chan struct{})
	t.mu.Unlock()
	s.close()
}

// current returns the session and waits for one when there is none.
func (t *Transport) current(ctx context.Context) (*session, error) {
	for {
		t.mu.Lock()
		s, changed, lastErr := t.session, t.changed, t.lastErr
		t.mu.Unlock()
		switch {
		case t.life.Err() != nil:
			return nil, mindbus.ErrClosed
		case ctx.Err() != nil && lastErr != nil:
			return nil, fmt.Errorf("%w; the broker: %w", context.Cause(ctx), lastErr)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case s != nil && !s.conn.IsClosed():
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-t.life.Done():
		}
	}
}

// errGone says that the connection or the channel ended in the middle of something.
var errGone = errors.New("connection lost")

// answerWithin bounds how long Close and the end of a consumer wait for a broker that may not answer any more.
const answerWithin = 2 * time.Second

// start runs f in a goroutine that Close waits for. It reports false, and runs nothing, after Close.
func (t *Transport) start(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.life.Err() != nil {
		return false
	}
	t.worker.Go(f)
	return true
}

// await returns what f does, or the end of ctx: the library waits for the broker's answers as long as the connection lives.
// What f makes after that goes to giveBack, which may be nil.
func await[T any](ctx context.Context, t *Transport, f func() (T, error), giveBack func(T)) (T, error) {
	type result struct {
		made T
		err  error
	}
	var none T
	done := make(chan result) // no room in it: a result is either taken or given back
	started := t.start(func() {
		made, err := f()
		select {
		case done <- result{made, err}:
		case <-ctx.Done():
			if err == nil && giveBack != nil {
				giveBack(made)
			}
		}
	})
	if !started {
		return none, mindbus.ErrClosed
	}
	select {
	case r := <-done:
		return r.made, r.err
	case <-ctx.Done():
		return none, fmt.Errorf("the broker does not answer: %w", context.Cause(ctx))
	}
}

// within is await for what makes nothing.
func (t *Transport) within(ctx context.Context, f func() error) error {
	_, err := await(ctx, t, func() (struct{}, error) { return struct{}{}, f() }, nil)
	return err
}

// do calls f with a session, again with the next one when the connection is lost in the middle.
func (t *Transport) do(ctx context.Context, f func(*session) error) error {
	for {
		s, err := t.current(ctx)
		if err != nil {
			return err
		}
		if err = f(s); !s.conn.IsClosed() && !errors.Is(err, errGone) || err == nil {
			return err
		}
		// The next look at the session waits until the loss of this one is noticed.
		select {
		case <-s.gone:
		case <-ctx.Done():
		case <-t.life.Done():
		}
	}
}

// Declare implements mindbus.Transport. The queue is durable, and declared again on every new connection.
func (t *Transport) Declare(ctx context.Context, q mindbus.Queue) error {
	if q.Name == "" {
		return errors.New("declare queue: its name is empty")
	}
	if err := queueFits(q); err != nil {
		return fmt.Errorf("declare queue %.40s: %w", q.Name, err)
	}
	err := t.do(ctx, func(s *session) error {
		return t.within(ctx, func() error {
			if err := s.declare(q); err != nil {
				return err
			}
			// Also when nobody waits any more: the queue is there, and a temporary one has to go with the transport.
			t.remember(q)
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("declare queue %s: %w", q.Name, err)
	}
	return nil
}

func (t *Transport) remember(q mindbus.Queue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, known := t.queues[q.Name]
	if !known {
		t.declared = append(t.declared, q.Name)
	}
	q.Bindings = append(slices.Clip(q.Bindings), old.Bindings...)
	t.queues[q.Name] = q
}

// Delete implements mindbus.Transport.
func (t *Transport) Delete(ctx context.Context, queue string) error {
	if err := fits("queue", queue); err != nil {
		return fmt.Errorf("delete queue %.40s: %w", queue, err)
	}
	t.forget(queue)
	err := t.do(ctx, func(s *session) error { return t.within(ctx, func() error { return s.delete(queue) }) })
	if err != nil {
		return fmt.Errorf("delete queue %s: %w", queue, err)
	}
	return nil
}

func (t *Transport) forget(queue string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.queues, queue)
	for i, name := range t.declared {
		if name == queue {
			t.declared = append(t.declared[:i:i], t.declared[i+1:]...)
			return
		}
	}
}

// Close implements mindbus.Transport. It removes the temporary queues, ends the consumers and the connection.
func (t *Transport) Close() error {
	t.mu.Lock()
	s := t.session
	var temporary []string
	for _, name := range t.declared {
		if t.queues[name].Temporary {
			temporary = append(temporary, name)
		}
	}
	t.mu.Unlock()
	if s != nil {
		ctx, cancel := context.WithTimeout(t.life, answerWithin)
		for _, name := range temporary {
			// Without a connection they go by themselves a little later.
			_ = t.within(ctx, func() error { return s.delete(name) })
		}
		cancel()
	}
	t.mu.Lock()
	t.end()
	t.mu.Unlock()
	t.worker.Wait()
	return nil
}
