package eventdb

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// A sketch tells who guesses a word whether it may have been in a group's texts, those deleted since included. So a
// deletion makes the sketches of the groups that it took payloads from anew, from what is left. In between a group has
// both, and a search looks into it when one of them lets it; a group without any would be left out.

// colMade tells the sketches of one group apart. Those that came with their group have none.
const colMade = "made"

// groupsPerRead bounds the sketches that are made at once, 26 KiB each.
const groupsPerRead = 500

// groupsOf returns the groups of payloads, those excepted that have no sketch.
func (db *DB) groupsOf(ctx context.Context, t logstorage.TenantID, hashes []string, at signal.TimeRange) ([]string, error) {
	var out []string
	query := ofKind(store.KindPayload) + " " + db.hashIn(hashes) + fieldsPipe([]string{colGroup})
	err := run(ctx, db.payloads, t, query, at, func(b *logstorage.DataBlock) error {
		for _, g := range texts(b, colGroup) {
			if g != "" && g != noGroup {
				out = append(out, strings.Clone(g))
			}
		}
		return nil
	})
	slices.Sort(out)
	return slices.Compact(out), err
}

// resketch adds new sketches of groups, by day, of which payloads were deleted. dropOld removes the ones before when the
// new ones are on disk.
func (db *DB) resketch(ctx context.Context, t logstorage.TenantID, days map[int64][]string) (dropOld func() error, err error) {
	if len(days) == 0 {
		return func() error { return nil }, nil
	}
	db.payloads.DebugFlush()
	if len(db.cfg.Nodes) > 0 { // a group's payloads lie on several nodes: none may have some in its queue
		if err := db.payloads.Persist(ctx); err != nil {
			return nil, err
		}
	}
	made := idColumn(strconv.FormatInt(time.Now().UnixNano(), 36))
	for start, groups := range days {
		for groups := range slices.Chunk(groups, groupsPerRead) {
			rows, err := db.sketchesOf(ctx, t, start, groups, made)
			if err != nil {
				return nil, err
			}
			if err := db.addUnlogged(db.payloads, t, rows); err != nil {
				return nil, err
			}
		}
	}
	return func() error {
		for start, groups := range days {
			within := " _time:[" + rfc3339(start) + ", " + rfc3339(start+int64(day)-1) + "]" // another day may have the number, too
			for groups := range slices.Chunk(groups, idsPerDelete) {
				query := ofKind(kindWords) + " " + fieldIn(colGroup, groups) + " !" + fieldIs(colMade, made) + within
				if err := deleteRows(ctx, db.payloads, t, query); err != nil {
					return err
				}
			}
		}
		return nil
	}, nil
}

// sketchesOf makes the sketches of a day's groups from the payloads that they have. One that has none gets none.
func (db *DB) sketchesOf(ctx context.Context, t logstorage.TenantID, start int64, groups []string, made string) ([]encoded, error) {
	open := map[string]*sketch{}
	query := ofKind(store.KindPayload) + " " + fieldIn(colGroup, groups) + fieldsPipe([]string{colGroup, colBody})
	err := run(ctx, db.payloads, t, query, signal.TimeRange{Start: start, End: start + int64(day)}, func(b *logstorage.DataBlock) error {
		bodies := texts(b, colBody)
		for i, g := range texts(b, colGroup) {
			s := open[g]
			if s == nil {
				s = db.newSketch(db.common.current.Load(), false)
				open[strings.Clone(g)] = s
			}
			s.add(bodies[i])
		}
		return nil
	})
	var rows []encoded
	for g, s := range open {
		row := sketchRow(start, g, s)
		row.add(colMade, made)
		rows = append(rows, row)
		db.sketches.Put(s)
	}
	return rows, err
}

// addUnlogged gives the engine rows that are in no log. They are on disk after the next checkpoint.
func (db *DB) addUnlogged(e engine, t logstorage.TenantID, rows []encoded) error {
	if len(rows) == 0 {
		return nil
	}
	refused, err := e.Add(t, rows)
	db.unlogged.Store(true)
	if err == nil && refused > 0 {
		err = fmt.Errorf("BUG: the engine refused %d rows of ours", refused)
	}
	return err
}
