package eventdb

import (
	"context"
	"slices"
	"strings"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// toldOfDeleted are the fields of a deleted row that a store.DeletionObserver gets.
func toldOfDeleted() []string {
	return []string{store.FieldTraceID, store.FieldSpanID, store.FieldTeam, store.FieldTaskID}
}

// observeDeleted tells the Observer of the rows that a tombstone names, while the engine still has them. The writers of
// these rows have ended: nobody commits one afterwards. After a crash some of them may be gone from the engine; those were
// told of, but perhaps not to the state that was loaded. It has what they left for as long as without a deletion.
func (db *DB) observeDeleted(ctx context.Context, tenant logstorage.TenantID, t *tombstone) error {
	o, ok := db.cfg.Observer.(store.DeletionObserver)
	if !ok {
		return nil
	}
	for ids := range slices.Chunk(t.Rows, idsPerDelete) {
		rows, err := db.namedRows(ctx, tenant, t.Kind, ids)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			continue
		}
		db.observing.Lock()
		o.Deleted(t.Project, rows)
		db.observing.Unlock()
		db.unlogged.Store(true) // no record says that the saved state is no longer the Observer's
	}
	return nil
}

// namedRows returns what the Observer is told of rows of a kind, each once.
func (db *DB) namedRows(ctx context.Context, tenant logstorage.TenantID, kind store.Kind, ids []string) ([]store.Row, error) {
	fields := toldOfDeleted()
	query := ofKind(kind) + " " + fieldIn(colID, idColumns(ids)) + fieldsPipe(append([]string{colID}, fields...))
	seen := make(map[string]struct{}, len(ids))
	var rows []store.Row
	err := run(ctx, db.events, tenant, query, signal.AllTime(), func(b *logstorage.DataBlock) error {
		columns := make([][]string, len(fields))
		for i, name := range fields {
			columns[i] = texts(b, name)
		}
		for n, id := range texts(b, colID) {
			if _, ok := seen[id]; ok {
				continue // another revision
			}
			id = strings.Clone(id)
			seen[id] = struct{}{}
			r := store.Row{Kind: kind, ID: idOf(id)}
			for i, name := range fields {
				if text := columns[i][n]; text != "" {
					r.Add(name, store.String(strings.Clone(text)))
				}
			}
			rows = append(rows, r)
		}
		return nil
	})
	return rows, err
}

// observeRewritten tells the Observer of rows that took the place of deleted ones.
func (db *DB) observeRewritten(p signal.Project, rows []store.Row) {
	o, ok := db.cfg.Observer.(store.DeletionObserver)
	if !ok || len(rows) == 0 {
		return
	}
	db.observing.Lock()
	defer db.observing.Unlock()
	o.Rewritten(p, rows)
}
