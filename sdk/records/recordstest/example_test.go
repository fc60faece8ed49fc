package recordstest_test

import (
	"testing"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/records"
	"github.com/mindscope/mindscope/sdk/records/recordstest"
	"github.com/mindscope/mindscope/sdk/sdktest"
)

// TestExample is a test as users write it: it would fail if the INSERT forgot task_id or trace_id.
func TestExample(t *testing.T) {
	sdktest.New(t)
	// With a real database: records.Open("sqlite", file, recordstest.Watch(t, "task_steps")).
	db := records.OpenDB(nothing{}, recordstest.Watch(t, "task_steps"))
	defer db.Close()

	ctx, task := sdk.StartTask(t.Context(), "task-456")
	defer task.End(nil)
	taskID, traceID := records.IDs(ctx)
	_, err := db.ExecContext(ctx, "INSERT INTO task_steps (task_id, trace_id, step) VALUES (?, ?, 'draft')", taskID, traceID)
	if err != nil {
		t.Fatal(err)
	}
}
