package records_test

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/records"
)

func Example() {
	// With a real database: records.Open("sqlite", "team.db").
	db := records.OpenDB(&fake{}, records.WithSystem("sqlite"), records.WithNamespace("team"))
	defer db.Close()

	ctx, task := sdk.StartTask(context.Background(), "task-456")
	defer task.End(nil)
	taskID, traceID := records.IDs(ctx)
	_, err := db.ExecContext(ctx, `INSERT INTO task_steps (id, task_id, trace_id, step) VALUES (?, ?, ?, ?)`,
		"step-1", taskID, traceID, "draft")
	fmt.Println(taskID, err)
	// Output: task-456 <nil>
}

// The columns of a table whose rows can be followed back to their task.
func ExampleIDs() {
	fmt.Printf("CREATE TABLE task_steps (id TEXT, %s TEXT, %s TEXT)\n", records.TaskColumn, records.TraceColumn)
	task, trace := records.IDs(sdk.JoinTask(context.Background(), "task-456"))
	fmt.Printf("%q %q\n", task, trace) // no span runs
	// Output:
	// CREATE TABLE task_steps (id TEXT, task_id TEXT, trace_id TEXT)
	// "task-456" ""
}

func ExampleOpen() {
	sql.Register("example", &fake{})
	db, err := records.Open("example", "team.db")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	_, err = db.Exec("INSERT INTO task_steps (id) VALUES (1)")
	fmt.Println(err)
	// Output: <nil>
}

func ExampleRegister() {
	sql.Register("library", &fake{})
	name, err := records.Register("library")
	fmt.Println(name, err)
	// Output: library-otelsql-0 <nil>
}

func ExampleWithInsertHook() {
	db := records.OpenDB(&fake{}, records.WithInsertHook(func(_ context.Context, ins records.Insert) {
		fmt.Println(ins.Table, ins.Columns, ins.Values["id"])
	}), records.WithIDColumn("id"))
	defer db.Close()
	_, _ = db.Exec("INSERT INTO task_steps (id, step) VALUES (?, 'draft')", "step-1")
	// Output: task_steps [id step] step-1
}

// A statement whose text names its task, for the database's own log.
func ExampleComment() {
	fmt.Println(records.Comment(context.Background(), "SELECT 1")) // no span runs
	// Output: SELECT 1
}
