package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/conv"
)

// MetricsHandler serves the team's metrics in Prometheus' format. The zero value is ready; give it to WithMetrics and
// mount it at /metrics. Before Setup it answers 503.
type MetricsHandler struct{ inner atomic.Pointer[http.Handler] }

// ServeHTTP implements http.Handler.
func (h *MetricsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	inner := h.inner.Load()
	if inner == nil {
		http.Error(w, "metrics are not set up: call telemetry.Setup with WithMetrics", http.StatusServiceUnavailable)
		return
	}
	(*inner).ServeHTTP(w, r)
}

// metrics derives the team's metrics from the spans that pass, so that each is counted once, whichever package made it.
type metrics struct {
	byName     map[string]*instrument
	inProgress atomic.Int64
}

func newMetrics(ctx context.Context, cfg config, res *resource.Resource) (*metrics, *sdkmetric.MeterProvider, error) {
	opts := []sdkmetric.Option{sdkmetric.WithResource(res)}
	exp, err := metricExporter(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("make metric exporter: %w", err)
	}
	if exp != nil {
		opts = append(opts, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exp)))
	}
	if cfg.metricHandler != nil {
		reg := prometheus.NewRegistry()
		reader, err := otelprom.New(otelprom.WithRegisterer(reg), otelprom.WithoutScopeInfo())
		if err != nil {
			return nil, nil, fmt.Errorf("make Prometheus exporter: %w", err)
		}
		opts = append(opts, sdkmetric.WithReader(reader))
		handler := promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true})
		cfg.metricHandler.inner.Store(&handler)
	}
	provider := sdkmetric.NewMeterProvider(opts...)
	m := &metrics{byName: map[string]*instrument{}}
	meter := provider.Meter(sdk.ScopeName)
	for _, d := range conv.Metrics() {
		switch {
		case d.NoSDK:
		case d.Name == conv.MetricAITeamTasksInProgress:
			err = m.observe(meter, d)
		default:
			m.byName[d.Name], err = newInstrument(meter, d)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("make metric %s: %w", d.Name, err)
		}
	}
	return m, provider, nil
}

// observe reports the tasks that run when somebody reads the metrics.
func (m *metrics) observe(meter metric.Meter, d conv.Metric) error {
	_, err := meter.Int64ObservableUpDownCounter(d.Name, metric.WithUnit(d.Unit), metric.WithDescription(d.Brief),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(m.inProgress.Load())
			return nil
		}))
	return err
}

func (m *metrics) write(ctx context.Context, name string, n float64, v values) {
	m.byName[name].write(ctx, n, v)
}

// start counts a task as accepted.
func (m *metrics) start() {
	m.write(context.Background(), conv.MetricAITeamTasks, 1, values{"pending"})
	m.inProgress.Add(1)
}

// end counts what a span tells at its end. ctx has the span, for exemplars.
func (m *metrics) end(ctx context.Context, s sdktrace.ReadOnlySpan) {
	o := observed{span: s, attrs: s.Attributes(), seconds: s.EndTime().Sub(s.StartTime()).Seconds()}
	switch o.text(conv.GenAIOperationName) {
	case "invoke_workflow":
		// Only tasks that were counted as accepted: those of StartTask.
		if s.Name() == taskSpan && s.InstrumentationScope().Name == sdk.ScopeName {
			m.task(ctx, o)
		}
	case "invoke_agent":
		m.agent(ctx, o)
	case "chat", "generate_content", "text_completion", "embeddings":
		m.llm(ctx, o)
	}
	agent := o.text(conv.GenAIAgentName)
	switch {
	case s.Name() == "save_artifact" && s.Status().Code != codes.Error:
		m.write(ctx, conv.MetricAITeamArtifacts, 1, values{agent})
	case o.text(conv.AITeamRecordTable) != "" && o.text(conv.DBOperationName) == "INSERT" && s.Status().Code != codes.Error:
		m.write(ctx, conv.MetricAITeamRecords, 1, values{agent})
	case s.SpanKind() == trace.SpanKindProducer && o.text(conv.AITeamMessageType) != "":
		m.write(ctx, conv.MetricAITeamMessages, 1,
			values{o.text(conv.AITeamMessageFromAgent), o.text(conv.AITeamMessageToAgent), o.text(conv.AITeamMessageType)})
	case s.SpanKind() == trace.SpanKindConsumer && o.has(conv.AITeamMessageWaitMs):
		m.write(ctx, conv.MetricAITeamMessageWait, o.number(conv.AITeamMessageWaitMs)/1000, values{o.text(conv.AITeamMessageToAgent)})
	}
}

func (m *metrics) task(ctx context.Context, o observed) {
	m.inProgress.Add(-1)
	m.write(ctx, conv.MetricAITeamTasks, 1, values{o.outcome()})
	m.write(ctx, conv.MetricAITeamTaskDuration, o.seconds, values{o.text(conv.AITeamTaskType)})
	if o.has(conv.AITeamQualityScore) {
		m.write(ctx, conv.MetricAITeamQualityScore, o.number(conv.AITeamQualityScore), values{})
	}
}

func (m *metrics) agent(ctx context.Context, o observed) {
	agent := o.text(conv.GenAIAgentName)
	m.write(ctx, conv.MetricAITeamAgentCalls, 1, values{agent, o.outcome()})
	m.write(ctx, conv.MetricAITeamAgentDuration, o.seconds, values{agent})
	if o.has(conv.AITeamQualityScore) {
		m.write(ctx, conv.MetricAITeamAgentQualityScore, o.number(conv.AITeamQualityScore), values{agent})
	}
}

func (m *metrics) llm(ctx context.Context, o observed) {
	model, agent := o.text(conv.GenAIResponseModel), o.text(conv.GenAIAgentName)
	if model == "" {
		model = o.text(conv.GenAIRequestModel)
	}
	m.write(ctx, conv.MetricAITeamLLMCalls, 1, values{model, agent})
	m.write(ctx, conv.MetricAITeamLLMLatency, o.seconds, values{model})
	if o.span.Status().Code == codes.Error {
		m.write(ctx, conv.MetricAITeamLLMErrors, 1, values{model, agent, o.text(conv.ErrorType)})
	}
	if cost := o.number(conv.GenAIUsageCostAmount); cost > 0 && o.text(conv.GenAIUsageCostCurrency) == "USD" {
		m.write(ctx, conv.MetricAITeamLLMCostDollars, cost, values{model})
		if agent != "" {
			m.write(ctx, conv.MetricAITeamAgentCostDollars, cost, values{agent})
		}
	}
	read, write := o.number(conv.GenAIUsageCacheReadInputTokens), o.number(conv.GenAIUsageCacheWriteInputTokens)
	reasoning := o.number(conv.GenAIUsageReasoningOutputTokens)
	for _, b := range [...]struct {
		kind string
		n    float64
	}{
		{"input", o.number(conv.GenAIUsageInputTokens) - read - write},
		{"cache_read", read},
		{"cache_write", write},
		{"output", o.number(conv.GenAIUsageOutputTokens) - reasoning},
		{"reasoning", reasoning},
	} {
		if b.n > 0 {
			m.write(ctx, conv.MetricAITeamLLMTokens, b.n, values{model, agent, b.kind})
		}
	}
}

// observed is a span that ended.
type observed struct {
	span    sdktrace.ReadOnlySpan
	attrs   []attribute.KeyValue
	seconds float64
}

func (o observed) get(key string) (attribute.Value, bool) {
	for _, a := range o.attrs {
		if string(a.Key) == key {
			return a.Value, true
		}
	}
	return attribute.Value{}, false
}

func (o observed) has(key string) bool {
	_, ok := o.get(key)
	return ok
}

func (o observed) text(key string) string {
	v, _ := o.get(key)
	return v.AsString()
}

func (o observed) number(key string) float64 {
	v, ok := o.get(key)
	switch {
	case !ok:
		return 0
	case v.Type() == attribute.INT64:
		return float64(v.AsInt64())
	default:
		return v.AsFloat64()
	}
}

func (o observed) outcome() string {
	switch {
	case o.span.Status().Code != codes.Error:
		return sdk.Completed
	case o.text(conv.ErrorType) == sdk.Cancelled:
		return sdk.Cancelled
	default:
		return sdk.Failed
	}
}
