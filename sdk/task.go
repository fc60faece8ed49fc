package sdk

import (
	"context"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mindscope/mindscope/sdk/conv"
)

// TaskOption sets what StartTask says of a task. Options are made by TaskType, Team, User and Conversation.
type TaskOption struct {
	field taskField
	value string
}

type taskField uint8

const (
	fieldType taskField = iota
	fieldTeam
	fieldUser
	fieldConversation
)

// TaskType names the kind of work. It becomes a metric label, so there should be few.
func TaskType(name string) TaskOption { return TaskOption{fieldType, name} }

// Team names the team that does the work; the default is the resource's service.namespace.
func Team(name string) TaskOption { return TaskOption{fieldTeam, name} }

// User names whom the work is done for.
func User(id string) TaskOption { return TaskOption{fieldUser, id} }

// Conversation names the conversation that the work belongs to.
func Conversation(id string) TaskOption { return TaskOption{fieldConversation, id} }

// Task is a piece of work given to the team. Make it with StartTask and end it with End.
type Task struct {
	work
	scope scoped
}

// StartTask begins a task, or another attempt at one. The id may have any shape. The returned context carries it to
// every agent, LLM call, message, record, artifact and log line below.
func StartTask(ctx context.Context, id string, opts ...TaskOption) (context.Context, *Task) {
	t := &Task{scope: scoped{Context: ctx}}
	ident := &t.scope.identity
	ident.task = clean(id)
	for _, o := range opts {
		switch o.field {
		case fieldType:
			ident.taskType = clean(o.value)
		case fieldTeam:
			ident.team = clean(o.value)
		case fieldUser:
			ident.user = clean(o.value)
		case fieldConversation:
			ident.conversation = clean(o.value)
		}
	}
	more := [2]attribute.KeyValue{attribute.String(conv.GenAIOperationName, "invoke_workflow")}
	n := 1
	if ident.taskType != "" {
		more[1], n = attribute.String(conv.GenAIWorkflowName, ident.taskType), 2
	}
	t.ctx, t.span = ident.start(&t.scope, "execute_task", internalSpan, true, more[:n]...)
	// Without a trace there is nothing that the baggage would travel with.
	if t.span.SpanContext().IsValid() {
		t.ctx = ident.withBaggage(t.ctx)
	}
	return t.ctx, t
}

// ID returns the task's id.
func (t *Task) ID() string { return t.scope.task }

// Quality records a judge's score of the task's result, 0 to 10.
func (t *Task) Quality(score float64) {
	t.span.SetAttributes(attribute.Float64(conv.AITeamQualityScore, score))
}

// End ends the task. Defer it with the address of the function's error:
//
//	defer task.End(&err)
//
// An error ends the task as failed, a cancelled context as cancelled, a panic passing through as failed with its
// stack (and goes on); otherwise it is completed. An address is believed: where the error is nil the task is completed,
// whatever became of the context. With nil instead of an address only the context and panics count.
func (t *Task) End(err *error) {
	p := recover()
	t.finish(err, p, conv.AITeamTaskStatus)
	if p != nil {
		panic(p)
	}
}
