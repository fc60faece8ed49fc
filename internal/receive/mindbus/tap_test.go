package mindbus

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/signal"
)

// sink counts, after failing as often as it is told to.
type sink struct {
	mu          sync.Mutex
	fail        int
	err         error
	spans, logs int
}

func (s *sink) take(n int, to *int) (signal.Rejected, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail > 0 {
		s.fail--
		return signal.Rejected{}, s.err
	}
	*to += n
	return signal.Rejected{}, nil
}

func (s *sink) Traces(_ context.Context, _ signal.Project, td ptrace.Traces) (signal.Rejected, error) {
	return s.take(td.SpanCount(), &s.spans)
}

func (s *sink) Logs(_ context.Context, _ signal.Project, ld plog.Logs) (signal.Rejected, error) {
	return s.take(ld.LogRecordCount(), &s.logs)
}

func (s *sink) Metrics(context.Context, signal.Project, pmetric.Metrics) (signal.Rejected, error) {
	return signal.Rejected{}, nil
}

func (s *sink) told() (spans, logs int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spans, s.logs
}

func event1(n int) Delivery {
	return Delivery{Key: "evt.a.b", Body: fmt.Appendf(nil, `{"id":"e%d","type":"EVENT","from_agent":"a","to_agent":"a.b","trace_id":"t"}`, n)}
}

// run starts a tap's worker without a broker.
func run(t *testing.T, cfg Config, s *sink) *Tap {
	t.Helper()
	cfg.URL = "amqp://127.0.0.1:1/"
	tap, err := New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	tap.sink = s
	tap.stop = func() {}
	tap.work.Go(tap.run)
	return tap
}

func feedAll(t *testing.T, tap *Tap, from, n int) {
	t.Helper()
	for i := range n {
		if err := tap.feed(t.Context(), event1(from+i)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStoreRefuses: what the store does not take for now is tried again; what it never takes is dropped and counted.
func TestStoreRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{fail: 3, err: signal.Retryable(errors.New("full"), 0)}
		tap := run(t, Config{}, s)
		feedAll(t, tap, 0, 5)
		time.Sleep(10 * time.Second)
		if spans, logs := s.told(); spans != 5 || logs != 5 || tap.Stats().Dropped != 0 {
			t.Errorf("%d spans, %d logs, %d dropped after the store took them; want 5, 5, 0", spans, logs, tap.Stats().Dropped)
		}
		s.mu.Lock()
		s.fail = 1000
		s.mu.Unlock()
		feedAll(t, tap, 5, 5)
		time.Sleep(20 * time.Second)
		if n := tap.Stats().Dropped; n != 10 {
			t.Errorf("%d dropped, want 5 spans and 5 records", n)
		}
		if err := tap.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestHeldIsBounded: where nobody tells of the messages themselves and no room is left, spans are dropped and counted.
func TestHeldIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		tap := run(t, Config{MaxHeld: 10}, s)
		for i := range 15 {
			d := event1(i)
			d.Headers = map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
			if err := tap.feed(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		tap.Yield("e3", false)
		tap.Yield("e4", true) // not its sender's
		time.Sleep(29 * time.Second)
		if spans, _ := s.told(); spans != 0 {
			t.Errorf("%d spans before the hold is over", spans)
		}
		time.Sleep(2 * time.Second)
		spans, _ := s.told()
		if st := tap.Stats(); spans != 9 || st.Dropped != 5 || st.Yielded != 1 || st.Held != 0 {
			t.Errorf("%d spans, %+v; want 9 spans, 5 dropped, 1 yielded", spans, st)
		}
		if err := tap.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestPendingIsBounded: the oldest commands and tasks make room.
func TestPendingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		tap := run(t, Config{MaxPending: 10}, s)
		for i := range 50 {
			d := Delivery{Key: "cmd.b.b", Body: fmt.Appendf(nil, `{"id":"c%d","type":"COMMAND","from_agent":"a","to_agent":"b","trace_id":"t%d"}`, i, i)}
			if err := tap.feed(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		if st := tap.Stats(); st.Pending != 10 || st.Dropped != 80 {
			t.Errorf("%d pending, %d dropped; want 10, 80", st.Pending, st.Dropped)
		}
		if err := tap.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestHeldIsSmall: a span that waits keeps none of the payload, the baggage and the long ids that came with it.
func TestHeldIsSmall(t *testing.T) {
	f := func(name string, take func(p *pairing, h *hold, i int)) {
		t.Helper()
		cfg := Config{}.withDefaults()
		h := newHold(cfg.Hold, cfg.MaxHeld)
		out := newWriter(cfg.Exchange)
		p := newPairing(cfg, out, h, &counters{})
		const n = 500
		before := heap()
		for i := range n {
			take(p, h, i)
			out.reset()
		}
		if each := (heap() - before) / n; each > 6<<10 {
			t.Errorf("%s: %d bytes are kept of each", name, each)
		}
		runtime.KeepAlive(p)
	}
	event := func(p *pairing, i int, id, payload, baggage string) {
		p.take(Delivery{
			Key:     "evt.a.b",
			Headers: map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "baggage": baggage},
			Body: fmt.Appendf(nil, `{"specversion":"1.0","id":"%d%s","type":"ai.team.event","source":"a","toagent":"a.b","subject":"t","data":"%s"}`,
				i, id, payload),
		}, time.Now())
	}
	long := strings.Repeat("x", 100<<10)
	f("payload", func(p *pairing, _ *hold, i int) { event(p, i, "", long, "") })
	f("id", func(p *pairing, _ *hold, i int) { event(p, i, long, "", "") })
	f("baggage", func(p *pairing, _ *hold, i int) {
		event(p, i, "", "", fmt.Sprintf("ai_team.team=t%d,ai_team.task.type=news,other=%s", i, long[:8000]))
	})
	f("an SDK's id", func(_ *pairing, h *hold, i int) {
		(&Tap{hold: h}).Yield(fmt.Sprint(i, long), true)
	})
}

// heap returns the bytes that are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestNew(t *testing.T) {
	f := func(url string) {
		t.Helper()
		_, err := New(Config{URL: url}, nil)
		if err == nil || signal.HintOf(err) == "" || strings.Contains(err.Error(), "hush") {
			t.Errorf("a URL that is none: %v, want a hint and no password", err)
		}
	}
	f("http://example.org")
	f("amqp://user:hush%zz@127.0.0.1:1/")
	f("amqp://user:%hush@127.0.0.1:1/")
	f("amqp://user:hush/hush@127.0.0.1:1/")
	f("user:hush@127.0.0.1:1")
}
