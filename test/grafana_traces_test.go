package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/mindscope/mindscope/test/harness"
)

// TestGrafanaFindsTraces sends spans over OTLP and asks for them as Grafana's Tempo and Jaeger data sources do.
func TestGrafanaFindsTraces(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	start := time.Now().Add(-time.Minute)
	body := fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"newsroom"}}]},
		"scopeSpans":[{"spans":[
		{"traceId":"000000000000000000000000000ABCDE","spanId":"0000000000000001","name":"execute_task","startTimeUnixNano":"%[1]d","endTimeUnixNano":"%[2]d",
		 "attributes":[{"key":"ai_team.task.id","value":{"stringValue":"task-7"}}]},
		{"traceId":"000000000000000000000000000abcde","spanId":"0000000000000002","parentSpanId":"0000000000000001","name":"chat gpt-4o","kind":3,"startTimeUnixNano":"%[1]d","endTimeUnixNano":"%[2]d",
		 "attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},{"key":"gen_ai.request.model","value":{"stringValue":"gpt-4o"}},
		               {"key":"gen_ai.usage.input_tokens","value":{"intValue":"1000000"}},{"key":"gen_ai.usage.output_tokens","value":{"intValue":"10"}}],
		 "status":{"code":2,"message":"too slow"}}]}]}]}`, start.UnixNano(), start.Add(3*time.Second).UnixNano())
	if status, answer := harness.Post(t, s.OTLPHTTP+"/v1/traces", "application/json", []byte(body)); status != http.StatusOK {
		t.Fatalf("send: %d %s", status, answer)
	}
	const id = "000000000000000000000000000abcde"
	harness.Eventually(t, 10*time.Second, "the trace", func() error { return s.Get("/tempo/api/v2/traces/"+id, nil) })

	times := fmt.Sprintf("&start=%d&end=%d", start.Add(-time.Hour).Unix(), time.Now().Unix()+60)
	found := func(query string) int {
		t.Helper()
		var doc struct {
			Traces []struct {
				TraceID string `json:"traceID"`
			} `json:"traces"`
		}
		if err := s.Get("/tempo/api/search?limit=20&spss=3&q="+url.QueryEscape(query)+times, &doc); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		return len(doc.Traces)
	}
	for query, want := range map[string]int{
		`{}`: 1,
		`{resource.service.name="newsroom" && span.gen_ai.request.model="gpt-4o" && duration>1s}`: 1,
		`{span.gen_ai.request.model="other"}`:                                                     0,
		`{name="execute_task"} > {status=error && span.gen_ai.usage.input_tokens >= 1000000}`:     1,
		`{status=error} >> {}`: 0,
		`{span.mindscope.model="gpt-4o" && span.mindscope.cost_usd > 0.5}`:                           1,
		`{span.mindscope.cost_usd > 1000}`:                                                           0,
		`{} | by(name) | count() = 1`:                                                                1,
		`{span.mindscope.task_id = "task-7"} | select(statusMessage) | max(duration) >= 3s`:          1,
		`{trace:id = "000000000000000000000000000ABCDE"} | count() = 2 && {rootName="execute_task"}`: 1,
	} {
		if got := found(query); got != want {
			t.Errorf("%s: %d traces, want %d", query, got, want)
		}
	}

	var series struct {
		Series []struct {
			Samples []struct {
				Value float64 `json:"value"`
			} `json:"samples"`
		} `json:"series"`
	}
	if err := s.Get("/tempo/api/metrics/query_range?step=60s&exemplars=10&q="+url.QueryEscape(`{} | count_over_time()`)+times, &series); err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, one := range series.Series {
		for _, sample := range one.Samples {
			sum += sample.Value
		}
	}
	if sum != 2 {
		t.Errorf("%v spans counted over time, want 2", sum)
	}

	var values struct {
		TagValues []struct{ Type, Value string } `json:"tagValues"`
	}
	if err := s.Get("/tempo/api/v2/search/tag/span.gen_ai.request.model/values?q="+url.QueryEscape(`{status=`), &values); err != nil ||
		len(values.TagValues) != 1 || values.TagValues[0].Value != "gpt-4o" {
		t.Errorf("values: %+v, %v", values, err)
	}

	if td := grafanaTrace(t, s.HTTP+"/tempo/api/v2/traces/ABCDE"); td.SpanCount() != 2 {
		t.Errorf("%d spans of the trace, want 2", td.SpanCount())
	}

	var jaeger struct {
		Data []struct {
			TraceID string            `json:"traceID"`
			Spans   []json.RawMessage `json:"spans"`
		} `json:"data"`
	}
	tags := url.QueryEscape(`{"error":"true","gen_ai.request.model":"gpt-4o"}`)
	ask := fmt.Sprintf("/jaeger/api/traces?service=newsroom&limit=20&lookback=custom&start=%d&end=%d&minDuration=1s&tags=%s",
		start.Add(-time.Hour).UnixMicro(), time.Now().UnixMicro(), tags)
	if err := s.Get(ask, &jaeger); err != nil || len(jaeger.Data) != 1 || jaeger.Data[0].TraceID != id || len(jaeger.Data[0].Spans) != 2 {
		t.Errorf("jaeger: %+v, %v", jaeger, err)
	}

	for path, want := range map[string]int{
		"/tempo/api/nothing": http.StatusNotFound, "/jaeger/api/nothing": http.StatusNotFound,
		"/tempo/api/search?q=" + url.QueryEscape(`{ .a = `): http.StatusBadRequest, "/jaeger/api/traces": http.StatusBadRequest,
	} {
		status, contentType := statusOf(t, s.HTTP+path)
		if status != want || contentType != "application/json" {
			t.Errorf("%s: %d %s, want %d as JSON", path, status, contentType, want)
		}
	}
}

// grafanaTrace fetches a trace as Grafana does: as protobuf, the trace in the first field.
func grafanaTrace(t *testing.T, address string) ptrace.Traces {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/protobuf")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d, %v: %s", resp.StatusCode, err, body)
	}
	field, _, n := protowire.ConsumeTag(body)
	inner, size := protowire.ConsumeBytes(body[max(0, n):])
	if field != 1 || size < 0 {
		t.Fatalf("the answer does not begin with the trace: % x", body[:min(len(body), 10)])
	}
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(inner)
	if err != nil {
		t.Fatal(err)
	}
	return td
}

func statusOf(t *testing.T, address string) (int, string) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Content-Type")
}
