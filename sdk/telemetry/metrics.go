package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"sync"
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

// maxLabelValues bounds the values of one label of one metric; the rest is counted under "other".
const maxLabelValues = 100

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
	counters   map[string]metric.Float64Counter
	histograms map[string]metric.Float64Histogram
	caps       sync.Map // metric and label → *labelCap
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
	m := &metrics{counters: map[string]metric.Float64Counter{}, histograms: map[string]metric.Float64Histogram{}}
	meter := provider.Meter(sdk.ScopeName)
	for _, d := range conv.Metrics() {
		if d.ServerOnly {
			continue
		}
		if err := m.add(meter, d); err != nil {
			return nil, nil, fmt.Errorf("make metric %s: %w", d.Name, err)
		}
	}
	return m, provider, nil
}

func (m *metrics) add(meter metric.Meter, d conv.Metric) (err error) {
	if d.Instrument == "histogram" {
		m.histograms[d.Name], err = meter.Float64Histogram(d.Name, metric.WithUnit(d.Unit),
			metric.WithDescription(d.Brief), metric.WithExplicitBucketBoundaries(d.Buckets...))
		return err
	}
	m.counters[d.Name], err = meter.Float64Counter(d.Name, metric.WithUnit(d.Unit), metric.WithDescription(d.Brief))
	return err
}

// OnStart implements sdktrace.SpanProcessor.
func (m *metrics) OnStart(ctx context.Context, s sdktrace.ReadWriteSpan) {
	if s.Name() == "execute_task" && s.InstrumentationScope().Name == sdk.ScopeName {
		m.count(trace.ContextWithSpan(ctx, s), conv.MetricAITeamTasks, 1, label("status", "pending"))
	}
}

// OnEnd implements sdktrace.SpanProcessor.
func (m *metrics) OnEnd(s sdktrace.ReadOnlySpan) {
	o := observed{span: s, attrs: s.Attributes(), seconds: s.EndTime().Sub(s.StartTime()).Seconds()}
	ctx := trace.ContextWithSpanContext(context.Background(), s.SpanContext())
	switch o.text(conv.GenAIOperationName) {
	case "invoke_workflow":
		m.task(ctx, o)
	case "invoke_agent":
		m.agent(ctx, o)
	case "chat", "generate_content", "text_completion", "embeddings":
		m.llm(ctx, o)
	}
	agent := label("agent", o.text(conv.GenAIAgentName))
	switch {
	case s.Name() == "save_artifact" && s.Status().Code != codes.Error:
		m.count(ctx, conv.MetricAITeamArtifacts, 1, agent)
	case o.text(conv.AITeamRecordTable) != "" && o.text(conv.DBOperationName) == "INSERT" && s.Status().Code != codes.Error:
		m.count(ctx, conv.MetricAITeamRecords, 1, agent)
	case s.SpanKind() == trace.SpanKindProducer && o.text(conv.AITeamMessageType) != "":
		m.count(ctx, conv.MetricAITeamMessages, 1, label("from_agent", o.text(conv.AITeamMessageFromAgent)),
			label("to_agent", o.text(conv.AITeamMessageToAgent)), label("type", o.text(conv.AITeamMessageType)))
	case s.SpanKind() == trace.SpanKindConsumer && o.has(conv.AITeamMessageWaitMs):
		m.record(ctx, conv.MetricAITeamMessageWait, o.number(conv.AITeamMessageWaitMs)/1000,
			label("to_agent", o.text(conv.AITeamMessageToAgent)))
	}
}

func (m *metrics) task(ctx context.Context, o observed) {
	m.count(ctx, conv.MetricAITeamTasks, 1, label("status", o.outcome()))
	m.record(ctx, conv.MetricAITeamTaskDuration, o.seconds, label("task_type", o.text(conv.AITeamTaskType)))
	if o.has(conv.AITeamQualityScore) {
		m.record(ctx, conv.MetricAITeamQualityScore, o.number(conv.AITeamQualityScore))
	}
}

func (m *metrics) agent(ctx context.Context, o observed) {
	agent := label("agent", o.text(conv.GenAIAgentName))
	m.count(ctx, conv.MetricAITeamAgentCalls, 1, agent, label("status", o.outcome()))
	m.record(ctx, conv.MetricAITeamAgentDuration, o.seconds, agent)
	if o.has(conv.AITeamQualityScore) {
		m.record(ctx, conv.MetricAITeamAgentQualityScore, o.number(conv.AITeamQualityScore), agent)
	}
}

func (m *metrics) llm(ctx context.Context, o observed) {
	name := o.text(conv.GenAIResponseModel)
	if name == "" {
		name = o.text(conv.GenAIRequestModel)
	}
	model, agent := label("model", name), label("agent", o.text(conv.GenAIAgentName))
	m.count(ctx, conv.MetricAITeamLLMCalls, 1, model, agent)
	m.record(ctx, conv.MetricAITeamLLMLatency, o.seconds, model)
	if o.span.Status().Code == codes.Error {
		m.count(ctx, conv.MetricAITeamLLMErrors, 1, model, agent, label("error_type", o.text(conv.ErrorType)))
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
			m.count(ctx, conv.MetricAITeamLLMTokens, b.n, model, agent, label("token_type", b.kind))
		}
	}
}

func (m *metrics) count(ctx context.Context, name string, n float64, labels ...attribute.KeyValue) {
	m.counters[name].Add(ctx, n, metric.WithAttributes(m.capped(name, labels)...))
}

func (m *metrics) record(ctx context.Context, name string, v float64, labels ...attribute.KeyValue) {
	m.histograms[name].Record(ctx, v, metric.WithAttributes(m.capped(name, labels)...))
}

// labelCap knows the first values of one label.
type labelCap struct {
	mu     sync.Mutex
	values map[string]bool
}

func (c *labelCap) admit(value string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.values[value] {
		return true
	}
	if len(c.values) >= maxLabelValues {
		return false
	}
	c.values[value] = true
	return true
}

func (m *metrics) capped(name string, labels []attribute.KeyValue) []attribute.KeyValue {
	for i, l := range labels {
		c, _ := m.caps.LoadOrStore(name+" "+string(l.Key), &labelCap{values: map[string]bool{}})
		if !c.(*labelCap).admit(l.Value.AsString()) {
			labels[i] = label(string(l.Key), "other")
		}
	}
	return labels
}

func label(key, value string) attribute.KeyValue { return attribute.String(key, value) }

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

// Shutdown implements sdktrace.SpanProcessor.
func (m *metrics) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (m *metrics) ForceFlush(context.Context) error { return nil }
