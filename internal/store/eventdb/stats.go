package eventdb

import (
	"context"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/store"
)

// Stats implements store.Events. Rows counts spans, logs and the like, and the few index rows of traces.
func (db *DB) Stats(ctx context.Context) (store.Stats, error) {
	if err := db.enter(); err != nil {
		return store.Stats{}, err
	}
	defer db.leave()
	if err := ctx.Err(); err != nil {
		return store.Stats{}, err
	}
	out := store.Stats{VisibleWithin: visibleWithin, Accept: db.accept(), Evicted: db.keeper.evicted.Load(), ReadOnly: db.readOnly() != ""}
	var events, payloads logstorage.StorageStats
	db.events.UpdateStats(&events)
	db.payloads.UpdateStats(&payloads)
	out.Rows = events.RowsCount() + events.PendingRows
	for _, s := range []*logstorage.StorageStats{&events, &payloads} {
		out.Bytes += s.CompressedInmemorySize + s.CompressedSmallPartSize + s.CompressedBigPartSize + s.IndexdbSizeBytes
	}
	return out, nil
}
