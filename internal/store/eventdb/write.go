package eventdb

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// counters are figures of what happened since Open.
type counters struct {
	written, repeats, rejected, payloadsNew, payloadsKnown, payloadsExpired atomic.Uint64
}

// Reasons for rejecting rows, as senders read them.
const (
	reasonOld    = "older than the retention of %s"
	reasonFuture = "more than %s ahead of the server's clock"
)

// batch is one Write on its way: prepare fills it, the log and the engine take it.
type batch struct {
	tenant   logstorage.TenantID
	rows     []store.Row // new rows, for the Observer
	claims   []claim     // of rows, in their order
	events   []encoded
	payloads []encoded
	stored   map[payloadKey]struct{} // the payloads' names
}

// Write implements store.Writer.
func (db *DB) Write(ctx context.Context, p signal.Project, rows []store.Row) (signal.Rejected, error) {
	var rejected signal.Rejected
	if err := db.enter(); err != nil {
		return rejected, err
	}
	defer db.leave()
	if err := ctx.Err(); err != nil {
		return rejected, err
	}
	if err := db.writable(); err != nil {
		return rejected, err
	}
	db.changes.RLock()
	defer db.changes.RUnlock()
	b, rejected, err := db.prepare(ctx, p, rows)
	if err != nil {
		db.release(b)
		return rejected, err
	}
	refused, err := db.commit(b)
	if err != nil {
		db.release(b)
		return rejected, fmt.Errorf("write rows: %w", err)
	}
	if refused > 0 {
		rejected.Add(refused, "refused by the storage engine")
	}
	db.observe(p, b.rows)
	db.counts.rejected.Add(uint64(rejected.Items))
	return rejected, nil
}

// prepare decides which rows are new and turns them into columns. Nothing is stored yet.
func (db *DB) prepare(ctx context.Context, p signal.Project, rows []store.Row) (*batch, signal.Rejected, error) {
	b := &batch{}
	var rejected signal.Rejected
	var err error
	if b.tenant, err = db.projects.create(p); err != nil {
		return b, rejected, err
	}
	accept := db.accept()
	candidates := make([]int, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		switch {
		case r.Kind == store.KindHeartbeat:
			candidates = append(candidates, i)
		case r.Time < accept.Start:
			rejected.Add(1, db.reasonTooOld(r.Time))
		case r.Time >= accept.End:
			rejected.Add(1, fmt.Sprintf(reasonFuture, db.cfg.FutureRetention))
		case r.Kind == "" || strings.HasPrefix(string(r.Kind), "_") || r.Kind == store.KindPayload:
			rejected.Add(1, fmt.Sprintf("rows of kind %q can't be written", r.Kind))
		default:
			candidates = append(candidates, i)
		}
	}
	if err := db.claim(ctx, p, b, rows, candidates); err != nil {
		return b, rejected, err
	}
	if err := db.encode(p, b, &rejected); err != nil {
		return b, rejected, err
	}
	return b, rejected, nil
}

// accept is the range of times that rows may have now.
func (db *DB) accept() signal.TimeRange {
	now := db.cfg.Clock()
	// The engine's days begin at the epoch; what lies before it has no place there.
	start := max(now.Add(-db.cfg.Retention).UnixNano(), db.keeper.eventsFrom.Load(), 0)
	return signal.TimeRange{Start: start, End: now.Add(db.cfg.FutureRetention).UnixNano()}
}

// claim takes the ids of the candidates and puts those that are new into the batch.
func (db *DB) claim(ctx context.Context, p signal.Project, b *batch, rows []store.Row, candidates []int) error {
	var open []int // of b.rows: the engine must be asked
	forgot := false
	for _, i := range candidates {
		r := &rows[i]
		if r.Kind == store.KindHeartbeat {
			b.rows, b.claims = append(b.rows, *r), append(b.claims, claim{verdict: repeat})
			continue
		}
		c, f := db.recent.claim(keyOf(p, r.Kind, r.ID), r.Time, revisionOf(r))
		forgot = forgot || f
		switch c.verdict {
		case repeat:
			db.counts.repeats.Add(1)
			continue
		case unsure:
			open = append(open, len(b.rows))
		case fresh, revision:
		}
		b.rows, b.claims = append(b.rows, *r), append(b.claims, c)
	}
	if forgot {
		db.flush()
	}
	return db.settle(ctx, p, b, open)
}

// settle asks the engine for the rows that memory does not reach back to and drops those it has.
func (db *DB) settle(ctx context.Context, p signal.Project, b *batch, open []int) error {
	if len(open) == 0 {
		return nil
	}
	stored, err := db.storedRevisions(ctx, p, b.tenant, b.rows, open)
	if err != nil {
		return fmt.Errorf("look for repeats: %w", err)
	}
	repeats := make(map[int]bool)
	for i := range b.rows {
		// All rows, not only the open ones: a batch may hold several revisions of one row.
		r, c := &b.rows[i], &b.claims[i]
		rev, ok := stored[c.key]
		switch {
		case r.Kind == store.KindHeartbeat:
		case !ok && c.verdict == unsure:
			c.verdict = fresh
		case !ok:
		case rev >= revisionOf(r):
			db.recent.known(c.key, rev)
			repeats[i] = true
			db.counts.repeats.Add(1)
		case c.verdict == unsure:
			c.verdict, c.before = revision, rev
		}
	}
	if len(repeats) > 0 {
		b.keep(func(i int) bool { return !repeats[i] })
	}
	return nil
}

// keep drops the rows for which ok is false.
func (b *batch) keep(ok func(i int) bool) {
	n := 0
	for i := range b.rows {
		if ok(i) {
			b.rows[n], b.claims[n] = b.rows[i], b.claims[i]
			n++
		}
	}
	b.rows, b.claims = b.rows[:n], b.claims[:n]
}

// encode fills the batch's columns and payloads, and the index rows of new traces.
func (db *DB) encode(p signal.Project, b *batch, rejected *signal.Rejected) error {
	e := &encoder{key: db.keys.of(p), redact: db.cfg.Redact}
	dropped := map[int]bool{}
	for i := range b.rows {
		r := &b.rows[i]
		if r.Kind == store.KindHeartbeat {
			continue
		}
		row, err := e.encode(r)
		if err != nil {
			rejected.Add(1, err.Error())
			db.recent.release(b.claims[i])
			dropped[i] = true
			continue
		}
		if revisionOf(r) > 0 {
			if err := db.revised.add(p, r.Kind); err != nil {
				return err
			}
		}
		if r.Kind == store.KindSpan {
			if id := r.Text(store.FieldTraceID); id != "" {
				if block, isNew := db.traces.note(traceKey{b.tenant, id}, r.Time); isNew {
					b.events = append(b.events, traceRow(id, block))
				}
			}
		}
		b.events = append(b.events, row)
		db.addPayloads(b, row)
	}
	if len(dropped) > 0 {
		b.keep(func(i int) bool { return !dropped[i] })
	}
	return nil
}

// commit makes a batch durable and visible. Here the write-ahead log has its place: the batch goes to the log and is
// synced before the engine gets it.
func (db *DB) commit(b *batch) (refused int64, err error) {
	if _, err = db.payloads.Add(b.tenant, b.payloads); err != nil {
		return 0, err
	}
	if refused, err = db.events.Add(b.tenant, b.events); err != nil {
		return 0, err
	}
	db.known.addAll(b.stored)
	db.counts.written.Add(uint64(len(b.events)))
	return refused, nil
}

// observe tells the Observer of what was committed.
func (db *DB) observe(p signal.Project, rows []store.Row) {
	if db.cfg.Observer == nil || len(rows) == 0 {
		return
	}
	db.observing.Lock()
	defer db.observing.Unlock()
	db.cfg.Observer.Committed(p, rows)
}

// release gives back what a batch has claimed.
func (db *DB) release(b *batch) {
	for i, c := range b.claims {
		db.recent.release(c)
		if b.rows[i].Kind == store.KindSpan {
			db.traces.forget(traceKey{b.tenant, b.rows[i].Text(store.FieldTraceID)})
		}
	}
}

// revisionOf returns a row's revision, 0 when it has none.
func revisionOf(r *store.Row) int64 { return r.Get(store.FieldRevision).Int() }
