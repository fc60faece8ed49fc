package traceql

import (
	"context"
	"fmt"
	"math"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// fieldBytes is what a field of a row takes beside its text; its name is shared.
const fieldBytes = 64

// Trace returns the spans of a trace with everything they were sent with, oldest first; those that start in a time when
// at is not all of it. partial says that a part of the store did not answer. It returns store.ErrNotFound for no spans
// and ErrTooLarge for more than a question may hold.
func (e *Engine) Trace(ctx context.Context, p signal.Project, traceID string, at signal.TimeRange) (rows []store.Row, partial bool, err error) {
	r := e.run(p)
	if rows, err = r.rows(ctx, store.Eq(store.FieldTraceID, traceID), at); err != nil {
		return nil, r.partial, err
	}
	if len(rows) == 0 {
		return nil, r.partial, fmt.Errorf("trace %s: %w", traceID, store.ErrNotFound)
	}
	return rows, r.partial, nil
}

// Traces is Trace for several; a trace that is not there has no rows.
func (e *Engine) Traces(ctx context.Context, p signal.Project, ids []string) (rows []store.Row, partial bool, err error) {
	r := e.run(p)
	rows, err = r.rows(ctx, store.In{Field: store.FieldTraceID, Values: ids}, signal.AllTime())
	return rows, r.partial, err
}

func (r *run) rows(ctx context.Context, f store.Filter, at signal.TimeRange) (rows []store.Row, err error) {
	q := store.Select{Scope: store.Scope{Kind: store.KindSpan, Time: at, Filter: f}, Order: store.OldestFirst}
	err = r.each(ctx, q, func(row *store.Row) error {
		size := len(row.Fields) * fieldBytes
		for _, f := range row.Fields {
			size += len(f.Value.Text())
		}
		if err := r.budget.take(size); err != nil {
			return err
		}
		rows = append(rows, *row.Clone())
		return nil
	})
	return rows, err
}

// TraceIDs returns the ids of traces that have a span a filter holds for, those with the newest such span first.
func (e *Engine) TraceIDs(ctx context.Context, p signal.Project, f store.Filter, at signal.TimeRange, limit int) (ids []string, err error) {
	r := e.run(p)
	seen := map[string]bool{}
	q := store.Select{
		Scope:  store.Scope{Kind: store.KindSpan, Time: at, Filter: f},
		Fields: []string{store.FieldTraceID}, Order: store.NewestFirst,
	}
	err = r.each(ctx, q, func(row *store.Row) error {
		id := row.Text(store.FieldTraceID)
		if id == "" || seen[id] {
			return nil
		}
		if id, err = r.texts.text(id); err != nil {
			return err
		}
		seen[id] = true
		if ids = append(ids, id); len(ids) >= limit {
			return errStop
		}
		return nil
	})
	return ids, err
}

// ParseTraceID reads a trace's id: up to 32 hex digits of either case, without leading zeros or with them.
func ParseTraceID(text string) (string, error) {
	if text == "" || len(text) > 32 {
		return "", signal.Permanent(fmt.Errorf("trace id %q: up to 32 hex digits are expected", text))
	}
	id := []byte("00000000000000000000000000000000")
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= 'A' && c <= 'F':
			c += 'a' - 'A'
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f':
		default:
			return "", signal.Permanent(fmt.Errorf("trace id %q: up to 32 hex digits are expected", text))
		}
		id[32-len(text)+i] = c
	}
	return string(id), nil
}

// Seconds makes a range of two Unix times: in seconds, or in milli-, micro- or nanoseconds when they are as large. 0 means
// not given: then the end is now and the start an hour before the end.
func Seconds(start, end, now int64) (signal.TimeRange, error) {
	s, err := nanoseconds(start)
	if err != nil {
		return signal.TimeRange{}, err
	}
	e, err := nanoseconds(end)
	if err != nil {
		return signal.TimeRange{}, err
	}
	if end == 0 {
		e = now
	}
	if start == 0 {
		s = max(0, e-3600e9)
	}
	if s > e {
		return signal.TimeRange{}, signal.Permanent(fmt.Errorf("the start (%d) is after the end (%d)", start, end))
	}
	return signal.TimeRange{Start: s, End: e}, nil
}

func nanoseconds(t int64) (int64, error) {
	scale := int64(1)
	switch {
	case t < 0:
		return 0, signal.Permanent(fmt.Errorf("time %d: seconds since 1970 are expected", t))
	case t < 1e11:
		scale = 1e9
	case t < 1e14:
		scale = 1e6
	case t < 1e17:
		scale = 1e3
	}
	return min(t, math.MaxInt64/scale) * scale, nil
}
