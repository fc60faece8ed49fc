package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/mindscope/mindscope/internal/signal"
)

const (
	traceJSON = `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"chat gpt-4o"}]}]}]}`
	jsonType  = typeJSON + "; charset=utf-8"
)

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func zstded(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(b, nil)
}

// post sends one request and describes the answer: status, headers that matter, body (protobuf as text).
func post(t *testing.T, r *Receiver, method, path string, header map[string]string, body []byte) string {
	t.Helper()
	_, addr := r.Addrs()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n", resp.Status)
	for _, h := range []string{"Content-Type", "Retry-After", "Allow"} {
		if v := resp.Header.Get(h); v != "" {
			fmt.Fprintf(&out, "%s: %s\n", h, v)
		}
	}
	fmt.Fprintf(&out, "%s\n", bodyText(t, resp, got))
	return out.String()
}

func bodyText(t *testing.T, resp *http.Response, body []byte) string {
	t.Helper()
	if resp.Header.Get("Content-Type") != typeProtobuf {
		return string(body)
	}
	if resp.StatusCode == http.StatusOK {
		m := ptraceotlp.NewExportResponse()
		if err := m.UnmarshalProto(body); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("(protobuf) rejected %d %q", m.PartialSuccess().RejectedSpans(), m.PartialSuccess().ErrorMessage())
	}
	var st spb.Status
	if err := proto.Unmarshal(body, &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("(protobuf) code %d %q", st.GetCode(), st.GetMessage())
}

func TestHTTPAnswers(t *testing.T) {
	next := &sink{}
	seen := &reports{}
	r := start(t, next, Config{MaxMessageBytes: mib, Observe: seen.add})
	var out strings.Builder
	send := func(name, method, path string, header map[string]string, body []byte) {
		fmt.Fprintf(&out, "== %s\n%s", name, post(t, r, method, path, header, body))
		for _, rep := range seen.take() {
			fmt.Fprintf(&out, "counted: %s %s %s accepted %d rejected %d refused %d\n", rep.Transport, rep.Signal, rep.Result, rep.Accepted, rep.Rejected, rep.Refused)
		}
		out.WriteByte('\n')
	}
	pb := map[string]string{"Content-Type": typeProtobuf}
	js := map[string]string{"Content-Type": jsonType}
	with := func(h map[string]string, k, v string) map[string]string {
		h = maps.Clone(h)
		h[k] = v
		return h
	}
	answer := func(f func(context.Context, int) (signal.Rejected, error)) {
		next.mu.Lock()
		next.answer = f
		next.mu.Unlock()
	}
	big := bytes.Repeat([]byte{'x'}, 2*mib)

	send("traces", "POST", "/v1/traces", pb, spanBytes(t, 2))
	send("traces as JSON", "POST", "/v1/traces", js, []byte(traceJSON))
	send("traces, gzip", "POST", "/v1/traces", with(pb, "Content-Encoding", "gzip"), gzipped(spanBytes(t, 2)))
	send("traces, zstd", "POST", "/v1/traces", with(pb, "Content-Encoding", "zstd"), zstded(t, spanBytes(t, 2)))
	send("logs", "POST", "/v1/logs", pb, logBytes(t))
	send("metrics", "POST", "/v1/metrics", pb, metricBytes(t))
	send("empty request", "POST", "/v1/traces", pb, nil)
	send("empty JSON object", "POST", "/v1/traces", js, []byte(`{}`))

	answer(func(_ context.Context, items int) (signal.Rejected, error) {
		return signal.Rejected{Items: int64(items - 1), Reasons: []string{"outside retention", "bad \xff"}}, nil
	})
	send("partial success", "POST", "/v1/traces", pb, spanBytes(t, 3))
	send("partial success as JSON", "POST", "/v1/logs", js, []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{},{}]}]}]}`))
	send("partial success of metrics", "POST", "/v1/metrics", js, []byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{},{}]}}]}]}]}`))

	fail := func(err error) {
		answer(func(context.Context, int) (signal.Rejected, error) { return signal.Rejected{}, err })
	}
	fail(signal.Permanent(errors.New("project was deleted")))
	send("permanent error", "POST", "/v1/traces", pb, spanBytes(t, 3))
	fail(signal.Retryable(errors.New("the store is read-only"), 1500*time.Millisecond))
	send("retryable error", "POST", "/v1/traces", js, []byte(traceJSON))
	fail(errors.New("sync log: input/output error"))
	send("any other error", "POST", "/v1/traces", pb, spanBytes(t, 3))
	answer(func(context.Context, int) (signal.Rejected, error) { panic("boom") })
	send("panic", "POST", "/v1/traces", pb, spanBytes(t, 3))
	answer(nil)

	send("malformed protobuf", "POST", "/v1/traces", pb, []byte("\x0a\xff\xff"))
	send("malformed JSON", "POST", "/v1/traces", js, []byte(`{"resourceSpans": [}`))
	send("JSON of wrong types", "POST", "/v1/traces", js, []byte(`{"resourceSpans": 5}`))
	send("more after the JSON", "POST", "/v1/traces", js, []byte(`{} {}`))
	send("empty JSON", "POST", "/v1/traces", js, nil)
	send("malformed gzip", "POST", "/v1/traces", with(pb, "Content-Encoding", "gzip"), []byte("not gzip at all"))
	send("cut gzip", "POST", "/v1/traces", with(pb, "Content-Encoding", "gzip"), gzipped(spanBytes(t, 900))[:40])
	send("malformed zstd", "POST", "/v1/traces", with(js, "Content-Encoding", "zstd"), []byte("not zstd at all"))
	send("unknown content encoding", "POST", "/v1/logs", with(js, "Content-Encoding", "br"), []byte("x"))
	send("unknown content type", "POST", "/v1/traces", map[string]string{"Content-Type": "text/plain"}, []byte("x"))
	send("no content type", "POST", "/v1/traces", nil, []byte("x"))
	send("wrong method", "GET", "/v1/traces", nil, nil)
	send("profiles", "POST", "/v1development/profiles", pb, nil)
	send("unknown path", "GET", "/", nil, nil)
	send("too large", "POST", "/v1/traces", pb, big)
	send("too large, decompressed from gzip", "POST", "/v1/traces", with(pb, "Content-Encoding", "gzip"), gzipped(big))
	send("too large, decompressed from zstd", "POST", "/v1/traces", with(js, "Content-Encoding", "zstd"), zstded(t, big))
	send("project", "POST", "/v1/traces", with(pb, "X-Mindscope-Project", "newsroom"), spanBytes(t, 1))
	if next.project != "newsroom" {
		t.Errorf("project %q, want newsroom", next.project)
	}
	send("bad project", "POST", "/v1/traces", with(pb, "X-Mindscope-Project", "News Room"), spanBytes(t, 1))
	golden(t, "http.golden", []byte(out.String()))
}

func TestHTTPDeliversWhatWasSent(t *testing.T) {
	next := &sink{}
	r := start(t, next, Config{})
	_ = post(t, r, "POST", "/v1/traces", map[string]string{"Content-Type": typeProtobuf, "Content-Encoding": "zstd"}, zstded(t, spanBytes(t, 700)))
	if len(next.traces) != 1 {
		t.Fatalf("%d batches, want 1", len(next.traces))
	}
	got, err := ptraceotlp.NewExportRequestFromTraces(next.traces[0]).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, spanBytes(t, 700)) {
		t.Error("the sink got something else than was sent")
	}
}

func TestReadBody(t *testing.T) {
	f := func(body []byte, length, budget int64, wantResult Result, wantHeld int64) {
		t.Helper()
		l := &limits{maxRequests: 1, maxBytes: budget}
		share, err := l.begin()
		if err != nil {
			t.Fatal(err)
		}
		got, err := readBody(bytes.NewReader(body), length, share)
		if resultOf(err) != wantResult {
			t.Fatalf("result %q (%v), want %q", resultOf(err), err, wantResult)
		}
		if err == nil && !bytes.Equal(got, body) {
			t.Fatalf("read %d bytes, want %d", len(got), len(body))
		}
		if _, held := l.inFlight(); held != wantHeld {
			t.Fatalf("holds %d bytes, want %d", held, wantHeld)
		}
		share.end()
		if reqs, held := l.inFlight(); reqs != 0 || held != 0 {
			t.Fatalf("%d requests and %d bytes are left", reqs, held)
		}
	}
	some := slices.Repeat([]byte("0123456789"), 10_000)
	f(nil, 0, mib, OK, 1)
	f(some, int64(len(some)), mib, OK, int64(len(some))+1)
	f(some, -1, mib, OK, 128<<10)            // unknown length: doubles from 32 KiB
	f(some, 10, mib, OK, 11<<14)             // a length that lies costs steps, not memory
	f(some, 1<<40, 3*mib, OK, mib+1)         // nor does one that boasts
	f(some, -1, 100_000, Overloaded, 64<<10) // the third step is not granted
	f(some, 1<<40, 1000, Overloaded, 0)      // nor the first
	f(some, int64(len(some)), 99, Overloaded, 0)
}

func TestRetryAfterRoundsUp(t *testing.T) {
	f := func(in time.Duration, want int) {
		t.Helper()
		if got := retrySeconds(in); got != want {
			t.Errorf("%v: %d, want %d", in, got, want)
		}
	}
	f(time.Millisecond, 1)
	f(time.Second, 1)
	f(1001*time.Millisecond, 2)
}

func TestEndpointsAreOTLP(t *testing.T) {
	got := map[string]string{}
	for _, e := range endpoints() {
		got[e.path] = e.service
	}
	want := map[string]string{
		"/v1/traces":  "opentelemetry.proto.collector.trace.v1.TraceService",
		"/v1/logs":    "opentelemetry.proto.collector.logs.v1.LogsService",
		"/v1/metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
