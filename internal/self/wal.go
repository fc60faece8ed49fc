package self

import "github.com/prometheus/client_golang/prometheus"

// LogFigures are figures of the event store's write-ahead log. Counts are since the start.
type LogFigures struct {
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
	// ReplayedRecords, ReplayedRows and ReplayedBytes were read again at the start, which took ReplaySeconds; AlreadyStored
	// rows of them were in the engine.
	ReplayedRecords, ReplayedRows, AlreadyStored, ReplayedBytes uint64
	ReplaySeconds                                               float64
	// Cut is how many torn ends were cut off at the start, Corrupt how many damaged places were leapt over.
	Cut, CutBytes, Corrupt, CorruptBytes uint64
	// Rows that were written, repeats that were recognised, and rows of requests that failed.
	Rows, Repeats, Failed uint64
}

// Log adds the figures of the log, which read gives once a scrape.
func (m *Metrics) Log(read func() LogFigures) {
	c := &logCollector{read: read}
	add := func(name, help string, kind prometheus.ValueType, value func(LogFigures) float64) {
		c.all = append(c.all, logFigure{prometheus.NewDesc(name, help, nil, nil), kind, value})
	}
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	add("mindscope_wal_bytes", "Size of the write-ahead log.", gauge, func(f LogFigures) float64 { return float64(f.Bytes) })
	add("mindscope_wal_lag_records", "Records of the log that the engine may not have on disk.", gauge, func(f LogFigures) float64 { return float64(f.Lag) })
	add("mindscope_wal_records_total", "Records added to the log.", counter, func(f LogFigures) float64 { return float64(f.Records) })
	add("mindscope_wal_written_bytes_total", "Bytes added to the log.", counter, func(f LogFigures) float64 { return float64(f.WrittenBytes) })
	add("mindscope_wal_groups_total", "Groups of records that were written at once.", counter, func(f LogFigures) float64 { return float64(f.Groups) })
	add("mindscope_wal_failures_total", "Groups of records that the disk did not take; their senders were told to send again.", counter, func(f LogFigures) float64 { return float64(f.Failures) })
	add("mindscope_wal_syncs_total", "How often the log waited for the disk.", counter, func(f LogFigures) float64 { return float64(f.Syncs) })
	add("mindscope_wal_sync_seconds_total", "How long the log waited for the disk.", counter, func(f LogFigures) float64 { return f.SyncSeconds })
	add("mindscope_wal_checkpoints_total", "Checkpoints made.", counter, func(f LogFigures) float64 { return float64(f.Checkpoints) })
	add("mindscope_wal_checkpoint_pause_seconds_total", "How long writers waited for checkpoints.", counter, func(f LogFigures) float64 { return f.PauseSeconds })
	add("mindscope_wal_replayed_records_total", "Records read again at the start.", counter, func(f LogFigures) float64 { return float64(f.ReplayedRecords) })
	add("mindscope_wal_replayed_rows_total", "Rows given to the engine again at the start.", counter, func(f LogFigures) float64 { return float64(f.ReplayedRows) })
	add("mindscope_wal_replay_seconds", "How long the replay at the start took.", gauge, func(f LogFigures) float64 { return f.ReplaySeconds })
	add("mindscope_wal_truncated_total", "Torn ends that were cut off the log at the start.", counter, func(f LogFigures) float64 { return float64(f.Cut) })
	add("mindscope_wal_corrupt_total", "Damaged places of the log that were leapt over at the start.", counter, func(f LogFigures) float64 { return float64(f.Corrupt) })
	add("mindscope_store_written_rows_total", "Rows written, those of the store's own index included.", counter, func(f LogFigures) float64 { return float64(f.Rows) })
	add("mindscope_store_repeated_rows_total", "Rows that were sent again and recognised.", counter, func(f LogFigures) float64 { return float64(f.Repeats) })
	add("mindscope_store_failed_rows_total", "Rows of requests that could not be stored; their senders were told to send again.", counter, func(f LogFigures) float64 { return float64(f.Failed) })
	m.registry.MustRegister(c)
}

type logFigure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(LogFigures) float64
}

type logCollector struct {
	read func() LogFigures
	all  []logFigure
}

// Describe implements prometheus.Collector.
func (c *logCollector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range c.all {
		to <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c *logCollector) Collect(to chan<- prometheus.Metric) {
	f := c.read()
	for _, one := range c.all {
		to <- prometheus.MustNewConstMetric(one.desc, one.kind, one.value(f))
	}
}
