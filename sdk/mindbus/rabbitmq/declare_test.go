package rabbitmq_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mindscope/mindscope/sdk/mindbus"
	"github.com/mindscope/mindscope/sdk/mindbus/rabbitmq"
	"github.com/mindscope/mindscope/sdk/servicetest"
)

// cutter passes connections on to a broker. While it is armed it cuts each in which the client names the text.
type cutter struct {
	broker string
	text   []byte
	armed  atomic.Bool
	cuts   atomic.Int32
	listen net.Listener
	conns  sync.Map // of net.Conn
	all    sync.WaitGroup
}

func newCutter(t *testing.T, broker *servicetest.Service, text string) (c *cutter, through string) {
	t.Helper()
	u, err := url.Parse(broker.URL)
	if err != nil {
		t.Fatal(err)
	}
	c = &cutter{broker: u.Host, text: []byte(text)}
	if c.listen, err = new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	c.all.Go(func() {
		for {
			client, err := c.listen.Accept()
			if err != nil {
				return
			}
			c.all.Go(func() { c.pass(client) })
		}
	})
	t.Cleanup(func() {
		_ = c.listen.Close()
		c.cutAll()
		c.all.Wait()
	})
	u.Host = c.listen.Addr().String()
	return c, u.String()
}

func (c *cutter) cutAll() {
	c.conns.Range(func(conn, _ any) bool {
		_ = conn.(net.Conn).Close()
		return true
	})
}

func (c *cutter) pass(client net.Conn) {
	c.conns.Store(client, nil)
	defer c.conns.Delete(client)
	defer client.Close()
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", c.broker)
	if err != nil {
		return
	}
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if c.armed.Load() && bytes.Contains(buf[:n], c.text) {
			c.cuts.Add(1)
			break
		}
		if err != nil {
			break
		}
		if _, err := server.Write(buf[:n]); err != nil {
			break
		}
	}
	_ = server.Close()
	<-back
}

// TestCutWhileDeclaringAgain: a connection that breaks while the queues are declared again is no more than one more that
// broke.
func TestCutWhileDeclaringAgain(t *testing.T) {
	broker := servicetest.RabbitMQ(t)
	c, through := newCutter(t, broker, "the-queue")
	tr, err := rabbitmq.Open(within(t, patience), through, rabbitmq.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, patience)
	if err := tr.Declare(ctx, mindbus.Queue{Name: "the-queue"}); err != nil {
		t.Fatal(err)
	}
	c.armed.Store(true)
	c.cutAll()
	waitFor(ctx, t, "cuts in the middle of the declaration", func() bool { return c.cuts.Load() > 1 })
	c.armed.Store(false)
	sent := make(chan error, 1)
	go func() {
		sent <- tr.Publish(ctx, mindbus.Publishing{Key: "the-queue", Mandatory: true, Body: []byte("{}")})
	}()
	select {
	case err := <-sent:
		if err != nil {
			t.Errorf("publish after the cuts: %v", err)
		}
	case <-ctx.Done():
		t.Fatal("publish does not even see the end of its context")
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
}
