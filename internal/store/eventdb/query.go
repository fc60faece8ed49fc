package eventdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// quote writes s as one token of the engine's query language, whatever is in it.
func quote(s string) string { return strconv.Quote(s) }

// fieldIs, fieldIn and fieldHas build conditions on one column.
func fieldIs(name, text string) string { return quote(name) + ":=" + quote(text) }

func fieldIn(name string, texts []string) string {
	var b strings.Builder
	b.WriteString(quote(name))
	b.WriteString(":in(")
	for i, t := range texts {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quote(t))
	}
	b.WriteByte(')')
	return b.String()
}

func fieldHas(name string) string { return quote(name) + ":*" }

// ofKind selects the streams of one kind: the cheapest condition there is. The column is asked for, too, since the
// engine leaves an empty row where it has deleted the first one of a block. Marks are no rows (see streams.go).
func ofKind(k store.Kind) string {
	return "_stream:{" + colKind + "=" + quote(string(k)) + "} " + fieldIs(colKind, string(k)) + " !" + fieldHas(colMark)
}

// fieldsPipe limits the answer to some columns.
func fieldsPipe(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return " | fields " + strings.Join(quoted, ", ")
}

// clip cuts a range to what the engine can be asked for and tells whether anything is left.
func clip(t signal.TimeRange) (signal.TimeRange, bool) {
	t.Start = max(t.Start, 0)
	t.End = min(t.End, math.MaxInt64)
	return t, !t.Empty()
}

// run asks one of the engines. f gets the blocks of the answer one at a time, in no order, and must not keep them;
// its error ends the query.
func run(ctx context.Context, e querier, t logstorage.TenantID, text string, at signal.TimeRange,
	f func(*logstorage.DataBlock) error,
) error {
	at, ok := clip(at)
	if !ok {
		return nil
	}
	q, err := logstorage.ParseQueryAtTimestamp(text, at.End-1)
	if err != nil {
		return fmt.Errorf("BUG: query of ours does not parse: %w", err)
	}
	q.AddTimeFilter(at.Start, at.End-1)

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var stats logstorage.QueryStats
	qctx := logstorage.NewQueryContext(ctx, &stats, []logstorage.TenantID{t}, q, false, nil)
	var one sync.Mutex
	err = e.RunQuery(qctx, func(_ uint, db *logstorage.DataBlock) {
		one.Lock()
		defer one.Unlock()
		if ctx.Err() != nil {
			return
		}
		if err := f(db); err != nil {
			cancel(err)
		}
	})
	// A stopped query returns no error; the cause says why it was stopped.
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil && strings.Contains(err.Error(), "requires more than") {
		// The engine has no mark for what would take too much of its memory, but these words.
		return fmt.Errorf("run query: %w: %w", store.ErrTooMany, err)
	}
	if err != nil {
		return fmt.Errorf("run query: %w", err)
	}
	return nil
}

// errStop ends a query early without an error.
var errStop = errors.New("stop")

// texts returns the values of a column, or empty texts when the block has no such column.
func texts(db *logstorage.DataBlock, name string) []string {
	if c := db.GetColumnByName(name); c != nil {
		return c.Values
	}
	return make([]string, db.RowsCount())
}
