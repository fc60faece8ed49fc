// Package memdb is the simplest right implementation of store.Events: rows in memory, every filter evaluated on every
// row. It is the oracle that the engines are tested against, and what `mindscope serve --memory` uses.
//
// Durability: none. Written rows are visible when Write returns. When MaxRows is reached, the oldest tenth of the
// project's rows is evicted and counted in Stats.
package memdb

import (
	"cmp"
	"context"
	"fmt"
	"iter"
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
		if reason := store.RejectTime(r.Time, accept, db.cfg.Retention); reason != "" {
			rejected.Add(1, reason)
			continue
		}
		if r.Kind == store.KindHeartbeat || pr.put(r, p) {
			fresh = append(fresh, *r)
		}
	}
	pr.evict(db.cfg.MaxRows)
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
	if i, ok := pr.byID[key]; ok {
		if r.Get(store.FieldRevision).Int() <= pr.rows[i].Get(store.FieldRevision).Int() {
			return false
		}
		pr.rows[i] = r.Clone()
		pr.index(r, p)
		return true
	}
	pr.byID[key] = len(pr.rows)
	pr.rows = append(pr.rows, r.Clone())
	pr.index(r, p)
	return true
}

func (pr *project) index(r *store.Row, p signal.Project) {
	if id := r.Text(store.FieldTraceID); id != "" && r.Kind == store.KindSpan {
		pr.traces[id] = pr.traces[id].Include(r.Time)
	}
	for _, f := range r.Fields {
		if content := f.Value.Text(); store.IsPayload(f) {
			pr.payloads[store.PayloadHash(p, content)] = content
		}
	}
}

func (pr *project) evict(maxRows int) {
	if len(pr.rows) <= maxRows {
		return
	}
	keep := maxRows - maxRows/10
	slices.SortStableFunc(pr.rows, func(a, b *store.Row) int { return cmp.Compare(a.Time, b.Time) })
	gone := len(pr.rows) - keep
	pr.evicted += uint64(gone)
	pr.rebuild(pr.rows[gone:])
}

func (pr *project) rebuild(rows []*store.Row) {
	pr.rows = slices.Clone(rows)
	clear(pr.byID)
	for i, r := range pr.rows {
		pr.byID[rowKey{r.Kind, r.ID}] = i
	}
}

// snapshot returns the rows in s. Rows are never changed in place, so they can be read without the lock.
func (db *DB) snapshot(p signal.Project, s store.Scope) ([]*store.Row, error) {
	match, err := store.Compile(s.Filter)
	if err != nil {
		return nil, signal.Permanent(err)
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return nil, store.ErrClosed
	}
	pr, ok := db.projects[p]
	if !ok {
		return nil, nil
	}
	accept := db.accept()
	var out []*store.Row
	for _, r := range pr.rows {
		if r.Kind == s.Kind && s.Time.Contains(r.Time) && r.Time >= accept.Start && match(r) {
			out = append(out, r)
		}
	}
	return out, nil
}

// Select yields the rows that q asks for.
func (db *DB) Select(ctx context.Context, p signal.Project, q store.Select) iter.Seq2[*store.Row, error] {
	return func(yield func(*store.Row, error) bool) {
		rows, err := db.snapshot(p, q.Scope)
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
			if !yield(store.Project(r, q.Fields), nil) {
				return
			}
		}
	}
}

// Aggregate groups rows and computes functions over each group.
func (db *DB) Aggregate(ctx context.Context, p signal.Project, q store.Aggregate) ([]store.Group, error) {
	rows, err := db.snapshot(p, q.Scope)
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
func (db *DB) FieldNames(_ context.Context, p signal.Project, s store.Scope) ([]store.Count, error) {
	rows, err := db.snapshot(p, s)
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
func (db *DB) FieldValues(_ context.Context, p signal.Project, s store.Scope, field string, limit int) ([]store.Count, error) {
	rows, err := db.snapshot(p, s)
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
func (db *DB) TraceRange(_ context.Context, p signal.Project, traceID string) (signal.TimeRange, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if pr, ok := db.projects[p]; ok {
		if tr, ok := pr.traces[traceID]; ok {
			return tr, nil
		}
	}
	return signal.TimeRange{}, fmt.Errorf("trace %s: %w", traceID, store.ErrNotFound)
}

// Payload returns the content of a hash.
func (db *DB) Payload(_ context.Context, p signal.Project, hash string) (store.Payload, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if pr, ok := db.projects[p]; ok {
		if body, ok := pr.payloads[hash]; ok {
			return store.Payload{Hash: hash, MediaType: store.MediaTypeOf(body), Body: body}, nil
		}
	}
	return store.Payload{}, fmt.Errorf("payload %s: %w", hash, store.ErrNotFound)
}

// Delete removes the rows in s and the payloads that no remaining row holds.
func (db *DB) Delete(_ context.Context, p signal.Project, s store.Scope) (int64, error) {
	doomed, err := db.snapshot(p, s)
	if err != nil || len(doomed) == 0 {
		return 0, err
	}
	gone := make(map[*store.Row]bool, len(doomed))
	for _, r := range doomed {
		gone[r] = true
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	pr := db.projects[p]
	kept := slices.DeleteFunc(slices.Clone(pr.rows), func(r *store.Row) bool { return gone[r] })
	removed := int64(len(pr.rows) - len(kept))
	pr.rebuild(kept)
	clear(pr.traces)
	clear(pr.payloads)
	for _, r := range pr.rows {
		pr.index(r, p)
	}
	return removed, nil
}

// Stats returns figures of the store.
func (db *DB) Stats(context.Context) (store.Stats, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	st := store.Stats{Accept: db.accept()}
	for _, pr := range db.projects {
		st.Rows += uint64(len(pr.rows))
		st.Evicted += pr.evicted
		for _, r := range pr.rows {
			for _, f := range r.Fields {
				st.Bytes += uint64(len(f.Name) + len(f.Value.Text()))
			}
		}
	}
	return st, nil
}

// Close forgets everything.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.closed = true
	db.projects = map[signal.Project]*project{}
	return nil
}
