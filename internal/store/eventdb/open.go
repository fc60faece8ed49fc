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

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Names inside the folder.
const (
	fileVersion   = "VERSION"
	fileLock      = "lock"
	fileProjects  = "projects.json"
	fileRevised   = "revised.json"
	fileKey       = "payload.key"
	fileDeletions = "deletions.jsonl"
	fileCommon    = "words.json"
	fileSums      = "sums.json"
	fileOldUntil  = "format1-until"
	fileWarming   = "warming"
	fileReserve   = "reserve"
	dirEvents     = "events"
	dirPayloads   = "payloads"
	dirWAL        = "wal"
)

const (
	day = 24 * time.Hour
	// engineFuture is the future the engine itself accepts. At opening it deletes what lies beyond, so that a clock
	// that was set back must not matter: the real limit is ours.
	engineFuture = 100 * 365 * day
	maxRetention = 200 * 365 * day
	// flushInterval is how often the engine writes to disk what it holds in memory.
	flushInterval = 5 * time.Second
	// visibleWithin is gatherFor and the time to make the rows searchable.
	visibleWithin = 1500 * time.Millisecond
)

// Config holds what Open needs beside the folder. Zero values mean the defaults named at each field.
type Config struct {
	// Retention is the age at which spans, logs and the like are deleted, whole days at a time: 30 days.
	Retention time.Duration
	// PayloadRetention is the same for payloads: 7 days.
	PayloadRetention time.Duration
	// FutureRetention is how far ahead of the clock a row's time may be: 2 days.
	FutureRetention time.Duration
	// MinFreeBytes is the free space of the disk below which Write refuses: 100 MiB. A third of it, 32 MiB at most, is held
	// in a file, the reserve, which is for writing what is in memory when the disk is full. With Nodes it is the log's disk,
	// and there is no reserve.
	MinFreeBytes int64
	// MaxDiskBytes is the disk budget of the whole folder: none. See keeper for what goes first. Nodes know of none.
	MaxDiskBytes int64
	// RecentIDs bounds how many row ids are held in memory to recognise repeats: 1 048 576, about 60 bytes each.
	RecentIDs int
	// RecentWindow is how far back the recent ids are read again at start: 30 minutes.
	RecentWindow time.Duration
	// Sync says when a Write is acknowledged: SyncAlways.
	Sync Sync
	// CheckpointEvery is how often the log is cut to what the engine's files lack: 15 seconds.
	CheckpointEvery time.Duration
	// SegmentBytes is the size at which a file of the log is closed and the next one begun: 32 MiB.
	SegmentBytes int64
	// Nodes are storage nodes, host:port each or https://host:port for TLS, that hold the rows in place of the folder: none. PayloadNodes hold the
	// payloads: the same. Both need the settings that docs/storage-nodes.md names.
	Nodes, PayloadNodes []string
	// NodeAccount tells stores apart that share nodes: 0.
	NodeAccount uint32
	// NodeAuth is what the nodes know this store by: nothing.
	NodeAuth NodeAuth
	// NodeSettle is how long after its acknowledgement a node has a row on its disk for certain: 20 seconds.
	NodeSettle time.Duration
	// Clock returns the present: time.Now.
	Clock func() time.Time
	// Redact returns a text without secrets, and whether it had any; nil stores texts as they are. It sees each text of
	// store.PayloadMinBytes and more of attributes and bodies, in elements where the text is an array, before it is on
	// any disk, and only when it is not stored yet.
	Redact func(text string) (clean string, had bool)
	// Observer is told of committed rows: nobody. When it is a store.StatefulObserver, its state is kept with the log.
	Observer store.Observer
	// Logger: slog.DiscardHandler.
	Logger *slog.Logger

	// free returns the free bytes of a folder's disk: freeBytes.
	free func(dir string) (int64, error)
}

func (c *Config) setDefaults() error {
	setDefault(&c.Retention, 30*day)
	setDefault(&c.PayloadRetention, 7*day)
	setDefault(&c.FutureRetention, 2*day)
	setDefault(&c.MinFreeBytes, 100<<20)
	setDefault(&c.RecentIDs, 1<<20)
	setDefault(&c.Sync, SyncAlways)
	setDefault(&c.CheckpointEvery, 15*time.Second)
	setDefault(&c.SegmentBytes, segmentLen)
	setDefault(&c.RecentWindow, 30*time.Minute)
	if c.free == nil {
		c.free = freeBytes
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	var errs []error
	for name, d := range map[string]time.Duration{"retention": c.Retention, "payload retention": c.PayloadRetention} {
		if d < day || d > maxRetention {
			errs = append(errs, fmt.Errorf("%s of %s: a day to 200 years are allowed", name, d))
		}
	}
	if c.Sync != SyncAlways && c.Sync != SyncInterval {
		errs = append(errs, fmt.Errorf("sync %q: %s or %s are allowed", c.Sync, SyncAlways, SyncInterval))
	}
	if c.CheckpointEvery < 0 || c.SegmentBytes < 0 {
		errs = append(errs, errors.New("checkpoints can't come at negative intervals, and files of the log can't be of negative size"))
	}
	if c.FutureRetention < 0 || c.FutureRetention > engineFuture/2 || c.RecentIDs < 0 || c.RecentWindow < 0 {
		errs = append(errs, errors.New("future retention, recent ids and recent window must not be negative or huge"))
	}
	return errors.Join(errs...)
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// DB is an event store in a folder. It implements store.Events.
type DB struct {
	dir  string
	cfg  Config
	lock *os.File

	events   engine
	payloads engine

	projects *projects
	revised  *revisedKinds
	recent   *recent
	traces   *traceIndex
	known    *knownPayloads
	cached   *bodyCache
	keys     *payloadKeys
	columns  sync.Pool // of *encoder
	pieces   sync.Pool // of *[]logstorage.Field

	words     *wordHasher
	common    *commonWords
	sketches  sync.Pool // of *sketch
	lastGroup atomic.Uint64
	sums      *partSums // nil with nodes
	// oldUntil is the time until which rows may be of the format before 2, 0 when there are none.
	oldUntil int64

	deletions *deletions
	kept      keptRows
	// unlogged says that a deletion changed what no record tells of: the engine has rows that are perhaps in memory only,
	// or the Observer's saved state is no longer its state.
	unlogged atomic.Bool
	doomed   *doomedPayloads
	keeper   keeper
	room     *room // nil with nodes

	// life counts the running calls, so that Close can wait for them.
	life struct {
		sync.Mutex
		running sync.WaitGroup
		closed  bool
	}
	// asking counts the questions that are being answered.
	asking atomic.Int64
	// changes is held for reading by writers. Who holds it for writing knows that none is under way.
	changes sync.RWMutex
	// observing makes the calls of the Observer one at a time.
	observing sync.Mutex
	counts    counters

	wal    *wal
	turn   turns
	flight inFlight
	// encoders are the *recordEncoder of writers.
	encoders sync.Pool
	// checkpointing makes checkpoints one at a time; done is the newest one, without its state.
	checkpointing sync.Mutex
	done          checkpoint
	doneUntil     atomic.Uint64 // done.engine, for who must not wait for a checkpoint: with nodes one takes seconds, or a minute
	stopLoop      func()
	replayed      replayCounters
	checkpoints   struct{ made, pauseNanos atomic.Uint64 }
}

var _ store.Events = (*DB)(nil)

// Open opens the store in dir, which it creates when it is missing. Only one DB, of one process, can have a folder
// open: the second gets store.ErrInUse. A folder of a newer release gives store.ErrNewer.
func Open(dir string, cfg Config) (*DB, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, fmt.Errorf("open event store: %w", err)
	}
	db := &DB{dir: dir, cfg: cfg, encoders: sync.Pool{New: func() any { return new(recordEncoder) }}}
	if err := db.open(); err != nil {
		if db.lock != nil {
			_ = db.lock.Close() // the error that matters is err
		}
		return nil, fmt.Errorf("open event store in %s: %w", dir, err)
	}
	return db, nil
}

func (db *DB) open() error {
	if err := setupEngine(db.cfg.Logger); err != nil {
		return err
	}
	if err := os.MkdirAll(db.dir, 0o750); err != nil {
		return signal.WithHint(err, "choose a folder that this user may write to")
	}
	var err error
	if db.lock, err = lockFolder(filepath.Join(db.dir, fileLock)); err != nil {
		return err
	}
	if db.oldUntil, err = db.migrate(); err != nil {
		return err
	}
	if db.projects, err = openProjects(filepath.Join(db.dir, fileProjects)); err != nil {
		return err
	}
	if db.keys, err = openPayloadKeys(filepath.Join(db.dir, fileKey)); err != nil {
		return err
	}
	if db.revised, err = openRevised(filepath.Join(db.dir, fileRevised)); err != nil {
		return err
	}
	if db.deletions, err = openDeletions(filepath.Join(db.dir, fileDeletions)); err != nil {
		return err
	}
	db.kept = keptRows{filepath.Join(db.dir, dirReplacing)}
	if db.common, err = openCommonWords(filepath.Join(db.dir, fileCommon)); err != nil {
		return err
	}
	db.words = newWordHasher()
	db.lastGroup.Store(uint64(time.Now().UnixMicro())) // behind all groups there are: a batch takes longer than a microsecond
	for _, name := range []string{dirEvents, dirPayloads} {
		if err := checkWritable(filepath.Join(db.dir, name)); err != nil {
			return err
		}
	}
	var unverified []string
	if len(db.cfg.Nodes) == 0 {
		if err := db.enterRoom(); err != nil {
			return err
		}
		db.sums = openSums(db.dir, db.cfg.Logger)
		db.sums.asked = db.asked
		if unverified, err = db.sums.verify(context.Background()); err != nil {
			return err
		}
	}
	if err := db.openEngines(); err != nil {
		return err
	}
	db.recent = newRecent(db.cfg.RecentIDs)
	db.flight.opened = time.Now()
	db.traces = newTraceIndex()
	db.known = newKnownPayloads()
	db.cached = newBodyCache()
	db.doomed = newDoomedPayloads(db.known)
	db.turn.init()
	if len(db.cfg.Nodes) > 0 {
		db.flush() // what was sent just before the last stop must be seen by the replay
	}
	if err = db.loadRecent(); err == nil {
		err = db.openLog()
	}
	if err == nil {
		err = db.buryPending(context.Background())
	}
	if errors.Is(err, store.ErrPartial) {
		err = signal.WithHint(err, "the log has rows that the storage nodes may lack: start them all, or leave those that are gone for good out of store.nodes")
	}
	if err != nil {
		if db.wal != nil {
			db.wal.close()
		}
		db.closeEngines()
		return err
	}
	db.recent.before = db.flight.findable
	if len(db.cfg.Nodes) == 0 { // nodes keep their own days
		db.afterReplay()
		db.keep()
	}
	db.startLoop(unverified)
	return nil
}

// enterRoom looks whether there is room for what a start writes.
func (db *DB) enterRoom() error {
	segments, err := listSegments(filepath.Join(db.dir, dirWAL))
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	var toReplay int64
	for _, s := range segments {
		toReplay += s.size
	}
	db.room, err = openRoom(db.dir, &db.cfg, toReplay)
	return err
}

// openEngines opens the engine's instances, or the way to the nodes.
func (db *DB) openEngines() error {
	if len(db.cfg.Nodes) == 0 {
		db.events = db.openEngine(dirEvents, db.cfg.Retention)
		db.payloads = db.openEngine(dirPayloads, db.cfg.PayloadRetention)
		return nil
	}
	cfg := nodesConfig{
		addrs: db.cfg.Nodes, account: 2 * db.cfg.NodeAccount, needs: nodeNeeds{db.cfg.Retention + day, db.cfg.FutureRetention},
		settle: db.cfg.NodeSettle, auth: db.cfg.NodeAuth, log: db.cfg.Logger,
	}
	events, err := openNodes(cfg)
	if err != nil {
		return err
	}
	if len(db.cfg.PayloadNodes) > 0 {
		cfg.addrs = db.cfg.PayloadNodes
	}
	if cfg.account == embeddedAccount && apart(db.cfg.Nodes, db.cfg.PayloadNodes) {
		cfg.moved = []uint32{embeddedAccount}
	}
	cfg.account++
	cfg.needs.retention = db.cfg.PayloadRetention + day
	payloads, err := openNodes(cfg)
	if err != nil {
		events.MustClose()
		return err
	}
	db.events, db.payloads = events, payloads
	return nil
}

// startLoop makes checkpoints beside everything else until Close, and waits a little for those who ask to be fast.
func (db *DB) startLoop(unverified []string) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { db.checkpointLoop(done) })
	ctx, cancel := context.WithCancel(context.Background())
	if len(db.cfg.Nodes) == 0 {
		warm := make(chan struct{})
		running.Go(func() {
			db.warm(ctx)
			close(warm)
			if err := db.sums.verifyRest(ctx, unverified); err != nil {
				db.cfg.Logger.Error("a file of the store is damaged: nothing is read or written any more", "error", err, "hint", signal.HintOf(err))
				return
			}
			db.endWarm()
		})
		running.Go(func() { db.sums.loop(ctx) })
		running.Go(func() { db.watchRoom(ctx) })
		select {
		case <-warm:
		case <-time.After(warmFirst): // the rest comes beside everything else
		}
	}
	db.stopLoop = func() { cancel(); close(done); running.Wait() }
}

// openEngine opens one instance of the engine. It keeps a day more than we accept rows for, so that no row that
// passed our check is dropped by its own, whichever clock is behind.
func (db *DB) openEngine(name string, retention time.Duration) engine {
	dir := filepath.Join(db.dir, name)
	return openEmbedded(dir, &logstorage.StorageConfig{
		Retention:              retention + day,
		FutureRetention:        engineFuture,
		FlushInterval:          flushInterval,
		MinFreeDiskSpaceBytes:  db.cfg.MinFreeBytes,
		DefaultParallelReaders: 2,
	})
}

// lockFolder takes the lock that keeps other processes out. It goes with the process, however that ends.
func lockFolder(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, signal.WithHint(err, "choose a folder that this user may write to")
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, signal.WithHint(store.ErrInUse, "stop the other process, or choose another folder with --data")
		}
		return nil, fmt.Errorf("lock folder: %w", err)
	}
	return f, nil
}

// checkWritable tells whether the engine may create files in an existing folder: it would end the process otherwise.
func checkWritable(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return signal.WithHint(err, "give this user the right to write there")
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// writeFile replaces a small file as a whole: after a crash it is the old or the new one.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// enter registers a running call; leave ends it.
func (db *DB) enter() error {
	db.life.Lock()
	defer db.life.Unlock()
	if db.life.closed {
		return store.ErrClosed
	}
	if db.sums != nil {
		if err := db.sums.damage(); err != nil {
			return err
		}
	}
	db.life.running.Add(1)
	return nil
}

func (db *DB) leave() { db.life.running.Done() }

// asked tells whether a reader asks.
func (db *DB) asked() bool { return db.asking.Load() > 0 }

// Flush makes everything written so far visible to readers at once. It is no disk sync and not cheap: for tests, and
// before a question that must see the last second.
func (db *DB) Flush() error {
	if err := db.enter(); err != nil {
		return err
	}
	defer db.leave()
	db.flush()
	return nil
}

func (db *DB) flush() {
	db.payloads.DebugFlush()
	db.events.DebugFlush()
}

// Close waits for the running calls and writes everything to disk.
func (db *DB) Close() error {
	db.life.Lock()
	if db.life.closed {
		db.life.Unlock()
		return nil
	}
	db.life.closed = true
	db.life.Unlock()
	db.life.running.Wait()
	db.endKeep()
	db.stopLoop()
	last := checkpoint{engine: db.wal.last()}
	if len(db.cfg.Nodes) > 0 {
		last.engine = db.done.engine // nodes write to their disks in their own time: the next start asks them
	}
	last, err := db.withState(last)
	if db.room.refusal() != "" {
		defer db.room.keepRoom()() // the engine writes what it has in memory
	}
	db.closeEngines()
	if err == nil {
		err = db.finish(last)
	}
	db.lastSums()
	db.wal.close()
	return errors.Join(err, db.lock.Close())
}

// lastSums takes the sums of what Close has written, for as long as a stop may take.
func (db *DB) lastSums() {
	if db.sums == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), takeAtClose)
	defer cancel()
	if _, err := db.sums.take(ctx); err != nil {
		db.cfg.Logger.Warn("the newest files of the store stay without sums until the next start", "error", err, "hint", unreadableHint(err))
	}
}

func (db *DB) closeEngines() {
	db.events.MustClose()
	db.payloads.MustClose()
}
