package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/mindscope/mindscope/internal/receive/otlp"
	"github.com/mindscope/mindscope/internal/self"
	"github.com/mindscope/mindscope/internal/signal"
)

func (a *App) listen(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", a.cfg.Listen)
	if err != nil {
		return nil, listenError("HTTP", "listen", a.cfg.Listen, err)
	}
	a.httpAddr = l.Addr().String()
	return l, nil
}

// listenError names the address once, the reason and the flag that helps.
func listenError(what, flag, addr string, err error) error {
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		err = sys.Err
	}
	return signal.WithHint(fmt.Errorf("listen for %s on %s: %w", what, addr, err),
		fmt.Sprintf("end what uses the port, or choose another address with --%s HOST:PORT", flag))
}

// warnOfOpenPorts says which ports can be reached from other machines. Nothing asks who a client is, and the HTTP port
// can read, change and remove everything.
func (a *App) warnOfOpenPorts() {
	grpc, http := a.receiver.Addrs()
	a.warnIfOpen("--listen", a.httpAddr, "read, back up and delete everything")
	a.warnIfOpen("--otlp.grpc", grpc, "send telemetry")
	a.warnIfOpen("--otlp.http", http, "send telemetry")
}

func (a *App) warnIfOpen(setting, addr, allows string) {
	if isLoopback(addr) {
		return
	}
	a.log.Warn("a port is open to other machines, without authentication", "setting", setting, "address", addr, "allows", allows,
		"hint", "listen on 127.0.0.1, or let only those reach it who may: a firewall, or a proxy that authenticates")
}

// isLoopback tells whether only this machine reaches an address that is listened on.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// serveHTTP serves the one HTTP port.
func (a *App) serveHTTP(l net.Listener, h http.Handler) {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // so that a client of gRPC is told that there is none here
	server := &http.Server{
		Handler:           h,
		Protocols:         protocols,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	server.RegisterOnShutdown(a.live.Close) // streams would hold the stop up
	server.RegisterOnShutdown(a.logs.Close)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.fail(fmt.Errorf("serve HTTP: %w", err))
		}
	}()
	a.running("HTTP port", func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		if err != nil {
			_ = server.Close() // what is cut off is in err
		}
		<-ended
		return err
	})
}

func (a *App) startReceiver(ctx context.Context, next signal.Sink) error {
	r, err := otlp.New(next, a.log.With("component", "otlp"), otlp.Config{
		GRPC:            a.cfg.OTLP.GRPC,
		HTTP:            a.cfg.OTLP.HTTP,
		MaxMessageBytes: int64(a.cfg.OTLP.MaxMessageMiB) << 20,
		Observe:         a.observe,
		Failed:          a.fail,
	})
	if err != nil {
		return err
	}
	if err := r.Start(ctx); err != nil {
		if l, ok := errors.AsType[*otlp.ListenError](err); ok {
			return listenError("OTLP/"+l.Transport, "otlp."+l.Transport, l.Addr, l.Err)
		}
		return err
	}
	a.running("OTLP receiver", r.Stop)
	a.receiver = r
	a.metrics.Gauge("mindscope_receive_inflight_requests", "Requests that are being received.", func() float64 {
		n, _ := r.InFlight()
		return float64(n)
	})
	a.metrics.Gauge("mindscope_receive_inflight_bytes", "Bytes of the requests that are being received.", func() float64 {
		_, n := r.InFlight()
		return float64(n)
	})
	return nil
}

func (a *App) observe(r otlp.Report) {
	a.metrics.Received(self.Request{
		Signal: r.Signal, Transport: r.Transport, Result: string(r.Result),
		Accepted: r.Accepted, Rejected: r.Rejected, Refused: r.Refused,
		Bytes: r.Bytes, Duration: r.Duration,
	})
}
