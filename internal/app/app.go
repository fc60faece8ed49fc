// Package app builds the server from its parts, starts them in order and stops them in reverse. It is the only package
// that knows all others.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	apiteam "github.com/mindscope/mindscope/internal/api/team"
	"github.com/mindscope/mindscope/internal/query/team"
	"github.com/mindscope/mindscope/internal/receive/otlp"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

// Config says what the server is. All fields but Log and Out are required.
type Config struct {
	// Listen is the address of the HTTP port: API, metrics, health and the page.
	Listen string
	// OTLPGRPC and OTLPHTTP are the addresses that take telemetry.
	OTLPGRPC, OTLPHTTP string
	// Data is the folder of the store; it is made when it isn't there. Memory keeps everything in memory instead.
	Data   string
	Memory bool
	// Retention and PayloadRetention are how long spans and logs, and payloads, are kept.
	Retention, PayloadRetention time.Duration
	// Version is the program's.
	Version string
	// Log is where the server logs; nil discards. Out is where it says hello; nil is nobody.
	Log *slog.Logger
	Out io.Writer
}

// stopLimit bounds how long a stop waits for running requests.
const stopLimit = 20 * time.Second

// App is a server. Run it once.
type App struct {
	cfg   Config
	ready atomic.Bool
}

// New returns a server that is not started yet.
func New(cfg Config) *App {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Out == nil {
		cfg.Out = io.Discard
	}
	return &App{cfg: cfg}
}

// Run starts the server, serves until ctx ends and stops it: the receivers first, so that nothing is acknowledged that
// the store would not take, then the HTTP port, then the store.
func (a *App) Run(ctx context.Context) (err error) {
	listener, err := a.listen(ctx)
	if err != nil {
		return err
	}
	events, err := a.openStore()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, wrap("close store", events.Close())) }()

	failed := make(chan error, 2)
	metrics := newMetrics(a.cfg.Version, events)
	sink, err := enrich(store.NewSink(events, metrics.countPoints), metrics)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	receiver, err := otlp.New(sink, a.cfg.Log.With("component", "otlp"), otlp.Config{
		GRPC: a.cfg.OTLPGRPC, HTTP: a.cfg.OTLPHTTP, Observe: metrics.observe,
		Failed: func(err error) { failed <- err },
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{Handler: a.routes(events, metrics), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve HTTP: %w", err)
		}
	}()
	defer func() { err = errors.Join(err, wrap("stop HTTP", stop(server.Shutdown))) }()
	if err := receiver.Start(ctx); err != nil {
		return withPortHint(err)
	}
	metrics.observeReceiver(receiver)
	defer func() { err = errors.Join(err, wrap("stop OTLP", stop(receiver.Stop))) }()
	a.hello(listener.Addr(), receiver)
	a.ready.Store(true)
	defer a.ready.Store(false)
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

func stop(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	return f(ctx)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

func (a *App) listen(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", a.cfg.Listen)
	if err != nil {
		return nil, signal.WithHint(fmt.Errorf("listen for HTTP on %s: %w", a.cfg.Listen, err),
			"end what uses the port, or choose another with --listen 127.0.0.1:PORT")
	}
	return l, nil
}

func withPortHint(err error) error {
	var l *otlp.ListenError
	if !errors.As(err, &l) {
		return err
	}
	return signal.WithHint(err, "end what uses the port, or choose another with --otlp."+l.Transport+" 127.0.0.1:PORT")
}

func (a *App) openStore() (store.Events, error) {
	if a.cfg.Memory {
		return memdb.New(memdb.Config{Retention: a.cfg.Retention}), nil
	}
	db, err := eventdb.Open(a.cfg.Data, eventdb.Config{
		Retention: a.cfg.Retention, PayloadRetention: a.cfg.PayloadRetention,
		Logger: a.cfg.Log.With("component", "eventdb"),
	})
	if err != nil {
		return nil, err
	}
	return db, nil
}

func (a *App) hello(httpAddr net.Addr, r *otlp.Receiver) {
	grpcAddr, otlpHTTP := r.Addrs()
	where := a.cfg.Data
	if a.cfg.Memory {
		where = "memory: everything is gone when the server ends"
	}
	fmt.Fprintf(a.cfg.Out, "MindScope %s\n  send OTLP to  %s (gRPC), http://%s (HTTP)\n  look at       http://%s, or `mindscope tasks`\n  data          %s\n",
		a.cfg.Version, grpcAddr, otlpHTTP, httpAddr, where)
}

func (a *App) routes(events store.Events, m *metrics) http.Handler {
	mux := http.NewServeMux()
	apiteam.Register(mux, team.New(events, nil), a.cfg.Version)
	mux.Handle("GET /metrics", m.handler())
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "MindScope is healthy.\n")
	})
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if !a.ready.Load() {
			http.Error(w, "MindScope is starting or stopping.", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "MindScope is ready.\n")
	})
	mux.HandleFunc("GET /{$}", page)
	return mux
}
