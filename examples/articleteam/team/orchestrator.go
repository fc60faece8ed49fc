package team

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/conv"
	"github.com/mindscope/mindscope/sdk/mindbus"
)

// The critic's score that is good enough, and how often the writer may try.
const (
	passingScore = 7.5
	maxRevisions = 3
)

// ErrRejected says that the critic was never satisfied.
var ErrRejected = errors.New("the critic rejected every revision")

// Outcome is what became of a task, for the team's own books.
type Outcome struct {
	TaskID  string  `json:"task_id"`
	TraceID string  `json:"trace_id"`
	Topic   string  `json:"topic"`
	Error   string  `json:"error,omitempty"`
	Quality float64 `json:"quality,omitempty"`
	Tokens  int64   `json:"tokens"`
}

// Do works on one article and returns what became of it; the error is in the outcome as well.
func (t *Team) Do(ctx context.Context, id, topic string) (out Outcome, err error) {
	out = Outcome{TaskID: id, Topic: topic}
	ctx, task := sdk.StartTask(ctx, id, sdk.TaskType("article"))
	defer func() {
		if err != nil {
			out.Error = err.Error()
		}
	}()
	defer task.End(&err)
	task.Span().SetAttributes(attribute.String(conv.GenAIAgentName, "orchestrator"))
	out.TraceID = task.Span().SpanContext().TraceID().String()
	t.log.InfoContext(ctx, "task accepted", "topic", topic)
	draft, err := t.draft(ctx, topic, &out)
	if err != nil {
		t.log.ErrorContext(ctx, "task failed", "error", err)
		return out, err
	}
	if _, err = t.order(ctx, "editor", Order{Topic: topic, Text: draft}, &out); err != nil {
		t.log.ErrorContext(ctx, "task failed", "error", err)
		return out, err
	}
	task.Quality(out.Quality)
	if err := t.announce(ctx, topic); err != nil {
		return out, err
	}
	t.log.InfoContext(ctx, "task completed", "quality", out.Quality)
	return out, nil
}

// draft lets writer and critic go round until the score passes.
func (t *Team) draft(ctx context.Context, topic string, out *Outcome) (string, error) {
	for revision := range maxRevisions {
		draft, err := t.order(ctx, "writer", Order{Topic: topic, Revision: revision}, out)
		if err != nil {
			return "", err
		}
		verdict, err := t.order(ctx, "critic", Order{Topic: topic, Text: draft.Text, Revision: revision}, out)
		if err != nil {
			return "", err
		}
		out.Quality = verdict.Score
		if verdict.Score >= passingScore {
			return draft.Text, nil
		}
	}
	return "", fmt.Errorf("%w: the last score was %.1f", ErrRejected, out.Quality)
}

func (t *Team) order(ctx context.Context, agent string, o Order, out *Outcome) (Answer, error) {
	var answer Answer
	m, err := mindbus.NewMessage(mindbus.Command, "orchestrator", agent, o)
	if err != nil {
		return answer, err
	}
	reply, err := t.bus.Request(ctx, m)
	if err != nil {
		return answer, err
	}
	if err := reply.Decode(&answer); err != nil {
		return answer, err
	}
	out.Tokens += answer.Metrics.TokensUsed
	return answer, nil
}
