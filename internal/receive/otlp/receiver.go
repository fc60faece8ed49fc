package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/confignet"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/mindscope/mindscope/internal/signal"
)

// Config says where to listen and how much to take at once.
type Config struct {
	// GRPC and HTTP are the addresses (host:port) of OTLP/gRPC and OTLP/HTTP.
	GRPC, HTTP string
	// MaxMessageBytes bounds one message, as sent and decompressed. It is rounded up to whole MiB; 0 means 64 MiB.
	MaxMessageBytes int64
	// MaxRequests and MaxBytes bound what is in flight over both transports; 0 means 256 requests and 4 messages of
	// the largest size. Beyond them senders are asked to send again.
	MaxRequests, MaxBytes int64
	// Observe is told how each request ended; nil tells nobody. It must not block.
	Observe func(Report)
	// Failed is called when a transport stops without having been told to; nil ignores that. The error is returned
	// nowhere else.
	Failed func(error)
}

const mib = 1 << 20

func (c Config) withDefaults() Config {
	if c.MaxMessageBytes <= 0 {
		c.MaxMessageBytes = 64 * mib
	}
	c.MaxMessageBytes = (c.MaxMessageBytes + mib - 1) / mib * mib
	if c.MaxRequests <= 0 {
		c.MaxRequests = 256
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = 4 * c.MaxMessageBytes
	}
	if c.Observe == nil {
		c.Observe = func(Report) {}
	}
	if c.Failed == nil {
		c.Failed = func(error) {}
	}
	return c
}

// ListenError is an address that can't be listened on.
type ListenError struct {
	// Transport is grpc or http.
	Transport string
	Addr      string
	Err       error
}

// Error names the transport and the address.
func (e *ListenError) Error() string {
	return fmt.Sprintf("listen for OTLP/%s on %s: %v", e.Transport, e.Addr, e.Err)
}

// Unwrap returns the system's error.
func (e *ListenError) Unwrap() error { return e.Err }

// Receiver serves OTLP over gRPC and HTTP.
type Receiver struct {
	next    signal.Sink
	log     *slog.Logger
	cfg     Config
	limits  *limits
	observe func(Report)

	mu         sync.Mutex // guards what follows
	state      state
	grpc       *grpc.Server
	http       *http.Server
	grpcListen net.Listener
	httpListen net.Listener
	serving    sync.WaitGroup
}

type state uint8

const (
	idle state = iota
	running
	stopped
)

// New returns a Receiver that writes to next. It listens from Start on.
func New(next signal.Sink, log *slog.Logger, cfg Config) (*Receiver, error) {
	if next == nil || log == nil {
		return nil, errors.New("otlp receiver: a sink and a logger are required")
	}
	cfg = cfg.withDefaults()
	return &Receiver{
		next:    next,
		log:     log,
		cfg:     cfg,
		limits:  &limits{maxRequests: cfg.MaxRequests, maxBytes: cfg.MaxBytes},
		observe: cfg.Observe,
	}, nil
}

// Start listens on both addresses and serves until Stop. It returns a *ListenError for an address that can't be used,
// and then listens on neither.
func (r *Receiver) Start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != idle {
		return errors.New("start otlp receiver: it was started or stopped before")
	}
	eps := endpoints()
	if err := r.buildGRPC(ctx, eps); err != nil {
		return err
	}
	if err := r.buildHTTP(ctx, eps); err != nil {
		r.grpc.Stop()
		_ = r.grpcListen.Close()
		return err
	}
	r.state = running
	r.serving.Go(func() {
		if err := r.grpc.Serve(r.grpcListen); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			r.cfg.Failed(fmt.Errorf("serve OTLP/grpc: %w", err))
		}
	})
	r.serving.Go(func() {
		if err := r.http.Serve(r.httpListen); err != nil && !errors.Is(err, http.ErrServerClosed) {
			r.cfg.Failed(fmt.Errorf("serve OTLP/http: %w", err))
		}
	})
	return nil
}

// buildGRPC listens and makes the server, as configgrpc does it for a collector.
func (r *Receiver) buildGRPC(ctx context.Context, eps []*endpoint) error {
	sc := configgrpc.NewDefaultServerConfig()
	sc.NetAddr = confignet.AddrConfig{Endpoint: r.cfg.GRPC, Transport: confignet.TransportTypeTCP}
	sc.MaxRecvMsgSizeMiB = int(r.cfg.MaxMessageBytes / mib)
	l, err := sc.NetAddr.Listen(ctx)
	if err != nil {
		return &ListenError{"grpc", r.cfg.GRPC, err}
	}
	server, err := sc.ToServer(ctx, nil, telemetry(), configgrpc.WithGrpcServerOption(grpc.ForceServerCodecV2(codec{})))
	if err != nil {
		_ = l.Close()
		return fmt.Errorf("build OTLP/grpc server: %w", err)
	}
	for _, e := range eps {
		server.RegisterService(r.serviceDesc(e), nil)
	}
	r.grpc, r.grpcListen = server, l
	return nil
}

// buildHTTP listens and makes the server, as confighttp does it for a collector.
func (r *Receiver) buildHTTP(ctx context.Context, eps []*endpoint) error {
	sc := r.httpConfig()
	l, err := sc.ToListener(ctx)
	if err != nil {
		return &ListenError{"http", r.cfg.HTTP, err}
	}
	server, err := r.newHTTP(ctx, sc, eps)
	if err != nil {
		_ = l.Close()
		return err
	}
	r.http, r.httpListen = server, l
	return nil
}

func (r *Receiver) httpConfig() confighttp.ServerConfig {
	sc := confighttp.NewDefaultServerConfig()
	sc.NetAddr.Endpoint = r.cfg.HTTP
	sc.MaxRequestBodySize = r.cfg.MaxMessageBytes
	sc.CompressionAlgorithms = compressions()
	sc.ReadTimeout = time.Minute      // of the whole request: a slow sender holds a place and bytes
	sc.WriteTimeout = 2 * time.Minute // counts from the header on, so it has room for reading and storing
	return sc
}

func (r *Receiver) newHTTP(ctx context.Context, sc confighttp.ServerConfig, eps []*endpoint) (*http.Server, error) {
	server, err := sc.ToServer(ctx, nil, telemetry(), r.handler(eps), confighttp.WithErrorHandler(r.decompressError(eps)))
	if err != nil {
		return nil, fmt.Errorf("build OTLP/http server: %w", err)
	}
	server.ErrorLog = slog.NewLogLogger(r.log.Handler(), slog.LevelWarn)
	return server, nil
}

// telemetry turns the libraries' own telemetry off: Report has what is needed.
func telemetry() component.TelemetrySettings {
	return component.TelemetrySettings{
		Logger:         zap.NewNop(),
		TracerProvider: nooptrace.NewTracerProvider(),
		MeterProvider:  noopmetric.NewMeterProvider(),
	}
}

// Stop takes no more requests and waits for the running ones until ctx ends, then cuts them off and returns ctx's error.
func (r *Receiver) Stop(ctx context.Context) error {
	r.mu.Lock()
	was := r.state
	r.state = stopped
	r.mu.Unlock()
	if was != running {
		return nil
	}
	graceful := make(chan struct{})
	go func() {
		defer close(graceful)
		r.grpc.GracefulStop()
	}()
	err := r.http.Shutdown(ctx)
	select {
	case <-graceful:
	case <-ctx.Done():
		r.grpc.Stop()
		<-graceful
		err = errors.Join(err, ctx.Err())
	}
	if err != nil {
		_ = r.http.Close()
		err = fmt.Errorf("stop otlp receiver: %w", err)
	}
	r.serving.Wait()
	return err
}

// Addrs returns the addresses that are listened on, empty before Start.
func (r *Receiver) Addrs() (grpcAddr, httpAddr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.grpcListen == nil || r.httpListen == nil {
		return "", ""
	}
	return r.grpcListen.Addr().String(), r.httpListen.Addr().String()
}

// InFlight returns the requests that are being served and the bytes of their messages.
func (r *Receiver) InFlight() (requests, bytes int64) { return r.limits.inFlight() }
