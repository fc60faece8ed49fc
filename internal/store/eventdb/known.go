package eventdb

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// idsPerQuery bounds how many row ids one query asks for.
const idsPerQuery = 1000

// storedRevisions asks the engine which of the rows it holds and with which newest revision. The key is the row's in
// the set of recent ids.
func (db *DB) storedRevisions(ctx context.Context, p signal.Project, t logstorage.TenantID, rows []store.Row, open []int) (map[idKey]int64, error) {
	byKind := map[store.Kind][]*store.Row{}
	for _, i := range open {
		byKind[rows[i].Kind] = append(byKind[rows[i].Kind], &rows[i])
	}
	out := map[idKey]int64{}
	for kind, rows := range byKind {
		at, err := db.whereStored(ctx, t, kind, rows)
		if err != nil {
			return nil, err
		}
		ids := make([]string, len(rows))
		for i, r := range rows {
			ids[i] = r.ID
		}
		slices.Sort(ids)
		err = db.versions(ctx, t, kind, slices.Compact(ids), at, func(v version) {
			k := keyOf(p, kind, v.id)
			out[k] = max(out[k], v.rev)
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// whereStored returns the range of time that earlier copies of the rows can be in. A span is where its trace is. The id
// of a record is the hash of all it says, its time included. Everything else may be anywhere.
func (db *DB) whereStored(ctx context.Context, t logstorage.TenantID, kind store.Kind, rows []*store.Row) (signal.TimeRange, error) {
	var at signal.TimeRange
	for _, r := range rows {
		trace := r.Text(store.FieldTraceID)
		switch {
		case revisionOf(r) > 0:
			return signal.AllTime(), nil
		case kind == store.KindLog:
			at = at.Include(r.Time - int64(day)).Include(min(r.Time, math.MaxInt64-int64(day)) + int64(day))
		case kind == store.KindSpan && trace != "":
			in, err := db.traceRange(ctx, t, trace)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return at, err
			}
			at = at.Include(in.Start).Include(in.End - 1)
		default:
			return signal.AllTime(), nil
		}
	}
	return at, nil
}

// version is one stored copy of a row.
type version struct {
	id   string
	rev  int64
	time int64
}

// versions calls f for every stored copy of the rows of these ids.
func (db *DB) versions(ctx context.Context, t logstorage.TenantID, kind store.Kind, ids []string, at signal.TimeRange, f func(version)) error {
	for ids := range slices.Chunk(ids, idsPerQuery) {
		err := db.eachVersion(ctx, t, ofKind(kind)+" "+fieldIn(colID, idColumns(ids)), at, f)
		if err != nil {
			return err
		}
	}
	return nil
}

func (db *DB) eachVersion(ctx context.Context, t logstorage.TenantID, query string, at signal.TimeRange, f func(version)) error {
	query += fieldsPipe([]string{colTime, colID, store.FieldRevision})
	return run(ctx, db.events, t, query, at, func(b *logstorage.DataBlock) error {
		times, _ := b.GetTimestamps(nil)
		ids, revs := texts(b, colID), texts(b, store.FieldRevision)
		for i, id := range ids {
			v := version{id: idOf(id), time: times[i]}
			v.rev, _ = strconv.ParseInt(revs[i], 10, 64)
			f(v)
		}
		return nil
	})
}

// loadRecent reads the ids of the newest rows again, newest first, so that their repeats are recognised without asking
// the engine.
func (db *DB) loadRecent() error {
	const step = int64(5 * 60 * 1e9)
	now := db.cfg.Clock()
	end := now.Add(db.cfg.FutureRetention).UnixNano()
	floor := max(now.Add(-db.cfg.RecentWindow).UnixNano(), 0)
	ctx := context.Background()
	for at := (signal.TimeRange{Start: now.UnixNano(), End: end}); ; at = (signal.TimeRange{Start: max(at.Start-step, floor), End: at.Start}) {
		for p, t := range db.projects.all() {
			err := db.loadRecentRange(ctx, p, t, at)
			if errors.Is(err, store.ErrPartial) {
				// What a silent node holds is not known: every row from before now has to be asked for.
				db.recent.reach(now.UnixNano())
				return nil
			}
			if err != nil {
				return err
			}
		}
		if at.Start <= floor || db.recent.len() >= db.cfg.RecentIDs/2 {
			db.recent.reach(at.Start)
			return nil
		}
	}
}

func (db *DB) loadRecentRange(ctx context.Context, p signal.Project, t logstorage.TenantID, at signal.TimeRange) error {
	query := "*" + fieldsPipe([]string{colTime, colKind, colID, store.FieldRevision})
	return run(ctx, db.events, t, query, at, func(b *logstorage.DataBlock) error {
		times, _ := b.GetTimestamps(nil)
		kinds, ids, revs := texts(b, colKind), texts(b, colID), texts(b, store.FieldRevision)
		for i, id := range ids {
			if id == "" {
				continue // an index row
			}
			rev, _ := strconv.ParseInt(revs[i], 10, 64)
			db.recent.load(keyOf(p, store.Kind(kinds[i]), idOf(id)), times[i], rev)
		}
		return nil
	})
}
