// Package recordstest lets a test fail on a record that nobody could tie to its task.
package recordstest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/mindscope/mindscope/sdk/records"
)

// Watch returns an option for records.Open that fails the test on an INSERT into one of the tables which does not
// name the columns task_id and trace_id, or gives one of them an empty argument. Without tables it watches all.
func Watch(t testing.TB, tables ...string) records.Option {
	t.Helper()
	return records.WithInsertHook(func(_ context.Context, ins records.Insert) {
		if len(tables) > 0 && !slices.ContainsFunc(tables, func(w string) bool { return strings.EqualFold(w, ins.Table) }) {
			return
		}
		for _, column := range []string{records.TaskColumn, records.TraceColumn} {
			v, isArg := ins.Values[column]
			switch {
			case !slices.Contains(ins.Columns, column):
				t.Errorf("INSERT into %s does not name the column %s: %s", ins.Table, column, ins.Query)
			case isArg && (v == nil || v == ""):
				t.Errorf("INSERT into %s leaves %s empty (see records.IDs): %s", ins.Table, column, ins.Query)
			}
		}
	})
}
