package eventdb

import (
	"context"
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

// Delete implements store.Deleter. No row is written meanwhile: a row or payload that came between finding and
// removing would be lost or left behind. The engine rewrites the parts that hold the rows, within a second or two for
// a task or trace.
func (db *DB) Delete(ctx context.Context, p signal.Project, s store.Scope) (int64, error) {
	if err := db.enter(); err != nil {
		return 0, err
	}
	defer db.leave()
	db.changes.Lock()
	defer db.changes.Unlock()
	db.flush()
	pl, err := db.plan(ctx, p, s)
	if err != nil || pl == nil {
		return 0, err
	}
	d, err := db.findDoomed(ctx, pl)
	if err != nil {
		return 0, fmt.Errorf("find rows to delete: %w", err)
	}
	if len(d.ids) == 0 {
		return 0, nil
	}
	for ids := range slices.Chunk(d.ids, idsPerDelete) {
		if err := deleteRows(ctx, db.events, pl.tenant, ofKind(pl.kind)+" "+fieldIn(colID, idColumns(ids))); err != nil {
			return 0, fmt.Errorf("delete rows: %w", err)
		}
	}
	for _, id := range d.ids {
		db.recent.forget(keyOf(p, pl.kind, id))
	}
	if err := db.deleteTraces(ctx, pl, d.traces); err != nil {
		return 0, fmt.Errorf("delete index of traces: %w", err)
	}
	if err := db.deletePayloads(ctx, pl.tenant, d.payloads); err != nil {
		return 0, fmt.Errorf("delete payloads: %w", err)
	}
	return int64(len(d.ids)), nil
}

// findDoomed collects the ids of the rows in scope and what they refer to, older revisions included.
func (db *DB) findDoomed(ctx context.Context, pl *plan) (*doomed, error) {
	d := &doomed{traces: map[string]struct{}{}, payloads: map[stored]struct{}{}}
	err := db.windows(ctx, pl, nil, store.Unordered, func(rows []*found) (bool, error) {
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
		err := db.windows(ctx, &old, nil, store.Unordered, func(rows []*found) (bool, error) {
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
			into[stored{dayOf(r.row.Time), ref.ref.hash}] = struct{}{}
			all = all || ref.all
		}
		return all
	}
	if !note() {
		return nil
	}
	need := map[stored]ref{}
	r.needs(need, map[string]bool{}) // the special values only
	bodies, err := db.bodies(ctx, t, need)
	if err != nil {
		return err
	}
	if _, err := r.fill(bodies, nil); err != nil {
		return err
	}
	note()
	return nil
}

// deleteTraces removes the index rows of traces of which no span is left.
func (db *DB) deleteTraces(ctx context.Context, pl *plan, traces map[string]struct{}) error {
	var gone []string
	for id := range traces {
		gone = append(gone, id)
	}
	for ids := range slices.Chunk(gone, idsPerQuery) {
		left := map[string]struct{}{}
		query := ofKind(store.KindSpan) + " " + fieldIn(store.FieldTraceID, ids) + fieldsPipe([]string{store.FieldTraceID})
		err := run(ctx, db.events, pl.tenant, query, signal.AllTime(), func(b *logstorage.DataBlock) error {
			for _, id := range texts(b, store.FieldTraceID) {
				left[strings.Clone(id)] = struct{}{}
			}
			return nil
		})
		if err != nil {
			return err
		}
		ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { _, ok := left[id]; return ok })
		if len(ids) == 0 {
			continue
		}
		if err := deleteRows(ctx, db.events, pl.tenant, ofKind(kindTrace)+" "+fieldIn(store.FieldTraceID, ids)); err != nil {
			return err
		}
		for _, id := range ids {
			db.traces.forget(traceKey{pl.tenant, id})
		}
	}
	return nil
}

// deletePayloads removes those payloads that no row of their day refers to.
func (db *DB) deletePayloads(ctx context.Context, t logstorage.TenantID, payloads map[stored]struct{}) error {
	days := map[int64][]string{}
	for k := range payloads {
		days[k.day] = append(days[k.day], k.hash)
	}
	for start, hashes := range days {
		at := signal.TimeRange{Start: start, End: start + int64(day)}
		for hashes := range slices.Chunk(hashes, idsPerQuery) {
			gone, err := db.unused(ctx, t, hashes, at)
			if err != nil {
				return err
			}
			if len(gone) == 0 {
				continue
			}
			query := fieldIn(colHash, gone) + " _time:[" + rfc3339(at.Start) + ", " + rfc3339(at.End-1) + "]"
			if err := deleteRows(ctx, db.payloads, t, query); err != nil {
				return err
			}
			for _, h := range gone {
				db.known.forget(keyOfPayload(t, start, h))
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
	err := db.windows(ctx, pl, nil, store.Unordered, func(rows []*found) (bool, error) {
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

// deleteRows runs a delete task of the engine and waits for its end. The engine keeps the task on disk until it is
// done, so that a crash only delays it.
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
		if !slices.ContainsFunc(tasks, func(d *logstorage.DeleteTask) bool { return d.TaskID == id }) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
