// Package mindbustest is the suite that every mindbus.Transport passes. It holds the contract for those who write one;
// no code outside of tests imports it.
package mindbustest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/sdk/mindbus"
)

// patience bounds every wait of the suite; a right transport needs a fraction of it.
const patience = 20 * time.Second

// quiet is how long nothing may come where nothing should.
const quiet = 50 * time.Millisecond

// Run holds a transport against the contract. open makes a new one for each test; what two of them open may reach the
// same broker, so the suite makes up names.
func Run(t *testing.T, open func(t *testing.T) mindbus.Transport) {
	t.Helper()
	for name, f := range map[string]func(*env){
		"routes by pattern":                        (*env).routes,
		"routes to a queue by name":                (*env).routesDirectly,
		"gives each queue its copy":                (*env).fansOut,
		"refuses a mandatory message nobody takes": (*env).unroutable,
		"keeps properties, headers and bytes":      (*env).keepsEverything,
		"does not share memory":                    (*env).sharesNothing,
		"delivers higher priorities first":         (*env).priorities,
		"keeps order among equals":                 (*env).order,
		"keeps messages until acknowledged":        (*env).acknowledges,
		"redelivers what came back":                (*env).requeues,
		"moves refused messages to dead letters":   (*env).deadLetters,
		"moves what waits too long":                (*env).expires,
		"redelivers what a consumer left":          (*env).consumerGone,
		"bounds what is handed out":                (*env).prefetch,
		"shares work among consumers":              (*env).competes,
		"settles once":                             (*env).settlesOnce,
		"refuses what does not fit":                (*env).full,
		"pushes out the oldest when told":          (*env).dropsOldest,
		"deletes queues":                           (*env).deletes,
		"refuses to consume a missing queue":       (*env).missingQueue,
		"adds bindings":                            (*env).addsBindings,
		"takes many publishers":                    (*env).concurrent,
		"closes":                                   (*env).closes,
	} {
		t.Run(name, func(t *testing.T) {
			tr := open(t)
			e := &env{T: t, tr: tr, id: rand.Text()[:8]}
			defer func() {
				if err := tr.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}()
			f(e)
		})
	}
}

type env struct {
	*testing.T
	tr mindbus.Transport
	id string // keeps the names of this test apart from others on the same broker
}

func (e *env) name(s string) string { return s + "-" + e.id }

func (e *env) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	e.Cleanup(cancel)
	return ctx
}

func (e *env) exchange() string { return e.name("exchange") }

// queue declares a queue with the patterns and returns its name.
func (e *env) queue(q mindbus.Queue, patterns ...string) string {
	e.Helper()
	q.Name = e.name(q.Name)
	q.Temporary = true
	for _, p := range patterns {
		q.Bindings = append(q.Bindings, mindbus.Binding{Exchange: e.exchange(), Pattern: p})
	}
	if err := e.tr.Declare(e.ctx(), q); err != nil {
		e.Fatalf("declare: %v", err)
	}
	return q.Name
}

func (e *env) publish(key, body string, edit ...func(*mindbus.Publishing)) {
	e.Helper()
	p := mindbus.Publishing{Exchange: e.exchange(), Key: key, Body: []byte(body)}
	for _, f := range edit {
		f(&p)
	}
	if err := e.tr.Publish(e.ctx(), p); err != nil {
		e.Fatalf("publish %s: %v", body, err)
	}
}

func priority(n uint8) func(*mindbus.Publishing) {
	return func(p *mindbus.Publishing) { p.Priority = n }
}

func (e *env) consume(queue string, prefetch int) mindbus.Consumer {
	e.Helper()
	c, err := e.tr.Consume(e.ctx(), queue, prefetch)
	if err != nil {
		e.Fatalf("consume: %v", err)
	}
	return c
}

// receive takes the next delivery.
func (e *env) receive(c mindbus.Consumer) mindbus.Delivery {
	e.Helper()
	select {
	case d, ok := <-c.Deliveries():
		if !ok {
			e.Fatal("the stream ended, want a delivery")
		}
		return d
	case <-time.After(patience):
		e.Fatal("no delivery came")
	}
	panic("unreachable")
}

// nothing checks that no delivery comes.
func (e *env) nothing(c mindbus.Consumer) {
	e.Helper()
	select {
	case d, ok := <-c.Deliveries():
		if ok {
			e.Fatalf("got %q, want nothing", d.Body)
		}
	case <-time.After(quiet):
	}
}

// expect takes and acknowledges deliveries with these bodies, in this order, and then nothing.
func (e *env) expect(c mindbus.Consumer, bodies ...string) {
	e.Helper()
	got := make([]string, 0, len(bodies))
	for range bodies {
		d := e.receive(c)
		got = append(got, string(d.Body))
		if err := d.Ack(); err != nil {
			e.Errorf("ack: %v", err)
		}
	}
	if diff := cmp.Diff(bodies, got); diff != "" {
		e.Errorf("deliveries (-want +got):\n%s", diff)
	}
	e.nothing(c)
}

func (e *env) wantErr(err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Errorf("error is %v, want %v", err, want)
	}
}

func (e *env) routes() {
	f := func(pattern string, want ...string) {
		e.Helper()
		q := e.queue(mindbus.Queue{Name: "q-" + rand.Text()[:6]}, pattern)
		for _, key := range []string{"cmd.writer.w1", "cmd.critic.c1", "evt.a", "evt.a.b.c", "cmd"} {
			e.publish(key, key)
		}
		c := e.consume(q, 10)
		e.expect(c, want...)
		if err := c.Close(); err != nil {
			e.Errorf("close: %v", err)
		}
		if err := e.tr.Delete(e.ctx(), q); err != nil {
			e.Errorf("delete: %v", err)
		}
	}
	f("cmd.writer.w1", "cmd.writer.w1")
	f("cmd.writer.*", "cmd.writer.w1")
	f("cmd.*.*", "cmd.writer.w1", "cmd.critic.c1")
	f("#", "cmd.writer.w1", "cmd.critic.c1", "evt.a", "evt.a.b.c", "cmd")
	f("evt.#", "evt.a", "evt.a.b.c")
	f("cmd.#", "cmd.writer.w1", "cmd.critic.c1", "cmd")
	f("evt.*", "evt.a")
	f("#.c1", "cmd.critic.c1")
	f("*", "cmd")
	f("evt.#.c", "evt.a.b.c")
}

func (e *env) routesDirectly() {
	q := e.queue(mindbus.Queue{Name: "direct"})
	e.publish(q, "hello", func(p *mindbus.Publishing) { p.Exchange = "" })
	d := e.receive(e.consume(q, 1))
	if d.Queue != q || d.Exchange != "" || d.Key != q || string(d.Body) != "hello" {
		e.Errorf("got %+v", d)
	}
}

func (e *env) fansOut() {
	a, b := e.queue(mindbus.Queue{Name: "a"}, "evt.#", "evt.x"), e.queue(mindbus.Queue{Name: "b"}, "#")
	e.publish("evt.x", "once")
	// Two bindings of one queue that both match still give one copy.
	e.expect(e.consume(a, 5), "once")
	e.expect(e.consume(b, 5), "once")
}

func (e *env) unroutable() {
	q := e.queue(mindbus.Queue{Name: "q"}, "cmd.a")
	e.publish("cmd.b", "dropped")
	p := mindbus.Publishing{Exchange: e.exchange(), Key: "cmd.b", Mandatory: true, Body: []byte("refused")}
	e.wantErr(e.tr.Publish(e.ctx(), p), mindbus.ErrUnroutable)
	e.nothing(e.consume(q, 1))
}

func (e *env) keepsEverything() {
	q := e.queue(mindbus.Queue{Name: "q", MaxPriority: 10}, "k")
	want := mindbus.Properties{
		Headers:     map[string]string{"traceparent": "00-1-2-01", "baggage": "a=b,c=%C3%A9", "empty": ""},
		ContentType: mindbus.ContentType, MessageID: "m1", CorrelationID: "c1", ReplyTo: "reply", Type: "COMMAND",
		Priority: 7, Timestamp: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
	}
	body := "\x00\xff binary \n" + string(make([]byte, 100_000))
	e.publish("k", body, func(p *mindbus.Publishing) { p.Properties = want })
	d := e.receive(e.consume(q, 1))
	d.Timestamp = d.Timestamp.UTC()
	if diff := cmp.Diff(want, d.Properties); diff != "" {
		e.Errorf("properties (-want +got):\n%s", diff)
	}
	if string(d.Body) != body {
		e.Errorf("body has %d bytes or others, want %d", len(d.Body), len(body))
	}
	if d.Exchange != e.exchange() || d.Key != "k" || d.Queue != q || d.Redelivered {
		e.Errorf("exchange %q, key %q, queue %q, redelivered %v", d.Exchange, d.Key, d.Queue, d.Redelivered)
	}
}

func (e *env) sharesNothing() {
	q := e.queue(mindbus.Queue{Name: "q"}, "k")
	body, headers := []byte("before"), map[string]string{"h": "before"}
	p := mindbus.Publishing{Exchange: e.exchange(), Key: "k", Body: body, Properties: mindbus.Properties{Headers: headers}}
	if err := e.tr.Publish(e.ctx(), p); err != nil {
		e.Fatal(err)
	}
	copy(body, "AFTER!")
	headers["h"] = "after"
	d := e.receive(e.consume(q, 1))
	if string(d.Body) != "before" || d.Headers["h"] != "before" {
		e.Errorf("the sender's later writes are seen: %q, %q", d.Body, d.Headers["h"])
	}
}

func (e *env) priorities() {
	q := e.queue(mindbus.Queue{Name: "q", MaxPriority: 10}, "k")
	for _, m := range []struct {
		body string
		prio uint8
	}{{"event 1", 1}, {"command 1", 5}, {"control", 9}, {"command 2", 5}, {"event 2", 1}, {"over the top", 200}} {
		e.publish("k", m.body, priority(m.prio))
	}
	e.expect(e.consume(q, 1), "over the top", "control", "command 1", "command 2", "event 1", "event 2")
}

func (e *env) order() {
	q := e.queue(mindbus.Queue{Name: "q"}, "k")
	var want []string
	for i := range 200 {
		want = append(want, fmt.Sprint(i))
		// Without MaxPriority the queue does not tell priorities apart.
		e.publish("k", fmt.Sprint(i), priority(uint8(i%3)))
	}
	e.expect(e.consume(q, 10), want...)
}

func (e *env) acknowledges() {
	q := e.queue(mindbus.Queue{Name: "q"}, "k")
	e.publish("k", "m")
	c := e.consume(q, 1)
	e.expect(c, "m")
	if err := c.Close(); err != nil {
		e.Fatal(err)
	}
	e.nothing(e.consume(q, 1))
}

func (e *env) requeues() {
	q := e.queue(mindbus.Queue{Name: "q"}, "k")
	e.publish("k", "1")
	e.publish("k", "2")
	c := e.consume(q, 1)
	d := e.receive(c)
	if err := d.Nack(true); err != nil {
		e.Fatal(err)
	}
	d = e.receive(c)
	if string(d.Body) != "1" || !d.Redelivered {
		e.Errorf("got %q, redelivered %v; want 1 again, at its old place", d.Body, d.Redelivered)
	}
	if err := d.Ack(); err != nil {
		e.Error(err)
	}
	e.expect(c, "2")
}

func (e *env) deadLetters() {
	dead := e.queue(mindbus.Queue{Name: "dead"})
	q := e.queue(mindbus.Queue{Name: "q", DeadLetter: dead}, "k")
	plain := e.queue(mindbus.Queue{Name: "plain"}, "p")
	e.publish("k", "bad")
	e.publish("p", "worse")
	for _, name := range []string{q, plain} {
		c := e.consume(name, 1)
		if err := e.receive(c).Nack(false); err != nil {
			e.Error(err)
		}
		e.nothing(c)
	}
	e.expect(e.consume(dead, 1), "bad")
}

func (e *env) expires() {
	dead := e.queue(mindbus.Queue{Name: "dead"})
	q := e.queue(mindbus.Queue{Name: "q", DeadLetter: dead, TTL: 200 * time.Millisecond}, "k")
	c := e.consume(q, 1)
	e.publish("k", "in time")
	first := e.receive(c)
	sent := time.Now()
	e.publish("k", "late", func(p *mindbus.Publishing) { p.Headers = map[string]string{"h": "v"} })
	d := e.receive(e.consume(dead, 1))
	if string(d.Body) != "late" || d.Headers["h"] != "v" || d.Queue != dead {
		e.Errorf("got %+v", d)
	}
	if waited := time.Since(sent); waited < 150*time.Millisecond {
		e.Errorf("moved after %s", waited)
	}
	// What was handed out does not run out.
	if err := first.Ack(); err != nil {
		e.Error(err)
	}
	e.nothing(c)
}

func (e *env) consumerGone() {
	q := e.queue(mindbus.Queue{Name: "q"}, "k")
	for _, body := range []string{"1", "2", "3"} {
		e.publish("k", body)
	}
	c := e.consume(q, 2)
	e.receive(c)
	for range 2 {
		if err := c.Close(); err != nil {
			e.Errorf("close: %v", err)
		}
	}
	c = e.consume(q, 1)
	if d := e.receive(c); string(d.Body) != "1" || !d.Redelivered {
		e.Errorf("got %q, redelivered %v; want 1, redelivered", d.Body, d.Redelivered)
	} else if err := d.Ack(); err != nil {
		e.Error(err)
	}
	e.expect(c, "2", "3")
}

func (e *env) prefetch() {
	q := e.queue(mindbus.Queue{Name: "q"}, "k")
	for i := range 5 {
		e.publish("k", fmt.Sprint(i))
	}
	c := e.consume(q, 2)
	first, second := e.receive(c), e.receive(c)
	e.nothing(c)
	if err := second.Ack(); err != nil {
		e.Error(err)
	}
	third := e.receive(c)
	e.nothing(c)
	if string(first.Body)+string(second.Body)+string(third.Body) != "012" {
		e.Errorf("got %q %q %q", first.Body, second.Body, third.Body)
	}
}

func (e *env) competes() {
	q := e.queue(mindbus.Queue{Name: "q"}, "k")
	const n = 100
	bodies := make(chan string, n)
	var wg sync.WaitGroup
	consumers := []mindbus.Consumer{e.consume(q, 3), e.consume(q, 1), e.consume(q, 10)}
	for _, c := range consumers {
		wg.Go(func() {
			for d := range c.Deliveries() {
				if err := d.Ack(); err != nil {
					e.Errorf("ack: %v", err)
				}
				bodies <- string(d.Body)
			}
		})
	}
	for i := range n {
		e.publish("k", fmt.Sprint(i))
	}
	seen := map[string]int{}
	for range n {
		select {
		case b := <-bodies:
			seen[b]++
		case <-time.After(patience):
			e.Fatalf("%d of %d messages came", len(seen), n)
		}
	}
	for _, c := range consumers {
		if err := c.Close(); err != nil {
			e.Error(err)
		}
	}
	wg.Wait()
	if len(seen) != n {
		e.Errorf("%d different messages, want %d", len(seen), n)
	}
}

func (e *env) settlesOnce() {
	q := e.queue(mindbus.Queue{Name: "q"}, "k")
	e.publish("k", "1")
	e.publish("k", "2")
	c := e.consume(q, 2)
	first, second := e.receive(c), e.receive(c)
	if err := first.Ack(); err != nil {
		e.Error(err)
	}
	e.wantErr(first.Ack(), mindbus.ErrSettled)
	e.wantErr(first.Nack(true), mindbus.ErrSettled)
	if err := c.Close(); err != nil {
		e.Error(err)
	}
	e.wantErr(second.Ack(), mindbus.ErrSettled)
}

func (e *env) full() {
	q := e.queue(mindbus.Queue{Name: "q", MaxLength: 2}, "k")
	e.publish("k", "1")
	e.publish("k", "2")
	p := mindbus.Publishing{Exchange: e.exchange(), Key: "k", Body: []byte("3")}
	e.wantErr(e.tr.Publish(e.ctx(), p), mindbus.ErrFull)
	e.expect(e.consume(q, 2), "1", "2")
	e.publish("k", "4")
}

func (e *env) dropsOldest() {
	q := e.queue(mindbus.Queue{Name: "q", MaxLength: 2, DropOldest: true}, "k")
	for _, body := range []string{"1", "2", "3"} {
		e.publish("k", body)
	}
	e.expect(e.consume(q, 3), "2", "3")
}

func (e *env) deletes() {
	q := e.queue(mindbus.Queue{Name: "q"}, "k")
	e.publish("k", "lost")
	c := e.consume(q, 1)
	for range 2 {
		if err := e.tr.Delete(e.ctx(), q); err != nil {
			e.Errorf("delete: %v", err)
		}
	}
	e.ended(c)
	p := mindbus.Publishing{Exchange: e.exchange(), Key: "k", Mandatory: true}
	e.wantErr(e.tr.Publish(e.ctx(), p), mindbus.ErrUnroutable)
}

// ended checks that the stream ends, whatever was on its way.
func (e *env) ended(c mindbus.Consumer) {
	e.Helper()
	deadline := time.After(patience)
	for {
		select {
		case _, ok := <-c.Deliveries():
			if !ok {
				return
			}
		case <-deadline:
			e.Fatal("the stream goes on")
		}
	}
}

func (e *env) missingQueue() {
	_, err := e.tr.Consume(e.ctx(), e.name("missing"), 1)
	e.wantErr(err, mindbus.ErrNoQueue)
}

func (e *env) addsBindings() {
	e.queue(mindbus.Queue{Name: "q"}, "a")
	q := e.queue(mindbus.Queue{Name: "q"}, "b")
	e.publish("a", "a")
	e.publish("b", "b")
	e.expect(e.consume(q, 1), "a", "b")
}

func (e *env) concurrent() {
	q := e.queue(mindbus.Queue{Name: "q"}, "k.#")
	const publishers, each = 8, 50
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				e.publish(fmt.Sprintf("k.%d", p), fmt.Sprint(i))
			}
		})
	}
	c := e.consume(q, 16)
	next := map[string]int{}
	for range publishers * each {
		d := e.receive(c)
		if want := fmt.Sprint(next[d.Key]); string(d.Body) != want {
			e.Fatalf("publisher %s: got %s, want %s", d.Key, d.Body, want)
		}
		next[d.Key]++
		if err := d.Ack(); err != nil {
			e.Error(err)
		}
	}
	wg.Wait()
	e.nothing(c)
}

func (e *env) closes() {
	q := e.queue(mindbus.Queue{Name: "q"}, "k")
	e.publish("k", "m")
	c := e.consume(q, 1)
	for range 2 {
		if err := e.tr.Close(); err != nil {
			e.Errorf("close: %v", err)
		}
	}
	e.ended(c)
	if err := c.Close(); err != nil {
		e.Errorf("close the consumer afterwards: %v", err)
	}
	ctx := e.ctx()
	e.wantErr(e.tr.Publish(ctx, mindbus.Publishing{Exchange: e.exchange(), Key: "k"}), mindbus.ErrClosed)
	e.wantErr(e.tr.Declare(ctx, mindbus.Queue{Name: "x"}), mindbus.ErrClosed)
	e.wantErr(e.tr.Delete(ctx, q), mindbus.ErrClosed)
	_, err := e.tr.Consume(ctx, q, 1)
	e.wantErr(err, mindbus.ErrClosed)
}
