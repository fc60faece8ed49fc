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
	scope     calling
	operation string
	started   time.Time
	first     bool
}

// calling is a context inside a call of a model. It is part of LLM, so that both are one allocation.
type calling struct{ context.Context }

type callingKey struct{}

// Value implements context.Context.
func (c *calling) Value(key any) any {
	if _, ok := key.(callingKey); ok {
		return true
	}
	return c.Context.Value(key)
}

// InLLM tells whether ctx is inside a call that StartLLM or StartInference began, so that a transport does not report
// the same call once more.
func InLLM(ctx context.Context) bool { return ctx.Value(callingKey{}) != nil }

// Usage is the number of tokens of one call, as OpenTelemetry counts them.
type Usage struct {
	// Input counts all input tokens, cached ones included.
	Input int
	// Output counts all output tokens, reasoning included.
	Output int
	// CacheRead and CacheWrite are the parts of Input that were read from and written to the provider's cache.
	CacheRead, CacheWrite int
	// CacheWrite1h is the part of CacheWrite that stays for an hour and costs more than what stays for 5 minutes.
	CacheWrite1h int
	// Reasoning is the part of Output that was spent on reasoning.
	Reasoning int
}

// StartLLM begins a chat call to a model. provider is one of OpenTelemetry's names (openai, anthropic, gcp.gemini, …).
// One span covers all retries of the logical call.
func StartLLM(ctx context.Context, provider, model string) (context.Context, *LLM) {
	return StartInference(ctx, "chat", provider, model)
}

// StartInference begins a call to a model that is no chat: operation is one of OpenTelemetry's names (generate_content,
// text_completion, embeddings, …). An empty model is one that is not known yet, see Model.
func StartInference(ctx context.Context, operation, provider, model string) (context.Context, *LLM) {
	l := &LLM{scope: calling{ctx}, operation: clean(operation)}
	model = clean(model)
	attrs := [3]attribute.KeyValue{
		attribute.String(conv.GenAIOperationName, l.operation),
		attribute.String(conv.GenAIProviderName, clean(provider)),
		attribute.String(conv.GenAIRequestModel, model),
	}
	name, n := l.operation, 2
	if model != "" {
		name, n = l.operation+" "+model, 3
	}
	l.ctx, l.span = identityOf(ctx).start(&l.scope, name, clientSpan, false, attrs[:n]...)
	if l.span.IsRecording() {
		l.started = time.Now()
	}
	return l.ctx, l
}

// Model names the model that was asked for, when it became known after the start.
func (l *LLM) Model(name string) {
	name = clean(name)
	l.span.SetName(l.operation + " " + name)
	l.span.SetAttributes(attribute.String(conv.GenAIRequestModel, name))
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
	if u.CacheWrite1h > 0 {
		attrs = append(attrs, attribute.Int(conv.GenAIUsageCacheCreationEphemeral1hInputTokens, u.CacheWrite1h))
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

// SystemInstructions records the system prompt, when capture is on (see CaptureContent).
func (l *LLM) SystemInstructions(parts any) { capture(l.span, conv.GenAISystemInstructions, parts) }

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
