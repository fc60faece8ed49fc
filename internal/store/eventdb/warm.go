package eventdb

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// warmDays bounds for how many days back the indexes are read at start.
const warmDays = 7

// warm asks for a trace and a payload that are not there, day by day, newest first: the system has the engine's indexes in
// memory then, and the first who asks for a trace does not wait for hundreds of small reads.
func (db *DB) warm(ctx context.Context) {
	nobody := strings.Repeat("0", hashLen)
	days := db.events.PartitionList()
	for i, name := range slices.Backward(days) {
		at, err := time.Parse(dayLayout, name)
		if err != nil || len(days)-i > warmDays {
			return
		}
		within := signal.TimeRange{Start: at.UnixNano(), End: at.Add(day).UnixNano()}
		for _, t := range db.projects.all() {
			for _, q := range []struct {
				from  engine
				query string
			}{
				{db.events, ofKind(kindTrace) + " " + fieldIs(store.FieldTraceID, nobody)},
				{db.events, ofKind(store.KindSpan) + " " + fieldIs(store.FieldTraceID, nobody)},
				{db.payloads, db.hashIn([]string{nobody})},
			} {
				if err := run(ctx, q.from, t, q.query, within, func(*logstorage.DataBlock) error { return nil }); err != nil {
					return // the store is closing, or those who ask are told
				}
			}
		}
	}
}
