package otlp

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/mindscope/mindscope/internal/signal"
)

// handlerOf returns the whole HTTP handler without a listener.
func handlerOf(t testing.TB, next signal.Sink, cfg Config) http.Handler {
	t.Helper()
	r, err := New(next, slog.New(slog.DiscardHandler), cfg)
	if err != nil {
		t.Fatal(err)
	}
	server, err := r.newHTTP(t.Context(), r.httpConfig(), endpoints())
	if err != nil {
		t.Fatal(err)
	}
	return server.Handler
}

func TestHostileSpansReachTheSink(t *testing.T) {
	f := func(name string, fill func(ptrace.Span), check func(ptrace.Span) bool) {
		t.Helper()
		td := ptrace.NewTraces()
		fill(td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()) // no service name either
		next := &sink{}
		body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequest(http.MethodPost, "/v1/traces", bytes.NewReader(body))
		req.Header.Set("Content-Type", typeProtobuf)
		w := httptest.NewRecorder()
		handlerOf(t, next, Config{}).ServeHTTP(w, req)
		if w.Code != http.StatusOK || len(next.traces) != 1 {
			t.Fatalf("%s: %d %s", name, w.Code, w.Body)
		}
		if !check(next.traces[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)) {
			t.Errorf("%s: the span came out changed", name)
		}
	}
	f("zero ids", func(ptrace.Span) {}, func(s ptrace.Span) bool { return s.TraceID().IsEmpty() && s.SpanID().IsEmpty() })
	f("end before start", func(s ptrace.Span) { s.SetStartTimestamp(9); s.SetEndTimestamp(3) },
		func(s ptrace.Span) bool { return s.StartTimestamp() == 9 && s.EndTimestamp() == 3 })
	f("100 000 attributes", func(s ptrace.Span) {
		many := make(map[string]any, 100_000)
		for i := range 100_000 {
			many[strconv.Itoa(i)] = int64(i)
		}
		if err := s.Attributes().FromRaw(many); err != nil {
			t.Fatal(err)
		}
	}, func(s ptrace.Span) bool { return s.Attributes().Len() == 100_000 })
	f("invalid UTF-8", func(s ptrace.Span) { s.SetName("a\xff\xfeb"); s.Attributes().PutStr("k\xff", "\xc3\x28") },
		func(s ptrace.Span) bool {
			v, ok := s.Attributes().Get("k\xff")
			return ok && s.Name() == "a\xff\xfeb" && v.Str() == "\xc3\x28"
		})
}

// nestedJSON and nestedProto are a span with one attribute of depth arrays inside each other.
func nestedJSON(depth int) []byte {
	open, end := strings.Repeat(`{"arrayValue":{"values":[`, depth), strings.Repeat(`]}}`, depth)
	return []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"k","value":` + open + end + `}]}]}]}]}`)
}

func nestedProto(depth int) []byte {
	field := func(number byte, in []byte) []byte {
		return append(binary.AppendUvarint([]byte{number<<3 | 2}, uint64(len(in))), in...)
	}
	// Written from the inside out and reversed, so that a million levels take a moment and not an hour.
	size, rev := 0, []byte(nil)
	wrap := func(number byte) {
		head := binary.AppendUvarint([]byte{number<<3 | 2}, uint64(size))
		slices.Reverse(head)
		rev = append(rev, head...)
		size += len(head)
	}
	for range depth {
		wrap(1) // ArrayValue.values
		wrap(5) // AnyValue.array_value
	}
	slices.Reverse(rev)
	kv := append(field(1, []byte("k")), field(2, rev)...)
	return field(1, field(2, field(2, field(9, kv)))) // resource_spans, scope_spans, spans, attributes
}

func TestDeepNesting(t *testing.T) {
	h := handlerOf(t, &sink{}, Config{})
	f := func(contentType string, body []byte, want int) {
		t.Helper()
		req := httptest.NewRequest(http.MethodPost, "/v1/traces", bytes.NewReader(body))
		req.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code != want {
			t.Errorf("%s of %d bytes: %d %.200s, want %d", contentType, len(body), w.Code, w.Body, want)
		}
	}
	f(typeJSON, nestedJSON(100), http.StatusOK)
	f(typeJSON, nestedJSON(300_000), http.StatusBadRequest)
	f(typeJSON, []byte(`{"unknown":`+strings.Repeat("[", 8<<20)), http.StatusBadRequest)
	f(typeProtobuf, nestedProto(40), http.StatusOK)
	f(typeProtobuf, nestedProto(500_000), http.StatusBadRequest)
}

func TestDecodedDataDoesNotShareTheBuffer(t *testing.T) {
	body := spanBytes(t, 3)
	sent := bytes.Clone(body)
	req := ptraceotlp.NewExportRequest()
	if err := unmarshal(req, body, protobuf); err != nil {
		t.Fatal(err)
	}
	clear(body) // as the pool of gRPC's buffers does it
	got, err := req.MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Error("decoded spans changed with the buffer they were read from")
	}
}

func FuzzHTTP(f *testing.F) {
	for path := range byte(3) {
		f.Add(path, byte(0), byte(0), spanBytes(f, 2))
		f.Add(path, byte(0), byte(1), gzipped(spanBytes(f, 2)))
		f.Add(path, byte(1), byte(0), []byte(traceJSON))
		f.Add(path, byte(1), byte(2), zstded(f, []byte(traceJSON)))
	}
	f.Add(byte(1), byte(0), byte(0), logBytes(f))
	f.Add(byte(2), byte(0), byte(0), metricBytes(f))
	h := handlerOf(f, &sink{}, Config{MaxMessageBytes: mib})
	paths := []string{"/v1/traces", "/v1/logs", "/v1/metrics"}
	types := []string{typeProtobuf, typeJSON, "text/plain"}
	codings := []string{"", "gzip", "zstd", "br"}
	f.Fuzz(func(t *testing.T, path, contentType, coding byte, body []byte) {
		req := httptest.NewRequest(http.MethodPost, paths[int(path)%len(paths)], bytes.NewReader(body))
		req.Header.Set("Content-Type", types[int(contentType)%len(types)])
		req.Header.Set("Content-Encoding", codings[int(coding)%len(codings)])
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		switch w.Code {
		case http.StatusOK, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		default:
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
