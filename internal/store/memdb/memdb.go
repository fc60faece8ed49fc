// Package memdb is the simplest right implementation of store.Events: rows in memory, every filter evaluated on every
// row. It is the oracle that the engines are tested against, and what `mindscope serve --memory` uses.
//
// Durability: none. Written rows are visible when Write returns. When MaxRows is reached, the oldest tenth of the
// project's rows is evicted, with the payloads and traces that only they knew, and counted in Stats. Rows past the
// retention are no longer found; they go when the room is needed.
package memdb

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Config says what a DB keeps. The zero value is completed with the defaults named beside its fields.
type Config struct {
	// Retention is how long rows are kept and how old a row may be when it arrives; default 30 days.
	Retention time.Duration
	// FutureLimit is how far in the future a row may lie; default 2 days.
	FutureLimit time.Duration
	// MaxRows bounds the rows of a project; default 1 000 000.
	MaxRows int
	// Clock tells the time; default time.Now.
	Clock func() time.Time
	// Observer may be nil.
	Observer store.Observer
}

func (c Config) withDefaults() Config {
	c.Retention = cmp.Or(c.Retention, 30*24*time.Hour)
	c.FutureLimit = cmp.Or(c.FutureLimit, 48*time.Hour)
	c.MaxRows = cmp.Or(c.MaxRows, 1_000_000)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}

// DB holds rows in memory. It implements store.Events.
type DB struct {
	cfg Config

	mu       sync.RWMutex
	projects map[signal.Project]*project
	closed   bool
}

type rowKey struct {
	kind store.Kind
	id   string
}

type project struct {
	rows     []*store.Row // in order of arrival
	byID     map[rowKey]int
	traces   map[string]signal.TimeRange
	payloads map[string]string
	evicted  uint64
	bytes    uint64
}

var _ store.Events = (*DB)(nil)

// New returns an empty DB.
func New(cfg Config) *DB {
	return &DB{cfg: cfg.withDefaults(), projects: map[signal.Project]*project{}}
}

// Write stores copies of rows.
func (db *DB) Write(ctx context.Context, p signal.Project, rows []store.Row) (signal.Rejected, error) {
	var rejected signal.Rejected
	if err := ctx.Err(); err != nil {
		return rejected, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return rejected, store.ErrClosed
	}
	accept := db.accept()
	pr := db.project(p)
	var fresh []store.Row
	for i := range rows {
		r := &rows[i]
		if reason := store.RejectRow(r, accept, db.cfg.Retention); reason != "" {
			rejected.Add(1, reason)
			continue
		}
		if r.Kind == store.KindHeartbeat || pr.put(r, p) {
			fresh = append(fresh, *r)
		}
	}
	pr.evict(db.cfg.MaxRows, p)
	if db.cfg.Observer != nil && len(fresh) > 0 {
		db.cfg.Observer.Committed(p, fresh)
	}
	return rejected, nil
}

func (db *DB) accept() signal.TimeRange {
	now := db.cfg.Clock()
	return signal.Between(now.Add(-db.cfg.Retention), now.Add(db.cfg.FutureLimit))
}

func (db *DB) project(p signal.Project) *project {
	pr, ok := db.projects[p]
	if !ok {
		pr = &project{byID: map[rowKey]int{}, traces: map[string]signal.TimeRange{}, payloads: map[string]string{}}
		db.projects[p] = pr
	}
	return pr
}

// put stores a copy of r and tells whether it was new; a higher revision of a stored row replaces it.
func (pr *project) put(r *store.Row, p signal.Project) bool {
	key := rowKey{r.Kind, r.ID}
	i, known := pr.byID[key]
	switch {
	case !known:
		pr.byID[key] = len(pr.rows)
		pr.rows = append(pr.rows, r.Clone())
	case revisionOf(r) <= revisionOf(pr.rows[i]):
		return false
	default:
		pr.bytes -= size(pr.rows[i])
		pr.rows[i] = r.Clone()
	}
	pr.index(r, p)
	return true
}

// index notes what is asked for otherwise than by scanning.
func (pr *project) index(r *store.Row, p signal.Project) {
	pr.bytes += size(r)
	if id := r.Text(store.FieldTraceID); id != "" && r.Kind == store.KindSpan {
		pr.traces[id] = pr.traces[id].Include(r.Time)
	}
	for _, f := range r.Fields {
		if content := f.Value.Text(); store.IsPayload(f) {
			pr.payloads[store.PayloadHash(p, content)] = content
		}
	}
}

func size(r *store.Row) uint64 {
	n := len(r.ID)
	for _, f := range r.Fields {
		n += len(f.Name) + len(f.Value.Text())
	}
	return uint64(n)
}

func (pr *project) evict(maxRows int, p signal.Project) {
	if len(pr.rows) <= maxRows {
		return
	}
	keep := maxRows - maxRows/10
	slices.SortStableFunc(pr.rows, func(a, b *store.Row) int { return cmp.Compare(a.Time, b.Time) })
	gone := len(pr.rows) - keep
	pr.evicted += uint64(gone)
	pr.rebuild(pr.rows[gone:], p)
}

// rebuild keeps these rows and what is known of them.
func (pr *project) rebuild(rows []*store.Row, p signal.Project) {
	pr.rows = slices.Clone(rows)
	pr.bytes = 0
	clear(pr.byID)
	clear(pr.traces)
	clear(pr.payloads)
	for i, r := range pr.rows {
		pr.byID[rowKey{r.Kind, r.ID}] = i
		pr.index(r, p)
	}
}

// snapshot returns the rows in s. They are the store's own and must not be changed; since the store does not change
// them either, they can be read without the lock.
func (db *DB) snapshot(ctx context.Context, p signal.Project, s store.Scope) ([]*store.Row, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.inScope(ctx, p, s)
}

// inScope is snapshot for who holds the lock.
func (db *DB) inScope(ctx context.Context, p signal.Project, s store.Scope) ([]*store.Row, error) {
	if err := s.Check(); err != nil {
		return nil, signal.Permanent(err)
	}
	match, err := store.Compile(s.Filter)
	if err != nil {
		return nil, signal.Permanent(err)
	}
	if db.closed {
		return nil, store.ErrClosed
	}
	pr, ok := db.projects[p]
	if !ok {
		return nil, ctx.Err()
	}
	accept := db.accept()
	var out []*store.Row
	for i, r := range pr.rows {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if r.Kind == s.Kind && s.Time.Contains(r.Time) && r.Time >= accept.Start && match(r) {
			out = append(out, r)
		}
	}
	return out, ctx.Err()
}

// Select yields the rows that q asks for.
func (db *DB) Select(ctx context.Context, p signal.Project, q store.Select) iter.Seq2[*store.Row, error] {
	return func(yield func(*store.Row, error) bool) {
		if err := q.Check(); err != nil {
			yield(nil, signal.Permanent(err))
			return
		}
		rows, err := db.snapshot(ctx, p, q.Scope)
		if err != nil {
			yield(nil, err)
			return
		}
		store.SortRows(rows, q.Order)
		for i, r := range rows {
			if q.Limit > 0 && i >= q.Limit {
				return
			}
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if !yield(store.Project(r.Clone(), q.Fields), nil) {
				return
			}
		}
	}
}

// Aggregate groups rows and computes functions over each group.
func (db *DB) Aggregate(ctx context.Context, p signal.Project, q store.Aggregate) ([]store.Group, error) {
	if err := q.Check(); err != nil {
		return nil, signal.Permanent(err)
	}
	rows, err := db.snapshot(ctx, p, q.Scope)
	if err != nil {
		return nil, err
	}
	return store.AggregateRows(ctx, q, func(yield func(*store.Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	})
}

// FieldNames returns the names of fields with the number of rows that have a text in them.
func (db *DB) FieldNames(ctx context.Context, p signal.Project, s store.Scope) ([]store.Count, error) {
	rows, err := db.snapshot(ctx, p, s)
	if err != nil {
		return nil, err
	}
	counts := map[string]uint64{}
	for _, r := range rows {
		seen := map[string]bool{}
		for _, f := range r.Fields {
			if !seen[f.Name] && f.Value.Text() != "" {
				seen[f.Name] = true
				counts[f.Name]++
			}
		}
	}
	return store.SortCounts(counts, 0), nil
}

// FieldValues returns the texts of one field with their number of rows.
func (db *DB) FieldValues(ctx context.Context, p signal.Project, s store.Scope, field string, limit int) ([]store.Count, error) {
	if err := store.CheckValues(s, field, limit); err != nil {
		return nil, signal.Permanent(err)
	}
	rows, err := db.snapshot(ctx, p, s)
	if err != nil {
		return nil, err
	}
	counts := map[string]uint64{}
	for _, r := range rows {
		if text := r.Text(field); text != "" {
			counts[strings.Clone(text)]++
		}
	}
	return store.SortCounts(counts, limit), nil
}

// TraceRange returns the range of time in which the trace's spans started.
func (db *DB) TraceRange(ctx context.Context, p signal.Project, traceID string) (signal.TimeRange, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if err := db.usable(ctx); err != nil {
		return signal.TimeRange{}, err
	}
	if pr, ok := db.projects[p]; ok {
		if tr, ok := pr.traces[traceID]; ok {
			return tr, nil
		}
	}
	return signal.TimeRange{}, fmt.Errorf("trace %s: %w", traceID, store.ErrNotFound)
}

// TraceRanges returns the ranges of several traces.
func (db *DB) TraceRanges(ctx context.Context, p signal.Project, traceIDs []string) (map[string]signal.TimeRange, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if err := db.usable(ctx); err != nil {
		return nil, err
	}
	out := make(map[string]signal.TimeRange, len(traceIDs))
	if pr, ok := db.projects[p]; ok {
		for _, id := range traceIDs {
			if tr, ok := pr.traces[id]; ok {
				out[id] = tr
			}
		}
	}
	return out, nil
}

// Payload returns the content of a hash.
func (db *DB) Payload(ctx context.Context, p signal.Project, hash string) (store.Payload, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if err := db.usable(ctx); err != nil {
		return store.Payload{}, err
	}
	if pr, ok := db.projects[p]; ok {
		if body, ok := pr.payloads[hash]; ok {
			return store.Payload{Hash: hash, MediaType: store.MediaTypeOf(body), Body: body}, nil
		}
	}
	return store.Payload{}, fmt.Errorf("payload %s: %w", hash, store.ErrNotFound)
}

// Delete removes the rows in s and the payloads that no remaining row holds.
func (db *DB) Delete(ctx context.Context, p signal.Project, s store.Scope) (int64, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	doomed, err := db.inScope(ctx, p, s)
	if err != nil || len(doomed) == 0 {
		return 0, err
	}
	gone := make(map[*store.Row]bool, len(doomed))
	for _, r := range doomed {
		gone[r] = true
	}
	if o, ok := db.cfg.Observer.(store.DeletionObserver); ok {
		o.Deleted(p, named(doomed))
	}
	pr := db.projects[p]
	pr.rebuild(slices.DeleteFunc(pr.rows, func(r *store.Row) bool { return gone[r] }), p)
	return int64(len(doomed)), nil
}

// named returns what an observer is told of deleted rows.
func named(rows []*store.Row) []store.Row {
	out := make([]store.Row, len(rows))
	for i, r := range rows {
		out[i].Kind, out[i].ID = r.Kind, r.ID
		for _, name := range []string{store.FieldTraceID, store.FieldSpanID, store.FieldTeam, store.FieldTaskID} {
			if r.Text(name) != "" {
				out[i].Add(name, r.Get(name))
			}
		}
	}
	return out
}

// Replace implements store.Replacer.
func (db *DB) Replace(ctx context.Context, p signal.Project, k store.Kind, rows []store.Row) (store.Replaced, error) {
	var done store.Replaced
	if err := store.CheckReplace(k, rows); err != nil {
		return done, signal.Permanent(err)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if err := db.usable(ctx); err != nil {
		return done, err
	}
	pr, ok := db.projects[p]
	if !ok {
		return done, nil
	}
	accept := db.accept()
	gone := map[*store.Row]bool{}
	var fresh []*store.Row
	for i := range rows {
		r := &rows[i]
		at, ok := pr.byID[rowKey{k, r.ID}]
		switch {
		case !ok:
			continue
		case revisionOf(pr.rows[at]) > revisionOf(r):
			done.Kept.Add(1, "a newer revision is stored")
			continue
		case r.Time < accept.Start:
			done.Expired++
		default:
			done.Rows++
			fresh = append(fresh, r)
		}
		gone[pr.rows[at]] = true
	}
	observer, watched := db.cfg.Observer.(store.DeletionObserver)
	if watched && len(gone) > 0 {
		observer.Deleted(p, named(slices.Collect(maps.Keys(gone))))
	}
	pr.rebuild(slices.DeleteFunc(pr.rows, func(r *store.Row) bool { return gone[r] }), p)
	written := make([]store.Row, len(fresh))
	for i, r := range fresh {
		pr.put(r, p)
		written[i] = *r
	}
	if watched && len(fresh) > 0 {
		observer.Rewritten(p, written)
	}
	return done, nil
}

func revisionOf(r *store.Row) int64 { return r.Get(store.FieldRevision).Int() }

// Stats returns figures of the store.
func (db *DB) Stats(ctx context.Context) (store.Stats, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if err := db.usable(ctx); err != nil {
		return store.Stats{}, err
	}
	st := store.Stats{Accept: db.accept()}
	for _, pr := range db.projects {
		st.Rows += uint64(len(pr.rows))
		st.Evicted += pr.evicted
		st.Bytes += pr.bytes
	}
	return st, nil
}

// usable tells why a call can't be answered.
func (db *DB) usable(ctx context.Context) error {
	if db.closed {
		return store.ErrClosed
	}
	return ctx.Err()
}

// Close forgets everything.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.closed = true
	db.projects = map[signal.Project]*project{}
	return nil
}
