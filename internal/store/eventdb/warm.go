package eventdb

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// warmDays bounds for how many days back the indexes are read at start.
	warmDays = 7
	// warmFirst is how long Open waits for it. A week of two million spans takes half of that; beside those who ask already it
	// would take their processor from them.
	warmFirst = 500 * time.Millisecond
	// warmRows and warmBytes bound how many of a day's newest spans with payloads are read, and how much of these: one more, and
	// what is read at once (see joinBytes).
	warmRows  = 50
	warmBytes = 1 << 20
)

// warm gets ready for those who ask for a trace, day by day, newest first. It asks for one and for a payload that are not
// there: the system has the engine's indexes in memory then. And it reads some of the day's newest spans: instructions that
// nearly all calls share lie with the day's first ones, far from any other, and are in the cache of payloads then. The first
// who asks for a trace waits neither for hundreds of small reads nor for megabytes to be unpacked.
//
// The engine ends the process when it meets a damaged block. A file says from here on that this may be why it ended: the next
// start leaves this out then, so that the comparison of sums comes to the damaged file and says what to do.
func (db *DB) warm(ctx context.Context) {
	days := db.events.PartitionList()
	mark := filepath.Join(db.dir, fileWarming)
	if _, err := os.Stat(mark); err == nil || len(days) == 0 || os.WriteFile(mark, nil, 0o600) != nil {
		return
	}
	room := bodyCacheBytes // what is read first must not drop out for the rest
	for i, name := range slices.Backward(days) {
		at, err := time.Parse(dayLayout, name)
		if err != nil || len(days)-i > warmDays {
			return
		}
		within := signal.TimeRange{Start: at.UnixNano(), End: at.Add(day).UnixNano()}
		for p, t := range db.projects.all() {
			if db.warmIndexes(ctx, t, within) != nil {
				return // the store is closing, or those who ask are told
			}
			n, err := db.warmPayloads(ctx, p, t, within)
			if room -= n; err != nil || room <= 0 {
				return
			}
		}
	}
}

// endWarm removes the mark: all files are as they were written, or the store is closed in order.
func (db *DB) endWarm() {
	if err := os.Remove(filepath.Join(db.dir, fileWarming)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		db.cfg.Logger.Warn("the next start will answer its first questions slowly", "error", err)
	}
}

func (db *DB) warmIndexes(ctx context.Context, t logstorage.TenantID, within signal.TimeRange) error {
	nobody := strings.Repeat("0", hashLen)
	for _, q := range []struct {
		from  engine
		query string
	}{
		{db.events, ofKind(kindTrace) + " " + fieldIs(store.FieldTraceID, nobody)},
		{db.events, ofKind(store.KindSpan) + " " + fieldIs(store.FieldTraceID, nobody)},
		{db.payloads, db.hashIn([]string{nobody})},
	} {
		if err := run(ctx, q.from, t, q.query, within, func(*logstorage.DataBlock) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// warmPayloads returns how many bytes it read.
func (db *DB) warmPayloads(ctx context.Context, p signal.Project, t logstorage.TenantID, within signal.TimeRange) (bytes int, err error) {
	query := ofKind(store.KindSpan) + " " + fieldHas(colSpecial)
	pl := &plan{project: p, tenant: t, kind: store.KindSpan, at: within, query: query, plain: query, exact: true}
	left := warmRows
	err = db.paced(ctx, pl, nil, db.newPace(store.NewestFirst, warmRows), func(rows []*found) (bool, error) {
		rows = rows[:min(left, len(rows))]
		left -= len(rows)
		more, err := db.deliver(ctx, pl, rows, nil, func(r *store.Row, _ error) bool {
			for _, f := range r.Fields {
				bytes += len(f.Value.Text())
			}
			return bytes < warmBytes
		})
		return more && left > 0, err
	})
	return bytes, err
}
