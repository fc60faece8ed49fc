// Package records makes a team's database records part of its tasks: every statement is a span that names the table,
// and an INSERT writes the ids of the task and the trace into columns of their own, which is what finds the work behind
// a record years later.
//
//	db, err := records.Open("sqlite", "team.db")
//	task, trace := records.IDs(ctx)
//	_, err = db.ExecContext(ctx, `INSERT INTO task_steps (id, task_id, trace_id, step) VALUES (?, ?, ?, ?)`,
//		id, task, trace, "draft")
//
// In the flow of the data it is the record's hop. Package recordstest fails a test on an INSERT without the two
// columns.
package records
