package test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/mindscope/mindscope/test/harness"
)

// TestGrafanaT11Streaming turns streaming on, which our provisioning leaves off: Grafana then asks for a gRPC service at
// the server's one HTTP port, Save & test included, and shows the answer.
func TestGrafanaT11Streaming(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	conn, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(s.HTTP, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	err = conn.Invoke(t.Context(), "/tempopb.StreamingQuerier/Search", &emptypb.Empty{}, &emptypb.Empty{})
	if said := status.Convert(err); said.Code() != codes.Unimplemented || !strings.Contains(said.Message(), "turn streaming off") {
		t.Errorf("%v", err)
	}
	if err := s.Get("/tempo/api/echo", nil); err != nil { // HTTP goes on as before
		t.Error(err)
	}
}

// TestGrafanaT13ServiceGraph: the tab asks nothing of Tempo's API but Prometheus, for series of these names and labels.
func TestGrafanaT13ServiceGraph(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	start := time.Now().Add(-time.Minute)
	body := fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"newsroom"}}]},
		"scopeSpans":[{"spans":[
		{"traceId":"000000000000000000000000000abcde","spanId":"0000000000000001","name":"invoke_agent writer","startTimeUnixNano":"%[1]d","endTimeUnixNano":"%[2]d",
		 "attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"invoke_agent"}},{"key":"gen_ai.agent.name","value":{"stringValue":"writer"}}]},
		{"traceId":"000000000000000000000000000abcde","spanId":"0000000000000002","parentSpanId":"0000000000000001","name":"chat gpt-4o","kind":3,"startTimeUnixNano":"%[1]d","endTimeUnixNano":"%[2]d",
		 "attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},{"key":"gen_ai.provider.name","value":{"stringValue":"openai"}},
		               {"key":"gen_ai.agent.name","value":{"stringValue":"writer"}},{"key":"gen_ai.request.model","value":{"stringValue":"gpt-4o"}}],
		 "status":{"code":2}}]}]}]}`, start.UnixNano(), start.Add(3*time.Second).UnixNano())
	if status, answer := harness.Post(t, s.OTLPHTTP+"/v1/traces", "application/json", []byte(body)); status != http.StatusOK {
		t.Fatalf("send: %d %s", status, answer)
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
			} `json:"result"`
		} `json:"data"`
	}
	edge := func(query string) error {
		answer.Data.Result = nil
		if err := s.Get("/api/v1/query?query="+url.QueryEscape(query), &answer); err != nil {
			return err
		}
		for _, r := range answer.Data.Result {
			if r.Metric["client"] == "writer" && r.Metric["server"] == "openai" {
				return nil
			}
		}
		return fmt.Errorf("%s: no call of the provider by the agent among %v", query, answer.Data.Result)
	}
	const total = "traces_service_graph_request_total"
	harness.Eventually(t, 30*time.Second, "the edge", func() error {
		return edge("group by (client, connection_type, server) (" + total + ")")
	})
	if got := answer.Data.Result[0].Metric["connection_type"]; got != "virtual_node" {
		t.Errorf("connection type %q: a provider is drawn as not instrumented", got)
	}
	for _, name := range []string{total, "traces_service_graph_request_failed_total", "traces_service_graph_request_server_seconds_sum", "traces_service_graph_request_server_seconds_bucket"} {
		if err := edge("sum by (client, server) (" + name + ")"); err != nil {
			t.Error(err)
		}
	}
	var labels struct {
		Data []string `json:"data"`
	}
	if err := s.Get("/api/v1/labels?match[]="+total, &labels); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"client", "server", "connection_type"} {
		if !slices.Contains(labels.Data, want) {
			t.Errorf("labels %v lack %s", labels.Data, want)
		}
	}
	var notFound *harness.StatusError
	if err := s.Get("/tempo/api/service-graph", nil); !errors.As(err, &notFound) || notFound.Code != http.StatusNotFound {
		t.Errorf("the graph at Tempo's address: %v", err)
	}
}
