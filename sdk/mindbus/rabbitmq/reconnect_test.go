package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mindscope/mindscope/sdk/mindbus"
	"github.com/mindscope/mindscope/sdk/mindbus/rabbitmq"
	"github.com/mindscope/mindscope/sdk/servicetest"
)

// outage is how long the broker stays away: MINDSCOPE_OUTAGE, for example 1m, or a few seconds.
func outage(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("MINDSCOPE_OUTAGE")
	if text == "" {
		return 3 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestBrokerGoesAway kills the broker under publishers and consumers, and later stops it in good order: every message whose
// Publish returned nil is delivered, whatever came twice.
func TestBrokerGoesAway(t *testing.T) {
	broker := servicetest.RabbitMQ(t)
	tr := open(t, broker)
	defer tr.Close()
	ctx := within(t, 2*time.Minute+outage(t))
	q := mindbus.Queue{Name: "work", Bindings: []mindbus.Binding{{Exchange: "x", Pattern: "k"}}}
	reply := mindbus.Queue{Name: "reply", Temporary: true}
	for _, q := range []mindbus.Queue{q, reply} {
		if err := tr.Declare(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	c, err := tr.Consume(ctx, q.Name, 4)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	sent, got := map[string]bool{}, map[string]int{}
	var consumer, publishers sync.WaitGroup
	consumer.Go(func() {
		for d := range c.Deliveries() {
			mu.Lock()
			got[string(d.Body)]++
			mu.Unlock()
			// One that cannot be acknowledged comes again.
			_ = d.Ack()
		}
	})
	stop := make(chan struct{})
	for p := range 3 {
		publishers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				body := fmt.Sprint(p, " ", i)
				err := tr.Publish(ctx, mindbus.Publishing{Exchange: "x", Key: "k", Mandatory: true, Body: []byte(body)})
				if err != nil {
					t.Errorf("publish: %v", err)
					return
				}
				mu.Lock()
				sent[body] = true
				mu.Unlock()
			}
		})
	}
	seen := func() int { mu.Lock(); defer mu.Unlock(); return len(got) }
	waitFor(ctx, t, "messages to flow", func() bool { return seen() > 20 })
	if err := tr.Publish(ctx, mindbus.Publishing{Key: reply.Name, Mandatory: true, Body: []byte("answer")}); err != nil {
		t.Fatal(err)
	}
	broker.Kill(t)
	away := time.After(outage(t))
	patient, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	err = tr.Publish(patient, mindbus.Publishing{Exchange: "x", Key: "k", Body: []byte("too late")})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "broker") {
		t.Errorf("publish without a broker: %v, want the deadline and what is wrong with the broker", err)
	}
	<-away
	broker.Start(t)
	before := seen()
	waitFor(ctx, t, "messages to flow after the crash", func() bool { return seen() > before+20 })
	broker.Stop(t)
	broker.Start(t)
	before = seen()
	waitFor(ctx, t, "messages to flow after the restart", func() bool { return seen() > before+20 })
	close(stop)
	publishers.Wait()
	missing := func() (n int) {
		mu.Lock()
		defer mu.Unlock()
		for body := range sent {
			if got[body] == 0 {
				n++
			}
		}
		return n
	}
	waitFor(ctx, t, "the last messages", func() bool { return missing() == 0 })
	answers, err := tr.Consume(ctx, reply.Name, 1)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case d := <-answers.Deliveries():
		if string(d.Body) != "answer" {
			t.Errorf("the queue of answers has %q", d.Body)
		}
	case <-ctx.Done():
		t.Error("the answer did not survive the broker's restart")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	consumer.Wait()
	twice := 0
	for _, n := range got {
		twice += n - 1
	}
	stats := tr.Stats()
	if stats.Connects < 3 {
		t.Errorf("%d connections, want 3", stats.Connects)
	}
	t.Logf("%d messages sent, %d deliveries repeated, %+v", len(sent), twice, stats)
}

// TestOpenFails: who cannot get in learns why, at once when the broker says no.
func TestOpenFails(t *testing.T) {
	broker := servicetest.RabbitMQ(t)
	f := func(url, want string, limit time.Duration) {
		t.Helper()
		start := time.Now()
		tr, err := rabbitmq.Open(within(t, limit), url, rabbitmq.Config{})
		if err == nil {
			tr.Close()
			t.Errorf("%s opens", url)
			return
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", url, err, want)
		}
		if spent := time.Since(start); spent > limit+5*time.Second {
			t.Errorf("%s took %s", url, spent)
		}
	}
	f("http://example.org", "scheme", time.Second)
	f(strings.Replace(broker.URL, "guest:guest", "guest:wrong", 1), "username or password not allowed", patience)
	f(broker.URL+"missing-vhost", "vhost", patience)
	f("amqp://127.0.0.1:1/", "connection refused", 300*time.Millisecond)
}

func waitFor(ctx context.Context, t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
