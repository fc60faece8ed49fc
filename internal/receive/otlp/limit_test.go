package otlp

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mindscope/mindscope/internal/signal"
)

// hold makes a sink whose calls report on entered and wait for release.
func hold() (s *sink, entered chan struct{}, release chan struct{}) {
	entered, release = make(chan struct{}, 16), make(chan struct{})
	s = &sink{answer: func(context.Context, int) (signal.Rejected, error) {
		entered <- struct{}{}
		<-release
		return signal.Rejected{}, nil
	}}
	return s, entered, release
}

func TestTooMuchInFlight(t *testing.T) {
	f := func(cfg Config, wantReason string) {
		t.Helper()
		next, entered, release := hold()
		seen := &reports{}
		cfg.Observe = seen.add
		r := start(t, next, cfg)
		client := ptraceotlp.NewGRPCClient(dial(t, r))
		first := make(chan error, 1)
		go func() {
			_, err := client.Export(t.Context(), spans(100))
			first <- err
		}()
		<-entered
		if reqs, bytes := r.InFlight(); reqs != 1 || bytes != int64(len(spanBytes(t, 100))) {
			t.Errorf("%d requests and %d bytes in flight", reqs, bytes)
		}

		_, err := client.Export(t.Context(), spans(100))
		if status.Code(err) != codes.ResourceExhausted || len(status.Convert(err).Details()) != 1 {
			t.Errorf("gRPC: %v, want ResourceExhausted with a wait", err)
		}
		answer := post(t, r, "POST", "/v1/traces", map[string]string{"Content-Type": typeProtobuf}, spanBytes(t, 100))
		if !strings.HasPrefix(answer, "429 ") || !strings.Contains(answer, "Retry-After: 1\n") || !strings.Contains(answer, wantReason) {
			t.Errorf("HTTP: %s", answer)
		}
		close(release)
		if err := <-first; err != nil {
			t.Errorf("the request in flight: %v", err)
		}
		count := map[Result]int{}
		for _, rep := range seen.take() {
			count[rep.Result]++
		}
		if count[Overloaded] != 2 {
			t.Errorf("counted %v, want 2 overloaded", count)
		}
		go func() { <-entered }()
		if _, err := client.Export(t.Context(), spans(100)); err != nil {
			t.Errorf("after the first one is done: %v", err)
		}
	}
	f(Config{MaxRequests: 1}, "too many requests in flight")
	f(Config{MaxBytes: int64(len(spanBytes(t, 100))) * 3 / 2}, "too many bytes in flight")
}

func TestStopWaitsForRunningRequests(t *testing.T) {
	next, entered, release := hold()
	r := start(t, next, Config{})
	client := ptraceotlp.NewGRPCClient(dial(t, r))
	grpcDone, httpDone, stopped := make(chan error, 1), make(chan string, 1), make(chan error, 1)
	go func() {
		_, err := client.Export(t.Context(), spans(1))
		grpcDone <- err
	}()
	go func() {
		httpDone <- post(t, r, "POST", "/v1/traces", map[string]string{"Content-Type": typeProtobuf}, spanBytes(t, 1))
	}()
	<-entered
	<-entered
	grpcAddr, httpAddr := r.Addrs()
	go func() { stopped <- r.Stop(context.Background()) }()
	for _, addr := range []string{grpcAddr, httpAddr} {
		waitRefused(t, addr)
	}
	select {
	case err := <-stopped:
		t.Fatalf("Stop returned (%v) before the requests", err)
	default:
	}
	close(release)
	if err := <-grpcDone; err != nil {
		t.Errorf("gRPC: %v", err)
	}
	if answer := <-httpDone; !strings.HasPrefix(answer, "200 ") {
		t.Errorf("HTTP: %s", answer)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// waitRefused returns when nobody listens on addr any more.
func waitRefused(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		c.Close()
	}
	t.Fatalf("%s still accepts", addr)
}

func TestStopCutsOffAtDeadline(t *testing.T) {
	entered := make(chan struct{})
	next := &sink{answer: func(ctx context.Context, _ int) (signal.Rejected, error) {
		close(entered)
		<-ctx.Done()
		return signal.Rejected{}, ctx.Err()
	}}
	r := start(t, next, Config{})
	done := make(chan error, 1)
	client := ptraceotlp.NewGRPCClient(dial(t, r))
	go func() {
		_, err := client.Export(t.Context(), spans(1))
		done <- err
	}()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop: %v, want %v", err, context.Canceled)
	}
	if err := <-done; err == nil {
		t.Error("the request that was cut off succeeded")
	}
}

func TestStartAndStopOrder(t *testing.T) {
	r := start(t, &sink{}, Config{})
	if err := r.Start(t.Context()); err == nil {
		t.Error("a second Start succeeded")
	}
	grpcAddr, _ := r.Addrs()
	f := func(cfg Config, wantTransport string) {
		t.Helper()
		other, err := New(&sink{}, r.log, cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = other.Start(t.Context())
		listen, ok := errors.AsType[*ListenError](err)
		if !ok || listen.Transport != wantTransport || listen.Addr != grpcAddr {
			t.Fatalf("start on a taken port: %v", err)
		}
		if err := other.Stop(t.Context()); err != nil {
			t.Errorf("stop what never started: %v", err)
		}
		if err := other.Start(t.Context()); err == nil {
			t.Error("started after Stop")
		}
	}
	f(Config{GRPC: grpcAddr, HTTP: "127.0.0.1:0"}, "grpc")
	f(Config{GRPC: "127.0.0.1:0", HTTP: grpcAddr}, "http")
	for range 2 {
		if err := r.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
