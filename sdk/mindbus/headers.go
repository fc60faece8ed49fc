package mindbus

import (
	"context"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk"
)

// Headers is a carrier of context over a transport's headers. Names are found whatever their case.
type Headers map[string]string

var _ propagation.TextMapCarrier = Headers(nil)

// Get returns the value of a header, empty when it is not there.
func (h Headers) Get(key string) string {
	if v, ok := h[key]; ok {
		return v
	}
	for k, v := range h {
		if strings.EqualFold(k, key) {
			return v
		}
	}
	return ""
}

// Set sets a header.
func (h Headers) Set(key, value string) { h[key] = value }

// Keys returns the headers' names, sorted.
func (h Headers) Keys() []string { return slices.Sorted(maps.Keys(h)) }

// Inject writes the context's trace and baggage as the headers traceparent, tracestate and baggage: W3C's, whatever
// propagator the process has set, since the envelope is a contract between processes.
func Inject(ctx context.Context, h Headers) {
	propagation.TraceContext{}.Inject(ctx, h)
	propagation.Baggage{}.Inject(ctx, h)
}

// Extract returns ctx with the trace and the baggage of the headers instead of its own. What is missing or malformed
// is left empty, so that work never ends up in the trace of whoever started the consumer.
func Extract(ctx context.Context, h Headers) context.Context {
	ctx = trace.ContextWithSpanContext(ctx, trace.SpanContext{})
	ctx = baggage.ContextWithoutBaggage(ctx)
	ctx = propagation.TraceContext{}.Extract(ctx, h)
	return propagation.Baggage{}.Extract(ctx, h)
}

// extractMessage returns the context of a delivery and the creation context when it is another one. The header wins;
// the event's traceparent stands in for it. The task is the message's own.
func (t *telemetry) extractMessage(ctx context.Context, m Message, h Headers) (_ context.Context, creation trace.SpanContext) {
	ctx = t.extract(ctx, h)
	hop := trace.SpanContextFromContext(ctx)
	// A message that comes straight from where it was made says the same twice.
	if m.TraceParent != "" && (!hop.IsValid() || m.TraceParent != h["traceparent"]) {
		event := Headers{"traceparent": m.TraceParent, "tracestate": m.TraceState}
		creation = trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), event))
	}
	if !hop.IsValid() && creation.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, creation)
		hop = creation
	}
	if hop.TraceID() == creation.TraceID() && hop.SpanID() == creation.SpanID() {
		creation = trace.SpanContext{}
	}
	return sdk.JoinTask(ctx, m.TaskID), creation
}

// extract is Extract, with the baggage of the last message read once.
func (t *telemetry) extract(ctx context.Context, h Headers) context.Context {
	header := h.Get("baggage")
	last := t.last.Load()
	if header == "" || last == nil || last.header != header {
		ctx = Extract(ctx, h)
		if header != "" {
			t.last.Store(&readBaggage{header, baggage.FromContext(ctx)})
		}
		return ctx
	}
	ctx = trace.ContextWithSpanContext(ctx, trace.SpanContext{})
	ctx = propagation.TraceContext{}.Extract(ctx, h)
	return baggage.ContextWithBaggage(ctx, last.baggage)
}
