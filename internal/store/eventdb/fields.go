package eventdb

import (
	"context"
	"fmt"
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
	if pl.pure() {
		counts, ok, err := db.namesInEngine(ctx, pl)
		if err != nil {
			return nil, err
		}
		if ok {
			return store.SortCounts(counts, 0), nil
		}
	}
	counts := map[string]uint64{}
	err = db.windows(ctx, pl, nil, func(rows []*found) (bool, error) {
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

// maxValues bounds the distinct texts of a field that are counted for FieldValues.
const maxValues = 500_000

func tooManyValues(field string) error {
	return fmt.Errorf("values of %q: more than %d: %w", field, maxValues, store.ErrTooMany)
}

// FieldValues implements store.Reader.
func (db *DB) FieldValues(ctx context.Context, p signal.Project, s store.Scope, field string, limit int) ([]store.Count, error) {
	if err := db.enter(); err != nil {
		return nil, err
	}
	defer db.leave()
	if err := store.CheckValues(s, field, limit); err != nil {
		return nil, signal.Permanent(err)
	}
	pl, err := db.plan(ctx, p, s)
	if err != nil || pl == nil {
		return nil, err
	}
	q := store.Aggregate{Scope: s, By: []string{field}, Columns: []store.Column{{Func: store.CountRows}}}
	ok, err := db.pushable(ctx, pl, q)
	if err != nil {
		return nil, err
	}
	counts := map[string]uint64{}
	if ok {
		groups, err := db.stats(ctx, pl, q, maxValues)
		if err != nil {
			return nil, err
		}
		if len(groups) > maxValues {
			return nil, tooManyValues(field)
		}
		for _, g := range groups {
			if g.Key[0] != "" {
				counts[g.Key[0]] = uint64(g.Values[0])
			}
		}
		return store.SortCounts(counts, limit), nil
	}
	for r, err := range db.eachRow(ctx, pl, []string{field}) {
		if err != nil {
			return nil, err
		}
		if text := r.Text(field); text != "" {
			if counts[strings.Clone(text)]++; len(counts) > maxValues {
				return nil, tooManyValues(field)
			}
		}
	}
	return store.SortCounts(counts, limit), nil
}
