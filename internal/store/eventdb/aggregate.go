package eventdb

import (
	"context"
	"iter"
	"slices"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Aggregate implements store.Reader.
func (db *DB) Aggregate(ctx context.Context, p signal.Project, q store.Aggregate) ([]store.Group, error) {
	if err := db.enter(); err != nil {
		return nil, err
	}
	defer db.leave()
	db.asking.Add(1)
	defer db.asking.Add(-1)
	if err := q.Check(); err != nil {
		return nil, signal.Permanent(err)
	}
	pl, err := db.plan(ctx, p, q.Scope)
	if err != nil || pl == nil {
		return nil, err
	}
	ok, err := db.pushable(ctx, pl, q)
	if err != nil {
		return nil, err
	}
	if ok {
		return db.aggregateInEngine(ctx, pl, q)
	}
	return db.aggregateRows(ctx, pl, q)
}

// aggregateRows computes an aggregate from rows, one by one: the way for what the engine can't compute exactly.
func (db *DB) aggregateRows(ctx context.Context, pl *plan, q store.Aggregate) ([]store.Group, error) {
	return store.AggregateRows(ctx, q, db.eachRow(ctx, pl, neededBy(q)))
}

// neededBy returns the fields that an aggregate reads.
func neededBy(q store.Aggregate) []string {
	need := slices.Clone(q.By)
	for _, c := range q.Columns {
		if c.Func != store.CountRows {
			need = append(need, c.Field)
		}
	}
	if need == nil {
		need = []string{}
	}
	return need
}

// eachRow yields the rows in scope, in no order, with the fields asked for.
func (db *DB) eachRow(ctx context.Context, pl *plan, fields []string) iter.Seq2[*store.Row, error] {
	return func(yield func(*store.Row, error) bool) {
		yield = once(yield)
		err := db.windows(ctx, pl, fields, func(rows []*found) (bool, error) {
			return db.deliver(ctx, pl, rows, fields, yield)
		})
		if err != nil {
			yield(nil, err)
		}
	}
}
