package sdk

import (
	"context"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mindscope/mindscope/sdk/conv"
)

// Agent is a member of the team at work. Make it with StartAgent and end it with End.
type Agent struct {
	work
	scope scoped
}

// StartAgent begins the work of an agent on the task of ctx. Everything that starts below the returned context is
// marked as done by it.
func StartAgent(ctx context.Context, name string) (context.Context, *Agent) {
	a := &Agent{scope: scoped{ctx, *identityOf(ctx)}}
	a.scope.agent = clean(name)
	a.scope.attrs = nil
	a.ctx, a.span = a.scope.start(&a.scope, "invoke_agent "+a.scope.agent, internalSpan, true,
		attribute.String(conv.GenAIOperationName, "invoke_agent"))
	return a.ctx, a
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
