package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mindscope/mindscope/sdk"
)

// identityProcessor copies what the context knows of its task to the spans of other instrumentations (HTTP clients,
// databases). The SDK's own spans have it already.
type identityProcessor struct{}

// OnStart implements sdktrace.SpanProcessor.
func (identityProcessor) OnStart(ctx context.Context, s sdktrace.ReadWriteSpan) {
	if s.InstrumentationScope().Name == sdk.ScopeName {
		return
	}
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
func (identityProcessor) OnEnd(sdktrace.ReadOnlySpan) {}

// Shutdown implements sdktrace.SpanProcessor.
func (identityProcessor) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (identityProcessor) ForceFlush(context.Context) error { return nil }

// identityLogs copies what the context knows of its task to every log record, and counts the records.
type identityLogs struct{ counts *Stats }

// Enabled implements sdklog.Processor.
func (identityLogs) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }

// OnEmit implements sdklog.Processor.
func (p identityLogs) OnEmit(ctx context.Context, r *sdklog.Record) error {
	p.counts.logs.made.Add(1)
	r.AddAttributes(sdk.Attributes(ctx)...)
	return nil
}

// Shutdown implements sdklog.Processor.
func (identityLogs) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdklog.Processor.
func (identityLogs) ForceFlush(context.Context) error { return nil }
