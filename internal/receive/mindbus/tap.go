package mindbus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mindscope/mindscope/internal/signal"
)

// Config says what a Tap reads. Zero values take the defaults that Defaults writes in.
type Config struct {
	// URL is the broker's, amqp:// or amqps://, and Exchange the topic exchange of the team's messages.
	URL, Exchange string
	// Queue is the name of the tap's own queue. With a name it is kept while the server is away, for as long as TTL; an
	// empty one is the connection's alone.
	Queue string
	// Project is whose data it is.
	Project signal.Project
	// Hold is how long spans wait that an SDK may tell of itself: 30 s.
	Hold time.Duration
	// AnswerWithin is after which time a command counts as not answered: 10 min.
	AnswerWithin time.Duration
	// Quiet is after which time without a message a task in which nobody traces is over: 30 s.
	Quiet time.Duration
	// MaxSkew is by how much a sender's clock may differ before it is not believed: 5 min.
	MaxSkew time.Duration
	// TTL is how long a message may wait in the queue: 60 s. MaxLength and MaxBytes bound the queue.
	TTL                 time.Duration
	MaxLength, MaxBytes int64
	// MaxBody is the largest body that is read, in bytes: 16 MiB.
	MaxBody int
	// MaxPending bounds the commands that wait for an answer, the tasks that are followed, and what is remembered to
	// know repetitions, each: 50 000. MaxHeld bounds the spans that are held: 200 000.
	MaxPending, MaxHeld int
	// Clock is the time now; nil is time.Now.
	Clock func() time.Time
}

// DefaultExchange is the exchange of the team's messages.
const DefaultExchange = "mindbus.main"

func (c Config) withDefaults() Config {
	c.Exchange = cmp.Or(c.Exchange, DefaultExchange)
	c.Project = cmp.Or(c.Project, signal.DefaultProject)
	c.Hold = cmp.Or(c.Hold, 30*time.Second)
	c.AnswerWithin = cmp.Or(c.AnswerWithin, 10*time.Minute)
	c.Quiet = cmp.Or(c.Quiet, 30*time.Second)
	c.MaxSkew = cmp.Or(c.MaxSkew, 5*time.Minute)
	c.TTL = cmp.Or(c.TTL, time.Minute)
	c.MaxLength = cmp.Or(c.MaxLength, 20_000)
	c.MaxBytes = cmp.Or(c.MaxBytes, 64<<20)
	c.MaxBody = cmp.Or(c.MaxBody, 16<<20)
	c.MaxPending = cmp.Or(c.MaxPending, 50_000)
	c.MaxHeld = cmp.Or(c.MaxHeld, 200_000)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}

// Stats counts what the tap did since it was made.
type Stats struct {
	// Messages counts by what they were: command, answer, event, unknown_type, repeated, too_big, not_json,
	// not_a_message, command_id_taken.
	Messages map[string]int64
	// Answers counts what is wrong with them: missing, late, duplicate, unmatched.
	Answers map[string]int64
	// Yielded counts spans left to an SDK that told of them itself.
	Yielded int64
	// Skewed counts messages whose sender's clock was not believed.
	Skewed int64
	// Dropped counts spans and records lost for want of room or since the store did not take them, BrokerDropped
	// messages that the broker took out of the full queue or that waited too long there.
	Dropped, BrokerDropped int64
	// Held, Pending count spans and commands that wait now. Connected is true while the tap reads.
	Held, Pending int64
	Connected     bool
	// Connects counts connections made.
	Connects int64
}

type counters struct {
	mu       sync.Mutex
	messages map[string]int64
	answers  map[string]int64

	yielded, skewed, dropped, brokerDropped, connects atomic.Uint64
	held, pending                                     atomic.Int64
	connected                                         atomic.Bool
}

func (c *counters) message(what string) { c.count(&c.messages, what) }
func (c *counters) stray(what string)   { c.count(&c.answers, what) }

func (c *counters) count(in *map[string]int64, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *in == nil {
		*in = map[string]int64{}
	}
	(*in)[what]++
}

// Tap reads along on a bus. Make it with New, then Start it; Yield may be called before.
type Tap struct {
	cfg    Config
	sink   signal.Sink
	log    *slog.Logger
	counts counters
	hold   *hold

	in   chan Delivery
	stop context.CancelFunc
	read sync.WaitGroup // the connection
	work sync.WaitGroup // what happens to the messages
}

// New returns a Tap that reads nothing yet. It fails for a URL that is none.
func New(cfg Config, log *slog.Logger) (*Tap, error) {
	if _, err := amqp.ParseURI(cfg.URL); err != nil {
		if _, ok := errors.AsType[*url.Error](err); ok {
			err = errors.New("it is none") // net/url's errors repeat the URL, or a part of it, with the password
		}
		return nil, signal.WithHint(fmt.Errorf("read URL of the message bus: %w", err),
			"mindbus.url is amqp://user:password@host:5672/, with characters like / ? # @ : % in the password written %2F %3F %23 %40 %3A %25")
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	cfg = cfg.withDefaults()
	// Batches of the worker are no larger than what fits here, so that the broker's queue is where messages wait.
	return &Tap{cfg: cfg, log: log, hold: newHold(cfg.Hold, cfg.MaxHeld), in: make(chan Delivery, prefetch)}, nil
}

// Start reads from the broker and writes to sink, until Stop. A broker that is not there is tried again; that is no
// error.
func (t *Tap) Start(sink signal.Sink) {
	t.sink = sink
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	t.read.Go(func() { t.keepReading(ctx) })
	t.work.Go(t.run)
}

// Stop ends the reading, writes what is there and returns. What is held is let go of: an SDK's span that comes later
// makes it double.
func (t *Tap) Stop(ctx context.Context) error {
	if t.stop == nil {
		return nil
	}
	t.stop()
	t.read.Wait()
	close(t.in)
	done := make(chan struct{})
	go func() { t.work.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop the bus tap: %w", context.Cause(ctx))
	}
}

// Yield notes that an SDK's span tells of a message: as the consumer's, else as the producer's. It copies
// what it keeps of the id.
func (t *Tap) Yield(messageID string, consumer bool) {
	t.hold.yield(side{strings.Clone(clean(messageID)), consumer}, time.Time{})
}

// ScopeName is the instrumentation scope of all that the tap tells.
func ScopeName() string { return scopeName }

// Stats returns the counters.
func (t *Tap) Stats() Stats {
	c := &t.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{
		Messages: maps.Clone(c.messages), Answers: maps.Clone(c.answers),
		Yielded: int64(c.yielded.Load()), Skewed: int64(c.skewed.Load()),
		Dropped: int64(c.dropped.Load()), BrokerDropped: int64(c.brokerDropped.Load()),
		Held: c.held.Load(), Pending: c.pending.Load(), Connected: c.connected.Load(), Connects: int64(c.connects.Load()),
	}
}

// Bounds of a batch: it is written when it has so many items, or is so old.
const (
	maxBatch   = 2048
	batchDelay = 100 * time.Millisecond
)

// run is the worker: it takes messages, looks at the clock and writes batches, until the stream ends.
func (t *Tap) run() {
	out := newWriter(t.cfg.Exchange)
	p := newPairing(t.cfg, out, t.hold, &t.counts)
	tick := time.NewTicker(batchDelay)
	defer tick.Stop()
	for {
		select {
		case d, ok := <-t.in:
			if !ok {
				p.drain(t.cfg.Clock())
				t.write(out)
				return
			}
			p.take(d, t.cfg.Clock())
			if out.n < maxBatch {
				continue
			}
		case <-tick.C:
			p.tick(t.cfg.Clock())
			t.counts.held.Store(int64(p.hold.len()))
			t.counts.pending.Store(int64(len(p.pending)))
		}
		t.write(out)
	}
}

// Attempts at writing a batch, and the first pause between two of them. It doubles. Meanwhile messages wait in the
// broker's queue.
const (
	attempts   = 6
	firstPause = 100 * time.Millisecond
)

// write hands the batch to the sink. What the store does not take for now is tried again for a while, then dropped and
// counted.
func (t *Tap) write(out *writer) {
	if out.n == 0 {
		return
	}
	defer out.release()
	ctx := signal.WithProject(context.Background(), t.cfg.Project)
	if n := out.traces.SpanCount(); n > 0 {
		t.send(n, "spans", func() (signal.Rejected, error) {
			return t.sink.Traces(ctx, t.cfg.Project, out.traces)
		})
	}
	if n := out.logs.LogRecordCount(); n > 0 {
		t.send(n, "log records", func() (signal.Rejected, error) {
			return t.sink.Logs(ctx, t.cfg.Project, out.logs)
		})
	}
}

func (t *Tap) send(n int, what string, f func() (signal.Rejected, error)) {
	pause := firstPause
	for i := range attempts {
		rejected, err := f()
		if err == nil {
			t.counts.dropped.Add(uint64(rejected.Items))
			if rejected.Items > 0 {
				t.log.Warn("the store refused a part of what the bus tap saw", "what", what, "items", rejected.Items, "reason", rejected.Message())
			}
			return
		}
		if i == attempts-1 || signal.IsPermanent(err) {
			t.counts.dropped.Add(uint64(n))
			t.log.Error("the store does not take what the bus tap saw", "what", what, "items", n, "error", err)
			return
		}
		time.Sleep(pause)
		pause *= 2
	}
}

// feed hands a delivery to the worker. It waits while the worker is busy: what comes meanwhile waits at the broker.
func (t *Tap) feed(ctx context.Context, d Delivery) error {
	select {
	case t.in <- d:
		return nil
	case <-ctx.Done():
		return errors.New("the tap stops")
	}
}
