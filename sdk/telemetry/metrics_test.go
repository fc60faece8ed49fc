package telemetry_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/conv"
	"github.com/mindscope/mindscope/sdk/sdktest"
	"github.com/mindscope/mindscope/sdk/telemetry"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func scrape(t *testing.T, h http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

// hop makes a span as mindbus, records and artifact do.
func hop(ctx context.Context, name string, kind trace.SpanKind, attrs ...attribute.KeyValue) {
	_, span := otel.Tracer("test").Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(attrs...))
	span.End()
}

func TestMetricsScrape(t *testing.T) {
	var h telemetry.MetricsHandler
	t.Setenv("OTEL_METRICS_EXPORTER", "none")
	sdktest.New(t, telemetry.WithMetrics(&h))
	ctx, task := sdk.StartTask(t.Context(), "task-1", sdk.TaskType("article"))
	ctx, agent := sdk.StartAgent(ctx, "writer")
	_, call := sdk.StartLLM(ctx, "openai", "gpt-4o")
	call.Usage(sdk.Usage{Input: 100, Output: 50, CacheRead: 40, Reasoning: 10})
	call.Cost(0.25)
	err := error(context.DeadlineExceeded)
	call.End(&err)
	from := []attribute.KeyValue{
		attribute.String(conv.AITeamMessageType, "RESULT"), attribute.String(conv.AITeamMessageFromAgent, "writer"),
		attribute.String(conv.AITeamMessageToAgent, "orchestrator"), attribute.Float64(conv.AITeamMessageWaitMs, 40),
	}
	hop(ctx, "send res.orchestrator", trace.SpanKindProducer, from...)
	hop(ctx, "process reply.orchestrator", trace.SpanKindConsumer, from...)
	hop(ctx, "INSERT task_steps", trace.SpanKindClient,
		attribute.String(conv.AITeamRecordTable, "task_steps"), attribute.String(conv.DBOperationName, "INSERT"))
	hop(ctx, "save_artifact", trace.SpanKindInternal)
	agent.Quality(8)
	agent.End(nil)
	_, running := sdk.StartTask(t.Context(), "task-2")
	defer running.End(nil)
	task.Quality(8.4)
	task.End(nil)
	var got []string
	for line := range strings.Lines(scrape(t, &h)) {
		// Durations differ from run to run; their names, labels and buckets' bounds don't.
		name, _, _ := strings.Cut(line, " ")
		if strings.HasPrefix(line, "ai_team_") && !strings.Contains(line, "_sum") {
			if !strings.Contains(line, "_bucket") && !strings.Contains(line, "_count") {
				name = strings.TrimSpace(line)
			}
			got = append(got, name)
		}
	}
	golden := filepath.Join("testdata", "scrape.golden")
	text := strings.Join(got, "\n") + "\n"
	if *rewrite {
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("the scrape differs from %s (-rewrite writes it anew):\n%s", golden, diff)
	}
	// Every metric that an SDK can know is in the scrape under its name of the registry.
	for _, d := range conv.Metrics() {
		if found := strings.Contains(text, "\n"+d.Prom) || strings.HasPrefix(text, d.Prom); found == d.NoSDK {
			t.Errorf("%s in the scrape: %t", d.Prom, found)
		}
	}
}

// TestMetricNamesOverOTLP: a Prometheus that gets the metrics over OTLP calls them what a scrape calls them.
func TestMetricNamesOverOTLP(t *testing.T) {
	namer := otlptranslator.MetricNamer{WithMetricSuffixes: true}
	for _, d := range conv.Metrics() {
		var kind otlptranslator.MetricType = otlptranslator.MetricTypeMonotonicCounter
		switch d.Instrument {
		case "histogram":
			kind = otlptranslator.MetricTypeHistogram
		case "gauge":
			kind = otlptranslator.MetricTypeGauge
		}
		got, err := namer.Build(otlptranslator.Metric{Name: d.Name, Unit: d.Unit, Type: kind})
		if err != nil {
			t.Fatal(err)
		}
		if got != d.Prom {
			t.Errorf("%s becomes %s, want %s", d.Name, got, d.Prom)
		}
	}
}

func TestLabelsAreCapped(t *testing.T) {
	var h telemetry.MetricsHandler
	t.Setenv("OTEL_METRICS_EXPORTER", "none")
	sdktest.New(t, telemetry.WithMetrics(&h))
	for round := range 2 {
		for i := range 150 {
			_, agent := sdk.StartAgent(t.Context(), fmt.Sprintf("agent-%d", i))
			agent.End(nil)
		}
		text := scrape(t, &h)
		if n := strings.Count(text, "\nai_team_agent_calls_total{"); n != 101 {
			t.Errorf("%d series, want 100 agents and other", n)
		}
		want := fmt.Sprintf("ai_team_agent_calls_total{agent=%q,status=%q} %d\n", "other", "completed", 50*(round+1))
		if !strings.Contains(text, want) {
			t.Errorf("the scrape does not say %s", want)
		}
	}
}

// TestForeignWorkflowsAreNoTasks: a task is counted at its end only when it was counted as accepted.
func TestForeignWorkflowsAreNoTasks(t *testing.T) {
	var h telemetry.MetricsHandler
	t.Setenv("OTEL_METRICS_EXPORTER", "none")
	sdktest.New(t, telemetry.WithMetrics(&h))
	hop(t.Context(), "invoke_workflow x", trace.SpanKindInternal, attribute.String(conv.GenAIOperationName, "invoke_workflow"))
	if text := scrape(t, &h); strings.Contains(text, "ai_team_tasks_total") {
		t.Error("somebody else's workflow was counted as a task")
	}
}

func TestHandlerBeforeSetup(t *testing.T) {
	var h telemetry.MetricsHandler
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "WithMetrics") {
		t.Errorf("before Setup: %d %s", w.Code, w.Body)
	}
}
