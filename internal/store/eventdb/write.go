package eventdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// counters are figures of what happened since Open.
type counters struct {
	written, failed, repeats, rejected, payloadsNew, payloadsKnown, payloadsExpired atomic.Uint64
}

// Reasons for rejecting rows, as senders read them.
const (
	reasonOld    = "older than the retention of %s"
	reasonFuture = "more than %s ahead of the server's clock"
)

// batch is one Write on its way: prepare fills it, the log and the engine take it.
type batch struct {
	typ      recordType
	tenant   logstorage.TenantID
	rows     []store.Row // new rows, for the Observer
	claims   []claim     // of rows, in their order
	events   []encoded
	payloads []encoded
	pieces   pieces                  // their columns
	stored   map[payloadKey]struct{} // the payloads' names
	groups   []openGroup             // of payloads

	// newBlocks are the index rows of traces in events.
	newBlocks map[traceKey][]int64

	number   uint64 // of its record in the log, 0 when there was nothing to log
	repeats  bool   // some row was a repeat
	settled  chan struct{}
	failures uint64 // failed batches when it began
	began    int32  // seconds since the store was opened
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
	b := &batch{typ: recordBatch}
	defer b.free()
	db.flight.begin(b)
	rejected, err := db.prepare(ctx, b, p, rows)
	if err == nil {
		err = db.logBatch(p, b)
	}
	if err != nil {
		db.release(b)
		db.flight.end(b, true)
		db.counts.failed.Add(uint64(len(rows)))
		db.room.failed(err)
		err = passing(fmt.Errorf("write rows: %w", err))
		if errors.Is(err, store.ErrReadOnly) {
			db.keeper.refused.Add(1)
		}
		return rejected, err
	}
	db.room.filling()
	db.flight.end(b, false)
	refused, err := db.commit(p, b)
	if err != nil {
		return rejected, passing(fmt.Errorf("write rows: %w", err))
	}
	if refused > 0 {
		rejected.Add(refused, "refused by the storage engine")
	}
	db.counts.rejected.Add(uint64(rejected.Items))
	if b.repeats && !db.flight.wait(b) {
		return rejected, passing(errors.New("write rows: a row was sent twice, and storing the first one failed"))
	}
	return rejected, nil
}

// free gives back the memory of the rows for the engine.
func (b *batch) free() {
	b.events, b.payloads = nil, nil
	b.pieces.free()
}

// passing marks what a disk says when it is full, read-only or failing: the sender is to send again. What the sender
// did itself, by ending the request, stays as it is.
func passing(err error) error {
	if _, ok := signal.RetryAfter(err); ok || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || signal.IsPermanent(err) {
		return err
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: %w", store.ErrReadOnly, err)
	}
	return signal.Retryable(err, 10*time.Second)
}

// prepare decides which rows are new and turns them into columns. Nothing is stored yet.
func (db *DB) prepare(ctx context.Context, b *batch, p signal.Project, rows []store.Row) (signal.Rejected, error) {
	var rejected signal.Rejected
	var err error
	if b.tenant, err = db.projects.create(p); err != nil {
		return rejected, err
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
		return rejected, err
	}
	if err := db.encode(p, b, &rejected); err != nil {
		return rejected, err
	}
	return rejected, nil
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
		c, f := db.recent.claim(keyOf(p, r.Kind, r.ID), r.Time, revisionOf(r), b.began)
		forgot = forgot || f
		switch c.verdict {
		case repeat:
			db.counts.repeats.Add(1)
			b.repeats = true
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
	e := db.encoderOf(p)
	defer func() { b.pieces = e.pieces; db.putEncoder(e) }()
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
				db.addBlock(b, id, r.Time)
			}
		}
		b.events = append(b.events, row)
		db.addPayloads(b, row, &e.pieces)
	}
	if len(dropped) > 0 {
		b.keep(func(i int) bool { return !dropped[i] })
	}
	db.closeGroups(b)
	return nil
}

// encoderOf returns an encoder for rows of a project; putEncoder takes it back.
func (db *DB) encoderOf(p signal.Project) *encoder {
	e, ok := db.columns.Get().(*encoder)
	if !ok {
		e = &encoder{}
	}
	e.key, e.redact = db.keys.of(p), db.cfg.Redact
	e.pieces.pool = &db.pieces
	return e
}

func (db *DB) putEncoder(e *encoder) {
	clear(e.special[:cap(e.special)]) // it must keep no request alive
	clear(e.row[:cap(e.row)])
	e.pieces = pieces{}
	db.columns.Put(e)
}

// addBlock puts the index row of a span's trace into the batch when it is not stored yet.
func (db *DB) addBlock(b *batch, trace string, at int64) {
	k, block := traceKey{b.tenant, trace}, at-at%traceBlock
	if slices.Contains(b.newBlocks[k], block) || db.traces.has(k, block) {
		return
	}
	if b.newBlocks == nil {
		b.newBlocks = map[traceKey][]int64{}
	}
	b.newBlocks[k] = append(b.newBlocks[k], block)
	b.events = append(b.events, traceRow(trace, block))
}

// logBatch makes a batch durable. Other writers may count on what it stores from then on.
func (db *DB) logBatch(p signal.Project, b *batch) error {
	if len(b.events)+len(b.payloads) == 0 {
		return nil
	}
	if err := db.appendBatch(p, b); err != nil {
		return err
	}
	for k, blocks := range b.newBlocks {
		for _, block := range blocks {
			db.traces.note(k, block)
		}
	}
	return nil
}

// appendBatch appends a batch to the log, an empty one as well. Each must be committed.
func (db *DB) appendBatch(p signal.Project, b *batch) error {
	e := db.encoders.Get().(*recordEncoder)
	defer db.encoders.Put(e)
	record, err := e.encode(&logRecord{typ: b.typ, project: p, tenant: b.tenant, events: b.events, payloads: b.payloads})
	if err != nil {
		return err
	}
	b.number, err = db.wal.append(record)
	return err
}

// commit gives a logged batch to the engine and then, in the order of the log, to the Observer.
func (db *DB) commit(p signal.Project, b *batch) (refused int64, err error) {
	if _, err = db.payloads.Add(b.tenant, b.payloads); err == nil {
		refused, err = db.events.Add(b.tenant, b.events)
	}
	db.known.addAll(b.stored)
	db.counts.written.Add(uint64(len(b.events)))
	if b.number == 0 {
		db.tell(p, b)
		return refused, err
	}
	db.turn.take(b.number, func() { db.tell(p, b) })
	return refused, err
}

// tell tells the Observer of a batch that is stored.
func (db *DB) tell(p signal.Project, b *batch) {
	if b.typ == recordRewrite {
		db.observeRewritten(p, b.rows)
		return
	}
	db.observe(p, b.rows)
}

// release gives back what a batch has claimed.
func (db *DB) release(b *batch) {
	for _, c := range b.claims {
		db.recent.release(c)
	}
}

// revisionOf returns a row's revision, 0 when it has none.
func revisionOf(r *store.Row) int64 { return r.Get(store.FieldRevision).Int() }
