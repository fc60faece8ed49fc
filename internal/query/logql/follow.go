package logql

import (
	"github.com/mindscope/mindscope/internal/store"
)

// Follower picks the lines of a query from rows as they arrive. It is for one goroutine.
type Follower struct {
	plan   *plan
	reader *rowReader
	line   line
	shared sharedLabels
}

// maxFollowed bounds the sets of labels that a Follower shares; beyond, it begins anew.
const maxFollowed = 10_000

// Follow prepares a query for rows that arrive one by one.
func Follow(expr *LogExpr) (*Follower, error) {
	pl, err := newPlan(expr, nil)
	if err != nil {
		return nil, err
	}
	return &Follower{plan: pl, reader: newRowReader(nil), shared: sharedLabels{}}, nil
}

// Filter holds for all rows that Take may want, and maybe others; nil for all.
func (f *Follower) Filter() store.Filter { return f.plan.filter }

// Take returns a row's line, false when the query does not want it. The row must be a log record that passes Filter.
func (f *Follower) Take(row *store.Row) (Entry, bool) {
	if !f.plan.keep(f.reader, row, &f.line) {
		return Entry{}, false
	}
	if len(f.shared) > maxFollowed {
		clear(f.shared)
	}
	return f.line.entry(row.ID, f.shared), true
}
