package eventdb

import (
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mindscope/mindscope/internal/store"
)

// Sync says when what is written to the log is forced to disk.
type Sync string

// The ways to sync.
const (
	// SyncAlways acknowledges a Write when the disk has it: nothing acknowledged is lost, whatever fails.
	SyncAlways Sync = "always"
	// SyncInterval acknowledges a Write when the operating system has it and forces it to disk once a second: a crash of
	// the process loses nothing, one of the machine up to a second.
	SyncInterval Sync = "interval"
)

const (
	// syncInterval is the longest time between two syncs with SyncInterval.
	syncInterval = time.Second
	// segmentLen is the size at which a segment of the log is closed and the next begun, when nothing else is said.
	segmentLen = 32 << 20
	// maxPending bounds the records that wait for the disk; more writers wait before they join.
	maxPending = 64 << 20
	// maxSpare bounds the memory that is kept for the next group.
	maxSpare = 8 << 20
)

// wal is the write-ahead log: records in the order of their numbers, from 1 on, in segment files. All that is waiting
// is written and synced at once (group commit), by one goroutine.
//
// After a failed write or sync nothing is known of the file's end. The records of that group and all behind it are
// refused, and the next group first cuts the file back to its last good place: a record is either acknowledged and
// readable, or gone.
type wal struct {
	dir  string
	sync Sync
	full int64 // the size at which a segment is closed
	log  *slog.Logger
	crc  *crc32.Table

	mu       sync.Mutex
	room     sync.Cond // waits for fewer pending bytes
	pending  *walGroup
	next     uint64 // number of the next record
	segments []segment
	closed   bool
	wake     chan struct{} // there is something pending
	asked    chan func()   // what the goroutine is to do between two groups
	quit     chan struct{}
	ended    chan struct{} // the goroutine is gone
	long     chan struct{} // the log has become as long as it should

	// Of the goroutine that writes.
	file    *os.File
	size    int64  // of file, up to its last good record
	written uint64 // number of the last record in a segment
	broken  error  // what must be mended before the next write
	dirty   bool   // written and not synced
	spare   []byte // for the next group

	stats walCounters
}

// walCounters are figures of the log since it was opened.
type walCounters struct {
	records, groups, bytes, syncs, syncNanos, failures atomic.Uint64

	size atomic.Int64 // of all segments
}

// walGroup is what is written at once.
type walGroup struct {
	first uint64 // number of its first record
	count uint64
	buf   []byte
	done  chan struct{}
	err   error
}

// openWAL continues a log behind record last. segments are the files there are; a new one is begun with the first
// record, so that a full disk stops no start.
func openWAL(dir string, how Sync, full int64, segments []segment, last uint64, log *slog.Logger) *wal {
	w := &wal{
		dir: dir, sync: how, full: full, log: log, crc: crc32.MakeTable(crc32.Castagnoli),
		next: last + 1, written: last, segments: segments,
		wake: make(chan struct{}, 1), asked: make(chan func()), quit: make(chan struct{}), ended: make(chan struct{}),
		long: make(chan struct{}, 1),
	}
	w.room.L = &w.mu
	w.pending = w.group()
	for _, s := range segments {
		w.stats.size.Add(s.size)
	}
	go w.run()
	return w
}

func (w *wal) group() *walGroup {
	g := &walGroup{first: w.next, done: make(chan struct{}), buf: w.spare}
	w.spare = nil
	return g
}

// append adds a record and returns its number when it is as durable as the way to sync promises.
func (w *wal) append(record []byte) (uint64, error) {
	w.mu.Lock()
	for len(w.pending.buf) > maxPending && !w.closed {
		w.room.Wait()
	}
	if w.closed {
		w.mu.Unlock()
		return 0, store.ErrClosed
	}
	n, g := w.next, w.pending
	w.next++
	g.count++
	g.buf = appendFrame(g.buf, w.crc, n, record)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default: // it will look anyway
	}
	<-g.done
	return n, g.err
}

func (w *wal) run() {
	defer close(w.ended)
	var tick <-chan time.Time
	if w.sync == SyncInterval {
		ticker := time.NewTicker(syncInterval)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case <-w.wake:
			runtime.Gosched() // who is about to append as well saves a sync
			w.commit()
		case <-tick:
			w.syncDirty()
		case f := <-w.asked:
			f()
		case <-w.quit:
			w.commit()
			w.end()
			return
		}
	}
}

// commit writes the pending group.
func (w *wal) commit() {
	w.mu.Lock()
	g := w.pending
	if len(g.buf) == 0 {
		w.mu.Unlock()
		return
	}
	w.pending = w.group()
	w.mu.Unlock()
	w.room.Broadcast()
	err := w.write(g)
	if err == nil {
		w.stats.groups.Add(1)
		w.stats.records.Add(g.count)
		close(g.done)
		if cap(g.buf) <= maxSpare {
			w.spare = g.buf[:0]
		}
		return
	}
	w.stats.failures.Add(1)
	w.mu.Lock()
	later := w.pending // its numbers follow on records that are not there
	w.next = g.first
	w.pending = w.group()
	w.mu.Unlock()
	w.room.Broadcast()
	for _, g := range []*walGroup{g, later} {
		g.err = fmt.Errorf("write log: %w", err)
		close(g.done)
	}
}

func (w *wal) write(g *walGroup) error {
	if err := w.mend(); err != nil {
		return err
	}
	if err := w.begin(g.first); err != nil {
		return err
	}
	n, err := w.file.Write(g.buf)
	if err == nil && w.sync == SyncAlways {
		err = w.force()
	}
	if err != nil {
		w.broken = err
		return errors.Join(err, w.mend())
	}
	w.dirty = w.sync != SyncAlways
	w.written = g.first + g.count - 1
	w.grow(int64(n))
	return nil
}

// grow notes bytes that the newest segment got.
func (w *wal) grow(n int64) {
	w.size += n
	w.stats.bytes.Add(uint64(n))
	if w.stats.size.Add(n) >= checkpointLogLen {
		select {
		case w.long <- struct{}{}:
		default:
		}
	}
	w.mu.Lock()
	w.segments[len(w.segments)-1].size = w.size
	w.mu.Unlock()
}

// begin makes sure there is a segment with room.
func (w *wal) begin(first uint64) error {
	if w.file != nil && w.size < w.full {
		return nil
	}
	if err := w.finish(); err != nil {
		return err
	}
	f, err := createSegment(w.dir, first)
	if err != nil {
		return fmt.Errorf("begin segment: %w", err)
	}
	w.file, w.size = f, 0
	w.mu.Lock()
	if n := len(w.segments); n > 0 && w.segments[n-1].first == first { // it was cut back to nothing, and is new again
		w.stats.size.Add(-w.segments[n-1].size)
		w.segments = w.segments[:n-1]
	}
	w.segments = append(w.segments, segment{first: first, path: f.Name()})
	w.mu.Unlock()
	w.grow(int64(segmentHeader))
	return nil
}

// finish closes the newest segment. All of it is on disk then.
func (w *wal) finish() error {
	if w.file == nil {
		return nil
	}
	if w.dirty {
		if err := w.force(); err != nil {
			w.broken = err
			return err
		}
	}
	f := w.file
	w.file = nil
	return f.Close()
}

func (w *wal) force() error {
	start := time.Now()
	err := w.file.Sync()
	w.stats.syncs.Add(1)
	w.stats.syncNanos.Add(uint64(time.Since(start)))
	if err == nil {
		w.dirty = false
	}
	return err
}

func (w *wal) syncDirty() {
	if !w.dirty || w.broken != nil {
		return
	}
	if err := w.force(); err != nil {
		w.broken = err
		w.stats.failures.Add(1)
		w.log.Error("the log could not be synced: up to a second of acknowledged data may be lost if the machine stops", "error", err)
	}
}

// mend cuts the newest segment back to its last good record and leaves it; the next write begins a new one.
func (w *wal) mend() error {
	if w.broken == nil {
		return nil
	}
	if w.file != nil {
		err := w.file.Truncate(w.size)
		if err == nil {
			err = w.file.Sync()
		}
		if err != nil {
			return fmt.Errorf("cut off a failed write: %w", err)
		}
		w.dirty = false
		_ = w.file.Close() // all of it was synced
		w.file = nil
	}
	w.broken = nil
	return nil
}

func (w *wal) end() {
	if err := errors.Join(w.mend(), w.finish()); err != nil {
		w.log.Error("the log could not be closed", "error", err)
	}
	if w.file != nil {
		_ = w.file.Close() // mend has failed already
	}
}

// last returns the number of the last record.
func (w *wal) last() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.next - 1
}

// drop removes the segments whose records all have numbers up to n, the newest included.
func (w *wal) drop(n uint64) error {
	done := make(chan error, 1)
	select {
	case w.asked <- func() { done <- w.dropSegments(n) }:
		return <-done
	case <-w.ended:
		return store.ErrClosed
	}
}

func (w *wal) dropSegments(n uint64) error {
	if w.written <= n && w.file != nil {
		if err := errors.Join(w.mend(), w.finish()); err != nil {
			return fmt.Errorf("close segment: %w", err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.segments) > 0 {
		last := w.written
		if len(w.segments) > 1 {
			last = w.segments[1].first - 1
		} else if w.file != nil {
			break
		}
		if last > n {
			break
		}
		if err := w.remove(); err != nil {
			return fmt.Errorf("remove segment: %w", err)
		}
	}
	return nil
}

// remove deletes the oldest segment.
func (w *wal) remove() error {
	s := w.segments[0]
	if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	w.segments = w.segments[1:]
	w.stats.size.Add(-s.size)
	return nil
}

// close ends the log after the pending records.
func (w *wal) close() {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	w.closed = true
	w.mu.Unlock()
	w.room.Broadcast()
	close(w.quit)
	<-w.ended
}
