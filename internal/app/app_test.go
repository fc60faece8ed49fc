package app

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.uber.org/goleak"

	"github.com/mindscope/mindscope/internal/config"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreCurrent(), // the engine's package starts a clock when it is loaded
		goleak.IgnoreAnyFunction("github.com/VictoriaMetrics/metrics.summariesSwapCron")) // once a process, by the engine
}

// settings are those of a server on free ports with its data in dir.
func settings(dir string) config.Config {
	c := config.Default(func(string) string { return "" })
	c.Listen, c.OTLP.GRPC, c.OTLP.HTTP = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.Data = dir
	return c
}

// start runs a server until stop is called, and at the latest until the test ends.
func start(t *testing.T, cfg config.Config) (a *App, stop func()) {
	t.Helper()
	a, err := New(cfg, Build{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return a, stop
}

// do sends one request on a connection of its own.
func do(t *testing.T, method, url, contentType string, body []byte) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func get(t *testing.T, a *App, path string) (*http.Response, string) {
	t.Helper()
	return do(t, http.MethodGet, "http://"+a.Addrs().HTTP+path, "", nil)
}

func sendSpan(t *testing.T, a *App, id pcommon.TraceID, at time.Time) {
	t.Helper()
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "newsroom")
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetTraceID(id)
	s.SetSpanID(pcommon.SpanID{7})
	s.SetName("execute_task orchestrator")
	s.Attributes().PutStr("ai_team.task.id", "task-456")
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(at))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(at.Add(time.Second)))
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	resp, text := do(t, http.MethodPost, "http://"+a.Addrs().OTLPHTTP+"/v1/traces", "application/x-protobuf", body)
	if resp.StatusCode != http.StatusOK || text != "" {
		t.Fatalf("send a span: %s %q", resp.Status, text)
	}
}

// eventually polls until the page contains want: the engine shows rows within a second.
func eventually(t *testing.T, a *App, path, want string) {
	t.Helper()
	var status, text string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		resp, body := get(t, a, path)
		if status, text = resp.Status, body; resp.StatusCode == http.StatusOK && strings.Contains(text, want) {
			return
		}
	}
	t.Fatalf("%s never showed %q; last: %s %.500s", path, want, status, text)
}

func TestSpanFromReceiverToAPIAcrossRestart(t *testing.T) {
	f := func(name string, cfg config.Config, restarts bool) {
		t.Helper()
		t.Log(name)
		id := pcommon.TraceID{1, 2, 3}
		path := "/api/mindscope/v1/traces/" + hex.EncodeToString(id[:])
		a, stop := start(t, cfg)
		sendSpan(t, a, id, time.Now().Add(-time.Minute))
		eventually(t, a, path, "task-456")
		stop()
		if !restarts {
			return
		}
		a, stop = start(t, cfg)
		eventually(t, a, path, "task-456")
		stop()
	}
	f("event store", settings(t.TempDir()), true)
	memory := settings("")
	memory.Memory = true
	f("memory", memory, false)
}

func TestPages(t *testing.T) {
	cfg := settings("")
	cfg.Memory = true
	a, _ := start(t, cfg)
	f := func(path string, wantStatus int, wantType, wantText string) {
		t.Helper()
		resp, text := get(t, a, path)
		if resp.StatusCode != wantStatus || !strings.HasPrefix(resp.Header.Get("Content-Type"), wantType) || !strings.Contains(text, wantText) {
			t.Errorf("%s: %s, %s, %.300s", path, resp.Status, resp.Header.Get("Content-Type"), text)
		}
	}
	f("/-/healthy", 200, "text/plain", "healthy")
	f("/-/ready", 200, "text/plain", "ready")
	f("/", 200, "text/html", "<title>MindScope</title>")
	f("/nothing", 404, "text/plain", "not found")
	f("/api/mindscope/v1/tasks", 200, "application/json", "tasks")
	f("/api/mindscope/v1/nothing", 404, "application/problem+json", "no such endpoint")
	f("/api/other", 404, "application/problem+json", "no such API")
	f("/metrics", 200, "text/plain", `mindscope_build_info{goversion="go`)
}

func TestOwnMetrics(t *testing.T) {
	a, _ := start(t, settings(t.TempDir()))
	sendSpan(t, a, pcommon.TraceID{9}, time.Now())
	md := pmetric.NewMetrics()
	metrics := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	for _, ts := range []time.Time{time.Now(), time.Now().Add(time.Hour)} {
		m := metrics.AppendEmpty()
		m.SetName("queue.depth")
		p := m.SetEmptyGauge().DataPoints().AppendEmpty()
		p.SetTimestamp(pcommon.NewTimestampFromTime(ts))
		p.SetIntValue(7)
	}
	body, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	otlp := "http://" + a.Addrs().OTLPHTTP
	do(t, http.MethodPost, otlp+"/v1/metrics", "application/x-protobuf", body)
	do(t, http.MethodPost, otlp+"/v1/logs", "application/json", []byte("{"))
	_, text := get(t, a, "/metrics")
	for _, want := range []string{
		`mindscope_received_items_total{outcome="accepted",signal="traces",transport="http"} 1`,
		`mindscope_received_items_total{outcome="accepted",signal="metrics",transport="http"} 1`,
		`mindscope_received_items_total{outcome="rejected",signal="metrics",transport="http"} 1`,
		`mindscope_metrics_samples_refused_total{reason="too_new"} 1`,
		`mindscope_receive_duration_seconds_count{result="invalid",signal="logs",transport="http"} 1`,
		"prometheus_tsdb_head_series 1",
		"mindscope_receive_inflight_requests 0",
		"mindscope_receive_inflight_bytes 0",
		"mindscope_store_rows ",
		"mindscope_store_bytes ",
		"go_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in /metrics", want)
		}
	}
}

func TestMetricsAnswerPromQL(t *testing.T) {
	a, _ := start(t, settings(t.TempDir()))
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "writer")
	rm.Resource().Attributes().PutStr("service.namespace", "press")
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("queue.depth")
	m.SetDescription("Waiting messages.")
	p := m.SetEmptyGauge().DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	p.SetIntValue(7)
	body, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	do(t, http.MethodPost, "http://"+a.Addrs().OTLPHTTP+"/v1/metrics", "application/x-protobuf", body)
	_, text := get(t, a, "/api/v1/query?query=queue_depth")
	for _, want := range []string{`"job":"press/writer"`, `"project":"default"`, `"team":"press"`, `"7"]`} {
		if !strings.Contains(text, want) {
			t.Errorf("the answer has no %s: %s", want, text)
		}
	}
	if _, text := get(t, a, "/api/v1/metadata"); !strings.Contains(text, `"queue_depth":[{"type":"gauge","help":"Waiting messages.","unit":""}]`) {
		t.Errorf("metadata: %s", text)
	}
	if resp, text := get(t, a, "/api/v1/query?query=queue_depth%7B"); resp.StatusCode != http.StatusBadRequest || !strings.Contains(text, "parse error") {
		t.Errorf("a broken query: %s %s", resp.Status, text)
	}
}

func TestNotReadyBeforeStartAndAfterStop(t *testing.T) {
	f := func(a *App, want int) {
		t.Helper()
		rec := &recorder{header: http.Header{}}
		a.readiness(rec, nil)
		if rec.status != want {
			t.Errorf("status %d, want %d", rec.status, want)
		}
	}
	cfg := settings("")
	cfg.Memory = true
	idle, err := New(cfg, Build{})
	if err != nil {
		t.Fatal(err)
	}
	f(idle, http.StatusServiceUnavailable)
	a, stop := start(t, cfg)
	f(a, http.StatusOK)
	stop()
	f(a, http.StatusServiceUnavailable)
}

// recorder keeps the status of an answer.
type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(code int) {
	r.status = code
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return len(b), nil
}

func TestRefusedStartNamesWhatToDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().String()
	dir := t.TempDir()
	f := func(change func(*config.Config), is error, wantError, wantHint string) {
		t.Helper()
		cfg := settings(dir)
		change(&cfg)
		a, err := New(cfg, Build{})
		if err != nil {
			t.Fatal(err)
		}
		err = a.Start(t.Context())
		if err == nil {
			t.Fatalf("started, want %q", wantError)
		}
		if !strings.Contains(err.Error(), wantError) || !strings.Contains(signal.HintOf(err), wantHint) || is != nil && !errors.Is(err, is) {
			t.Errorf("%v; hint: %s; want %q and %q", err, signal.HintOf(err), wantError, wantHint)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q is more than a line", err)
		}
		if err := a.Stop(t.Context()); err != nil {
			t.Errorf("stop after the refusal: %v", err)
		}
	}
	f(func(c *config.Config) { c.Listen = port }, nil, "listen for HTTP on "+port+": address already in use", "--listen ")
	f(func(c *config.Config) { c.OTLP.GRPC = port }, nil, "listen for OTLP/grpc on "+port+": address already in use", "--otlp.grpc ")
	f(func(c *config.Config) { c.OTLP.HTTP = port }, nil, "listen for OTLP/http on "+port+": address already in use", "--otlp.http ")

	_, stop := start(t, settings(dir)) // shows as well that the refused ones let go of the folder
	f(func(*config.Config) {}, store.ErrInUse, dir, "--data")
	stop()
	if err := os.WriteFile(filepath.Join(dir, "VERSION"), []byte("9999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f(func(*config.Config) {}, store.ErrNewer, dir, "--data")
}

func TestStartAndStopTwice(t *testing.T) {
	cfg := settings("")
	cfg.Memory = true
	a, stop := start(t, cfg)
	if err := a.Start(t.Context()); err == nil {
		t.Error("a second Start succeeded")
	}
	stop()
	stop()
	if err := a.Start(t.Context()); err == nil {
		t.Error("started after Stop")
	}
	early, err := New(cfg, Build{})
	if err != nil {
		t.Fatal(err)
	}
	if err := early.Stop(t.Context()); err != nil {
		t.Errorf("early Stop: %v", err)
	}
}

func TestRunSaysHelloAndEndsWithItsContext(t *testing.T) {
	cfg := settings("")
	cfg.Memory = true
	var out lines
	out.first = make(chan struct{})
	a, err := New(cfg, Build{Version: "v0.1.0", Out: &out})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	<-out.first
	at := a.Addrs()
	for _, want := range []string{"MindScope v0.1.0\n", at.OTLPGRPC + " (gRPC)", "http://" + at.OTLPHTTP + " (HTTP)", "http://" + at.HTTP, "in memory"} {
		if !strings.Contains(out.text, want) {
			t.Errorf("%q is not in %q", want, out.text)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// lines keeps the first Write.
type lines struct {
	text  string
	first chan struct{}
}

func (l *lines) Write(b []byte) (int, error) {
	l.text = string(b)
	close(l.first)
	return len(b), nil
}

func TestRunEndsWhenAPartFails(t *testing.T) {
	cfg := settings("")
	cfg.Memory = true
	a, err := New(cfg, Build{})
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("listener broke")
	a.fail(broken)
	a.fail(errors.New("a second one does not block"))
	if err := a.Run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("%v, want %v", err, broken)
	}
}

func TestBadSettingsAreRefused(t *testing.T) {
	cfg := settings("")
	if _, err := New(cfg, Build{}); err == nil {
		t.Error("a server without a data folder was built")
	}
}
