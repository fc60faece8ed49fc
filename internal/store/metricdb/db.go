package metricdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Config is how a database is kept. The zero value of a field means its default.
type Config struct {
	// Retention is how long samples are kept, 30 days by default.
	Retention time.Duration
	// MaxBytes bounds the blocks on disk, the oldest go first; 0 means no bound.
	MaxBytes int64
	// OutOfOrder is how far behind the newest sample an older one is still taken, 30 minutes by default.
	OutOfOrder time.Duration
	// MaxExemplars bounds the exemplars kept in memory, 10 000 by default (about 2 MB).
	MaxExemplars int
	// StartTimestamps keeps the start time of each sample in the experimental chunk encodings. Stock Prometheus has it
	// off, and so have we, for equal results; its acceptance tests ask for it.
	StartTimestamps bool
	Limits          Limits
	// Counted tells which teams the server counts for itself; nil is none.
	Counted Counted
	// Logger is told what the database does; nil is silent.
	Logger *slog.Logger
	// Registerer takes the database's own metrics; nil keeps them nowhere.
	Registerer prometheus.Registerer
	// Room returns an error while nothing may be written for want of disk; nil is room always. The database would end the process
	// when it can't write a chunk.
	Room func() error
	// Clock is the time now; nil is time.Now.
	Clock func() time.Time
}

const (
	defaultRetention    = 30 * 24 * time.Hour
	defaultOutOfOrder   = 30 * time.Minute
	defaultMaxExemplars = 10_000
	// headChunksBuffer is a quarter of Prometheus' own; agents make few series.
	headChunksBuffer = 1 << 20
	// stripes is what the map of series begins with; Prometheus' 16 384 cost 4 MB before the first sample.
	stripes = 2048
	// metadataPeriod is how often the descriptions of metrics are written to disk when they changed.
	metadataPeriod = time.Minute
)

// withDefaults fills what is not set.
func (c Config) withDefaults() Config {
	if c.Retention <= 0 {
		c.Retention = defaultRetention
	}
	if c.OutOfOrder <= 0 {
		c.OutOfOrder = defaultOutOfOrder
	}
	if c.MaxExemplars <= 0 {
		c.MaxExemplars = defaultMaxExemplars
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Room == nil {
		c.Room = func() error { return nil }
	}
	c.Limits = c.Limits.withDefaults()
	return c
}

// DB is an open database of metrics.
type DB struct {
	cfg      Config
	tsdb     *tsdb.DB
	families *families
	refused  *refusals
	deltas   *deltas
	contract *contract

	stop    chan struct{}
	stopped chan struct{}
}

// Open opens the database in dir, which is made when it isn't there. Another process that has it open is an error.
func Open(dir string, cfg Config) (*DB, error) {
	cfg = cfg.withDefaults()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make folder of metrics: %w", err)
	}
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = cfg.Retention.Milliseconds()
	opts.MaxBytes = cfg.MaxBytes
	opts.OutOfOrderTimeWindow = cfg.OutOfOrder.Milliseconds()
	opts.EnableExemplarStorage = true
	opts.MaxExemplars = int64(cfg.MaxExemplars)
	opts.StripeSize = stripes
	opts.HeadChunksWriteBufferSize = headChunksBuffer
	opts.EnableSTAsZeroSample = !cfg.StartTimestamps
	if cfg.StartTimestamps {
		opts.EnableSTStorage, opts.FloatChunkEncoding, opts.EnableHistogramSTEncoding = true, chunkenc.EncXOR2, true
	}
	db, err := tsdb.Open(dir, cfg.Logger, cfg.Registerer, opts, tsdb.NewDBStats())
	if err != nil {
		return nil, fmt.Errorf("open metrics in %s: %w", dir, err)
	}
	d := &DB{
		cfg: cfg, tsdb: db,
		refused: newRefusals(cfg.Registerer), contract: newContract(),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	if d.families, err = openFamilies(dir); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if d.deltas, err = newDeltas(d.store); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	go d.keepFamilies()
	return d, nil
}

// keepFamilies writes the descriptions of metrics to disk now and then.
func (d *DB) keepFamilies() {
	defer close(d.stopped)
	tick := time.NewTicker(metadataPeriod)
	defer tick.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-tick.C:
			if err := d.families.save(); err != nil {
				d.cfg.Logger.Warn("descriptions of metrics are not saved", "error", err)
			}
		}
	}
}

// Close stops the database. What was committed is there at the next Open.
func (d *DB) Close() error {
	close(d.stop)
	<-d.stopped
	return errors.Join(d.deltas.close(), d.families.save(), d.tsdb.Close())
}

// Queryable is what PromQL reads.
func (d *DB) Queryable() storage.SampleAndChunkQueryable { return d.tsdb }

// Exemplars is what exemplar queries read.
func (d *DB) Exemplars() storage.ExemplarQueryable { return d.tsdb }

// Appendable is what rules write to.
func (d *DB) Appendable() storage.AppendableV2 { return guarded{d} }

// FromItself is what the server's own series are written to. A counter that says when it began gets a zero there, so
// that its first increase is seen.
func (d *DB) FromItself() storage.AppendableV2 { return itself{d} }

// StartTime returns the oldest time of a sample, milliseconds.
func (d *DB) StartTime() (int64, error) { return d.tsdb.StartTime() }

// Storage is the database as Prometheus' libraries want it in one piece. Its Close is not the caller's to call.
func (d *DB) Storage() storage.Storage { return whole{d} }

// whole is a DB as one storage.Storage.
type whole struct{ d *DB }

func (w whole) Querier(mint, maxt int64) (storage.Querier, error) {
	return w.d.tsdb.Querier(mint, maxt)
}

func (w whole) ChunkQuerier(mint, maxt int64) (storage.ChunkQuerier, error) {
	return w.d.tsdb.ChunkQuerier(mint, maxt)
}
func (w whole) StartTime() (int64, error) { return w.d.tsdb.StartTime() }
func (w whole) Close() error              { return w.d.Close() }

// Appender is the older of Prometheus' two ways to write; nothing of ours uses it.
func (w whole) Appender(ctx context.Context) storage.Appender { return w.d.tsdb.Appender(ctx) }

func (w whole) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return w.d.Appendable().AppenderV2(ctx)
}

// Admin answers the status and administration routes of Prometheus' API.
func (d *DB) Admin() Admin { return Admin{d.tsdb} }

// Admin is the database for status and administration.
type Admin struct{ db *tsdb.DB }

// CleanTombstones removes deleted samples from disk.
func (a Admin) CleanTombstones() error { return a.db.CleanTombstones() }

// Delete hides the samples of the matching series from mint to maxt, milliseconds, both included.
func (a Admin) Delete(ctx context.Context, mint, maxt int64, ms ...*labels.Matcher) error {
	return a.db.Delete(ctx, mint, maxt, ms...)
}

// Snapshot copies the database into dir, with what is still in memory when withHead is set.
func (a Admin) Snapshot(dir string, withHead bool) error { return a.db.Snapshot(dir, withHead) }

// Stats are the figures of the head; at most limit entries a list.
func (a Admin) Stats(label string, limit int) (*tsdb.Stats, error) {
	return a.db.Head().Stats(label, limit), nil
}

// WALReplayStatus tells how far a start has read the log; an open database has read it all.
func (a Admin) WALReplayStatus() (tsdb.WALReplayStatus, error) { return tsdb.WALReplayStatus{}, nil }

// BlockMetas describe the blocks on disk.
func (a Admin) BlockMetas() ([]tsdb.BlockMeta, error) { return a.db.BlockMetas(), nil }

// Stats are figures of a database.
type Stats struct {
	// Series is the number of series that had a sample lately.
	Series uint64
	// Bytes is the size of the blocks on disk.
	Bytes int64
	// Oldest and Newest are the times of the first and last sample.
	Oldest, Newest time.Time
}

// Stats returns figures for metrics and start-up messages.
func (d *DB) Stats() Stats {
	head := d.tsdb.Head()
	s := Stats{Series: head.NumSeries()}
	for _, b := range d.tsdb.Blocks() {
		s.Bytes += b.Size()
	}
	if oldest, err := d.tsdb.StartTime(); err == nil && head.NumSeries() > 0 {
		s.Oldest = model.Time(oldest).Time()
	}
	if newest := head.MaxTime(); head.NumSeries() > 0 {
		s.Newest = model.Time(newest).Time()
	}
	return s
}
