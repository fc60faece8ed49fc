package sdktest_test

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/sdktest"
)

// writeArticle is what is to be tested.
func writeArticle(ctx context.Context) {
	ctx, task := sdk.StartTask(ctx, "task-456")
	defer task.End(nil)
	_, call := sdk.StartLLM(ctx, "openai", "gpt-4o")
	call.Usage(sdk.Usage{Input: 1204, Output: 812})
	call.End(nil)
}

// TestExample is a test as users write it: what did the task report?
func TestExample(t *testing.T) {
	rec := sdktest.New(t)
	writeArticle(t.Context())
	if n := len(rec.Task("task-456")); n != 2 {
		t.Errorf("the task has %d spans, want 2: %v", n, rec.Spans())
	}
	for _, span := range rec.Named("chat gpt-4o") {
		if got := sdktest.Attr(span, "gen_ai.usage.input_tokens"); got != attribute.IntValue(1204) {
			t.Errorf("the call reports %v input tokens", got.AsInt64())
		}
	}
	if len(rec.Logs()) != 1 {
		t.Errorf("want the task's start record, got %v", rec.Logs())
	}
}
