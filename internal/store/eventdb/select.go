package eventdb

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// fullError says that a window holds too much, with the times of some of its rows.
type fullError struct{ times []int64 }

func (*fullError) Error() string { return "window holds too much" }

// Select implements store.Reader. Rows are read in windows, oldest or newest first; the payloads of a few rows at a
// time are joined as the caller asks for them.
func (db *DB) Select(ctx context.Context, p signal.Project, q store.Select) iter.Seq2[*store.Row, error] {
	return func(yield func(*store.Row, error) bool) {
		yield = once(yield)
		if err := db.enter(); err != nil {
			yield(nil, err)
			return
		}
		defer db.leave()
		if err := q.Check(); err != nil {
			yield(nil, signal.Permanent(err))
			return
		}
		pl, err := db.plan(ctx, p, q.Scope)
		if err != nil {
			yield(nil, err)
			return
		}
		if pl == nil {
			return
		}
		left := cmp.Or(q.Limit, -1)
		err = db.paced(ctx, pl, q.Fields, db.newPace(q.Order, q.Limit), func(rows []*found) (bool, error) {
			if left >= 0 {
				rows = rows[:min(left, len(rows))]
				left -= len(rows)
			}
			more, err := db.deliver(ctx, pl, rows, q.Fields, yield)
			return more && left != 0, err
		})
		if err != nil {
			yield(nil, err)
		}
	}
}

// once returns a yield that does nothing after the caller has stopped: an error of what did not answer may follow.
func once(yield func(*store.Row, error) bool) func(*store.Row, error) bool {
	stopped := false
	return func(r *store.Row, err error) bool {
		stopped = stopped || !yield(r, err)
		return !stopped
	}
}

// deliver joins the payloads of rows, some at a time, and yields them.
func (db *DB) deliver(ctx context.Context, pl *plan, rows []*found, fields []string, yield func(*store.Row, error) bool) (more bool, err error) {
	want := wantedSet(fields)
	for len(rows) > 0 {
		n, bytes := 0, 0
		for n < len(rows) && bytes < joinBytes {
			for _, r := range rows[n].refs {
				bytes += r.length
			}
			n++
		}
		if bytes > 0 {
			if err := pl.silent(db.join(ctx, pl.tenant, rows[:n], want)); err != nil {
				return false, err
			}
		}
		for i, r := range rows[:n] {
			if !yield(projected(&r.row, fields), nil) {
				return false, nil
			}
			rows[i] = nil // delivered payloads need not wait for the rest of the window
		}
		rows = rows[n:]
	}
	return true, nil
}

// projected limits a row to the fields asked for, and to the mark that some of them are gone.
func projected(r *store.Row, fields []string) *store.Row {
	if fields == nil {
		return r
	}
	r.Fields = slices.DeleteFunc(r.Fields, func(f store.Field) bool {
		return f.Name != store.FieldPayloadsExpired && !slices.Contains(fields, f.Name)
	})
	return r
}

func wantedSet(fields []string) map[string]bool {
	if fields == nil {
		return nil
	}
	set := make(map[string]bool, len(fields))
	for _, f := range fields {
		set[f] = true
	}
	return set
}

// windows calls f with the rows in scope, window by window, until it returns false.
func (db *DB) windows(ctx context.Context, pl *plan, fields []string, f func([]*found) (bool, error)) error {
	return db.paced(ctx, pl, fields, db.newPace(store.Unordered, 0), f)
}

// paced does the same at a pace, in its order.
func (db *DB) paced(ctx context.Context, pl *plan, fields []string, pc *pace, f func([]*found) (bool, error)) error {
	db.asking.Add(1)
	defer db.asking.Add(-1)
	rest, ok := clip(pl.at)
	for first := true; ok; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		if rest, ok = db.skipEmpty(rest); !ok {
			return pl.partial
		}
		if first && pl.narrow {
			pc.size = rest.End - rest.Start
			if pl.many && !pc.limit {
				pc.rows = windowRows
			}
		}
		w := pc.next(rest)
		rows, err := db.window(ctx, pl, w, fields, pc.rows)
		if full := (*fullError)(nil); errors.As(err, &full) {
			pc.full(w, full.times)
			continue
		}
		if err != nil {
			return err
		}
		sortFound(rows, pc.order)
		if more, err := f(rows); err != nil || !more {
			return cmp.Or(err, pl.partial)
		}
		pc.took(w, len(rows))
		if pc.order == store.NewestFirst {
			rest.End = w.Start
		} else {
			rest.Start = w.End
		}
		ok = !rest.Empty()
	}
	return pl.partial
}

// skipEmpty cuts off the days at the ends of a range for which there are no data.
func (db *DB) skipEmpty(rest signal.TimeRange) (signal.TimeRange, bool) {
	first, last := int64(-1), int64(-1)
	for _, name := range db.events.PartitionList() { // sorted by day
		t, err := time.Parse("20060102", name)
		if err != nil {
			continue
		}
		start := t.UnixNano()
		if start >= rest.End || start+int64(day) <= rest.Start {
			continue
		}
		if first < 0 {
			first = start
		}
		last = start
	}
	if first < 0 {
		return rest, false
	}
	return signal.TimeRange{Start: max(rest.Start, first), End: min(rest.End, last+int64(day))}, true
}

func sortFound(rows []*found, order store.Order) {
	if order == store.Unordered {
		return
	}
	slices.SortFunc(rows, func(a, b *found) int {
		byTime := cmp.Compare(a.row.Time, b.row.Time)
		if order == store.NewestFirst {
			byTime = -byTime
		}
		return cmp.Or(byTime, strings.Compare(a.row.ID, b.row.ID))
	})
}

// window returns the rows in scope of one window, or a *fullError when they are more than maxRows and the window
// can be divided.
func (db *DB) window(ctx context.Context, pl *plan, w signal.TimeRange, fields []string, maxRows int) ([]*found, error) {
	query := pl.query
	if cols := pl.columns(fields); cols != nil {
		query += fieldsPipe(cols)
	} else {
		query += ` | delete "_stream", "_stream_id"`
	}
	want := pl.wanted(fields)
	var rows []found
	bytes := 0
	err := run(ctx, db.events, pl.tenant, query, w, func(b *logstorage.DataBlock) error {
		n := len(rows)
		var err error
		if rows, err = decodeBlock(rows, b, want); err != nil {
			return err
		}
		for i := range rows[n:] {
			bytes += rows[n+i].size
		}
		if (len(rows) > maxRows || bytes > windowBytes) && w.End-w.Start > 1 {
			return errFull(rows)
		}
		return nil
	})
	if err := pl.silent(err); err != nil {
		return nil, err
	}
	out := make([]*found, len(rows))
	for i := range rows {
		out[i] = &rows[i]
	}
	if pl.revised {
		if out, err = db.newest(ctx, pl, out); err != nil {
			return nil, err
		}
	}
	return db.judge(ctx, pl, out)
}

func errFull(rows []found) error {
	times := make([]int64, len(rows))
	for i := range rows {
		times[i] = rows[i].row.Time
	}
	return &fullError{times}
}

// newest drops the rows of which a newer revision is stored.
func (db *DB) newest(ctx context.Context, pl *plan, rows []*found) ([]*found, error) {
	if len(rows) == 0 {
		return rows, nil
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.row.ID
	}
	slices.Sort(ids)
	best := map[string]version{}
	err := db.versions(ctx, pl.tenant, pl.kind, slices.Compact(ids), signal.AllTime(), func(v version) {
		if b, ok := best[v.id]; !ok || v.rev > b.rev {
			v.id = strings.Clone(v.id)
			best[v.id] = v
		}
	})
	if err := pl.silent(err); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(rows, func(r *found) bool {
		b, ok := best[r.row.ID]
		if !ok || b.rev > revisionOf(&r.row) {
			return true
		}
		delete(best, r.row.ID) // of equal copies one
		return false
	}), nil
}

// judge evaluates the filter on the rows that the engine could not judge.
func (db *DB) judge(ctx context.Context, pl *plan, rows []*found) ([]*found, error) {
	if pl.match == nil {
		return rows, nil
	}
	want := wantedSet(pl.fields)
	if pl.all {
		want = nil
	}
	keep := make([]bool, len(rows))
	for start := 0; start < len(rows); {
		// A copy is joined and judged: the row itself gets its payloads when it is delivered, if it is.
		var open []*found
		var at []int
		bytes := 0
		end := start
		for ; end < len(rows) && bytes < joinBytes; end++ {
			r := rows[end]
			n := r.waiting(want)
			switch {
			case n > 0:
				bytes += n
				open, at = append(open, r.clone()), append(at, end)
			case pl.exact && !r.special:
				keep[end] = true
			default:
				keep[end] = pl.match(&r.row)
			}
		}
		if err := pl.silent(db.join(ctx, pl.tenant, open, want)); err != nil {
			return nil, err
		}
		for i, r := range open {
			keep[at[i]] = pl.match(&r.row)
		}
		start = end
	}
	n := 0
	for i, r := range rows {
		if keep[i] {
			rows[n] = r
			n++
		}
	}
	return rows[:n], nil
}

// waiting returns the bytes of the payloads that a set of fields waits for.
func (f *found) waiting(want map[string]bool) int {
	return f.needs(map[stored]ref{}, want)
}

func (f *found) clone() *found {
	c := *f
	c.row.Fields = slices.Clone(f.row.Fields)
	c.refs = slices.Clone(f.refs)
	return &c
}
