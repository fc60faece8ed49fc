package sdk_test

import (
	"context"
	"fmt"
	"testing"

	"go.opentelemetry.io/otel/baggage"

	"github.com/mindscope/mindscope/sdk"
)

func TestJoinTask(t *testing.T) {
	f := func(header, id, wantTask, wantType, wantBaggage string) {
		t.Helper()
		b, err := baggage.Parse(header)
		if err != nil {
			t.Fatal(err)
		}
		// The context of whoever started the consumer must not shine through.
		ctx, agent := sdk.StartAgent(t.Context(), "listener")
		defer agent.End(nil)
		ctx, task := sdk.StartTask(ctx, "other", sdk.User("u"))
		defer task.End(nil)
		ctx = sdk.JoinTask(baggage.ContextWithBaggage(ctx, b), id)
		if got := sdk.TaskID(ctx); got != wantTask {
			t.Errorf("task is %q, want %q", got, wantTask)
		}
		if got := sdk.TypeOfTask(ctx); got != wantType {
			t.Errorf("type is %q, want %q", got, wantType)
		}
		if got := baggage.FromContext(ctx).Member("ai_team.task.id").Value(); got != wantBaggage {
			t.Errorf("baggage has the task %q, want %q", got, wantBaggage)
		}
		if got := sdk.AgentFrom(ctx); got != "" {
			t.Errorf("agent is %q, want none", got)
		}
	}
	f("", "", "", "", "")
	f("", "t1", "t1", "", "t1")
	f("ai_team.task.id=t1,ai_team.task.type=article", "", "t1", "article", "t1")
	f("ai_team.task.id=t1,ai_team.task.type=article", "t1", "t1", "article", "t1")
	f("ai_team.task.id=t1,ai_team.task.type=article", "t2", "t2", "", "t2")
	f("other=x", "a task, with = and é", "a task, with = and é", "", "a task, with = and é")
}

func ExampleJoinTask() {
	ctx := sdk.JoinTask(context.Background(), "task-456")
	fmt.Println(sdk.TaskID(ctx))
	// Output: task-456
}
