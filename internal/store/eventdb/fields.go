package eventdb

import (
	"context"
	"strings"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// FieldNames implements store.Reader.
func (db *DB) FieldNames(ctx context.Context, p signal.Project, s store.Scope) ([]store.Count, error) {
	if err := db.enter(); err != nil {
		return nil, err
	}
	defer db.leave()
	pl, err := db.plan(ctx, p, s)
	if err != nil || pl == nil {
		return nil, err
	}
	counts := map[string]uint64{}
	err = db.windows(ctx, pl, nil, store.Unordered, func(rows []*found) (bool, error) {
		for _, r := range rows {
			countNames(counts, r)
		}
		return true, nil
	})
	return store.SortCounts(counts, 0), err
}

// countNames counts a row's fields with a text in them. Payloads need not be joined for that: their text is long.
func countNames(counts map[string]uint64, r *found) {
	seen := make(map[string]bool, len(r.row.Fields))
	waits := make(map[int]bool, len(r.refs))
	for _, ref := range r.refs {
		waits[ref.field] = !ref.all
	}
	for i, f := range r.row.Fields {
		if !seen[f.Name] && (waits[i] || f.Value.Text() != "") {
			seen[f.Name] = true
			counts[f.Name]++
		}
	}
}

// FieldValues implements store.Reader.
func (db *DB) FieldValues(ctx context.Context, p signal.Project, s store.Scope, field string, limit int) ([]store.Count, error) {
	if err := db.enter(); err != nil {
		return nil, err
	}
	defer db.leave()
	pl, err := db.plan(ctx, p, s)
	if err != nil || pl == nil {
		return nil, err
	}
	counts := map[string]uint64{}
	for r, err := range db.eachRow(ctx, pl, []string{field}) {
		if err != nil {
			return nil, err
		}
		if text := r.Text(field); text != "" {
			counts[strings.Clone(text)]++
		}
	}
	return store.SortCounts(counts, limit), nil
}
