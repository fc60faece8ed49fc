package jaeger

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/enrich/identity"
	"github.com/mindscope/mindscope/internal/query/teamtest"
	"github.com/mindscope/mindscope/internal/query/traceql"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/memdb"
	"github.com/mindscope/mindscope/test/harness"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files")

// base is the time of the scenario: 1772359200000000 in microseconds.
var base = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

const scenario = `service newsroom
resource region=eu zone=1
scope sdk 1.0
trace 1
execute_task | 0s 9s | id=1 task=a/b
  chat gpt | 2s 3s | id=2 kind=client model=gpt tokens=1204 stream=false temperature=0.5 event=retry event.attempt=2
  chat gpt | 6s 1s | id=4 kind=client model=gpt
---
service bus
trace 1
process cmd | 5s 100ms | id=3 parent=2 kind=consumer error="no answer" link=2/1
process cmd | 6s 100ms | id=5 parent=4 kind=consumer status=ok
---
service lonely/one
trace abc2
step | 60s 1s | id=9 parent=8
`

const window = "start=1772359000000000&end=1772360000000000&lookback=custom"

func served(t testing.TB) http.Handler {
	t.Helper()
	clock := func() time.Time { return base.Add(30 * time.Minute) }
	db := memdb.New(memdb.Config{Clock: clock})
	sink := identity.New(store.NewSink(db, nil))
	for block := range strings.SplitSeq(scenario, "---\n") {
		traces, _, err := teamtest.Parse(block)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sink.Traces(t.Context(), signal.DefaultProject, traces); err != nil {
			t.Fatal(err)
		}
	}
	return New(traceql.New(db, traceql.Options{}), db, clock)
}

func ask(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, Prefix+target, nil))
	return w
}

// golden compares the answer to a GET with a file.
func golden(t *testing.T, name, target string) {
	t.Helper()
	w := ask(served(t), http.MethodGet, target)
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, w.Body.Bytes(), "", " "); err != nil {
		t.Fatalf("%s: %v\n%s", target, err, w.Body)
	}
	got := fmt.Sprintf("GET %s\n\n%d\nContent-Type: %s\n\n%s", target, w.Code, w.Header().Get("Content-Type"), pretty.String())
	file := filepath.Join("testdata", name+".golden")
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-file +got):\n%s", name, diff)
	}
}

func TestServices(t *testing.T) { golden(t, "services", "/api/services") }

func TestOperations(t *testing.T) {
	golden(t, "operations", "/api/services/newsroom/operations")
	golden(t, "operations-escaped", "/api/services/lonely%2Fone/operations")
	golden(t, "operations-none", "/api/services/nobody/operations")
	golden(t, "operations-kinds", "/api/operations?service=newsroom&spanKind=client")
}

func TestTraces(t *testing.T) {
	golden(t, "traces", "/api/traces?service=newsroom&limit=20&"+window)
	f := func(name, params string) {
		t.Helper()
		golden(t, "traces-"+name, "/api/traces?"+params)
	}
	tags := func(s string) string { return "&tags=" + url.QueryEscape(s) }
	f("operation", "service=bus&operation=process+cmd&minDuration=50ms&maxDuration=1s&limit=1&"+window+tags(`{"error":"true","span.kind":"consumer"}`))
	f("attributes", "service=newsroom&"+window+tags(`{"model":"gpt","tokens":"1204","stream":"false","region":"eu","otel.scope.name":"sdk"}`))
	f("no-match", "service=newsroom&"+window+tags(`{"model":"other"}`))
	f("lookback", "service=newsroom&lookback=1m")
	f("no-service", window)
	f("bad-tags", "service=a&"+window+"&tags=model=gpt")
	f("bad-duration", "service=a&minDuration=long&"+window)
	f("bad-time", "service=a&start=yesterday")
	f("start-after-end", "service=a&start=2000&end=1000")
	f("bad-limit", "service=a&limit=-5")
}

func TestTrace(t *testing.T) {
	golden(t, "trace", "/api/traces/1")
	golden(t, "trace-orphan", "/api/traces/0000000000000000000000000000ABC2")
	golden(t, "trace-not-found", "/api/traces/9")
	golden(t, "trace-bad-id", "/api/traces/xyz")
	golden(t, "trace-other-time", "/api/traces/1?start=1000&end=2000")
}

func TestDependencies(t *testing.T) {
	golden(t, "dependencies", "/api/dependencies?endTs=1772360000000&lookback=86400000")
	golden(t, "dependencies-none", "/api/dependencies?endTs=1000&lookback=1000")
	golden(t, "dependencies-bad", "/api/dependencies?endTs=now")
}

func TestV3(t *testing.T) {
	golden(t, "v3-services", "/api/v3/services")
	golden(t, "v3-operations", "/api/v3/operations?service=bus")
	golden(t, "v3-trace", "/api/v3/traces/abc2")
	golden(t, "v3-search", "/api/v3/traces?query.service_name=bus&query.duration_min=50ms&query.search_depth=5&query.start_time_min=2026-03-01T09:00:00Z&query.start_time_max=2026-03-01T11:00:00Z")
	golden(t, "v3-nothing", "/api/v3/traces?query.serviceName=bus&query.startTimeMin=2025-03-01T09:00:00Z&query.startTimeMax=2025-03-01T11:00:00Z")
	golden(t, "v3-bad-time", "/api/v3/traces?query.service_name=bus&query.start_time_min=today")
}

func TestUnknownEndpointsAndMethods(t *testing.T) {
	golden(t, "unknown", "/api/quality-metrics")
	if w := ask(served(t), http.MethodPost, "/api/traces"); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// TestRecordedConversion compares with what Jaeger itself makes of a trace.
func TestRecordedConversion(t *testing.T) {
	dir := filepath.Join(harness.NeedSamples(t), "otlp", "generic", "jaeger")
	in, err := os.ReadFile(filepath.Join(dir, "otlp2jaeger-in.json"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(filepath.Join(dir, "otlp2jaeger-out.json"))
	if err != nil {
		t.Fatal(err)
	}
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(in)
	if err != nil {
		t.Fatal(err)
	}
	rows := store.AppendSpanRows(nil, td)[:1] // the recording has the span twice; a store keeps one
	got, err := json.Marshal(wireTraces(rows)[0])
	if err != nil {
		t.Fatal(err)
	}
	type document struct {
		TraceID   string           `json:"traceID"`
		Spans     []map[string]any `json:"spans"`
		Processes map[string]any   `json:"processes"`
	}
	var recorded struct {
		Data []document `json:"data"`
	}
	var ours document
	if err := json.Unmarshal(out, &recorded); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got, &ours); err != nil {
		t.Fatal(err)
	}
	want := recorded.Data[0]
	for _, s := range want.Spans { // Jaeger warns of the repeated span and of the parent that is missing
		s["warnings"] = nil
	}
	if diff := cmp.Diff(want.TraceID, ours.TraceID) + cmp.Diff(want.Spans[0], ours.Spans[0]) + cmp.Diff(want.Processes, ours.Processes); diff != "" {
		t.Errorf("(-recorded +ours):\n%s", diff)
	}
}
