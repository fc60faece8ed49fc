package eventdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// replaceBytes bounds the texts of rows that are written in one record.
const replaceBytes = 32 << 20

// Replace implements store.Replacer. The new rows are on disk before anything is removed, beside a tombstone that says so;
// then the stored ones go as those of a Delete do, and the new ones are written as those of a Write. What is left of
// that after a crash is done at the next open, and after a failed write beside the checkpoints (endPending). The file
// is not redacted: its rows were stored before.
func (db *DB) Replace(ctx context.Context, p signal.Project, k store.Kind, rows []store.Row) (store.Replaced, error) {
	if err := store.CheckReplace(k, rows); err != nil {
		return store.Replaced{}, signal.Permanent(err)
	}
	if err := db.enter(); err != nil {
		return store.Replaced{}, err
	}
	defer db.leave()
	if err := ctx.Err(); err != nil {
		return store.Replaced{}, err
	}
	db.deletions.running.Lock()
	defer db.deletions.running.Unlock()
	tenant, known := db.projects.find(p)
	if !known || len(rows) == 0 {
		return store.Replaced{}, nil
	}
	if err := db.endPending(ctx); err != nil {
		return store.Replaced{}, fmt.Errorf("end an earlier replacement: %w", err)
	}
	if err := db.takesWrites(p, tenant); err != nil {
		return store.Replaced{}, err
	}
	c, err := db.chooseRows(ctx, p, tenant, k, rows)
	if err != nil || len(c.doomed.ids) == 0 {
		return c.done, err
	}
	t, err := db.beginReplacement(p, k, c)
	if err != nil {
		return store.Replaced{}, passing(fmt.Errorf("write down what to replace: %w", err))
	}
	// From here on it happens, whoever still waits for it.
	if err := db.bury(context.WithoutCancel(ctx), t); err != nil {
		err = fmt.Errorf("replace rows: %w (they are kept aside and come back by themselves when the store can write again)", err)
		return store.Replaced{}, passing(err)
	}
	return c.done, nil
}

// takesWrites tells, before anything is removed, whether rows could be written: an empty record goes through the log.
func (db *DB) takesWrites(p signal.Project, tenant logstorage.TenantID) error {
	if err := db.writable(); err != nil {
		return err
	}
	db.changes.RLock()
	defer db.changes.RUnlock()
	b := &batch{typ: recordRewrite, tenant: tenant}
	err := db.appendBatch(p, b)
	if err == nil {
		_, err = db.commit(p, b)
	}
	if err != nil {
		return passing(fmt.Errorf("write rows: %w", err))
	}
	return nil
}

// chosen is what a Replace does with its rows.
type chosen struct {
	done   store.Replaced
	rows   []store.Row // that take the place of others, the expired ones included
	doomed *doomed     // what goes; its ids are those of rows
}

// chooseRows looks for what the rows take the place of.
func (db *DB) chooseRows(ctx context.Context, p signal.Project, tenant logstorage.TenantID, k store.Kind, rows []store.Row) (*chosen, error) {
	db.flush()
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	c := &chosen{doomed: newDoomed()}
	revised := db.revised.has(p, k)
	for part := range slices.Chunk(ids, idsPerQuery) {
		pl := &plan{project: p, tenant: tenant, kind: k, at: signal.AllTime(), exact: true, revised: revised}
		pl.query = ofKind(k) + " " + fieldIn(colID, idColumns(part))
		d, err := db.findDoomed(ctx, pl)
		if err != nil {
			return c, fmt.Errorf("find rows to replace: %w", err)
		}
		c.doomed.ids = append(c.doomed.ids, d.ids...)
		maps.Copy(c.doomed.traces, d.traces)
		maps.Copy(c.doomed.payloads, d.payloads)
	}
	stored, err := db.newestRevisions(ctx, tenant, k, c.doomed.ids, revised)
	if err != nil {
		return c, fmt.Errorf("find revisions of rows to replace: %w", err)
	}
	c.doomed.ids = nil
	c.choose(rows, stored, db.accept().Start, func(r *store.Row) error { return db.canHold(p, r) })
	return c, nil
}

// choose says what becomes of each row. One whose time is ahead of the clock, which was set back, is stored and stays.
func (c *chosen) choose(rows []store.Row, stored map[string]int64, oldest int64, canHold func(*store.Row) error) {
	for i := range rows {
		r := &rows[i]
		rev, ok := stored[r.ID]
		switch {
		case !ok:
			continue
		case rev > revisionOf(r):
			c.done.Kept.Add(1, "a newer revision is stored")
			continue
		case r.Time < oldest:
			c.done.Expired++
		default:
			if err := canHold(r); err != nil {
				c.done.Kept.Add(1, err.Error())
				continue
			}
			c.done.Rows++
		}
		c.rows = append(c.rows, *r)
		c.doomed.ids = append(c.doomed.ids, r.ID)
	}
}

// newestRevisions returns the highest stored revision of each of the ids.
func (db *DB) newestRevisions(ctx context.Context, tenant logstorage.TenantID, k store.Kind, ids []string, revised bool) (map[string]int64, error) {
	newest := make(map[string]int64, len(ids))
	for _, id := range ids {
		newest[id] = 0
	}
	if !revised {
		return newest, nil
	}
	err := db.versions(ctx, tenant, k, ids, signal.AllTime(), func(v version) {
		if rev, ok := newest[v.id]; ok && v.rev > rev {
			newest[strings.Clone(v.id)] = v.rev // Go keeps the key that it is given last, and v's text is the engine's
		}
	})
	return newest, err
}

// canHold returns why the engine can't hold a row.
func (db *DB) canHold(p signal.Project, r *store.Row) error {
	e := db.encoderOf(p)
	defer db.putEncoder(e)
	defer e.pieces.free()
	_, err := e.encode(r)
	return err
}

// beginReplacement writes down what is replaced and what takes its place.
func (db *DB) beginReplacement(p signal.Project, k store.Kind, c *chosen) (*tombstone, error) {
	t := newTombstone(p, k, c.doomed, time.Now())
	t.Replaces = true
	if err := db.kept.put(t.ID, c.rows); err != nil {
		return nil, err
	}
	if err := db.deletions.add(t); err != nil {
		return nil, errors.Join(err, db.kept.remove(t.ID))
	}
	return t, nil
}

// prepareReplacement reads what a replacement writes, and takes the ids: a sender that repeats one of the rows while it
// is away must not store it as it was. Rows that a later tombstone names are not its any more, and those past their retention
// only go. It returns false for a replacement that never began.
func (db *DB) prepareReplacement(t *tombstone) (rows []store.Row, began bool, err error) {
	rows, err = db.kept.get(t.ID)
	if errors.Is(err, fs.ErrNotExist) {
		db.cfg.Logger.Warn("rows were about to be replaced and stay as they were: their replacement had not begun", "deletion", t.ID, "rows", len(t.Rows))
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read rows that take the place of others: %w", err)
	}
	later := db.deletions.namedAfter(t)
	rows = slices.DeleteFunc(rows, func(r store.Row) bool { return later[r.ID] })
	t.Rows, t.revs = make([]string, len(rows)), map[string]int64{}
	for i := range rows {
		t.Rows[i], t.revs[rows[i].ID] = rows[i].ID, revisionOf(&rows[i])
	}
	oldest := db.accept().Start
	rows = slices.DeleteFunc(rows, func(r store.Row) bool { return r.Time < oldest })
	for i := range rows {
		r := &rows[i]
		db.recent.claim(keyOf(t.Project, r.Kind, r.ID), r.Time, revisionOf(r), db.flight.now())
	}
	return rows, true, nil
}

// writeReplacement writes the rows of a replacement when what they take the place of is gone.
func (db *DB) writeReplacement(ctx context.Context, p signal.Project, rows []store.Row) error {
	for len(rows) > 0 {
		n, size := 0, 0
		for ; n < len(rows) && (n == 0 || size < replaceBytes); n++ {
			for _, f := range rows[n].Fields {
				size += len(f.Name) + len(f.Value.Text())
			}
		}
		if err := db.writeAgain(p, rows[:n]); err != nil {
			return fmt.Errorf("write rows that take the place of others: %w", err)
		}
		rows = rows[n:]
	}
	if db.cfg.Sync == SyncAlways {
		return nil
	}
	return db.finishCheckpoint(ctx) // the log is on disk later than its records are acknowledged
}

// writeAgain stores rows whose ids are known to be stored.
func (db *DB) writeAgain(p signal.Project, rows []store.Row) error {
	if err := db.writable(); err != nil {
		return err
	}
	db.changes.RLock()
	defer db.changes.RUnlock()
	b := &batch{typ: recordRewrite, rows: slices.Clone(rows), claims: make([]claim, len(rows))}
	defer b.free()
	for i := range b.claims {
		b.claims[i].verdict = repeat // an error must not give their ids back
	}
	var rejected signal.Rejected
	var err error
	db.flight.begin(b)
	if b.tenant, err = db.projects.create(p); err == nil {
		err = db.encode(p, b, &rejected)
	}
	if err == nil && rejected.Items > 0 {
		err = fmt.Errorf("%d rows: %s", rejected.Items, rejected.Message())
	}
	if err == nil {
		err = db.logBatch(p, b)
	}
	db.flight.end(b, err != nil)
	if err != nil {
		return err
	}
	db.room.filling()
	refused, err := db.commit(p, b)
	if err == nil && refused > 0 {
		err = fmt.Errorf("BUG: the engine refused %d rows", refused)
	}
	return err
}

// copiesOf returns the condition of the stored copies of rows that a tombstone removes: all, of rows that others take the place
// of those up to their revision. A higher one may have come since.
func (db *DB) copiesOf(ctx context.Context, tenant logstorage.TenantID, t *tombstone, ids []string) (string, error) {
	if !t.Replaces || !db.revised.has(t.Project, t.Kind) {
		return fieldIn(colID, idColumns(ids)), nil
	}
	db.events.DebugFlush()
	found := map[int64]map[int64]bool{} // the stored revisions of rows by the one that comes
	err := db.versions(ctx, tenant, t.Kind, ids, signal.AllTime(), func(v version) {
		upTo := t.revs[v.id]
		if found[upTo] == nil {
			found[upTo] = map[int64]bool{}
		}
		if v.rev <= upTo {
			found[upTo][v.rev] = true
		}
	})
	if err != nil {
		return "", err
	}
	byRevision := map[int64][]string{}
	for _, id := range ids {
		byRevision[t.revs[id]] = append(byRevision[t.revs[id]], id)
	}
	parts := []string{nothing}
	for upTo, revs := range found {
		if len(revs) > 0 {
			parts = append(parts, fieldIn(colID, idColumns(byRevision[upTo]))+" "+ofRevisions(revs))
		}
	}
	return "((" + strings.Join(parts, ") or (") + "))", nil
}

func ofRevisions(revs map[int64]bool) string {
	var texts []string
	for rev := range revs {
		texts = append(texts, strconv.FormatInt(rev, 10))
	}
	query := fieldIn(store.FieldRevision, texts)
	if revs[0] {
		query = "(" + query + " or " + fieldIs(store.FieldRevision, "") + ")"
	}
	return query
}

// endPending ends removals that failed, and replacements whose rows could not be written: these are removed first again, since
// some may have been written.
func (db *DB) endPending(ctx context.Context) error {
	for _, t := range db.deletions.pending() {
		var err error
		if t.Replaces {
			err = db.takeReplacement(t)
		}
		if err == nil {
			err = db.bury(context.WithoutCancel(ctx), t)
		}
		if err != nil {
			return err
		}
		db.cfg.Logger.Info("what was being removed or replaced when the store could not write is done", "deletion", t.ID, "replaced", t.Replaces)
	}
	return nil
}

// takeReplacement tells whether the rows of a replacement could be written.
func (db *DB) takeReplacement(t *tombstone) error {
	tenant, err := db.projects.create(t.Project)
	if err == nil {
		err = db.takesWrites(t.Project, tenant)
	}
	return err
}

// retryPending is endPending for who has nobody waiting.
func (db *DB) retryPending(ctx context.Context) {
	if len(db.deletions.pending()) == 0 || db.enter() != nil {
		return
	}
	defer db.leave()
	if !db.deletions.running.TryLock() {
		return // the next checkpoint is soon enough
	}
	defer db.deletions.running.Unlock()
	if err := db.endPending(ctx); err != nil {
		db.cfg.Logger.Warn("what was being removed or replaced waits until the store can write: it is tried again", "error", err)
	}
}

// keptIn returns the rows in scope that replacements keep aside, those excepted of which a higher revision is stored.
func (db *DB) keptIn(ctx context.Context, p signal.Project, s store.Scope) ([]store.Row, error) {
	match, err := store.Compile(s.Filter)
	if err != nil {
		return nil, signal.Permanent(err)
	}
	var out []store.Row
	for _, t := range db.deletions.pending() {
		if !t.Replaces || t.Project != p || t.Kind != s.Kind {
			continue
		}
		rows, err := db.kept.get(t.ID)
		if err != nil {
			return nil, fmt.Errorf("read rows that take the place of others: %w", err)
		}
		later := db.deletions.namedAfter(t)
		for i := range rows {
			if r := &rows[i]; !later[r.ID] && s.Time.Contains(r.Time) && match(r) {
				out = append(out, *r)
			}
		}
	}
	return db.withoutNewer(ctx, p, s.Kind, out)
}

// withoutNewer leaves out the rows of which a higher revision is stored.
func (db *DB) withoutNewer(ctx context.Context, p signal.Project, k store.Kind, rows []store.Row) ([]store.Row, error) {
	tenant, known := db.projects.find(p)
	if !known || len(rows) == 0 || !db.revised.has(p, k) {
		return rows, nil
	}
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	newest, err := db.newestRevisions(ctx, tenant, k, ids, true)
	return slices.DeleteFunc(rows, func(r store.Row) bool { return newest[r.ID] > revisionOf(&r) }), err
}

// addKept adds rows that are kept aside to what a Delete removes: in a backup of the folder they may come to be written.
func (db *DB) addKept(d *doomed, p signal.Project, kept []store.Row) error {
	if len(kept) == 0 {
		return nil
	}
	seen := make(map[string]bool, len(d.ids))
	for _, id := range d.ids {
		seen[id] = true
	}
	e := db.encoderOf(p)
	defer db.putEncoder(e)
	defer e.pieces.free()
	for i := range kept {
		r := &kept[i]
		if seen[r.ID] {
			continue
		}
		seen[r.ID] = true
		d.ids = append(d.ids, r.ID)
		if trace := r.Text(store.FieldTraceID); trace != "" && r.Kind == store.KindSpan {
			d.traces[trace] = struct{}{}
		}
		row, err := e.encode(r)
		if err != nil {
			return err
		}
		for _, content := range row.payloads {
			d.payloads[stored{dayOf(r.Time), content.ref.hash}] = struct{}{}
		}
	}
	return nil
}

// dropKept removes the rows that a deletion names from what replacements keep aside.
func (db *DB) dropKept(gone *tombstone) error {
	for _, t := range db.deletions.pending() {
		if !t.Replaces || t.Project != gone.Project || t.Kind != gone.Kind {
			continue
		}
		later := db.deletions.namedAfter(t)
		rows, err := db.kept.get(t.ID)
		if n := len(rows); err == nil {
			if rows = slices.DeleteFunc(rows, func(r store.Row) bool { return later[r.ID] }); len(rows) < n {
				err = db.kept.put(t.ID, rows)
			}
		}
		if err != nil {
			return fmt.Errorf("delete rows that were being replaced: %w", err)
		}
	}
	return nil
}
