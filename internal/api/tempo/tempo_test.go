package tempo

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/mindscope/mindscope/internal/enrich/identity"
	"github.com/mindscope/mindscope/internal/query/teamtest"
	"github.com/mindscope/mindscope/internal/query/traceql"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files")

// base is the time of the scenario: 1772359200 in Unix seconds.
var base = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

const scenario = `service newsroom
resource ai_team.team=press
scope sdk 1.0
trace 1
execute_task | 0s 9s | id=1 ai_team.task.id=task-456 gen_ai.operation.name=invoke_workflow
  chat gpt | 2s 3s | id=2 kind=client gen_ai.request.model=gpt-4o gen_ai.usage.input_tokens=1204 stream=false temperature=0.5 event=retry event.attempt=2
---
service bus
trace 1
process cmd.writer | 5s 100ms | id=3 parent=2 kind=consumer error="no answer" link=2/1 messaging.destination.name=cmd/writer
---
service lonely
trace abc2
step | 60s 1s | id=9 parent=8
`

const window = "&start=1772359000&end=1772360000"

func clock() time.Time { return base.Add(30 * time.Minute) }

func served(t testing.TB) http.Handler {
	t.Helper()
	return New(traceql.New(filled(t), traceql.Options{}), "v0.0.0", clock)
}

func filled(t testing.TB) store.Events {
	t.Helper()
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
	bare := ptrace.NewTraces() // a span with nothing that need not be
	s := bare.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetTraceID([16]byte{15: 0xba})
	s.SetSpanID([8]byte{7: 1})
	s.SetStartTimestamp(1772359200e9)
	if _, err := store.NewSink(db, nil).Traces(t.Context(), signal.DefaultProject, bare); err != nil {
		t.Fatal(err)
	}
	return db
}

func ask(t testing.TB, h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(method, Prefix+target, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// golden compares the answer to a GET with a file.
func golden(t *testing.T, name, target string, headers ...string) []byte {
	t.Helper()
	w := ask(t, served(t), http.MethodGet, target, headers...)
	body := w.Body.Bytes()
	var pretty bytes.Buffer
	if json.Indent(&pretty, body, "", " ") != nil {
		pretty.Reset()
		pretty.Write(body)
	}
	got := fmt.Sprintf("GET %s\n%s\n\n%d\nContent-Type: %s\n\n%s\n", target, strings.Join(headers, ": "), w.Code, w.Header().Get("Content-Type"), strings.TrimRight(pretty.String(), "\n"))
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
	return body
}

// strict decodes a document as Grafana's newest plugin does: a member that its types do not have is an error.
func strict(t *testing.T, body []byte, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Errorf("decode strictly: %v in\n%s", err, body)
	}
}

func TestT1Echo(t *testing.T) { golden(t, "T1-echo", "/api/echo") }

func TestT2BuildInfo(t *testing.T) { golden(t, "T2-buildinfo", "/api/status/buildinfo") }

// grafanaTrace are the headers of Grafana when it fetches a trace.
func grafanaTrace() []string { return []string{"Accept", "application/protobuf"} }

func fetch(t *testing.T, target string) []byte {
	t.Helper()
	w := ask(t, served(t), http.MethodGet, target, grafanaTrace()...)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/protobuf" {
		t.Fatalf("%s: %d %s\n%s", target, w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	return w.Body.Bytes()
}

func TestT3TraceV2(t *testing.T) {
	body := fetch(t, "/api/v2/traces/00000000000000000000000000000001")
	n, typ, head := protowire.ConsumeTag(body)
	inner, rest := protowire.ConsumeBytes(body[head:])
	if n != 1 || typ != protowire.BytesType || rest != len(body)-head {
		t.Fatalf("field %d of type %d, %d bytes of %d", n, typ, rest, len(body))
	}
	if diff := cmp.Diff(fetch(t, "/api/traces/00000000000000000000000000000001"), inner); diff != "" {
		t.Errorf("the trace of v2 is not that of v1:\n%s", diff)
	}
	for _, id := range []string{"1", "0001", "ABC2", "abc2", "0000000000000000000000000000abc2"} {
		if len(fetch(t, "/api/v2/traces/"+id)) < 50 {
			t.Errorf("%s: no trace", id)
		}
	}
	golden(t, "T3-not-found", "/api/v2/traces/00000000000000000000000000000009", grafanaTrace()...)
	golden(t, "T3-bad-id", "/api/v2/traces/xyz", grafanaTrace()...)
	golden(t, "T3-other-time", "/api/v2/traces/1?start=1000&end=2000", grafanaTrace()...)
	golden(t, "T3-json", "/api/v2/traces/abc2?start=1772359000&end=1772360000")
	golden(t, "T3-llm", "/api/v2/traces/1", "Accept", "application/vnd.grafana.llm")
}

func TestT4TraceV1(t *testing.T) {
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(fetch(t, "/api/traces/1"))
	if err != nil || td.SpanCount() != 3 {
		t.Errorf("%d spans, %v", td.SpanCount(), err)
	}
	golden(t, "T4-not-found", "/api/traces/9", grafanaTrace()...)
	golden(t, "T4-json", "/api/traces/1")
}

// TestT3NothingThatGrafanaCrashesOn holds the answer to the five rules of the plugin, for a span whose sender left out
// everything: trace, resource, scope and status are there, and a resource has an attribute.
func TestT3NothingThatGrafanaCrashesOn(t *testing.T) {
	body := fetch(t, "/api/v2/traces/ba")
	trace := only(t, body, 1)
	resourceSpans := only(t, trace, 1)
	resource := only(t, resourceSpans, 1)
	if len(only(t, resource, 1)) == 0 {
		t.Error("the resource has no attribute")
	}
	scopeSpans := only(t, resourceSpans, 2)
	only(t, scopeSpans, 1) // scope
	span := only(t, scopeSpans, 2)
	only(t, span, 15) // status
}

// only returns the one field of a number in a message.
func only(t *testing.T, message []byte, field protowire.Number) []byte {
	t.Helper()
	var found [][]byte
	for len(message) > 0 {
		n, typ, size := protowire.ConsumeTag(message)
		if size < 0 {
			t.Fatal("no protobuf")
		}
		message = message[size:]
		size = protowire.ConsumeFieldValue(n, typ, message)
		if n == field {
			v, _ := protowire.ConsumeBytes(message)
			found = append(found, v)
		}
		message = message[size:]
	}
	if len(found) != 1 {
		t.Fatalf("field %d is there %d times", field, len(found))
	}
	return found[0]
}

func TestV2IsV1WithALength(t *testing.T) {
	v1, v2 := fetch(t, "/api/traces/1"), fetch(t, "/api/v2/traces/1")
	if want := append(binary.AppendUvarint([]byte{0x0a}, uint64(len(v1))), v1...); !bytes.Equal(want, v2) {
		t.Error("v2 is not field 1 with v1")
	}
}

// plugin is tempopb.SearchResponse as the plugin's decoder knows it.
type plugin struct {
	Traces []struct {
		TraceID           string `json:"traceID"`
		RootServiceName   string `json:"rootServiceName"`
		RootTraceName     string `json:"rootTraceName"`
		StartTimeUnixNano string `json:"startTimeUnixNano"`
		DurationMs        uint32 `json:"durationMs"`
		SpanSets          []struct {
			Spans []struct {
				SpanID            string      `json:"spanID"`
				Name              string      `json:"name"`
				StartTimeUnixNano string      `json:"startTimeUnixNano"`
				DurationNanos     string      `json:"durationNanos"`
				Attributes        []attribute `json:"attributes"`
			} `json:"spans"`
			Matched    uint32      `json:"matched"`
			Attributes []attribute `json:"attributes"`
		} `json:"spanSets"`
		ServiceStats map[string]struct {
			SpanCount  uint32 `json:"spanCount"`
			ErrorCount uint32 `json:"errorCount"`
		} `json:"serviceStats"`
	} `json:"traces"`
	Metrics struct {
		InspectedTraces uint32 `json:"inspectedTraces"`
		InspectedBytes  string `json:"inspectedBytes"`
		TotalBlocks     uint32 `json:"totalBlocks"`
		CompletedJobs   uint32 `json:"completedJobs"`
		TotalJobs       uint32 `json:"totalJobs"`
		TotalBlockBytes string `json:"totalBlockBytes"`
		InspectedSpans  string `json:"inspectedSpans"`
	} `json:"metrics"`
}

type attribute struct {
	Key   string `json:"key"`
	Value struct {
		StringValue *string  `json:"stringValue"`
		IntValue    *string  `json:"intValue"`
		DoubleValue *float64 `json:"doubleValue"`
		BoolValue   *bool    `json:"boolValue"`
	} `json:"value"`
}

func TestT5Search(t *testing.T) {
	f := func(name, query string, traces int) {
		t.Helper()
		var doc plugin
		strict(t, golden(t, name, "/api/search?q="+escape(query)+"&limit=20&spss=3"+window, "Accept", "application/json"), &doc)
		if len(doc.Traces) != traces {
			t.Errorf("%s: %d traces, want %d", query, len(doc.Traces), traces)
		}
	}
	f("T5-all", "{}", 3)
	f("T5-builder", `{resource.service.name="newsroom" && span.gen_ai.request.model="gpt-4o" && duration>1s}`, 1)
	f("T5-values", `{span.gen_ai.usage.input_tokens > 1000 && span.stream = false && span.temperature < 1 && status != error && kind = client}`, 1)
	f("T5-groups", `{} | by(resource.service.name) | count() > 0 && avg(duration) > 0s`, 2)
	golden(t, "T5-metrics-query", "/api/search?q="+escape("{} | rate()")+window)
	golden(t, "T5-syntax", "/api/search?q="+escape("{ .a = }")+window)
	golden(t, "T5-defaults", "/api/search")
	golden(t, "T5-legacy", "/api/search?tags="+escape(`gen_ai.request.model=gpt-4o stream=false`)+"&minDuration=1s&maxDuration=1h&limit=5"+window)
	golden(t, "T5-limit", "/api/search?q={}&limit=1&spss=1"+window)
	golden(t, "T5-start-after-end", "/api/search?q={}&start=2000&end=1000")
	golden(t, "T5-bad-limit", "/api/search?q={}&limit=many")
	golden(t, "T5-negative-limit", "/api/search?q={}&limit=-1")
	golden(t, "T5-absurd", "/api/search?q={}&limit=99999999999&spss=99999999999&start=1&end=9999999999999999")
	golden(t, "T5-project", "/api/search?q={}"+window, "X-Mindscope-Project", "other")
}

func escape(s string) string {
	return strings.NewReplacer("%", "%25", " ", "%20", "&", "%26", "|", "%7C", `"`, "%22", "<", "%3C", ">", "%3E", "#", "%23", "+", "%2B", "\n", "%0A").Replace(s)
}

// TestT5GroupsFound asks what the case above asks, with the comparison that a pipe makes of it.
func TestT5GroupsFound(t *testing.T) {
	var doc plugin
	strict(t, golden(t, "T5-pipeline", "/api/search?q="+escape("{} | by(resource.service.name) | count() > 0 | avg(duration) > 0s")+window), &doc)
	if len(doc.Traces) != 2 || len(doc.Traces[1].SpanSets) != 2 {
		t.Errorf("%+v", doc.Traces)
	}
}

func TestT6Tags(t *testing.T) {
	golden(t, "T6-tags", "/api/v2/search/tags?limit=5000"+window)
	golden(t, "T6-lately", "/api/v2/search/tags?limit=5000")
	golden(t, "T6-scope", "/api/v2/search/tags?scope=resource"+window)
	golden(t, "T6-bad-scope", "/api/v2/search/tags?scope=galaxy"+window)
	golden(t, "T6-query", "/api/v2/search/tags?q="+escape(`{resource.service.name="bus"}`)+window)
}

func TestT7Values(t *testing.T) {
	f := func(name, tag, params string) {
		t.Helper()
		golden(t, "T7-"+name, "/api/v2/search/tag/"+tag+"/values?limit=5000"+window+params)
	}
	f("service", "resource.service.name", "")
	f("escaped", "resource.service%2Ename", "")
	f("name", "name", "")
	f("status", "status", "")
	f("kind", "span:kind", "")
	f("model", "span.gen_ai.request.model", "")
	f("int", ".gen_ai.usage.input_tokens", "")
	f("float", "span.temperature", "")
	f("bool", "span.stream", "")
	f("event", "event.attempt", "")
	f("event-name", "event:name", "")
	f("root", "rootServiceName", "")
	f("duration", "duration", "")
	f("column", "span.mindscope.task_id", "")
	f("nothing", "span.no%2Fsuch/tag", "")
	f("narrowed", "name", "&q="+escape(`{resource.service.name="bus"}`))
	f("half-typed", "name", "&q="+escape(`{resource.service.name="bus" && span.foo=`))
	f("limit", "name", "&limit=1")
}

func TestT8TagsV1(t *testing.T) {
	golden(t, "T8-tags", "/api/search/tags")
	golden(t, "T8-values", "/api/search/tag/service.name/values")
	golden(t, "T8-root", "/api/search/tag/root.service.name/values?start=1772359000&end=1772360000")
}

func TestUnknownEndpointsAndMethods(t *testing.T) {
	golden(t, "unknown", "/api/overrides")
	golden(t, "unknown-root", "")
	w := ask(t, served(t), http.MethodPost, "/api/search")
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// TestT9MetricsRange reads the answer as the plugin does, which tolerates more here.
func TestT9MetricsRange(t *testing.T) {
	f := func(name, query, params string) {
		t.Helper()
		var doc struct {
			Series []struct {
				Labels  []attribute `json:"labels"`
				Samples []struct {
					TimestampMs string  `json:"timestampMs"`
					Value       float64 `json:"value"`
				} `json:"samples"`
				Exemplars []struct {
					Labels      []attribute `json:"labels"`
					Value       float64     `json:"value"`
					TimestampMs string      `json:"timestampMs"`
				} `json:"exemplars"`
			} `json:"series"`
			Metrics struct {
				InspectedSpans string `json:"inspectedSpans"`
			} `json:"metrics"`
			Status  string `json:"status"`
			Message string `json:"message"`
		}
		strict(t, golden(t, "T9-"+name, "/api/metrics/query_range?q="+escape(query)+"&start=1772359200&end=1772359320"+params), &doc)
		if len(doc.Series) == 0 || doc.Status != "COMPLETE" {
			t.Errorf("%s: %d series, %s", query, len(doc.Series), doc.Status)
		}
	}
	f("rate", "{nestedSetParent<0 && true} | rate() by(resource.service.name) with(sample=true)", "&step=60s&exemplars=100")
	f("quantile", "{} | quantile_over_time(duration, 0.9, .5)", "&step=1m")
	f("histogram", "{} | histogram_over_time(duration)", "&step=60")
	f("compare", `{} | compare({status = error}, 10, 1772359200000000000, 1772359320000000000)`, "&step=2m")
	golden(t, "T9-old-parameter", "/api/metrics/query_range?query="+escape("{} | rate()")+"&start=1772359200&end=1772359320&step=60s")
	golden(t, "T9-nanoseconds", "/api/metrics/query_range?q="+escape("{} | rate()")+"&start=1772359200000000000&end=1772359320000000000&step=60s")
	golden(t, "T9-no-metrics", "/api/metrics/query_range?q="+escape("{}")+"&start=1772359200&end=1772359320&step=60s")
	golden(t, "T9-syntax", "/api/metrics/query_range?q="+escape("{} | rate(")+"&start=1772359200&end=1772359320&step=60s")
	golden(t, "T9-absurd-step", "/api/metrics/query_range?q="+escape("{} | rate()")+"&start=1&end=1772359320&step=1ms")
	golden(t, "T9-bad-step", "/api/metrics/query_range?q="+escape("{} | rate()")+"&start=1&end=1772359320&step=often")
}

func TestT10MetricsInstant(t *testing.T) {
	var doc struct {
		Series []struct {
			Labels []attribute `json:"labels"`
			Value  float64     `json:"value"`
		} `json:"series"`
		Metrics struct {
			InspectedSpans string `json:"inspectedSpans"`
		} `json:"metrics"`
	}
	strict(t, golden(t, "T10-count", "/api/metrics/query?q="+escape("{} | count_over_time() by(span.gen_ai.request.model)")+"&start=1772359000&end=1772360000"), &doc)
	if len(doc.Series) != 2 {
		t.Errorf("%+v", doc)
	}
	golden(t, "T10-syntax", "/api/metrics/query?q="+escape("{} | count_over_time() by(")+window)
}

// TestT11StreamingIsRefused: turned on by mistake, streaming fails with what to do, in gRPC's own words.
func TestT11StreamingIsRefused(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(RefuseStreaming))
	server.Config.Protocols = &http.Protocols{}
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	conn, err := grpc.NewClient("passthrough:///"+server.Listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, method := range []string{"Search", "MetricsQueryRange", "MetricsQueryInstant"} {
		stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, StreamingPrefix+method)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(&emptypb.Empty{}); err != nil && !errors.Is(err, io.EOF) { // the answer may be there before
			t.Fatal(err)
		}
		err = stream.RecvMsg(&emptypb.Empty{})
		if s := status.Convert(err); s.Code() != codes.Unimplemented || s.Message() != noStreaming {
			t.Errorf("%s: %v", method, err)
		}
	}
	w := httptest.NewRecorder()
	RefuseStreaming(w, httptest.NewRequest(http.MethodPost, StreamingPrefix+"Search", nil))
	if w.Code != http.StatusNotImplemented || w.Body.String() != `{"message":"`+noStreaming+`"}`+"\n" {
		t.Errorf("without gRPC: %d %s", w.Code, w.Body)
	}
}

// TestT12MetricsSummary is the one endpoint of Grafana 10 that is not served: its panel says so.
func TestT12MetricsSummary(t *testing.T) { golden(t, "T12-summary", "/api/metrics/summary?q={}") }

// deaf is a store of which a part does not answer.
type deaf struct{ store.Events }

func (d deaf) Select(ctx context.Context, p signal.Project, q store.Select) iter.Seq2[*store.Row, error] {
	return func(yield func(*store.Row, error) bool) {
		for r, err := range d.Events.Select(ctx, p, q) {
			if !yield(r, err) {
				return
			}
		}
		yield(nil, store.ErrPartial)
	}
}

func TestPartialAnswersSaySo(t *testing.T) {
	h := New(traceql.New(deaf{filled(t)}, traceql.Options{}), "v0.0.0", clock)
	body := ask(t, h, http.MethodGet, "/api/v2/traces/1", grafanaTrace()...).Body.Bytes()
	if message := only(t, body, 4); string(message) != partialMessage {
		t.Errorf("message %q", message)
	}
	if len(only(t, body, 1)) == 0 {
		t.Error("no trace")
	}
	for target, want := range map[string]string{
		"/api/v2/traces/1": `"status":"PARTIAL"`,
		"/api/metrics/query_range?step=60s&q=" + escape("{} > {} | rate()") + window: `"status":"PARTIAL"`,
	} {
		if got := ask(t, h, http.MethodGet, target).Body.String(); !strings.Contains(got, want) {
			t.Errorf("%s: no %s in %s", target, want, got)
		}
	}
}

func TestTooLargeQuestions(t *testing.T) {
	h := New(traceql.New(filled(t), traceql.Options{Memory: 100, Series: 1}), "v0.0.0", clock)
	for target, want := range map[string]int{
		"/api/traces/1":             http.StatusRequestEntityTooLarge,
		"/api/search?q={}" + window: http.StatusUnprocessableEntity,
		"/api/metrics/query?q=" + escape("{} | rate() by(name)") + window: http.StatusUnprocessableEntity,
	} {
		if w := ask(t, h, http.MethodGet, target); w.Code != want || !strings.Contains(w.Body.String(), "memory") {
			t.Errorf("%s: %d %s, want %d", target, w.Code, w.Body, want)
		}
	}
}
