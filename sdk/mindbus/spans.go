package mindbus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/conv"
)

const scope = "github.com/mindscope/mindscope/sdk/mindbus"

// telemetry makes the spans of a bus.
type telemetry struct {
	tracer   trace.Tracer
	exchange string
	// sends and processes are the attributes that all spans of a kind begin with.
	sends, processes []attribute.KeyValue
	// pool holds slices for attributes: each message takes two.
	pool sync.Pool
	// empty holds empty Headers.
	empty sync.Pool
	// tasks keeps what was read of the baggage that came.
	tasks joinedTasks
	// sent is the baggage that was sent last.
	sent atomic.Pointer[writtenBaggage]
	// producer and consumer are options that are made once.
	producer, consumer []trace.SpanStartOption
}

func newTelemetry(s System, exchange string) *telemetry {
	t := &telemetry{
		tracer: otel.Tracer(scope), exchange: exchange,
		sends: firstAttributes(s, "send"), processes: firstAttributes(s, "process"),
		producer: []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer)},
		consumer: []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer)},
	}
	t.pool.New = func() any { return &attributes{list: make([]attribute.KeyValue, 0, 32)} }
	return t
}

// firstAttributes returns what all spans of an operation have: the system and what is done.
func firstAttributes(s System, operation string) []attribute.KeyValue {
	attrs := []attribute.KeyValue{attribute.String(conv.MessagingSystem, s.Name)}
	if s.Address != "" {
		attrs = append(attrs, attribute.String(conv.ServerAddress, s.Address))
	}
	if s.Port != 0 {
		attrs = append(attrs, attribute.Int(conv.ServerPort, s.Port))
	}
	return append(attrs,
		attribute.String(conv.MessagingOperationName, operation),
		attribute.String(conv.MessagingOperationType, operation))
}

// startSend starts `send {destination}`, the parent of the span that will process the message.
func (t *telemetry) startSend(ctx context.Context, r route) (context.Context, trace.Span) {
	return t.tracer.Start(ctx, "send "+r.template, t.producer...)
}

// describeSend sets the attributes of a send span, at once: each time more costs a copy of all. size is the body's, 0
// for a message that has none.
func (t *telemetry) describeSend(ctx context.Context, span trace.Span, m *Message, r route, size int) {
	if !span.IsRecording() {
		return
	}
	attrs := t.attributes(ctx, t.sends, m, m.ID, r.key)
	attrs.add(
		attribute.String(conv.MessagingDestinationName, t.exchange+":"+r.key),
		attribute.String(conv.MessagingDestinationTemplate, r.template),
	)
	if size > 0 {
		attrs.add(attribute.Int(conv.MessagingMessageBodySize, size))
	}
	span.SetAttributes(attrs.list...)
	t.free(attrs)
}

// startProcess starts `process {destination}` as a child of the send span, with a link to it and one to the creation
// context when that is another. A message that could not be read is shown with what the transport knows of it.
func (t *telemetry) startProcess(
	ctx context.Context, m *Message, d *Delivery, h history, template string,
) (context.Context, trace.Span) {
	ctx, creation := t.extractMessage(ctx, m, d.Headers)
	hop := trace.SpanContextFromContext(ctx)
	ctx, span := t.tracer.Start(ctx, "process "+template, t.consumer...)
	if !span.IsRecording() {
		return ctx, span
	}
	// As options of Start the links would be copied thrice. Samplers see the first of them all the same: it is the parent.
	for _, sc := range [...]trace.SpanContext{hop, creation} {
		if sc.IsValid() {
			span.AddLink(trace.Link{SpanContext: sc})
		}
	}
	attrs := t.attributes(ctx, t.processes, m, cmp.Or(m.ID, d.MessageID), d.Key)
	attrs.add(
		attribute.String(conv.MessagingDestinationName, destination(d)),
		attribute.String(conv.MessagingDestinationTemplate, template),
		attribute.Int64(conv.MessagingRabbitmqMessageDeliveryTag, int64(d.Tag)),
		attribute.Int(conv.MessagingMessageBodySize, len(d.Body)),
		attribute.Bool(conv.AITeamMessageRedelivered, d.Redelivered || h.redeliveries > 0),
	)
	if h.redeliveries > 0 {
		attrs.add(attribute.Int(conv.AITeamMessageRedeliveries, h.redeliveries))
	}
	if h.attempt > 1 {
		attrs.add(attribute.Int(conv.AITeamMessageAttempt, h.attempt))
	}
	if wait, ok := waited(m, d); ok {
		attrs.add(attribute.Float64(conv.AITeamMessageWaitMs, float64(wait.Microseconds())/1000))
	}
	span.SetAttributes(attrs.list...)
	t.free(attrs)
	return ctx, span
}

// attributes is a list in the making. Spans copy it, so that the next message can have it.
type attributes struct{ list []attribute.KeyValue }

func (a *attributes) add(more ...attribute.KeyValue) { a.list = append(a.list, more...) }

// free takes attributes back, of which a span has its own copy. They are not cleared, which would cost as much as writing
// them: a pool forgets what nobody takes by itself.
func (t *telemetry) free(attrs *attributes) {
	attrs.list = attrs.list[:0]
	t.pool.Put(attrs)
}

// attributes returns what both spans of a message have, with first to begin with. Give it back with free.
func (t *telemetry) attributes(ctx context.Context, first []attribute.KeyValue, m *Message, id, key string) *attributes {
	attrs, ok := t.pool.Get().(*attributes)
	if !ok {
		attrs = &attributes{}
	}
	attrs.add(first...)
	attrs.add(sdk.Attributes(ctx)...)
	attrs.add(
		attribute.String(conv.MessagingRabbitmqDestinationRoutingKey, key),
		attribute.String(conv.MessagingMessageID, id),
	)
	if m.CorrelationID != "" {
		attrs.add(attribute.String(conv.MessagingMessageConversationID, m.CorrelationID))
	}
	if m.Type != "" {
		attrs.add(
			attribute.String(conv.AITeamMessageType, string(m.Type)),
			attribute.String(conv.AITeamMessageFromAgent, m.From),
			attribute.String(conv.AITeamMessageToAgent, m.To),
		)
	}
	return attrs
}

// destination names where a message was taken from: exchange, key and queue, without what is empty or repeated.
func destination(d *Delivery) string {
	switch {
	case d.Exchange == "" || d.Key == d.Queue:
		return d.Queue
	default:
		return d.Exchange + ":" + d.Key + ":" + d.Queue
	}
}

// waited returns how long the message was on its way, by the two clocks. A clock that is ahead gives 0.
func waited(m *Message, d *Delivery) (time.Duration, bool) {
	sent := m.Time
	if sent.IsZero() {
		sent = d.Timestamp
	}
	if sent.IsZero() {
		return 0, false
	}
	return max(time.Since(sent), 0), true
}

// endSpan ends a span, as failed when err is not nil.
func endSpan(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.SetStatus(codes.Error, err.Error())
		span.SetAttributes(attribute.String(conv.ErrorType, errorType(err)))
		attrs := []attribute.KeyValue{
			attribute.String(conv.ExceptionType, exceptionType(err)),
			attribute.String(conv.ExceptionMessage, err.Error()),
		}
		if p, ok := errors.AsType[*panicError](err); ok {
			attrs = append(attrs, attribute.String(conv.ExceptionStacktrace, string(p.stack)))
		}
		span.AddEvent("exception", trace.WithAttributes(attrs...))
	}
	span.End()
}

// errorType returns the class of an error, of which there are few.
func errorType(err error) string {
	var p *panicError
	switch {
	case errors.As(err, &p):
		return "panic"
	case errors.Is(err, ErrInvalid):
		return "invalid_message"
	case errors.Is(err, ErrUnroutable):
		return "unroutable"
	case errors.Is(err, ErrFull):
		return "queue_full"
	}
	return string(asError(err).Code)
}

// exceptionType returns the Go type of the error or of what was passed to panic.
func exceptionType(err error) string {
	if p, ok := errors.AsType[*panicError](err); ok {
		return fmt.Sprintf("%T", p.value)
	}
	return fmt.Sprintf("%T", err)
}
