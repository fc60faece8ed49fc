package eventdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// tidyEvery is how often the days past their retention or the disk budget are looked for.
	tidyEvery = 10 * time.Second
	// reservePart is the part of the budget that is kept free, for merges and for what comes until the next look: 1/20.
	reservePart = 20
	dayLayout   = "20060102"
)

// keeper ends the life of data: days go when they are past their retention, and earlier when the folder outgrows its budget.
// The order of eviction: days of payloads, oldest first; then days of spans, logs and the like, oldest first. The
// present day and the future stay; when they alone are too much, the store is read-only.
type keeper struct {
	// eventsFrom and payloadsFrom are the beginnings of the oldest days that were not evicted, nanoseconds.
	eventsFrom, payloadsFrom atomic.Int64
	full                     atomic.Bool
	evicted                  atomic.Uint64 // rows
	refused                  atomic.Uint64 // writes
	tidying                  sync.Mutex
	stop, stopped            chan struct{}
}

// keep starts to tidy.
func (db *DB) keep() {
	db.keeper.stop, db.keeper.stopped = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(db.keeper.stopped)
		ticker := time.NewTicker(tidyEvery)
		defer ticker.Stop()
		for {
			if err := db.tidy(context.Background()); err != nil {
				db.cfg.Logger.Error("old data could not be removed", "error", err)
			}
			select {
			case <-db.keeper.stop:
				return
			case <-ticker.C:
			}
		}
	}()
}

func (db *DB) endKeep() {
	if db.keeper.stop != nil {
		close(db.keeper.stop)
		<-db.keeper.stopped
	}
}

// oldDay is a day that may go.
type oldDay struct {
	engine engine
	what   string
	name   string
	start  int64
	from   *atomic.Int64
}

// tidy removes what is past its retention, then what is too much.
func (db *DB) tidy(ctx context.Context) error {
	db.keeper.tidying.Lock()
	defer db.keeper.tidying.Unlock()
	now := db.cfg.Clock()
	for _, d := range db.days(now.Add(-db.cfg.PayloadRetention), now.Add(-db.cfg.Retention)) {
		if err := db.dropDay(d); err != nil {
			return err
		}
		db.cfg.Logger.Info("a day is past its retention", "what", d.what, "day", d.name)
	}
	if db.cfg.MaxDiskBytes <= 0 {
		return nil
	}
	today := now.Truncate(day)
	used, err := folderBytes(db.dir)
	if err == nil && used > db.cfg.MaxDiskBytes-db.cfg.MaxDiskBytes/reservePart {
		// The log first: what it holds is in the engine as well, or will be.
		err = db.finishCheckpoint(ctx)
		if errors.Is(err, store.ErrReadOnly) {
			err = nil // no room for it: the more reason to evict
		}
		if err == nil {
			used, err = folderBytes(db.dir)
		}
	}
	for _, d := range db.days(today, today) {
		if err != nil || used <= db.cfg.MaxDiskBytes-db.cfg.MaxDiskBytes/reservePart {
			break
		}
		if err = db.evict(ctx, d, used); err == nil {
			used, err = folderBytes(db.dir)
		}
	}
	if err != nil {
		return err
	}
	if full := used >= db.cfg.MaxDiskBytes; full != db.keeper.full.Swap(full) {
		db.cfg.Logger.Warn("the disk budget is used up by the present day: writes are refused until it is larger or the day is over",
			"full", full, "used", used, "budget", db.cfg.MaxDiskBytes)
	}
	return nil
}

// days returns the days that end before a time, in the order in which they are evicted.
func (db *DB) days(payloadsBefore, eventsBefore time.Time) []oldDay {
	var out []oldDay
	add := func(e engine, what string, before time.Time, from *atomic.Int64) {
		for _, name := range e.PartitionList() {
			at, err := time.Parse(dayLayout, name)
			if err == nil && !at.Add(day).After(before) {
				out = append(out, oldDay{e, what, name, at.UnixNano(), from})
			}
		}
	}
	add(db.payloads, "payloads", payloadsBefore, &db.keeper.payloadsFrom)
	add(db.events, "spans and logs", eventsBefore, &db.keeper.eventsFrom)
	return out
}

// evict removes a day before its time.
func (db *DB) evict(ctx context.Context, d oldDay, used int64) error {
	var rows uint64
	for _, t := range db.projects.all() {
		n, err := countRows(ctx, d.engine, t, signal.TimeRange{Start: d.start, End: d.start + int64(day)})
		if err != nil {
			return err
		}
		rows += n
	}
	if err := db.dropDay(d); err != nil {
		return err
	}
	db.keeper.evicted.Add(rows)
	db.cfg.Logger.Warn("a day was evicted: the folder is larger than its budget",
		"what", d.what, "day", d.name, "rows", rows, "used", used, "budget", db.cfg.MaxDiskBytes)
	return nil
}

// dropDay removes a day. Rows that would make it anew are refused from here on.
func (db *DB) dropDay(d oldDay) error {
	db.changes.Lock() // no writer is under way with a row of the day
	d.from.Store(max(d.from.Load(), d.start+int64(day)))
	db.changes.Unlock()
	defer db.cached.forget()
	return d.engine.PartitionDrop(d.name)
}

// reasonTooOld says to a sender why a row before the accepted times is not taken.
func (db *DB) reasonTooOld(at int64) string {
	if at < db.keeper.eventsFrom.Load() && at >= db.cfg.Clock().Add(-db.cfg.Retention).UnixNano() {
		return "of a day that was evicted to stay within the disk budget"
	}
	return fmt.Sprintf(reasonOld, db.cfg.Retention)
}

func countRows(ctx context.Context, e engine, t logstorage.TenantID, at signal.TimeRange) (uint64, error) {
	var n uint64
	query := "!_stream:{" + colKind + "=" + quote(string(kindWords)) + "} | stats count() n"
	err := run(ctx, e, t, query, at, func(b *logstorage.DataBlock) error {
		for _, text := range texts(b, "n") {
			m, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				return err
			}
			n += m
		}
		return nil
	})
	return n, err
}

// writable returns an error that says when to try again, when nothing may be written for now.
func (db *DB) writable() error {
	why := db.refusal()
	if why == "" {
		return nil
	}
	db.keeper.refused.Add(1)
	return signal.Retryable(fmt.Errorf("write rows: %w: %s", store.ErrReadOnly, why), 10*time.Second)
}

// Room returns an error, to be tried again, while nothing may be written to the folder's disk: for those who keep files beside
// the store's.
func (db *DB) Room() error {
	why := db.room.refusal()
	if len(db.cfg.Nodes) > 0 && db.logDiskLow() {
		why = db.tooFull()
	}
	if why != "" {
		return signal.Retryable(fmt.Errorf("%w: %s", store.ErrReadOnly, why), 10*time.Second)
	}
	return nil
}

// refusal returns why nothing may be written now, "" when it may.
func (db *DB) refusal() string {
	if len(db.cfg.Nodes) > 0 && (db.events.IsReadOnly() || db.payloads.IsReadOnly()) {
		return "too many rows wait for storage nodes that do not answer"
	}
	if len(db.cfg.Nodes) > 0 && db.logDiskLow() {
		return db.tooFull()
	}
	if why := db.room.refusal(); why != "" {
		return why
	}
	if db.keeper.full.Load() {
		return fmt.Sprintf("the disk budget of %d MiB is used up by the present day", db.cfg.MaxDiskBytes>>20)
	}
	return ""
}

func (db *DB) tooFull() string {
	return fmt.Sprintf("less than %d MiB are free", db.cfg.MinFreeBytes>>20)
}

// logDiskLow tells whether the log's disk, which with storage nodes grows for as long as one of them is away, has less space
// than is to stay free.
func (db *DB) logDiskLow() bool {
	free, err := db.cfg.free(filepath.Join(db.dir, dirWAL))
	return err == nil && free < db.cfg.MinFreeBytes // what is wrong with the folder, a write to it finds out
}

// folderBytes returns what the files below a folder take, the reserve excepted, which is of the free space. Snapshots are links to files that are counted already.
func folderBytes(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "snapshots" {
			return fs.SkipDir
		}
		if err == nil && d.Type().IsRegular() && path != filepath.Join(dir, fileReserve) {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				sum += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a merge has removed it
		}
		return err
	})
	return sum, err
}
