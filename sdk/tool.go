package sdk

import (
	"context"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mindscope/mindscope/sdk/conv"
)

// Tool is a running call of a tool. Make it with StartTool and end it with End.
type Tool struct{ work }

// StartTool begins the call of a tool by the agent of ctx. callID is the model's id of the call, "" when unknown.
func StartTool(ctx context.Context, name, callID string) (context.Context, *Tool) {
	name = clean(name)
	more := []attribute.KeyValue{
		attribute.String(conv.GenAIOperationName, "execute_tool"),
		attribute.String(conv.GenAIToolName, name),
		attribute.String(conv.GenAIToolType, "function"),
	}
	if callID != "" {
		more = append(more, attribute.String(conv.GenAIToolCallID, clean(callID)))
	}
	ctx, span := identityOf(ctx).start(ctx, "execute_tool "+name, internalSpan, false, more...)
	return ctx, &Tool{work{ctx, span}}
}

// Arguments records what the tool was called with, when capture is on (see CaptureContent).
func (t *Tool) Arguments(v any) { capture(t.span, conv.GenAIToolCallArguments, v) }

// Result records what the tool gave back, when capture is on (see CaptureContent).
func (t *Tool) Result(v any) { capture(t.span, conv.GenAIToolCallResult, v) }

// End ends the call, by the same rules as Task.End.
func (t *Tool) End(err *error) {
	p := recover()
	t.finish(err, p, "")
	if p != nil {
		panic(p)
	}
}
