package eventdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// lookBusy is how often the disk is looked at while the engine may hold rows in memory: a full disk ends the process when
	// it writes them. Without such rows lookIdle is enough.
	lookBusy = 20 * time.Millisecond
	lookIdle = time.Second
	// lookShort is how often it is looked at while what is in memory is written on a disk that is short.
	lookShort = 2 * time.Millisecond
	// falling is how much less is free at the next look while another program fills the disk quickly, and fallsFor the longest
	// time to wait for its end: it would take the reserve, too.
	falling  = 1 << 20
	fallsFor = time.Second
	// reserveShare is the part of the floor that the reserve is of: 1/3, and at most reserveMost.
	reserveShare = 3
	reserveMost  = 32 << 20
	// spareShare is the part of the reserve's size that must be free for a checkpoint: 1/4. It makes many small folders.
	spareShare = 4
)

// room knows whether there is room on the disk. Below the floor nothing is taken, and what the engine has in memory is
// brought to its files at once, while there is room for it: it has nothing more to write then, and a disk that fills up to
// the last byte harms nobody. For a disk that fills faster than that there is the reserve: a file of real blocks, part of
// the floor, that is given up when less than its size is free, and taken again before anything else is.
//
// A nil *room has room for everything.
type room struct {
	dir     string
	floor   int64
	reserve string // the file's path
	log     *slog.Logger
	free    func(dir string) (int64, error)

	// state is why nothing may be written, nil when it may.
	state  atomic.Pointer[shortage]
	looked atomic.Int64
	woken  chan struct{}
	// resting is set while the loop looks seldom.
	resting atomic.Bool

	mu   sync.Mutex // of what follows
	size int64      // of the reserve, 0 where the file system can't keep blocks
	held int64      // what it takes now
	// lost is set from when the reserve was given up, or a write has failed, until it could be taken again: where a quota bounds
	// the folder, this is the only way to know that there is room.
	lost bool
}

// shortage is why nothing may be written.
type shortage struct {
	why string
	// space is set when it is for want of space: what the engine has in memory is to be written while that is possible.
	space bool
}

// openRoom looks at the disk before anything is written. toReplay are the log's bytes that the engine may have to write:
// without room for them there is no start, for the engine would end the process in the middle.
func openRoom(dir string, cfg *Config, toReplay int64) (*room, error) {
	r := &room{
		dir: dir, floor: cfg.MinFreeBytes, reserve: filepath.Join(dir, fileReserve), log: cfg.Logger, free: cfg.free,
		size: min(cfg.MinFreeBytes/reserveShare, reserveMost), woken: make(chan struct{}, 1),
	}
	var st syscall.Stat_t
	if syscall.Stat(r.reserve, &st) == nil {
		r.held = st.Blocks * 512
	}
	free, err := r.free(dir)
	if err != nil {
		return nil, fmt.Errorf("read free space: %w", err)
	}
	if toReplay > 0 && free < toReplay+r.spare() {
		if err := r.giveUp(); err != nil {
			return nil, err
		}
		if free, err = r.free(dir); err != nil {
			return nil, fmt.Errorf("read free space: %w", err)
		}
	}
	if toReplay > 0 && free < toReplay {
		err := fmt.Errorf("%w: %d bytes are free, and the log has %d bytes that may have to be written to other files", store.ErrReadOnly, free, toReplay)
		return nil, signal.WithHint(err, "make room on the disk and start again: nothing that was acknowledged is lost")
	}
	r.look()
	return r, nil
}

// spare is what must be free for a checkpoint, a removal or a backup, which make files.
func (r *room) spare() int64 { return r.size / spareShare }

// refusal returns why nothing may be written now, "" when it may.
func (r *room) refusal() string {
	if r == nil {
		return ""
	}
	if time.Now().UnixNano()-r.looked.Load() > int64(lookBusy) && r.mu.TryLock() {
		r.lookLocked()
		r.mu.Unlock()
	}
	if s := r.state.Load(); s != nil {
		return s.why
	}
	return ""
}

// filling says that there are rows in the engine's memory from now on.
func (r *room) filling() {
	if r != nil && r.resting.CompareAndSwap(true, false) {
		r.wake()
	}
}

// wake makes the loop look at once.
func (r *room) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// failed hears why a write of the log has failed. Want of space is what free space does not tell where a quota bounds the
// folder.
func (r *room) failed(err error) {
	if r == nil || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) || !r.sharedWithLog() {
		return
	}
	r.mu.Lock()
	r.lost = r.size > 0
	r.lookLocked()
	r.mu.Unlock()
	r.wake()
}

// sharedWithLog tells whether the log is on the same disk.
func (r *room) sharedWithLog() bool {
	var folder, wal syscall.Stat_t
	return syscall.Stat(r.dir, &folder) == nil && syscall.Stat(filepath.Join(r.dir, dirWAL), &wal) == nil && folder.Dev == wal.Dev
}

// makeWay gives the reserve up when there is too little for a removal.
func (r *room) makeWay() {
	if r != nil && r.enough("a removal") != nil {
		r.makeRoom(r.spare())
	}
}

// enough returns an error when there is no room for what makes files beside rows.
func (r *room) enough(what string) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	need := r.spare()
	r.mu.Unlock()
	free, err := r.free(r.dir)
	if err != nil || free >= need {
		return err
	}
	err = fmt.Errorf("%w: %s needs %d KiB of free disk, there are %d", store.ErrReadOnly, what, need>>10, free>>10)
	return signal.Retryable(err, 10*time.Second)
}

func (r *room) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lookLocked()
}

func (r *room) lookLocked() {
	before, now := r.state.Load(), r.shortage()
	r.state.Store(now)
	r.looked.Store(time.Now().UnixNano())
	switch {
	case before == nil && now != nil:
		r.log.Warn("nothing is taken for now: senders are asked to send again, readers go on", "why", now.why, "folder", r.dir)
		r.wake()
	case before != nil && now == nil:
		r.log.Info("there is room again: writes are taken", "folder", r.dir)
	}
}

func (r *room) shortage() *shortage {
	for _, name := range []string{"", dirEvents, dirPayloads} {
		err := unix.Access(filepath.Join(r.dir, name), unix.W_OK|unix.X_OK)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &shortage{why: fmt.Sprintf("the folder can't be written to: %v", err)}
		}
	}
	free, err := r.free(r.dir)
	switch {
	case err != nil:
		return &shortage{why: fmt.Sprintf("free space can't be read: %v", err)}
	case free+r.held < r.floor:
		return &shortage{why: fmt.Sprintf("less than %d MiB are free", r.floor>>20), space: true}
	case r.lost:
		return &shortage{why: "the disk was full, and its reserve could not be taken again yet", space: true}
	}
	return nil
}

// giveUp frees the reserve's blocks.
func (r *room) giveUp() error {
	if r.size == 0 {
		return nil
	}
	r.lost = true
	if r.held == 0 {
		return nil
	}
	if err := os.Remove(r.reserve); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("give up the reserve: %w", err)
	}
	r.log.Warn("the reserve is given up: the disk is nearly full", "bytes", r.held, "folder", r.dir)
	r.held = 0
	return nil
}

// take takes the reserve when it is not there and the floor allows it.
func (r *room) take() {
	r.mu.Lock()
	defer r.mu.Unlock()
	free, err := r.free(r.dir)
	if r.size == 0 || r.held >= r.size || err != nil || free+r.held < r.floor {
		return
	}
	err = allocate(r.reserve, r.size, r.spare())
	switch {
	case err == nil:
		r.held, r.lost = r.size, false
	case errors.Is(err, errors.ErrUnsupported):
		r.log.Info("this file system can't keep blocks: there is no reserve for a full disk", "folder", r.dir)
		r.size, r.held, r.lost = 0, 0, false
	default:
		r.log.Debug("the reserve can't be taken", "error", err)
	}
	if err != nil {
		_ = os.Remove(r.reserve) // it is not there, or of no use
		r.held = 0
	}
	r.lookLocked()
}

// allocate makes a file of real blocks, when there is room for more bytes beyond it.
func allocate(path string, size, more int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	err = keepBlocks(f, size+more)
	if err == nil {
		err = f.Truncate(size)
	}
	return errors.Join(err, f.Close())
}

func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // their types differ between systems
}

// watchRoom acts on what room sees until ctx ends.
func (db *DB) watchRoom(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-db.room.woken:
		}
		err := db.relieve(ctx)
		if err != nil && !errors.Is(err, errMerging) && !errors.Is(err, context.Canceled) {
			db.cfg.Logger.Warn("the disk is short and what is in memory could not be written", "error", err)
		}
		db.room.resting.Store(true)
		rest := lookIdle
		if db.unsettled() && (err == nil || errors.Is(err, errMerging)) {
			db.room.resting.Store(false)
			rest = lookBusy
		}
		timer.Reset(rest)
	}
}

// unsettled tells whether the engine may have rows in memory.
func (db *DB) unsettled() bool { return db.wal.stats.size.Load() > 0 || db.unlogged.Load() }

// relieve brings the engine's memory to its files when the disk gets short, and takes the reserve when it can.
func (db *DB) relieve(ctx context.Context) error {
	db.room.look()
	s := db.room.state.Load()
	if s != nil && s.space && (db.unsettled() || db.room.fails()) {
		db.room.waitForFiller(ctx)
		stop := db.room.keepRoom()
		err := db.tryCheckpoint(ctx)
		stop()
		if err != nil {
			return err
		}
	}
	db.room.take()
	return nil
}

// fails tells whether writes have failed though the reserve is there.
func (r *room) fails() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost && r.held > 0
}

// waitForFiller waits, not for long, until free space falls no more.
func (r *room) waitForFiller(ctx context.Context) {
	before, err := r.free(r.dir)
	for end := time.Now().Add(fallsFor); err == nil && time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookBusy):
		}
		var now int64
		if now, err = r.free(r.dir); before-now < falling {
			return
		}
		before = now
	}
}

// keepRoom makes room, now and until stop is called: the disk may go on filling up meanwhile.
func (r *room) keepRoom() (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	r.makeRoom(r.size)
	running.Go(func() {
		ticker := time.NewTicker(lookShort)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				r.makeRoom(r.spare())
			}
		}
	})
	return func() { close(done); running.Wait() }
}

// makeRoom gives the reserve up when there is less than least beside it, or writes fail all the same.
func (r *room) makeRoom(least int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	free, err := r.free(r.dir)
	if err == nil && (free < least || r.lost) {
		err = r.giveUp()
	}
	if err != nil {
		r.log.Warn("the reserve could not be given up", "file", r.reserve, "error", err)
	}
}
