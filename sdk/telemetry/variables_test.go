package telemetry_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/sdktest"
	"github.com/mindscope/mindscope/sdk/telemetry"
)

// seen keeps what arrived at a collector.
type seen struct {
	mu    sync.Mutex
	calls []string
}

func (s *seen) add(call string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.calls, call) {
		s.calls = append(s.calls, call)
	}
}

func (s *seen) sorted() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(slices.Sorted(slices.Values(s.calls)), " ")
}

// oneTask sets telemetry up, lets a task happen and shuts down.
func oneTask(t *testing.T, opts ...telemetry.Option) {
	t.Helper()
	shutdown, err := telemetry.Setup(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	_, task := sdk.StartTask(t.Context(), "task-1")
	task.End(nil)
	if err := shutdown(context.Background()); err != nil {
		t.Errorf("shut down: %v", err)
	}
}

func TestHTTPFromVariables(t *testing.T) {
	var got seen
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got.add(r.URL.Path)
		if r.Header.Get("X-Key") != "secret" {
			t.Errorf("%s came without the header of OTEL_EXPORTER_OTLP_HEADERS", r.URL.Path)
		}
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
	oneTask(t, telemetry.WithMetrics(nil))
	if want := "/v1/logs /v1/metrics /v1/traces"; got.sorted() != want {
		t.Errorf("the collector got %s, want %s", got.sorted(), want)
	}
	// One signal may go elsewhere, or nowhere.
	got = seen{}
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.URL+"/special")
	t.Setenv("OTEL_LOGS_EXPORTER", "none")
	oneTask(t)
	if want := "/special"; got.sorted() != want {
		t.Errorf("the collector got %s, want %s", got.sorted(), want)
	}
}

func TestGRPCFromVariables(t *testing.T) {
	var got seen
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		got.add(method)
		if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
			return err
		}
		return stream.SendMsg(&emptypb.Empty{})
	}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	defer server.Stop()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+l.Addr().String()) // grpc is the default
	oneTask(t, telemetry.WithMetrics(nil))
	const service = "/opentelemetry.proto.collector."
	want := service + "logs.v1.LogsService/Export " + service + "metrics.v1.MetricsService/Export " + service + "trace.v1.TraceService/Export"
	if got.sorted() != want {
		t.Errorf("the collector got %s, want %s", got.sorted(), want)
	}
}

func TestWrongVariables(t *testing.T) {
	f := func(name, value, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			_, err := telemetry.Setup(t.Context(), telemetry.WithMetrics(nil))
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s=%s: %v, want an error with %q", name, value, err, want)
			}
		})
	}
	f("OTEL_TRACES_EXPORTER", "zipkin", `OTEL_TRACES_EXPORTER is "zipkin": only otlp and none are known`)
	f("OTEL_LOGS_EXPORTER", "console", "only otlp and none")
	f("OTEL_METRICS_EXPORTER", "prometheus", "only otlp and none")
	f("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon", "use grpc or http/protobuf")
	f("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "tcp", "use grpc or http/protobuf")
}

// TestPartialResource: what of the resource can be read is used, and the rest is told.
func TestPartialResource(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "room=7,team")
	var told error
	rec := sdktest.New(t, telemetry.WithErrorHandler(func(err error) { told = err }))
	_, task := sdk.StartTask(t.Context(), "task-1")
	task.End(nil)
	if told == nil || !strings.Contains(told.Error(), "OTEL_RESOURCE_ATTRIBUTES") {
		t.Errorf("the error handler got %v", told)
	}
	if v, ok := rec.Spans()[0].Resource().Set().Value("room"); !ok || v.AsString() != "7" {
		t.Error("the attribute that can be read is not there")
	}
}

func TestDisabled(t *testing.T) {
	t.Setenv("OTEL_SDK_DISABLED", "true")
	rec := sdktest.New(t)
	_, task := sdk.StartTask(t.Context(), "task-1")
	task.End(nil)
	if n := len(rec.Spans()) + len(rec.Logs()); n != 0 {
		t.Errorf("%d spans and records were made", n)
	}
}

// TestResource: the variables win over what the code says.
func TestResource(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "from-variable")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=night-shift,room=7")
	rec := sdktest.New(t, telemetry.WithServiceName("from-code"), telemetry.WithTeam("newsroom"))
	_, task := sdk.StartTask(t.Context(), "task-1")
	task.End(nil)
	got := map[string]string{}
	for _, kv := range rec.Spans()[0].Resource().Attributes() {
		got[string(kv.Key)] = kv.Value.AsString()
	}
	for key, want := range map[string]string{"service.name": "from-variable", "service.namespace": "night-shift", "room": "7"} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if got["host.name"] == "" || got["ai_team.metrics"] != "" {
		t.Errorf("the resource is %v", got)
	}
}
