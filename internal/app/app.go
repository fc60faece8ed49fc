// Package app builds the server from its parts, starts them in order and stops them in reverse. It is the only package
// that knows all others.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mindscope/mindscope/internal/config"
	"github.com/mindscope/mindscope/internal/derive/due"
	"github.com/mindscope/mindscope/internal/derive/live"
	"github.com/mindscope/mindscope/internal/derive/spanmetrics"
	"github.com/mindscope/mindscope/internal/derive/tail"
	"github.com/mindscope/mindscope/internal/enrich/cost"
	"github.com/mindscope/mindscope/internal/enrich/policy"
	"github.com/mindscope/mindscope/internal/enrich/redact"
	"github.com/mindscope/mindscope/internal/query/team"
	"github.com/mindscope/mindscope/internal/receive/mindbus"
	"github.com/mindscope/mindscope/internal/receive/otlp"
	"github.com/mindscope/mindscope/internal/self"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// stopLimit bounds how long a stop waits for running requests.
const stopLimit = 20 * time.Second

// Build is what the program knows and no setting says.
type Build struct {
	// Version is the program's.
	Version string
	// Settings are where the settings came from, for reloads; without a file in them budgets are not reloaded.
	Settings config.Sources
	// Log takes the log's lines, Out what the server says to people when it starts; nil discards.
	Log, Out io.Writer
}

// App is a server. It runs once: Start, Stop; or Run, which is both.
type App struct {
	cfg       config.Config
	build     Build
	log       *slog.Logger
	metrics   *self.Metrics
	failed    chan error // the first part that stopped by itself
	prices    *cost.Overrides
	pricesRaw []byte     // the file they were read from
	priced    *cost.Sink // set by enrich
	priceFile *priceFile // nil without prices of one's own
	ready     atomic.Bool

	mu       sync.Mutex // guards what follows, and makes Start and Stop one at a time
	state    state
	stops    []part // of the parts that run, in the order of their start
	httpAddr string
	receiver *otlp.Receiver
	tap      *mindbus.Tap // nil without a bus
	redactor *redact.Redactor
	reloads  reloads
	// content is the content policy; the store's observers are there before it is.
	content atomic.Pointer[policy.Sink]
	// room tells whether the disk of the data folder may be written to; nil is always.
	room func() error
	// spanMetrics counts committed rows.
	spanMetrics *spanmetrics.Metrics
	// live knows what runs now.
	live *live.View
	// due knows which tasks the ledger has to account for.
	due *due.Tasks
	// budgets know what is spent.
	budgets *team.Budgets
	// logs hands new log records to those who follow them.
	logs *tail.Feed
}

type state uint8

const (
	idle state = iota
	running
	stopped
)

// part is a running part of the server.
type part struct {
	name string
	stop func(context.Context) error
}

// New returns a server that is not started yet. It returns config.Problems for settings that can't be used, and an error
// that names line and key for a file of prices that can't.
func New(cfg config.Config, build Build) (*App, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if build.Log == nil {
		build.Log = io.Discard
	}
	if build.Out == nil {
		build.Out = io.Discard
	}
	prices, raw, err := readPrices(cfg.Prices)
	if err != nil {
		return nil, err
	}
	return &App{
		cfg: cfg, build: build, prices: prices, pricesRaw: raw,
		log:     self.NewLogger(build.Log, cfg.Log.Level, cfg.Log.Format),
		metrics: self.NewMetrics(build.Version),
		failed:  make(chan error, 1),
	}, nil
}

// Run starts the server, serves until ctx ends or a part fails, and stops it. Requests that run get stopLimit to end.
func (a *App) Run(ctx context.Context) error {
	if err := a.Start(ctx); err != nil {
		return err
	}
	a.hello()
	debug.FreeOSMemory() // what only the start needed; the runtime would give it back in minutes
	var err error
	select {
	case <-ctx.Done():
	case err = <-a.failed:
	}
	a.log.Info("stopping", "because", because(err))
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	return errors.Join(err, a.Stop(stopCtx))
}

func because(err error) string {
	if err != nil {
		return "a part failed"
	}
	return "it was asked to"
}

// Start opens the store, then listens: first the HTTP port, then the receivers, so that what they acknowledge can be
// stored and seen. When a part can't start, those before it are stopped again.
func (a *App) Start(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state != idle {
		return errors.New("start server: it was started or stopped before")
	}
	a.state = running
	a.tuneMemory()
	if err := a.start(ctx); err != nil {
		a.state = stopped
		return errors.Join(err, a.stopParts(context.WithoutCancel(ctx)))
	}
	a.ready.Store(true)
	return nil
}

// start is the order of the parts.
func (a *App) start(ctx context.Context) error {
	a.catchHangups()
	if err := signal.ReuseMemory(); err != nil {
		return err
	}
	listener, err := a.listen(ctx) // before the store: a taken port should not cost opening it
	if err != nil {
		return err
	}
	if a.redactor, err = redact.NewRedactor(redaction(a.cfg.Redact)); err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := a.makeTap(); err != nil {
		return errors.Join(err, listener.Close())
	}
	events, err := a.openStore(a.derive())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	a.running("store", func(context.Context) error { return events.Close() })
	a.observeStore(events)
	a.startTicks()
	a.startLedger(team.New(events, team.Options{Watch: a.live}), events)
	metrics, err := a.startMetrics(team.New(events, team.Options{}))
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	sink, err := a.enrich(store.NewSink(events, a.points(metrics)))
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	a.serveHTTP(listener, a.routes(events, metrics))
	a.observeDisk()
	a.startReloads(metrics)
	if err := a.startReceiver(ctx, sink); err != nil {
		return err
	}
	a.startTap(sink)
	a.warnOfOpenPorts()
	return nil
}

func (a *App) running(name string, stop func(context.Context) error) {
	a.stops = append(a.stops, part{name, stop})
}

// fail reports that a part stopped by itself; the first is enough to end the server.
func (a *App) fail(err error) {
	select {
	case a.failed <- err:
	default:
	}
}

// Stop stops the parts in reverse: the receivers first, so that nothing is acknowledged that the store would not take.
// Requests that run when ctx ends are cut off. A second or an early Stop is a no-op.
func (a *App) Stop(ctx context.Context) error {
	a.ready.Store(false)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state = stopped
	return a.stopParts(ctx)
}

func (a *App) stopParts(ctx context.Context) error {
	var errs []error
	for len(a.stops) > 0 {
		last := a.stops[len(a.stops)-1]
		a.stops = a.stops[:len(a.stops)-1]
		if err := last.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", last.name, err))
		}
	}
	return errors.Join(errs...)
}

// Addrs are the addresses a running server listens on.
type Addrs struct {
	HTTP, OTLPGRPC, OTLPHTTP string
}

// Addrs returns the addresses, empty before Start.
func (a *App) Addrs() Addrs {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.receiver == nil {
		return Addrs{}
	}
	grpc, http := a.receiver.Addrs()
	return Addrs{HTTP: a.httpAddr, OTLPGRPC: grpc, OTLPHTTP: http}
}

// hello says where to send and where to look.
func (a *App) hello() {
	at, where, open := a.Addrs(), a.cfg.Data, ""
	if a.cfg.Memory {
		where = "in memory: gone when the server ends"
	}
	if !isLoopback(at.HTTP) {
		open = "  OPEN          whoever reaches " + at.HTTP + " can read and delete everything: there is no authentication\n"
	}
	fmt.Fprintf(a.build.Out, "MindScope %s\n  send OTLP to  %s (gRPC), http://%s (HTTP)\n  look at       http://%s, or `mindscope tasks`\n  data          %s\n%s",
		a.build.Version, at.OTLPGRPC, at.OTLPHTTP, at.HTTP, where, open)
}
