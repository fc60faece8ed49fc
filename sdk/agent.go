package sdk

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk/conv"
)

// Agent is a member of the team at work. Make it with StartAgent and end it with End.
type Agent struct{ work }

// StartAgent begins the work of an agent on the task of ctx. Everything that starts below the returned context is
// marked as done by it.
func StartAgent(ctx context.Context, name string) (context.Context, *Agent) {
	ident := *identityOf(ctx)
	ident.agent = clean(name)
	ident.fill()
	ctx = ident.in(ctx)
	attrs := append(make([]attribute.KeyValue, 0, len(ident.attrs)+1), ident.attrs...)
	attrs = append(attrs, attribute.String(conv.GenAIOperationName, "invoke_agent"))
	ctx, span := startSpan(ctx, "invoke_agent "+ident.agent, trace.SpanKindInternal, attrs)
	return ctx, &Agent{work{ctx, span}}
}

// Quality records a judge's score of the agent's work, 0 to 10.
func (a *Agent) Quality(score float64) {
	a.span.SetAttributes(attribute.Float64(conv.AITeamQualityScore, score))
}

// End ends the agent's work, by the same rules as Task.End.
func (a *Agent) End(err *error) {
	p := recover()
	a.finish(err, p, "")
	if p != nil {
		panic(p)
	}
}
