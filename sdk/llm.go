package sdk

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mindscope/mindscope/sdk/conv"
)

// LLM is a running call of a language model. Make it with StartLLM and end it with End.
type LLM struct {
	work
	started time.Time
	first   bool
}

// Usage is the number of tokens of one call, as OpenTelemetry counts them.
type Usage struct {
	// Input counts all input tokens, cached ones included.
	Input int
	// Output counts all output tokens, reasoning included.
	Output int
	// CacheRead and CacheWrite are the parts of Input that were read from and written to the provider's cache.
	CacheRead, CacheWrite int
	// Reasoning is the part of Output that was spent on reasoning.
	Reasoning int
}

// StartLLM begins a chat call to a model. provider is one of OpenTelemetry's names (openai, anthropic, gcp.gemini, …).
// One span covers all retries of the logical call.
func StartLLM(ctx context.Context, provider, model string) (context.Context, *LLM) {
	l := &LLM{}
	model = clean(model)
	l.ctx, l.span = identityOf(ctx).start(ctx, "chat "+model, clientSpan, false,
		attribute.String(conv.GenAIOperationName, "chat"),
		attribute.String(conv.GenAIProviderName, clean(provider)),
		attribute.String(conv.GenAIRequestModel, model))
	if l.span.IsRecording() {
		l.started = time.Now()
	}
	return l.ctx, l
}

// Usage records the call's tokens. Call it with what the provider reported, and not at all when it reported nothing:
// unknown is not zero.
func (l *LLM) Usage(u Usage) {
	if !l.span.IsRecording() {
		return
	}
	attrs := make([]attribute.KeyValue, 2, 5)
	attrs[0] = attribute.Int(conv.GenAIUsageInputTokens, u.Input)
	attrs[1] = attribute.Int(conv.GenAIUsageOutputTokens, u.Output)
	if u.CacheRead > 0 {
		attrs = append(attrs, attribute.Int(conv.GenAIUsageCacheReadInputTokens, u.CacheRead))
	}
	if u.CacheWrite > 0 {
		attrs = append(attrs, attribute.Int(conv.GenAIUsageCacheWriteInputTokens, u.CacheWrite))
	}
	if u.Reasoning > 0 {
		attrs = append(attrs, attribute.Int(conv.GenAIUsageReasoningOutputTokens, u.Reasoning))
	}
	l.span.SetAttributes(attrs...)
}

// Cost records what the provider itself said that the call cost, in US dollars. It wins over the server's price book;
// don't call it with a guess.
func (l *LLM) Cost(dollars float64) {
	l.span.SetAttributes(
		attribute.Float64(conv.GenAIUsageCostAmount, dollars),
		attribute.String(conv.GenAIUsageCostCurrency, "USD"))
}

// Response records which model answered, the provider's id of the answer and why it stopped; empty ones are left out.
func (l *LLM) Response(model, id string, finishReasons ...string) {
	attrs := make([]attribute.KeyValue, 0, 3)
	if model != "" {
		attrs = append(attrs, attribute.String(conv.GenAIResponseModel, clean(model)))
	}
	if id != "" {
		attrs = append(attrs, attribute.String(conv.GenAIResponseID, clean(id)))
	}
	if len(finishReasons) > 0 {
		attrs = append(attrs, attribute.StringSlice(conv.GenAIResponseFinishReasons, finishReasons))
	}
	l.span.SetAttributes(attrs...)
}

// Chunk marks the arrival of a chunk of a streamed answer; the first one gives the time to first chunk.
func (l *LLM) Chunk() {
	if l.first || !l.span.IsRecording() {
		return
	}
	l.first = true
	l.span.SetAttributes(
		attribute.Bool(conv.GenAIRequestStream, true),
		attribute.Float64(conv.GenAIResponseTimeToFirstChunk, time.Since(l.started).Seconds()))
}

// Input records the messages given to the model, when capture is on (see CaptureContent).
func (l *LLM) Input(messages any) { capture(l.span, conv.GenAIInputMessages, messages) }

// Output records the messages the model gave, when capture is on (see CaptureContent).
func (l *LLM) Output(messages any) { capture(l.span, conv.GenAIOutputMessages, messages) }

// End ends the call, by the same rules as Task.End.
func (l *LLM) End(err *error) {
	p := recover()
	l.finish(err, p, "")
	if p != nil {
		panic(p)
	}
}
