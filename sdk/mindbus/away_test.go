package mindbus_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mindscope/mindscope/sdk/mindbus"
)

// farTransport is a transport whose broker can go away: then calls wait for it until their context ends.
type farTransport struct {
	*mindbus.Memory
	away atomic.Bool

	declared chan struct{} // gets one for each Declare that waits
}

func (t *farTransport) wait(ctx context.Context) error {
	if !t.away.Load() {
		return nil
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func (t *farTransport) Declare(ctx context.Context, q mindbus.Queue) error {
	if t.away.Load() {
		t.declared <- struct{}{}
	}
	if err := t.wait(ctx); err != nil {
		return err
	}
	return t.Memory.Declare(ctx, q)
}

func (t *farTransport) Publish(ctx context.Context, p mindbus.Publishing) error {
	if err := t.wait(ctx); err != nil {
		return err
	}
	return t.Memory.Publish(ctx, p)
}

func (t *farTransport) Delete(ctx context.Context, queue string) error {
	if err := t.wait(ctx); err != nil {
		return err
	}
	return t.Memory.Delete(ctx, queue)
}

// TestCloseWithoutBroker: a bus with inboxes, and with an answer on its way, is closed some seconds after its time is up.
func TestCloseWithoutBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &farTransport{Memory: mindbus.NewMemory()}
		bus, err := mindbus.New(tr, mindbus.Config{})
		if err != nil {
			t.Fatal(err)
		}
		err = bus.Handle(t.Context(), "writer", func(context.Context, mindbus.Message) (any, error) {
			tr.away.Store(true)
			return "done", nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{"boss", "chief"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := bus.Request(ctx, mindbus.Message{From: from, To: "nobody"}); !errors.Is(err, mindbus.ErrUnroutable) {
				t.Errorf("request of nobody: %v", err)
			}
			cancel()
		}
		if err := bus.Publish(t.Context(), mindbus.Message{Type: mindbus.Command, From: "boss", To: "writer"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := bus.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: %v, want that its time was up", err)
		}
		// One second of ctx, five for the answer, two for the queues of both inboxes.
		if spent := time.Since(start); spent > 8*time.Second {
			t.Errorf("close took %s", spent)
		}
		if s := bus.Stats(); s.AnswersLost != 1 {
			t.Errorf("%d answers lost, want 1", s.AnswersLost)
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestAnswerOutlivesAgent: the end of the agent's context does not hold an answer back that the transport takes.
func TestAnswerOutlivesAgent(t *testing.T) {
	tm := newTeam(t)
	ctx, stop := context.WithCancel(tm.ctx)
	err := tm.bus.Handle(ctx, "writer", func(context.Context, mindbus.Message) (any, error) {
		stop()
		return "done", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := tm.bus.Request(tm.ctx, mindbus.Message{From: "boss", To: "writer"})
	if err != nil || string(m.Payload) != `"done"` {
		t.Errorf("answer %s, %v", m.Payload, err)
	}
}

// pickyTransport is a transport that does not declare some queues for as long as it is closed to them.
type pickyTransport struct {
	*mindbus.Memory
	prefix   string
	declared chan struct{} // gets one for each Declare that waits
	open     chan struct{}
}

func (t *pickyTransport) Declare(ctx context.Context, q mindbus.Queue) error {
	if strings.HasPrefix(q.Name, t.prefix) {
		t.declared <- struct{}{}
		select {
		case <-t.open:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return t.Memory.Declare(ctx, q)
}

// newPicky returns a bus with a writer, over a transport that does not declare the queues of the prefix.
func newPicky(t *testing.T, prefix string) (*pickyTransport, *mindbus.Bus) {
	t.Helper()
	tr := &pickyTransport{
		Memory: mindbus.NewMemory(), prefix: prefix, declared: make(chan struct{}, 8), open: make(chan struct{}),
	}
	bus, err := mindbus.New(tr, mindbus.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Handle(t.Context(), "writer", echo); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(bus.Close(context.Background()), tr.Close()); err != nil {
			t.Error(err)
		}
	})
	return tr, bus
}

// TestOthersGoOnWhileDeclaring: whoever waits for the broker to declare a queue holds up nobody else.
func TestOthersGoOnWhileDeclaring(t *testing.T) {
	f := func(prefix string, stuck func(ctx context.Context, bus *mindbus.Bus) error) {
		t.Helper()
		tr, bus := newPicky(t, prefix)
		ctx, giveUp := context.WithTimeout(t.Context(), patience)
		defer giveUp()
		ended := make(chan error, 1)
		go func() { ended <- stuck(ctx, bus) }()
		<-tr.declared
		if _, err := bus.Request(ctx, mindbus.Message{From: "chief", To: "writer"}); err != nil {
			t.Errorf("%s: another agent's request: %v", prefix, err)
		}
		if err := bus.Handle(ctx, "critic", echo); err != nil {
			t.Errorf("%s: another agent's handler: %v", prefix, err)
		}
		giveUp()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want that it waited until its context ended", prefix, err)
		}
	}
	f("reply.boss.", func(ctx context.Context, bus *mindbus.Bus) error {
		_, err := bus.Request(ctx, mindbus.Message{From: "boss", To: "writer"})
		return err
	})
	f("agent.editor", func(ctx context.Context, bus *mindbus.Bus) error { return bus.Handle(ctx, "editor", echo) })
}

// TestRequestsTakeTurnsAtDeclaring: of several first requests of an agent one declares its queue; when that one gives up
// the next one does, and all use the same queue.
func TestRequestsTakeTurnsAtDeclaring(t *testing.T) {
	tr, bus := newPicky(t, "reply.boss.")
	request := func(ctx context.Context) <-chan error {
		ended := make(chan error, 1)
		go func() {
			_, err := bus.Request(ctx, mindbus.Message{From: "boss", To: "writer"})
			ended <- err
		}()
		return ended
	}
	first, giveUp := context.WithTimeout(t.Context(), patience)
	defer giveUp()
	declares := request(first)
	<-tr.declared
	short, end := context.WithCancel(t.Context())
	waits := request(short)
	end()
	if err := <-waits; !errors.Is(err, context.Canceled) {
		t.Errorf("a request that waits for its turn ended with %v", err)
	}
	long, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	second, third := request(long), request(long)
	giveUp()
	if err := <-declares; !errors.Is(err, context.Canceled) {
		t.Errorf("the request that declares ended with %v", err)
	}
	<-tr.declared
	close(tr.open)
	for _, ended := range []<-chan error{second, third} {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if n := len(tr.declared); n != 0 {
		t.Errorf("the queue was declared %d times more", n)
	}
}

// TestCloseDoesNotWaitForDeclaring: a queue that nobody can use any more is given up at once.
func TestCloseDoesNotWaitForDeclaring(t *testing.T) {
	tr, bus := newPicky(t, "reply.boss.")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := bus.Request(ctx, mindbus.Message{From: "boss", To: "writer"})
		ended <- err
	}()
	<-tr.declared
	if err := bus.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-ended; !errors.Is(err, mindbus.ErrBusClosed) {
		t.Errorf("the request ended with %v", err)
	}
}

// TestCloseWhileDeclaring: who waits for the broker to declare a queue does not hold up Close.
func TestCloseWhileDeclaring(t *testing.T) {
	f := func(name string, start func(ctx context.Context, bus *mindbus.Bus) error) {
		t.Helper()
		tr := &farTransport{Memory: mindbus.NewMemory(), declared: make(chan struct{}, 1)}
		tr.away.Store(true)
		bus, err := mindbus.New(tr, mindbus.Config{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		started := make(chan error, 1)
		go func() { started <- start(ctx, bus) }()
		<-tr.declared
		over, end := context.WithCancel(ctx)
		end()
		_ = bus.Close(over) // its time is up, though nothing may be left to wait for
		if err := ctx.Err(); err != nil {
			t.Errorf("%s: Close waited for it: %v", name, err)
		}
		if err := <-started; !errors.Is(err, mindbus.ErrBusClosed) {
			t.Errorf("%s: %v, want that the bus is closed", name, err)
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	}
	f("request", func(ctx context.Context, bus *mindbus.Bus) error {
		_, err := bus.Request(ctx, mindbus.Message{From: "boss", To: "writer"})
		return err
	})
	f("handle", func(ctx context.Context, bus *mindbus.Bus) error { return bus.Handle(ctx, "writer", echo) })
}

// deafTransport is a transport that declares queues and does not start their consumers.
type deafTransport struct {
	*mindbus.Memory
	queues map[string]bool // declared and not deleted
}

var errDeaf = errors.New("no more consumers")

func (t *deafTransport) Declare(ctx context.Context, q mindbus.Queue) error {
	t.queues[q.Name] = true
	return t.Memory.Declare(ctx, q)
}

func (t *deafTransport) Consume(context.Context, string, int) (mindbus.Consumer, error) {
	return nil, errDeaf
}

func (t *deafTransport) Delete(ctx context.Context, queue string) error {
	delete(t.queues, queue)
	return t.Memory.Delete(ctx, queue)
}

// TestCloseRemovesUnreadInbox: a queue for answers that was declared and never read goes with the bus.
func TestCloseRemovesUnreadInbox(t *testing.T) {
	tr := &deafTransport{Memory: mindbus.NewMemory(), queues: make(map[string]bool)}
	bus, err := mindbus.New(tr, mindbus.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bus.Request(t.Context(), mindbus.Message{From: "boss", To: "writer"}); !errors.Is(err, errDeaf) {
		t.Errorf("request: %v, want %v", err, errDeaf)
	}
	if len(tr.queues) != 1 {
		t.Fatalf("the queues are %v, want that of the answers", tr.queues)
	}
	if err := errors.Join(bus.Close(t.Context()), tr.Close()); err != nil {
		t.Error(err)
	}
	if len(tr.queues) != 0 {
		t.Errorf("the bus left %v", tr.queues)
	}
}
