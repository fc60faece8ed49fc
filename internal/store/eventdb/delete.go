package eventdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// deletePoll is how often a delete task of the engine is looked at; the engine starts one every second.
const deletePoll = 20 * time.Millisecond

// idsPerDelete bounds the ids of one delete task: each task rewrites the parts it finds rows in.
const idsPerDelete = 10_000

// doomed is what a Delete removes beside the rows themselves.
type doomed struct {
	ids      []string
	traces   map[string]struct{}
	payloads map[stored]struct{}
}

func newDoomed() *doomed {
	return &doomed{traces: map[string]struct{}{}, payloads: map[stored]struct{}{}}
}

// Delete implements store.Deleter. What is to go is written down first (see tombstone), so that neither a crash nor a
// restored backup brings it back. Writers go on meanwhile; only one that sends a payload again in the very second in
// which it is removed waits for that. The engine rewrites the parts that hold the rows, within seconds.
func (db *DB) Delete(ctx context.Context, p signal.Project, s store.Scope) (int64, error) {
	if err := db.enter(); err != nil {
		return 0, err
	}
	defer db.leave()
	if err := db.room.enough("a removal"); err != nil {
		return 0, err
	}
	db.deletions.running.Lock()
	defer db.deletions.running.Unlock()
	db.flush()
	pl, err := db.plan(ctx, p, s)
	if err != nil {
		return 0, err
	}
	d := newDoomed()
	if pl != nil {
		if d, err = db.findDoomed(ctx, pl); err != nil {
			return 0, fmt.Errorf("find rows to delete: %w", err)
		}
	}
	kept, err := db.keptIn(ctx, p, s)
	if err == nil {
		err = db.addKept(d, p, kept)
	}
	if err != nil {
		return 0, fmt.Errorf("find rows to delete among those being replaced: %w", err)
	}
	if len(d.ids) == 0 {
		return 0, nil
	}
	t := newTombstone(p, s.Kind, d, time.Now())
	if err := db.deletions.add(t); err != nil {
		return 0, fmt.Errorf("write down what to delete: %w", err)
	}
	// From here on it happens, whoever still waits for it.
	if err := errors.Join(db.dropKept(t), db.bury(context.WithoutCancel(ctx), t)); err != nil {
		return 0, err
	}
	return int64(len(d.ids)), nil
}

// bury removes what a tombstone names from the engine and then from the log, and writes what takes its place. It may be
// done again.
func (db *DB) bury(ctx context.Context, t *tombstone) error {
	if t.Replaces {
		return db.buryReplaced(ctx, t)
	}
	if tenant, ok := db.projects.find(t.Project); ok {
		if err := db.purge(ctx, tenant, t); err != nil {
			return err
		}
	}
	return db.deletions.done(t)
}

func (db *DB) buryReplaced(ctx context.Context, t *tombstone) error {
	defer db.flight.hold()() // no id of these rows is forgotten while they are away
	tenant, err := db.projects.create(t.Project)
	if err != nil {
		return err
	}
	rows, began, err := db.prepareReplacement(t)
	if err != nil {
		return err
	}
	if began {
		err = db.purge(ctx, tenant, t)
	}
	if err == nil {
		err = db.writeReplacement(ctx, t.Project, rows)
	}
	if err == nil {
		err = db.deletions.done(t)
	}
	if err == nil {
		err = db.kept.remove(t.ID)
	}
	return err
}

// purge removes what a tombstone names from the engine and then from the log.
func (db *DB) purge(ctx context.Context, tenant logstorage.TenantID, t *tombstone) error {
	if err := db.room.enough("a removal"); err != nil {
		return err
	}
	db.flush() // after a crash the replay has just added what is to go
	db.cached.forget()
	defer db.cached.forget()
	if err := db.remove(ctx, tenant, t); err != nil {
		return err
	}
	dropOld, err := db.resketch(ctx, tenant, t.groups())
	if err != nil {
		return fmt.Errorf("make the sketches of words anew: %w", err)
	}
	if err := db.forgetLog(ctx); err != nil {
		return fmt.Errorf("remove what was deleted from the log: %w", err)
	}
	if err := dropOld(); err != nil {
		return fmt.Errorf("delete sketches of words: %w", err)
	}
	return nil
}

// remove removes rows and payloads from the engine. Writers that use a payload which is going wait for its end, so nothing here
// may wait for writers once one is sealed.
func (db *DB) remove(ctx context.Context, tenant logstorage.TenantID, t *tombstone) error {
	db.changes.Lock() // writers that did not see the marks have ended
	db.doomed.mark(tenant, t.payloads())
	db.changes.Unlock()
	defer db.doomed.clear()
	if err := db.observeDeleted(ctx, tenant, t); err != nil {
		return fmt.Errorf("tell the observer of rows to delete: %w", err)
	}
	if err := db.deleteEvents(ctx, tenant, t); err != nil {
		return fmt.Errorf("delete rows: %w", err)
	}
	if !t.Replaces { // rows that are replaced stay known
		for _, id := range t.Rows {
			db.recent.forget(keyOf(t.Project, t.Kind, id))
		}
	}
	if err := db.deletePayloads(ctx, tenant, t); err != nil {
		return fmt.Errorf("delete payloads: %w", err)
	}
	return nil
}

// deleteEvents removes the rows, and the index rows of traces of which no span is left.
func (db *DB) deleteEvents(ctx context.Context, tenant logstorage.TenantID, t *tombstone) error {
	gone, err := db.emptied(ctx, tenant, t)
	if err != nil {
		return err
	}
	// As few tasks as possible: the engine starts one a second.
	chunks := slices.Collect(slices.Chunk(t.Rows, idsPerDelete))
	for i, ids := range chunks {
		copies, err := db.copiesOf(ctx, tenant, t, ids)
		if err != nil {
			return err
		}
		query := "(" + ofKind(t.Kind) + " " + copies + ")"
		if i == len(chunks)-1 && len(gone) > 0 {
			query += " or (" + ofKind(kindTrace) + " " + fieldIn(store.FieldTraceID, gone) + ")"
		}
		if err := deleteRows(ctx, db.events, tenant, query); err != nil {
			return err
		}
	}
	return db.reindex(ctx, tenant, gone)
}

// findDoomed collects the ids of the rows in scope and what they refer to, older revisions included.
func (db *DB) findDoomed(ctx context.Context, pl *plan) (*doomed, error) {
	d := newDoomed()
	err := db.windows(ctx, pl, nil, func(rows []*found) (bool, error) {
		for _, r := range rows {
			d.ids = append(d.ids, r.row.ID)
			if trace := r.row.Text(store.FieldTraceID); trace != "" && pl.kind == store.KindSpan {
				d.traces[trace] = struct{}{}
			}
			if err := db.addRefs(ctx, pl.tenant, r, d.payloads); err != nil {
				return false, err
			}
		}
		return true, nil
	})
	if err != nil || !pl.revised {
		return d, err
	}
	// Older revisions have payloads of their own.
	for ids := range slices.Chunk(d.ids, idsPerQuery) {
		old := *pl
		old.at, old.match, old.revised, old.query = signal.AllTime(), nil, false, ofKind(pl.kind)+" "+fieldIn(colID, idColumns(ids))
		err := db.windows(ctx, &old, nil, func(rows []*found) (bool, error) {
			for _, r := range rows {
				if err := db.addRefs(ctx, pl.tenant, r, d.payloads); err != nil {
					return false, err
				}
			}
			return true, nil
		})
		if err != nil {
			return d, err
		}
	}
	return d, nil
}

// addRefs notes the payloads of a row.
func (db *DB) addRefs(ctx context.Context, t logstorage.TenantID, r *found, into map[stored]struct{}) error {
	note := func() (all bool) {
		for _, ref := range r.refs {
			for _, part := range ref.parts {
				if part.ref.hash != "" {
					into[stored{dayOf(r.row.Time), part.ref.hash}] = struct{}{}
				}
			}
			all = all || ref.all
		}
		return all
	}
	if !note() {
		return nil
	}
	need := map[stored]ref{}
	r.needs(need, map[string]bool{}) // the special values only
	bodies, err := db.bodies(ctx, t, need, signal.TimeRange{})
	if err != nil {
		return err
	}
	if _, err := r.fill(bodies, nil); err != nil {
		return err
	}
	note()
	return nil
}

// emptied returns the traces of which no span will be left.
func (db *DB) emptied(ctx context.Context, tenant logstorage.TenantID, t *tombstone) ([]string, error) {
	rows := make(map[string]struct{}, len(t.Rows))
	for _, id := range t.Rows {
		rows[id] = struct{}{}
	}
	left := map[string]struct{}{}
	for traces := range slices.Chunk(t.Traces, idsPerQuery) {
		err := db.spansOf(ctx, tenant, traces, func(trace, id string, _ int64) {
			if _, ok := rows[id]; !ok {
				left[strings.Clone(trace)] = struct{}{}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(t.Traces), func(id string) bool { _, ok := left[id]; return ok }), nil
}

// reindex forgets traces, and writes the index rows again of those that got new spans meanwhile.
func (db *DB) reindex(ctx context.Context, tenant logstorage.TenantID, traces []string) error {
	db.changes.Lock() // a writer that counts on the rows that went has its span in the engine then
	for _, id := range traces {
		db.traces.forget(traceKey{tenant, id})
	}
	db.changes.Unlock()
	db.events.DebugFlush()
	blocks := map[string][]int64{}
	for traces := range slices.Chunk(traces, idsPerQuery) {
		err := db.spansOf(ctx, tenant, traces, func(trace, _ string, at int64) {
			if block := at - at%traceBlock; !slices.Contains(blocks[trace], block) {
				trace = strings.Clone(trace)
				blocks[trace] = append(blocks[trace], block)
			}
		})
		if err != nil {
			return err
		}
	}
	var rows []encoded
	for trace, starts := range blocks {
		for _, start := range starts {
			rows = append(rows, traceRow(trace, start))
		}
	}
	return db.addUnlogged(db.events, tenant, rows)
}

// spansOf calls f with trace, id and time of every span of the traces. The texts are the engine's.
func (db *DB) spansOf(ctx context.Context, t logstorage.TenantID, traces []string, f func(trace, id string, at int64)) error {
	query := ofKind(store.KindSpan) + " " + fieldIn(store.FieldTraceID, traces) + fieldsPipe([]string{colTime, colID, store.FieldTraceID})
	return run(ctx, db.events, t, query, signal.AllTime(), func(b *logstorage.DataBlock) error {
		times, ok := b.GetTimestamps(nil)
		if !ok {
			return fmt.Errorf("BUG: spans without time")
		}
		ids, traces := texts(b, colID), texts(b, store.FieldTraceID)
		for i := range ids {
			f(traces[i], idOf(ids[i]), times[i])
		}
		return nil
	})
}

// deletePayloads removes those payloads that no row of their day refers to. Which groups they were of is written down
// before.
func (db *DB) deletePayloads(ctx context.Context, t logstorage.TenantID, stone *tombstone) error {
	days := stone.payloads()
	if len(days) > 0 {
		db.flush()
	}
	for start, hashes := range days {
		at := signal.TimeRange{Start: start, End: start + int64(day)}
		for hashes := range slices.Chunk(hashes, idsPerQuery) {
			gone, err := db.unused(ctx, t, hashes, at)
			if err != nil {
				return err
			}
			if gone = db.doomed.seal(t, start, gone); len(gone) == 0 {
				continue
			}
			groups, err := db.groupsOf(ctx, t, gone, at)
			if err != nil {
				return err
			}
			if err := db.deletions.noteGroups(stone, start, groups); err != nil {
				return err
			}
			query := db.hashIn(gone) + " _time:[" + rfc3339(at.Start) + ", " + rfc3339(at.End-1) + "]"
			if err := deleteRows(ctx, db.payloads, t, query); err != nil {
				return err
			}
		}
	}
	return nil
}

func rfc3339(at int64) string { return time.Unix(0, at).UTC().Format("2006-01-02T15:04:05.000000000Z") }

// unused returns the hashes that no row of a day refers to. Rows whose references are in a payload themselves are
// asked for theirs.
func (db *DB) unused(ctx context.Context, t logstorage.TenantID, hashes []string, at signal.TimeRange) ([]string, error) {
	used := map[stored]struct{}{}
	pl := &plan{tenant: t, at: at, exact: true}
	pl.query = "(" + quote(colSpecial) + ":contains_any(" + quoteAll(hashes) + ") or " + specialNamed(colSpecial) + ")"
	err := db.windows(ctx, pl, nil, func(rows []*found) (bool, error) {
		for _, r := range rows {
			if err := db.addRefs(ctx, t, r, used); err != nil {
				return false, err
			}
		}
		return true, nil
	})
	return slices.DeleteFunc(slices.Clone(hashes), func(h string) bool {
		_, ok := used[stored{at.Start, h}]
		return ok
	}), err
}

func quoteAll(texts []string) string {
	quoted := make([]string, len(texts))
	for i, s := range texts {
		quoted[i] = quote(s)
	}
	return strings.Join(quoted, ",")
}

// deleteRows runs a delete task of the engine and waits for its end, and for that of all others of the tenant: the engine keeps
// tasks on disk until they are done, and one of a deletion that was interrupted would remove what was written again since.
func deleteRows(ctx context.Context, e engine, t logstorage.TenantID, query string) error {
	f, err := logstorage.ParseFilter(query)
	if err != nil {
		return fmt.Errorf("BUG: filter of ours does not parse: %w", err)
	}
	id := fmt.Sprintf("%d", time.Now().UnixNano())
	// The engine deletes nothing later than the task's time; rows may be ahead of the clock.
	const farAhead = math.MaxInt64 - int64(day)
	if err := e.DeleteRunTask(ctx, id, farAhead, []logstorage.TenantID{t}, f); err != nil {
		return err
	}
	ticker := time.NewTicker(deletePoll)
	defer ticker.Stop()
	for {
		tasks, err := e.DeleteActiveTasks(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(tasks, func(d *logstorage.DeleteTask) bool { return slices.Contains(d.TenantIDs, t) }) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
