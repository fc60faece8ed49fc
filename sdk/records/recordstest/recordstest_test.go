package recordstest_test

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/sdk/records"
	"github.com/mindscope/mindscope/sdk/records/recordstest"
)

// report takes the place of a test and keeps what it fails with.
type report struct {
	testing.TB
	failures []string
}

func (r *report) Helper() {}

func (r *report) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

// nothing is a database that takes every statement.
type nothing struct{}

func (nothing) Connect(context.Context) (driver.Conn, error) { return nothing{}, nil }
func (nothing) Driver() driver.Driver                        { return nil }
func (nothing) Prepare(string) (driver.Stmt, error)          { return nil, driver.ErrSkip }
func (nothing) Close() error                                 { return nil }
func (nothing) Begin() (driver.Tx, error)                    { return nil, driver.ErrSkip }
func (nothing) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), nil
}

func TestWatch(t *testing.T) {
	f := func(tables []string, query string, args []any, want ...string) {
		t.Helper()
		r := &report{TB: t}
		db := records.OpenDB(nothing{}, recordstest.Watch(r, tables...))
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
		got := make([]string, len(r.failures))
		for i, s := range r.failures {
			got[i], _, _ = strings.Cut(s, ":")
		}
		if diff := cmp.Diff(want, got, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
			t.Errorf("%s %v: failures (-want +got):\n%s", query, args, diff)
		}
	}
	steps := []string{"task_steps"}
	f(steps, "INSERT INTO Task_Steps (task_id, trace_id) VALUES (?, ?)", []any{"task-1", "abc"})
	f(steps, "INSERT INTO task_steps (task_id, trace_id) SELECT task_id, trace_id FROM old", nil)
	f(steps, "INSERT INTO other (id) VALUES (?)", []any{1})
	f(steps, "UPDATE task_steps SET a = 1", nil)
	f(steps, "INSERT INTO task_steps (task_id) VALUES (?)", []any{"task-1"},
		"INSERT into task_steps does not name the column trace_id")
	f(steps, "INSERT INTO task_steps VALUES (?)", []any{1},
		"INSERT into task_steps does not name the column task_id", "INSERT into task_steps does not name the column trace_id")
	f(steps, "INSERT INTO task_steps (task_id, trace_id) VALUES (?, ?)", []any{"", nil},
		"INSERT into task_steps leaves task_id empty (see records.IDs)", "INSERT into task_steps leaves trace_id empty (see records.IDs)")
	f(nil, "INSERT INTO any_table (trace_id) VALUES (?)", []any{"abc"},
		"INSERT into any_table does not name the column task_id")
}
