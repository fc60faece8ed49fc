package telemetry_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/telemetry"
)

// printer is an exporter that prints names.
type printer struct{}

func (printer) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		fmt.Println("span", s.Name())
	}
	return nil
}

func (printer) Export(_ context.Context, records []sdklog.Record) error {
	for _, r := range records {
		fmt.Println("log ", r.EventName())
	}
	return nil
}
func (printer) ForceFlush(context.Context) error { return nil }
func (printer) Shutdown(context.Context) error   { return nil }

// Where the telemetry goes is what the OTEL_* variables say, localhost:4317 by default. Here it is printed.
func ExampleSetup() {
	ctx := context.Background()
	var stats telemetry.Stats
	shutdown, err := telemetry.Setup(ctx,
		telemetry.WithServiceName("writer"), telemetry.WithTeam("newsroom"),
		telemetry.WithResource(attribute.String("deployment.environment.name", "test")),
		telemetry.WithExporters(printer{}, printer{}), telemetry.WithSync(), telemetry.WithStats(&stats))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, task := sdk.StartTask(ctx, "task-456")
	task.End(nil)
	fmt.Println(shutdown(ctx))
	fmt.Printf("%+v, %d not sent, %d errors\n", stats.Spans(), stats.Logs().Waiting(), stats.Errors())
	// Output:
	// log  ai_team.span.started
	// span execute_task
	// <nil>
	// {Made:1 Exported:1 Failed:0}, 0 not sent, 0 errors
}

// A team without a MindScope server: it serves its metrics itself.
func ExampleWithMetrics() {
	ctx := context.Background()
	_ = os.Setenv("OTEL_METRICS_EXPORTER", "none") // nothing over OTLP
	defer os.Unsetenv("OTEL_METRICS_EXPORTER")
	var metrics telemetry.MetricsHandler
	shutdown, err := telemetry.Setup(ctx, telemetry.WithMetrics(&metrics), telemetry.WithExporters(quiet{}, quiet{}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer shutdown(ctx)
	_, task := sdk.StartTask(ctx, "task-456")
	task.End(nil)

	mux := http.NewServeMux()
	mux.Handle("GET /metrics", &metrics)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "ai_team_tasks_total") {
			fmt.Print(line)
		}
	}
	// Output:
	// ai_team_tasks_total{status="completed"} 1
	// ai_team_tasks_total{status="pending"} 1
}

// quiet is an exporter to nowhere.
type quiet struct{}

func (quiet) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (quiet) Export(context.Context, []sdklog.Record) error              { return nil }
func (quiet) ForceFlush(context.Context) error                           { return nil }
func (quiet) Shutdown(context.Context) error                             { return nil }

// broken is an exporter that fails.
type broken struct{ quiet }

func (broken) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	return fmt.Errorf("the collector is on holiday")
}

// What goes wrong with the telemetry never reaches the agent's work; here it is printed.
func ExampleWithErrorHandler() {
	ctx := context.Background()
	shutdown, err := telemetry.Setup(ctx, telemetry.WithExporters(broken{}, quiet{}), telemetry.WithSync(),
		telemetry.WithErrorHandler(func(err error) { fmt.Println("telemetry:", err) }))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, task := sdk.StartTask(ctx, "task-456")
	task.End(nil)
	fmt.Println(shutdown(ctx))
	// Output:
	// telemetry: the collector is on holiday
	// <nil>
}
