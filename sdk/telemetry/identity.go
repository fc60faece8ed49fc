package telemetry

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk"
)

// busScope is the instrumentation scope of package mindbus.
const busScope = sdk.ScopeName + "/mindbus"

// spanProcessor does all that is ours between a span and its export, in one step: every processor that looks at a span
// locks it again.
type spanProcessor struct {
	counts  *Stats // nil when spans are not exported
	running *running
	metrics *metrics // nil unless asked for
}

// OnStart implements sdktrace.SpanProcessor.
func (p *spanProcessor) OnStart(ctx context.Context, s sdktrace.ReadWriteSpan) {
	switch s.InstrumentationScope().Name {
	case sdk.ScopeName:
	case busScope:
		return // its spans get the task with their other attributes, all at once
	default:
		copyIdentity(ctx, s)
		return
	}
	name := s.Name()
	if !isWork(name) {
		return
	}
	w := started{span: s}
	if p.metrics != nil {
		w.ctx = trace.ContextWithSpan(context.Background(), s)
		if name == taskSpan {
			p.metrics.start()
		}
	}
	p.running.start(w, startAttributes(ctx, s))
}

// copyIdentity copies what the context knows of its task to a span of another instrumentation (HTTP clients,
// databases). The SDK's own spans have it already.
func copyIdentity(ctx context.Context, s sdktrace.ReadWriteSpan) {
	want := sdk.Attributes(ctx)
	if len(want) == 0 {
		return
	}
	have := s.Attributes()
	for _, kv := range want {
		if !hasKey(have, kv.Key) {
			s.SetAttributes(kv)
		}
	}
}

func hasKey(attrs []attribute.KeyValue, key attribute.Key) bool {
	for _, a := range attrs {
		if a.Key == key {
			return true
		}
	}
	return false
}

// OnEnd implements sdktrace.SpanProcessor.
func (p *spanProcessor) OnEnd(s sdktrace.ReadOnlySpan) {
	sc := s.SpanContext()
	if p.counts != nil && sc.IsSampled() {
		p.counts.spans.made.Add(1)
	}
	var ctx context.Context
	if isWork(s.Name()) && s.InstrumentationScope().Name == sdk.ScopeName {
		ctx = p.running.end(sc.SpanID())
	}
	if p.metrics == nil {
		return
	}
	if ctx == nil {
		ctx = trace.ContextWithSpanContext(context.Background(), sc)
	}
	p.metrics.end(ctx, s)
}

// Shutdown implements sdktrace.SpanProcessor.
func (*spanProcessor) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (*spanProcessor) ForceFlush(context.Context) error { return nil }

// The names of the spans that are work: tasks and agents.
const (
	taskSpan  = "execute_task"
	agentSpan = "invoke_agent "
)

// isWork tells tasks and agents from all else by their names: reading a span's attributes copies them.
func isWork(name string) bool { return name == taskSpan || strings.HasPrefix(name, agentSpan) }

// identityLogs copies what the context knows of its task to every log record, and counts the records.
type identityLogs struct{ counts *Stats }

// Enabled implements sdklog.Processor.
func (identityLogs) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }

// OnEmit implements sdklog.Processor.
func (p identityLogs) OnEmit(ctx context.Context, r *sdklog.Record) error {
	p.counts.logs.made.Add(1)
	if attrs := sdk.Attributes(ctx); len(attrs) > 0 {
		r.AddAttributes(attrs...)
	}
	return nil
}

// Shutdown implements sdklog.Processor.
func (identityLogs) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdklog.Processor.
func (identityLogs) ForceFlush(context.Context) error { return nil }
