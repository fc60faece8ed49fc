package eventdb

// LogStats are figures of the write-ahead log. Counts are since Open.
type LogStats struct {
	// Bytes is the size of the log now, Lag the number of records the engine may not have on disk.
	Bytes, Lag uint64
	// Records and WrittenBytes were added, in Groups that were written at once; Failures are refused groups.
	Records, WrittenBytes, Groups, Failures uint64
	// Syncs is how often the disk was waited for, SyncSeconds how long in all.
	Syncs       uint64
	SyncSeconds float64
	// Checkpoints were made; writers waited for them PauseSeconds in all.
	Checkpoints  uint64
	PauseSeconds float64
	// ReplayedRecords, ReplayedRows and ReplayedBytes were read again at Open, which took ReplaySeconds; AlreadyStored rows
	// of them were in the engine.
	ReplayedRecords, ReplayedRows, AlreadyStored, ReplayedBytes uint64
	ReplaySeconds                                               float64
	// Cut is how many torn ends were cut off at Open, Corrupt how many damaged places were leapt over; with their bytes.
	Cut, CutBytes, Corrupt, CorruptBytes uint64
	// Rows that were written, repeats that were recognised, and rows of requests that failed.
	Rows, Repeats, Failed uint64
}

// Log returns the figures of the log.
func (db *DB) Log() LogStats {
	w, r := &db.wal.stats, &db.replayed
	done, last := db.doneUntil.Load(), db.wal.last()
	return LogStats{
		Bytes: uint64(max(0, w.size.Load())), Lag: last - min(last, done),
		Records: w.records.Load(), WrittenBytes: w.bytes.Load(), Groups: w.groups.Load(), Failures: w.failures.Load(),
		Syncs: w.syncs.Load(), SyncSeconds: float64(w.syncNanos.Load()) / 1e9,
		Checkpoints: db.checkpoints.made.Load(), PauseSeconds: float64(db.checkpoints.pauseNanos.Load()) / 1e9,
		ReplayedRecords: r.records.Load(), ReplayedRows: r.rows.Load(), AlreadyStored: r.skipped.Load(), ReplayedBytes: r.bytes.Load(),
		ReplaySeconds: float64(r.nanos.Load()) / 1e9,
		Cut:           r.cut.Load(), CutBytes: r.cutBytes.Load(), Corrupt: r.corrupt.Load(), CorruptBytes: r.corruptBytes.Load(),
		Rows: db.counts.written.Load(), Repeats: db.counts.repeats.Load(), Failed: db.counts.failed.Load(),
	}
}
