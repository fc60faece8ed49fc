package sdk

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk/conv"
)

// ScopeName is the instrumentation scope of the spans made here.
const ScopeName = "github.com/mindscope/mindscope/sdk"

// The outcomes of tasks and agents.
const (
	Completed = "completed"
	Failed    = "failed"
	Cancelled = "cancelled"
)

// The kinds of spans, as options that are made once.
var (
	internalSpan = trace.WithSpanKind(trace.SpanKindInternal)
	clientSpan   = trace.WithSpanKind(trace.SpanKindClient)
)

// standIn is OpenTelemetry's provider until somebody sets one, nil when one was set before this package began.
var standIn = standInOf(otel.GetTracerProvider())

func standInOf(p trace.TracerProvider) trace.TracerProvider {
	if fmt.Sprintf("%T", p) == "*global.tracerProvider" {
		return p
	}
	return nil
}

// start starts a span with the identity's attributes and more. A fresh identity, which no context has yet, keeps its own.
func (id *identity) start(
	ctx context.Context, name string, kind trace.SpanStartOption, fresh bool, more ...attribute.KeyValue,
) (context.Context, trace.Span) {
	provider := otel.GetTracerProvider()
	tracer := provider.Tracer(ScopeName)
	if provider == standIn {
		// Nobody looks at what would be told; unless somebody does who came into the process from outside.
		ctx, span := tracer.Start(ctx, name, kind)
		if span.IsRecording() {
			span.SetAttributes(id.with(more)...)
		}
		return ctx, span
	}
	var attrs []attribute.KeyValue
	if fresh {
		attrs = append(id.fill(len(more)), more...)
	} else {
		attrs = id.with(more)
	}
	return tracer.Start(ctx, name, kind, trace.WithAttributes(attrs...))
}

// work is a span that ends with an outcome.
type work struct {
	ctx  context.Context // whose cancellation decides the outcome
	span trace.Span
}

// Span returns the OpenTelemetry span, for attributes and events of one's own.
func (w *work) Span() trace.Span { return w.span }

// finish ends the span by what happened: the panic p, the error behind errp, or the end of the context.
// It returns the outcome.
func (w *work) finish(errp *error, p any, outcomeKey string) {
	if !w.span.IsRecording() {
		w.span.End()
		return
	}
	outcome := Completed
	switch err := errorOf(w.ctx, errp, p); {
	case err == nil:
	case p == nil && cancelled(w.ctx, err):
		outcome = Cancelled
		w.span.SetAttributes(attribute.String(conv.ErrorType, Cancelled))
		w.span.SetStatus(codes.Error, err.Error())
	default:
		outcome = Failed
		if p != nil {
			recordPanic(w.span, p)
		} else {
			w.span.RecordError(err)
		}
		w.span.SetAttributes(attribute.String(conv.ErrorType, typeOfError(err)))
		w.span.SetStatus(codes.Error, err.Error())
	}
	if outcomeKey != "" {
		w.span.SetAttributes(attribute.String(outcomeKey, outcome))
	}
	w.span.End()
}

// recordPanic writes the exception event of a panic with the whole stack, which still has the frames of the panic.
func recordPanic(span trace.Span, p any) {
	span.AddEvent("exception", trace.WithAttributes(
		attribute.String(conv.ExceptionType, fmt.Sprintf("%T", p)),
		attribute.String(conv.ExceptionMessage, clean(panicError{p}.Error())),
		attribute.String(conv.ExceptionStacktrace, string(debug.Stack()))))
}

// errorOf returns what the work ended with. A caller that says it has no error is believed, whatever became of the
// context; one that says nothing (a nil pointer) is judged by the context.
func errorOf(ctx context.Context, errp *error, p any) error {
	switch {
	case p != nil:
		return panicError{p}
	case errp != nil:
		return *errp
	default:
		return ctx.Err()
	}
}

func cancelled(ctx context.Context, err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(ctx.Err(), context.Canceled)
}

// panicError is a panic as an error.
type panicError struct{ value any }

func (e panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// ErrorTyper is an error that names its own class for error.type: a short text of which there are few.
type ErrorTyper interface {
	error
	ErrorType() string
}

// typeOfError returns the class of err: what it says itself, "timeout" for passed deadlines, "panic", else the Go type
// of the first error in its chain that isn't a mere wrapping.
func typeOfError(err error) string {
	var typer ErrorTyper
	var p panicError
	switch {
	case errors.As(err, &p):
		return "panic"
	case errors.As(err, &typer):
		return typer.ErrorType()
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	for {
		name := fmt.Sprintf("%T", err)
		inner := errors.Unwrap(err)
		if inner == nil || name != "*fmt.wrapError" {
			return name
		}
		err = inner
	}
}
