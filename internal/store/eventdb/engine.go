package eventdb

import (
	"context"
	"path/filepath"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/fs"
)

// engine is what this package uses of the storage engine: an instance in this process, or storage nodes.
//
// Methods may be called at any time from any number of goroutines, MustClose excepted.
type engine interface {
	querier
	// Add takes rows; they are searchable within visibleWithin, and on disk when Persist was called afterwards. It
	// returns how many rows the engine refused. After an error any part of them may have been taken.
	Add(t logstorage.TenantID, rows []encoded) (refused int64, err error)
	// DebugFlush makes the added rows searchable at once. It is no disk sync.
	DebugFlush()
	// Persist returns when the rows added before are on disk, those excepted that a merge has in its hands: a merge
	// ends within seconds, and its result is on disk with the next call.
	Persist(ctx context.Context) error
	// PartitionList returns the days there are data of, oldest first, as YYYYMMDD.
	PartitionList() []string
	// PartitionDrop removes a day. Rows of it that are added meanwhile are lost.
	PartitionDrop(name string) error
	// DeleteRunTask starts to delete what f selects; DeleteActiveTasks returns the tasks that have not ended.
	DeleteRunTask(ctx context.Context, id string, at int64, tenants []logstorage.TenantID, f *logstorage.Filter) error
	DeleteActiveTasks(ctx context.Context) ([]*logstorage.DeleteTask, error)
	// NameStreams gives streams their names back where a crash has lost them, and returns how many there were.
	NameStreams(ctx context.Context, of samples) (int, error)
	// UpdateStats adds the engine's figures to s.
	UpdateStats(s *logstorage.StorageStats)
	// IsReadOnly tells that too little space is free.
	IsReadOnly() bool
	MustClose()
}

// querier answers queries.
type querier interface {
	// RunQuery calls write with the blocks of the answer, from several goroutines, in no order. A query stopped by its
	// context returns no error.
	RunQuery(qctx *logstorage.QueryContext, write logstorage.WriteDataBlockFunc) error
}

// embedded is the engine in this process.
type embedded struct {
	*logstorage.Storage
	dir    string
	gather *gather
}

var _ engine = embedded{}

func openEmbedded(dir string, cfg *logstorage.StorageConfig) embedded {
	s := logstorage.MustOpenStorage(dir, cfg)
	return embedded{Storage: s, dir: dir, gather: newGather(s)}
}

// Add implements engine. encode keeps within the engine's limits, so that it refuses none.
func (e embedded) Add(t logstorage.TenantID, rows []encoded) (refused int64, err error) {
	return e.gather.add(t, rows), nil
}

// DebugFlush implements engine.
func (e embedded) DebugFlush() { e.gather.flush() }

// DeleteRunTask implements engine. The engine would miss the rows that are not handed to it yet.
func (e embedded) DeleteRunTask(ctx context.Context, id string, at int64, tenants []logstorage.TenantID, f *logstorage.Filter) error {
	e.DebugFlush()
	return e.Storage.DeleteRunTask(ctx, id, at, tenants, f)
}

// MustClose implements engine.
func (e embedded) MustClose() {
	e.gather.close()
	e.Storage.MustClose()
}

// Persist implements engine. A snapshot first writes what is in memory to files; it is not kept.
func (e embedded) Persist(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.DebugFlush()
	for _, path := range e.PartitionSnapshotMustCreate("") {
		if err := e.PartitionSnapshotDelete(path); err != nil {
			return err
		}
	}
	return nil
}

// PartitionDrop implements engine. It waits for the queries that read the day; a crash in between removes the rest at
// the next start.
func (e embedded) PartitionDrop(name string) error {
	e.DebugFlush() // a row of the day that came later would begin it anew
	if err := e.PartitionDetach(name); err != nil {
		return err
	}
	fs.MustRemoveDir(filepath.Join(e.dir, "partitions", name))
	return nil
}
