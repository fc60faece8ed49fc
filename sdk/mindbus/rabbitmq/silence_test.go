package rabbitmq_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/mindscope/mindscope/sdk/mindbus"
	"github.com/mindscope/mindscope/sdk/mindbus/rabbitmq"
	"github.com/mindscope/mindscope/sdk/servicetest"
)

// wire stands between a client and its broker and can stop to pass bytes on, with the connections left open.
type wire struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu    sync.Mutex
	pass  chan struct{} // closed while bytes are passed on
	conns []net.Conn
}

// through returns a wire to the broker and the URL that leads over it.
func through(t *testing.T, broker *servicetest.Service) (*wire, string) {
	t.Helper()
	u, err := url.Parse(broker.URL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: l, target: u.Host, pass: make(chan struct{})}
	close(w.pass)
	w.running.Go(w.accept)
	t.Cleanup(w.cut)
	u.Host = l.Addr().String()
	return w, u.String()
}

func (w *wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.target)
		if err != nil {
			near.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, near, far)
		w.mu.Unlock()
		w.running.Go(func() { w.carry(near, far) })
		w.running.Go(func() { w.carry(far, near) })
	}
}

func (w *wire) carry(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		w.mu.Lock()
		pass := w.pass
		w.mu.Unlock()
		<-pass
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (w *wire) silence() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pass = make(chan struct{})
}

func (w *wire) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.pass)
}

// cut ends all connections. Bytes must be passed on at that time.
func (w *wire) cut() {
	w.listener.Close()
	w.mu.Lock()
	for _, c := range w.conns {
		c.Close()
	}
	w.mu.Unlock()
	w.running.Wait()
}

// soon fails the test when f, whose own time is short, does not return within the limit.
func soon(t *testing.T, what string, limit time.Duration, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		t.Errorf("%s waits on when its time is up", what)
		return nil
	}
}

// TestSilentBroker: a broker that does not answer on an open connection holds up nobody beyond the end of the context, and
// what it does later for those who gave up is given back.
func TestSilentBroker(t *testing.T) {
	broker := servicetest.RabbitMQ(t)
	line, address := through(t, broker)
	// The heartbeat would end the connection, and with it the test's subject.
	tr, err := rabbitmq.Open(within(t, patience), address, rabbitmq.Config{Name: t.Name(), Heartbeat: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	ctx := within(t, 2*time.Minute)
	work := mindbus.Queue{Name: "work"}
	if err := tr.Declare(ctx, work); err != nil {
		t.Fatal(err)
	}
	if err := tr.Publish(ctx, mindbus.Publishing{Key: work.Name, Mandatory: true, Body: []byte("page")}); err != nil {
		t.Fatal(err)
	}
	line.silence()
	f := func(what string, call func(ctx context.Context) error) {
		t.Helper()
		err := soon(t, what, 5*time.Second, func() error {
			short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			defer cancel()
			return call(short)
		})
		if !t.Failed() && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want the end of its time", what, err)
		}
	}
	f("declare", func(ctx context.Context) error { return tr.Declare(ctx, mindbus.Queue{Name: "late", Temporary: true}) })
	f("consume", func(ctx context.Context) error { _, err := tr.Consume(ctx, work.Name, 1); return err })
	f("delete", func(ctx context.Context) error { return tr.Delete(ctx, "nothing") })
	f("publish to a new exchange", func(ctx context.Context) error {
		return tr.Publish(ctx, mindbus.Publishing{Exchange: "new", Key: "k", Body: []byte("page")})
	})
	line.resume()

	other := open(t, broker)
	defer other.Close()
	c, err := other.Consume(ctx, work.Name, 1)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case d := <-c.Deliveries():
		if err := d.Ack(); err != nil {
			t.Error(err)
		}
	case <-ctx.Done():
		t.Error("a consumer that nobody has keeps the message")
	}
	exists := func(queue string) bool {
		c, err := other.Consume(ctx, queue, 1)
		if err != nil {
			return false
		}
		_ = c.Close()
		return true
	}
	waitFor(ctx, t, "the late queue", func() bool { return exists("late") })
	if err := tr.Declare(ctx, work); err != nil {
		t.Errorf("declare when the broker answers again: %v", err)
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	if exists("late") {
		t.Error("the temporary queue that was declared late outlives its transport")
	}
}

// TestCloseOfSilentBroker: bus and transport are closed within seconds when the broker does not answer.
func TestCloseOfSilentBroker(t *testing.T) {
	broker := servicetest.RabbitMQ(t)
	line, address := through(t, broker)
	tr, err := rabbitmq.Open(within(t, patience), address, rabbitmq.Config{Name: t.Name(), Heartbeat: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	bus, err := mindbus.New(tr, mindbus.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, time.Minute)
	answer := func(context.Context, mindbus.Message) (any, error) { return "done", nil }
	if err := bus.Handle(ctx, "writer", answer); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"boss", "chief"} {
		if _, err := bus.Request(ctx, mindbus.Message{From: from, To: "writer"}); err != nil {
			t.Fatal(err)
		}
	}
	line.silence()
	defer line.resume()
	for _, start := range []func(ctx context.Context) error{
		func(ctx context.Context) error { return bus.Handle(ctx, "critic", answer) },
		func(ctx context.Context) error {
			_, err := bus.Request(ctx, mindbus.Message{From: "editor", To: "writer"})
			return err
		},
	} {
		short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		if err := soon(t, "handle or request", 5*time.Second, func() error { return start(short) }); err == nil {
			t.Error("a broker that says nothing has answered")
		}
		cancel()
	}
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	// Five seconds for an answer that is on its way, two for the handler's consumer, two for the inboxes.
	_ = soon(t, "the bus", 12*time.Second, func() error { return bus.Close(short) })
	if err := soon(t, "the transport", 8*time.Second, tr.Close); err != nil {
		t.Error(err)
	}
}
