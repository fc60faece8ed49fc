package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/test/harness"
)

const visible = 15 * time.Second

// traceAnswer is the API's answer for one trace.
type traceAnswer struct {
	Spans []struct {
		TraceID string                     `json:"trace_id"`
		SpanID  string                     `json:"span_id"`
		Fields  map[string]json.RawMessage `json:"fields"`
	} `json:"spans"`
	Next string `json:"next"`
}

// expect reads a trace until it holds the rows, and compares every field that was sent.
func expect(t *testing.T, s *harness.Server, td ptrace.Traces) {
	t.Helper()
	want := map[string]map[string]map[string]json.RawMessage{}
	for _, row := range store.AppendSpanRows(nil, td) {
		trace := row.Text(store.FieldTraceID)
		if want[trace] == nil {
			want[trace] = map[string]map[string]json.RawMessage{}
		}
		fields := map[string]json.RawMessage{}
		for _, f := range row.Fields {
			fields[f.Name] = f.Value.JSON()
		}
		want[trace][row.Text(store.FieldSpanID)] = fields
	}
	for trace, spans := range want {
		harness.Eventually(t, visible, "trace "+trace, func() error {
			var got traceAnswer
			if err := s.Get("/api/mindscope/v1/traces/"+trace+"?limit=1000", &got); err != nil {
				return err
			}
			if len(got.Spans) != len(spans) {
				return fmt.Errorf("%d spans, want %d", len(got.Spans), len(spans))
			}
			for _, span := range got.Spans {
				sent, ok := spans[span.SpanID]
				if !ok {
					return fmt.Errorf("span %s was never sent", span.SpanID)
				}
				for name, value := range sent {
					if diff := cmp.Diff(string(value), string(span.Fields[name])); diff != "" {
						return fmt.Errorf("span %s, field %s (-sent +read):\n%s", span.SpanID, name, diff)
					}
				}
				for name := range span.Fields {
					if _, ok := sent[name]; !ok && strings.HasPrefix(name, store.PrefixAttr) {
						return fmt.Errorf("span %s has the attribute %s, which was never sent", span.SpanID, name)
					}
				}
			}
			return nil
		})
	}
}

// testdata returns a file of recorded telemetry, from the samples or from this package's copies of them.
func testdata(t *testing.T, name string) []byte {
	t.Helper()
	if dir, ok := harness.Samples(t); ok {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			return b
		}
	}
	b, err := os.ReadFile(filepath.Join("testdata", filepath.Base(name)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRecordedTracesComeBackAndSurviveARestart(t *testing.T) {
	data := t.TempDir()
	s := harness.Start(t, harness.Options{Data: data, Args: []string{"--retention", "30y"}})
	var all []ptrace.Traces
	spans := 0
	for line := range strings.Lines(string(testdata(t, "otlp/generic/oteldb/traces.json"))) {
		status, answer := harness.Post(t, s.OTLPHTTP+"/v1/traces", "application/json", []byte(line))
		if status != http.StatusOK || strings.Contains(string(answer), "rejected") {
			t.Fatalf("status %d: %s", status, answer)
		}
		td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		spans += td.SpanCount()
		all = append(all, td)
	}
	if spans != 156 || len(all) != 23 {
		t.Fatalf("the recording has %d spans in %d traces, want 156 in 23", spans, len(all))
	}
	for _, td := range all {
		expect(t, s, td)
	}
	s.Stop(t)
	again := harness.Start(t, harness.Options{Data: data, Args: []string{"--retention", "30y"}})
	for _, td := range all {
		expect(t, again, td)
	}
}

func TestProtocolSamples(t *testing.T) {
	s := harness.Start(t, harness.Options{Args: []string{"--retention", "30y"}})
	trace := testdata(t, "protocol/otlp/trace.json")
	for _, f := range []struct {
		path string
		body []byte
	}{
		{"/v1/traces", trace},
		{"/v1/logs", testdata(t, "protocol/otlp/logs.json")},
		{"/v1/metrics", testdata(t, "protocol/otlp/metrics.json")},
	} {
		if status, answer := harness.Post(t, s.OTLPHTTP+f.path, "application/json", f.body); status != http.StatusOK {
			t.Errorf("%s: status %d: %s", f.path, status, answer)
		}
	}
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(trace)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, s, td)
	// The log record was written in the same trace; it comes back as the log of that trace's provisional task.
	var logs struct {
		Logs []struct {
			Fields map[string]json.RawMessage `json:"fields"`
		} `json:"logs"`
	}
	harness.Eventually(t, visible, "the log record", func() error {
		if err := s.Get("/api/mindscope/v1/tasks/5b8efff798038103d269b633813fc60c/logs", &logs); err != nil {
			return err
		}
		if len(logs.Logs) != 1 || string(logs.Logs[0].Fields["body"]) != `"Example log record"` {
			return fmt.Errorf("logs: %+v", logs)
		}
		return nil
	})
	if n := s.Metric(t, `mindscope_received_items_total{outcome="accepted",signal="metrics"`) +
		s.Metric(t, `mindscope_received_items_total{outcome="rejected",signal="metrics"`); n == 0 {
		t.Error("the metric points were not counted")
	}
}

func TestOutsideRetentionIsRefusedAndCounted(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	status, answer := harness.Post(t, s.OTLPHTTP+"/v1/traces", "application/json", testdata(t, "protocol/otlp/trace.json"))
	if status != http.StatusOK || !strings.Contains(string(answer), `"rejectedSpans":"1"`) || !strings.Contains(string(answer), "older than the retention") {
		t.Errorf("status %d: %s", status, answer)
	}
	if n := s.Metric(t, `mindscope_received_items_total{outcome="rejected"`) + s.Metric(t, `mindscope_received_items_total{signal="traces",transport="http",outcome="rejected"`); n == 0 {
		t.Error("the rejected span was not counted")
	}
}

func TestNodeSDK(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	for protocol, endpoint := range map[string]string{
		"grpc": "http://" + s.OTLPGRPC, "proto": s.OTLPHTTP, "json": s.OTLPHTTP,
	} {
		cmd := exec.Command("node", "send.mjs", protocol, endpoint, "task-"+protocol)
		cmd.Dir = "node"
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", protocol, err)
		}
		var sent struct {
			Root, Call struct{ TraceID, SpanID string }
			Attributes map[string]json.RawMessage
		}
		if err := json.Unmarshal(out, &sent); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, visible, "the trace sent by "+protocol, func() error {
			var got traceAnswer
			if err := s.Get("/api/mindscope/v1/traces/"+sent.Root.TraceID, &got); err != nil {
				return err
			}
			if len(got.Spans) != 2 {
				return fmt.Errorf("%d spans, want 2", len(got.Spans))
			}
			root, call := got.Spans[0].Fields, got.Spans[1].Fields
			if got.Spans[0].SpanID == sent.Call.SpanID { // both may begin in the same millisecond
				root, call = call, root
			}
			for name, value := range sent.Attributes {
				if string(root["attr."+name]) != string(value) {
					return fmt.Errorf("%s is %s, sent %s", name, root["attr."+name], value)
				}
			}
			for name, want := range map[string]string{
				"status": `"error"`, "status_message": `"cut off"`, "parent_span_id": `"` + sent.Root.SpanID + `"`,
				"tokens_input": "97", "tokens_output": "52", "team": `"nodeteam"`, "agent": `"writer"`,
			} {
				if string(call[name]) != want {
					return fmt.Errorf("%s is %s, want %s", name, call[name], want)
				}
			}
			if !strings.Contains(string(call["events"]), "first chunk") || !strings.Contains(string(call["links"]), sent.Root.SpanID) {
				return fmt.Errorf("events %s, links %s", call["events"], call["links"])
			}
			return nil
		})
		harness.Eventually(t, visible, "the log line sent by "+protocol, func() error {
			out, errOut, code := s.Run(t, "logs", "task-"+protocol)
			if code != 0 || !strings.Contains(out, "the answer was cut off") {
				return fmt.Errorf("exit %d: %s%s", code, out, errOut)
			}
			return nil
		})
	}
}

func TestBadInput(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	f := func(path, contentType, body string, want int) {
		t.Helper()
		if status, answer := harness.Post(t, s.OTLPHTTP+path, contentType, []byte(body)); status != want {
			t.Errorf("%s %s: status %d, want %d: %.200s", path, contentType, status, want, answer)
		}
	}
	f("/v1/traces", "application/json", "{", http.StatusBadRequest)
	f("/v1/traces", "application/x-protobuf", "\xff\xff\xff", http.StatusBadRequest)
	f("/v1/traces", "text/plain", "x", http.StatusUnsupportedMediaType)
	f("/v1/traces", "application/json", strings.Repeat(" ", 65<<20), http.StatusRequestEntityTooLarge)
	for path, sentence := range map[string]string{
		"/api/mindscope/v1/tasks/nope":                                "not found",
		"/api/mindscope/v1/traces/00000000000000000000000000000001":   "not found",
		"/api/mindscope/v1/payloads/00000000000000000000000000000001": "not found",
		"/api/mindscope/v1/nothing":                                   "no such endpoint",
	} {
		err := s.Get(path, nil)
		if err == nil || !strings.Contains(err.Error(), sentence) || !strings.Contains(err.Error(), "status 404") {
			t.Errorf("%s: %v, want 404 and %q", path, err, sentence)
		}
	}
	second := exec.Command(harness.Binary(t), "serve", "--data", s.Data, "--listen", "127.0.0.1:0", "--otlp.grpc", "127.0.0.1:0", "--otlp.http", "127.0.0.1:0")
	out, err := second.CombinedOutput()
	if err == nil || !strings.Contains(string(out), s.Data) {
		t.Errorf("a second server on the same folder: %v: %s", err, out)
	}
	port := exec.Command(harness.Binary(t), "serve", "--data", t.TempDir(), "--listen", strings.TrimPrefix(s.HTTP, "http://"))
	out, err = port.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--listen") {
		t.Errorf("a second server on the same port: %v: %s", err, out)
	}
}
