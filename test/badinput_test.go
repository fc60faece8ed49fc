package test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/mindscope/mindscope/test/harness"
)

const (
	protobuf = "application/x-protobuf"
	jsonBody = "application/json"
)

func TestWhatIsNoOTLPIsRefusedWithTheReason(t *testing.T) {
	s := harness.Start(t, harness.Options{Args: []string{"--otlp.max-message-mib", "1"}})
	f := func(signal, contentType string, body []byte, wantStatus int, wantReason, wantResult string) {
		t.Helper()
		metric := fmt.Sprintf(`mindscope_receive_duration_seconds_count{result=%q,signal=%q,transport="http"}`, wantResult, signal)
		before := s.Metric(t, metric)
		status, answer := harness.Post(t, s.OTLPHTTP+"/v1/"+signal, contentType, body)
		if status != wantStatus || !strings.Contains(string(answer), wantReason) {
			t.Errorf("%s, %s, %.40q: status %d, %.200q; want %d with %q", signal, contentType, body, status, answer, wantStatus, wantReason)
		}
		if n := s.Metric(t, metric) - before; n != 1 {
			t.Errorf("%s, %.40q: counted %v times as %s", signal, body, n, wantResult)
		}
	}
	large := bytes.Repeat([]byte(" "), 2<<20)
	for _, signal := range []string{"traces", "logs", "metrics"} {
		f(signal, protobuf, []byte{0xff, 0xff, 0xff}, 400, "decode protobuf", "invalid")
		f(signal, protobuf, []byte("hello"), 400, "decode protobuf", "invalid")
		f(signal, jsonBody, []byte(`{"resourceSpans": [`), 400, "decode JSON: at byte", "invalid")
		f(signal, jsonBody, []byte(`{} trailing`), 400, "decode JSON", "invalid")
		f(signal, jsonBody, bytes.Repeat([]byte("["), 500_000), 400, "decode JSON", "invalid")
		f(signal, jsonBody, large, 413, "larger than 1048576 bytes", "too_large")
		f(signal, protobuf, large, 413, "larger than 1048576 bytes", "too_large")
		f(signal, "text/plain", []byte("hello"), 415, "application/x-protobuf", "unsupported")
	}
	// A bomb: small as sent, large when decompressed.
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if _, err := zip.Write(bytes.Repeat(large, 10)); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.OTLPHTTP+"/v1/traces", &packed)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", jsonBody)
	req.Header.Set("Content-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a bomb: %s, want 413", resp.Status)
	}
	if err := s.Get("/-/healthy", new(json.RawMessage)); err != nil && !strings.Contains(err.Error(), "invalid character") {
		t.Errorf("afterwards: %v", err)
	}
}

func TestUnknownIDsAreNotFound(t *testing.T) {
	s := harness.Start(t, harness.Options{Args: []string{"--memory"}})
	for _, path := range []string{"tasks/task-1", "tasks/task-1/logs", "traces/" + strings.Repeat("9", 32), "payloads/" + strings.Repeat("9", 32)} {
		var refused *harness.StatusError
		if err := s.Get("/api/mindscope/v1/"+path, nil); !errors.As(err, &refused) || refused.Code != 404 || !strings.Contains(refused.Body, "not found") {
			t.Errorf("%s: %v, want 404 and a sentence", path, err)
		}
	}
	for _, command := range []string{"task", "trace", "logs"} {
		out, errOut, code := s.Run(t, command, "task-1")
		if code != 3 || out != "" || !strings.Contains(errOut, "not found") || !strings.Contains(errOut, "hint: ") {
			t.Errorf("mindscope %s task-1: exit %d, %q, %q", command, code, out, errOut)
		}
	}
}

// hostile is a request with one span of a task of its own that fill makes strange.
func hostile(t *testing.T, task string, fill func(ptrace.Span, pcommon.Map)) []byte {
	t.Helper()
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "hostile")
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(pcommon.TraceID([]byte(fmt.Sprintf("%-16.16s", task))))
	span.SetSpanID(pcommon.SpanID{1})
	span.SetName("execute_task")
	now := time.Now()
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Minute)))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
	span.Attributes().PutStr("ai_team.task.id", task)
	fill(span, rs.Resource().Attributes())
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestStrangeSpansAreKeptOrRefused: each is shown under its task, or its sender is told and it is counted.
func TestStrangeSpansAreKeptOrRefused(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	long := strings.Repeat("long words and ", 250_000) // 3.75 MB: more than a row of the engine holds
	kept := func(task string, fill func(ptrace.Span, pcommon.Map), check func(fields map[string]json.RawMessage) error) {
		t.Helper()
		status, answer := harness.Post(t, s.OTLPHTTP+"/v1/traces", protobuf, hostile(t, task, fill))
		if status != http.StatusOK || len(answer) > 0 {
			t.Fatalf("%s: status %d, %.200q", task, status, answer)
		}
		harness.Eventually(t, visible, "the span of "+task, func() error {
			var page struct {
				Tree []struct {
					Name string `json:"name"`
				} `json:"tree"`
			}
			if err := s.Get("/api/mindscope/v1/tasks/"+task, &page); err != nil {
				return err
			}
			if len(page.Tree) != 1 {
				return fmt.Errorf("%d spans, want 1", len(page.Tree))
			}
			if check == nil {
				return nil
			}
			var trace traceAnswer
			if err := s.Get("/api/mindscope/v1/traces/"+task, &trace); err != nil {
				return err
			}
			if len(trace.Spans) != 1 {
				return fmt.Errorf("%d spans in the trace, want 1", len(trace.Spans))
			}
			return check(trace.Spans[0].Fields)
		})
	}
	field := func(name, want string) func(map[string]json.RawMessage) error {
		return func(fields map[string]json.RawMessage) error {
			if got := string(fields[name]); got != want {
				return fmt.Errorf("%s is %.100s, want %.100s", name, got, want)
			}
			return nil
		}
	}
	kept("no-service", func(_ ptrace.Span, resource pcommon.Map) { resource.Clear() }, field("service", `"unknown_service"`))
	kept("zero-ids", func(span ptrace.Span, _ pcommon.Map) {
		span.SetTraceID(pcommon.TraceID{})
		span.SetSpanID(pcommon.SpanID{})
	}, nil)
	kept("zero-trace-id", func(span ptrace.Span, _ pcommon.Map) { span.SetTraceID(pcommon.TraceID{}) }, nil)
	kept("ends-first", func(span ptrace.Span, _ pcommon.Map) { span.SetEndTimestamp(span.StartTimestamp() - 5) }, field("duration_ns", "-5"))
	kept("ends-never", func(span ptrace.Span, _ pcommon.Map) { span.SetEndTimestamp(0) }, field("end_ns", "0"))
	kept("own-parent", func(span ptrace.Span, _ pcommon.Map) { span.SetParentSpanID(span.SpanID()) }, nil)
	kept("no-utf8", func(span ptrace.Span, _ pcommon.Map) {
		span.SetName("execute\xfftask")
		span.Attributes().PutStr("k\xff", "v\xff\xfe!")
	}, func(fields map[string]json.RawMessage) error {
		for name, value := range fields {
			if strings.HasPrefix(name, "attr.k") {
				if string(value) != `{"@utf8":"dv/+IQ=="}` { // the bytes as they came
					return fmt.Errorf("%s is %s", name, value)
				}
				return nil
			}
		}
		return errors.New("the attribute is gone")
	})
	kept("long-value", func(span ptrace.Span, _ pcommon.Map) { span.Attributes().PutStr("text", long) }, field("attr.text", `"`+long+`"`))
	kept("long-name", func(span ptrace.Span, _ pcommon.Map) { span.Attributes().PutStr(strings.Repeat("n", 5000), "v") },
		field("attr."+strings.Repeat("n", 5000), `"v"`))
	kept("many-attributes", func(span ptrace.Span, _ pcommon.Map) {
		for i := range 5000 {
			span.Attributes().PutInt(fmt.Sprint("k", i), int64(i))
		}
	}, field("attr.k4999", "4999"))

	refused := func(task string, fill func(ptrace.Span, pcommon.Map), reason string) {
		t.Helper()
		const metric = `mindscope_received_items_total{outcome="rejected",signal="traces",transport="http"}`
		before := s.Metric(t, metric)
		status, answer := harness.Post(t, s.OTLPHTTP+"/v1/traces", protobuf, hostile(t, task, fill))
		response := ptraceotlp.NewExportResponse()
		if err := response.UnmarshalProto(answer); err != nil || status != http.StatusOK {
			t.Fatalf("%s: status %d, %v", task, status, err)
		}
		p := response.PartialSuccess()
		if p.RejectedSpans() != 1 || !strings.Contains(p.ErrorMessage(), reason) {
			t.Errorf("%s: %d rejected, %q; want %q", task, p.RejectedSpans(), p.ErrorMessage(), reason)
		}
		if n := s.Metric(t, metric) - before; n != 1 {
			t.Errorf("%s: %v spans were counted as rejected, want 1", task, n)
		}
	}
	refused("100000-attributes", func(span ptrace.Span, _ pcommon.Map) {
		for i := range 100_000 {
			span.Attributes().PutInt(fmt.Sprint("k", i), int64(i))
		}
	}, "attributes")
	refused("without-time", func(span ptrace.Span, _ pcommon.Map) { span.SetStartTimestamp(0) }, "older than the retention")
	refused("long-ago", func(span ptrace.Span, _ pcommon.Map) {
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().AddDate(0, -2, 0)))
	}, "older than the retention")
	refused("far-future", func(span ptrace.Span, _ pcommon.Map) {
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().AddDate(1, 0, 0)))
	}, "ahead of the server's clock")
	refused("beyond-all-time", func(span ptrace.Span, _ pcommon.Map) { span.SetStartTimestamp(1<<64 - 1) }, "retention")

	// The same in JSON.
	text := fmt.Sprintf(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174",`+
		`"name":"execute_task","startTimeUnixNano":"%d","attributes":[{"key":"ai_team.task.id","value":{"stringValue":"json"}},`+
		`{"key":"k","value":{"stringValue":"v`+"\xff"+`!"}}]}]}]}]}`, time.Now().UnixNano())
	status, answer := harness.Post(t, s.OTLPHTTP+"/v1/traces", jsonBody, []byte(text))
	if status != http.StatusOK {
		t.Fatalf("JSON that is no UTF-8: status %d, %s", status, answer)
	}
	harness.Eventually(t, visible, "the span sent as JSON", func() error {
		var trace traceAnswer
		if err := s.Get("/api/mindscope/v1/traces/json", &trace); err != nil {
			return err
		}
		if got := string(trace.Spans[0].Fields["attr.k"]); got != `{"@utf8":"dv8h"}` { // the bytes as they came
			return fmt.Errorf("k is %s", got)
		}
		return nil
	})
}

func TestSignalsAndRestart(t *testing.T) {
	data := t.TempDir()
	s := harness.Start(t, harness.Options{Data: data})
	if status, answer := harness.Post(t, s.OTLPHTTP+"/v1/traces", protobuf, hostile(t, "kept", func(ptrace.Span, pcommon.Map) {})); status != http.StatusOK {
		t.Fatalf("status %d, %s", status, answer)
	}
	s.Signal(t, syscall.SIGTERM) // at once: what was acknowledged is written before the end
	if err := s.Ended(t, 30*time.Second); err != nil {
		t.Fatalf("after SIGTERM: %v\n%s", err, s.Output())
	}
	s = harness.Start(t, harness.Options{Data: data})
	harness.Eventually(t, visible, "the span after the restart", func() error { return s.Get("/api/mindscope/v1/tasks/kept", nil) })

	// A request that never ends holds the first signal up; the second one ends the server at once.
	body, never := io.Pipe()
	answered := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.OTLPHTTP+"/v1/traces", body)
		if err == nil {
			req.Header.Set("Content-Type", protobuf)
			var resp *http.Response
			if resp, err = http.DefaultClient.Do(req); err == nil {
				resp.Body.Close()
			}
		}
		answered <- err
	}()
	if _, err := never.Write([]byte{0x0a}); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, visible, "the request to be in flight", func() error {
		if s.Metric(t, "mindscope_receive_inflight_requests") == 0 {
			return errors.New("none is")
		}
		return nil
	})
	s.Signal(t, syscall.SIGTERM)
	harness.Eventually(t, visible, "the server to begin its end", func() error {
		if !strings.Contains(s.Output(), "msg=stopping") {
			return errors.New("it does not say so")
		}
		return nil
	})
	begin := time.Now()
	s.Signal(t, syscall.SIGTERM)
	var exit *exec.ExitError
	if err := s.Ended(t, 10*time.Second); !errors.As(err, &exit) || exit.ExitCode() == 0 {
		t.Errorf("after the second signal: %v, want an end by the signal", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the second signal took %s", took)
	}
	if err := never.Close(); err != nil {
		t.Fatal(err)
	}
	<-answered
	// What was acknowledged before is there all the same.
	s = harness.Start(t, harness.Options{Data: data})
	harness.Eventually(t, visible, "the span after the second restart", func() error { return s.Get("/api/mindscope/v1/tasks/kept", nil) })
}
