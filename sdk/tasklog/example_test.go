package tasklog_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/tasklog"
)

// Every line that is logged with a context says whose work it is.
func Example() {
	text := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{} // it would differ from run to run
		}
		return a
	}})
	logger := slog.New(tasklog.NewHandler(text))

	ctx, task := sdk.StartTask(context.Background(), "task-456")
	defer task.End(nil)
	ctx, agent := sdk.StartAgent(ctx, "writer")
	defer agent.End(nil)
	logger.InfoContext(ctx, "draft written", "words", 1200)
	// Output: level=INFO msg="draft written" task_id=task-456 agent=writer words=1200
}

// The names of what is added, for those who read the lines.
func Example_keys() {
	fmt.Println(tasklog.TraceIDKey, tasklog.SpanIDKey, tasklog.TaskIDKey, tasklog.AgentKey)
	// Output: trace_id span_id task_id agent
}
