package eventdb

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
	"github.com/klauspost/compress/s2"

	"github.com/mindscope/mindscope/internal/store"
)

const (
	fileCheckpoint    = "checkpoint"
	checkpointMagic   = "MSCOPECP"
	checkpointHeader  = len(checkpointMagic) + 4 + 8 + 8 + 1
	checkpointVersion = 3 // the state is packed as a stream
	// checkpointLogLen is the length of the log from which a checkpoint comes before its time.
	checkpointLogLen = 256 << 20
	// checkpointRest is the rest after one that failed.
	checkpointRest = time.Second
	// mergeWait bounds how long writers wait for a checkpoint while merges of the engine end.
	mergeWait = 250 * time.Millisecond
	mergePoll = 10 * time.Millisecond
)

// What follows the numbers of a checkpoint.
const (
	stateNone   = 0
	statePlain  = 1 // written by version 1
	statePacked = 2 // snappy, written by version 2
	stateStream = 3 // snappy's stream format
	// maxStateLen is beyond any state; a damaged length must not take all memory.
	maxStateLen = 1 << 30
)

// checkpoint says what of the log is done with. It is one small file, replaced as a whole.
type checkpoint struct {
	// engine is the number of the newest record of which, and of all before it, the engine has everything on disk.
	engine uint64
	// observed is the number of the newest record in state.
	observed uint64
	// packing tells how packed holds what a store.StatefulObserver saved.
	packing byte
	packed  []byte
}

// pack takes the state that save writes.
func (c *checkpoint) pack(save func(io.Writer) error) error {
	var packed bytes.Buffer
	w := s2.NewWriter(&packed, s2.WriterSnappyCompat(), s2.WriterConcurrency(1), s2.WriterBlockSize(64<<10))
	if err := errors.Join(save(w), w.Close()); err != nil {
		return err
	}
	c.packing, c.packed = stateStream, packed.Bytes()
	return nil
}

// state returns what save wrote; nil when there was none.
func (c *checkpoint) state() ([]byte, error) {
	switch c.packing {
	case statePlain:
		return c.packed, nil
	case statePacked:
		if n, err := s2.DecodedLen(c.packed); err != nil || n > maxStateLen {
			return nil, fmt.Errorf("%w: packed state", store.ErrCorrupt)
		}
		state, err := s2.Decode(nil, c.packed)
		if err != nil {
			return nil, fmt.Errorf("%w: packed state: %w", store.ErrCorrupt, err)
		}
		return state, nil
	case stateStream:
		state, err := io.ReadAll(io.LimitReader(s2.NewReader(bytes.NewReader(c.packed)), maxStateLen))
		if err != nil {
			return nil, fmt.Errorf("%w: packed state: %w", store.ErrCorrupt, err)
		}
		return state, nil
	}
	return nil, nil
}

func (c *checkpoint) encode() []byte {
	b := make([]byte, 0, checkpointHeader+len(c.packed)+4)
	b = binary.LittleEndian.AppendUint32(append(b, checkpointMagic...), checkpointVersion)
	b = binary.LittleEndian.AppendUint64(b, c.engine)
	b = binary.LittleEndian.AppendUint64(b, c.observed)
	b = append(append(b, c.packing), c.packed...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

func decodeCheckpoint(b []byte) (checkpoint, error) {
	var c checkpoint
	if len(b) < checkpointHeader+4 || string(b[:len(checkpointMagic)]) != checkpointMagic {
		return c, fmt.Errorf("%w: not a checkpoint", store.ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint32(b[len(checkpointMagic):]); v > checkpointVersion {
		return c, fmt.Errorf("%w: format %d, this release knows %d", store.ErrNewer, v, checkpointVersion)
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != binary.LittleEndian.Uint32(b[len(body):]) {
		return c, fmt.Errorf("%w: wrong checksum", store.ErrCorrupt)
	}
	c.engine = binary.LittleEndian.Uint64(b[12:])
	c.observed = binary.LittleEndian.Uint64(b[20:])
	c.packing, c.packed = b[28], body[checkpointHeader:]
	return c, nil
}

// readCheckpoint returns the zero checkpoint when there is none. A damaged one is put aside: the whole log is replayed
// then, which finds by itself what the engine has.
func (db *DB) readCheckpoint() (checkpoint, error) {
	path := filepath.Join(db.dir, dirWAL, fileCheckpoint)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return checkpoint{}, nil
	}
	if err != nil {
		return checkpoint{}, err
	}
	c, err := decodeCheckpoint(b)
	switch {
	case errors.Is(err, store.ErrCorrupt):
		db.replayed.corrupt.Add(1)
		db.cfg.Logger.Error("the log's checkpoint is damaged: all of the log is replayed, and what is derived from it (counters, live state) begins anew",
			"file", path, "error", err, "kept", path+".damaged")
		return checkpoint{}, os.Rename(path, path+".damaged")
	case err != nil:
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// checkpointLoop makes checkpoints until done is closed.
func (db *DB) checkpointLoop(done <-chan struct{}) {
	timer := time.NewTimer(db.cfg.CheckpointEvery)
	defer timer.Stop()
	for {
		select {
		case <-done:
			return
		case <-timer.C:
		case <-db.wal.long:
			if db.wal.stats.size.Load() < checkpointLogLen {
				continue // the last checkpoint has cut it
			}
		}
		timer.Reset(db.cfg.CheckpointEvery)
		err := db.tryCheckpoint(context.Background())
		if err == nil {
			db.retryPending(context.Background())
			continue
		}
		if !errors.Is(err, errMerging) {
			db.cfg.Logger.Warn("checkpoint of the log failed: it is tried again", "error", err)
		}
		select { // a long log asks again at once, and each try holds writers up
		case <-done:
			return
		case <-time.After(checkpointRest):
		}
	}
}

// afterReplay makes a checkpoint of what was replayed: a server that dies again and again does not replay the same rows
// each time, and each time more of them.
func (db *DB) afterReplay() {
	if db.replayed.records.Load() == 0 {
		return
	}
	if err := db.tryCheckpoint(context.Background()); err != nil && !errors.Is(err, errMerging) {
		db.cfg.Logger.Warn("the checkpoint after the replay failed: it is tried again", "error", err)
	}
}

// errMerging says that merges of the engine held rows in memory for too long.
var errMerging = errors.New("the engine is merging")

// Checkpoint returns when everything written before it is in the engine's files and no longer in the log.
func (db *DB) Checkpoint(ctx context.Context) error {
	if err := db.enter(); err != nil {
		return err
	}
	defer db.leave()
	return db.finishCheckpoint(ctx)
}

func (db *DB) finishCheckpoint(ctx context.Context) error {
	for {
		err := db.tryCheckpoint(ctx)
		if !errors.Is(err, errMerging) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(mergePoll):
		}
	}
}

// tryCheckpoint brings the engine's memory to its files, saves the state of the Observer and cuts the log. Most of the
// work is done beside writers; they wait for the rest, so that what the engine had of the log is known exactly: nothing
// is in its memory any more.
func (db *DB) tryCheckpoint(ctx context.Context) error {
	db.checkpointing.Lock()
	defer db.checkpointing.Unlock()
	unlogged := db.unlogged.Swap(false)
	if !unlogged && min(db.done.engine, db.done.observed) == db.wal.last() && db.wal.stats.size.Load() == 0 {
		return nil
	}
	err := db.room.enough("a checkpoint")
	if err == nil {
		err = db.makeCheckpoint(ctx)
	}
	if err != nil && unlogged {
		db.unlogged.Store(true)
	}
	return err
}

func (db *DB) makeCheckpoint(ctx context.Context) error {
	if len(db.cfg.Nodes) > 0 {
		return db.checkpointOnNodes(ctx)
	}
	if err := db.persist(ctx); err != nil {
		return err
	}
	c, err := db.settled(ctx)
	if err != nil {
		return err
	}
	db.sums.look()
	return db.finish(c)
}

// checkpointOnNodes notes how far the log is and then waits until nodes have all of that on their disks, which takes
// them seconds: writers go on meanwhile.
func (db *DB) checkpointOnNodes(ctx context.Context) error {
	db.changes.Lock()
	c, err := db.withState(checkpoint{engine: db.wal.last()})
	db.changes.Unlock()
	if err != nil {
		return err
	}
	if err := db.persist(ctx); err != nil {
		return err
	}
	return db.finish(c)
}

// settled holds writers up until nothing they wrote is in memory only.
func (db *DB) settled(ctx context.Context) (checkpoint, error) {
	var c checkpoint
	start := time.Now()
	db.changes.Lock()
	defer db.changes.Unlock()
	defer func() { db.checkpoints.pauseNanos.Add(uint64(time.Since(start))) }()
	for {
		if err := db.persist(ctx); err != nil {
			return c, err
		}
		if db.inMemory() == 0 {
			break
		}
		if time.Since(start) > mergeWait {
			return c, errMerging
		}
		time.Sleep(mergePoll)
	}
	c.engine = db.wal.last()
	return db.withState(c)
}

// withState adds the Observer's state. No writer is under way: all records are observed.
func (db *DB) withState(c checkpoint) (checkpoint, error) {
	c.observed = db.wal.last()
	o, ok := db.cfg.Observer.(store.StatefulObserver)
	if !ok {
		return c, nil
	}
	db.observing.Lock()
	defer db.observing.Unlock()
	if err := c.pack(o.Save); err != nil {
		return c, fmt.Errorf("save state of the observer: %w", err)
	}
	return c, nil
}

// finish writes a checkpoint down and drops what it makes needless.
func (db *DB) finish(c checkpoint) error {
	if err := writeFile(filepath.Join(db.dir, dirWAL, fileCheckpoint), c.encode()); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	db.done = checkpoint{engine: c.engine, observed: c.observed}
	db.doneUntil.Store(c.engine)
	db.checkpoints.made.Add(1)
	return db.wal.drop(min(c.engine, c.observed))
}

func (db *DB) persist(ctx context.Context) error {
	return errors.Join(db.payloads.Persist(ctx), db.events.Persist(ctx))
}

// inMemory returns how many parts of the engine are not in files yet.
func (db *DB) inMemory() uint64 {
	var s logstorage.StorageStats
	db.events.UpdateStats(&s)
	db.payloads.UpdateStats(&s)
	return s.InmemoryParts
}
