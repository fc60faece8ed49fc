package eventdb

import (
	"sync"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// inFlight are the batches that have claimed row ids and are not in the log yet. A repeat of such a row must not be
// acknowledged before the row is: the first writer may still fail.
type inFlight struct {
	mu       sync.Mutex
	batches  map[*batch]struct{}
	failures uint64
	opened   time.Time // with its monotonic clock
	held     *int32    // since when rows are replaced, nil when none are
}

// engineLag is after how many seconds rows of batches that are in the log can be found in the engine, with room.
const engineLag = 10

// now returns the seconds since the store was opened.
func (f *inFlight) now() int32 { return int32(time.Since(f.opened) / time.Second) }

// findable returns the second before which all batches that began are in the engine for readers to find.
func (f *inFlight) findable() int32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.now() - engineLag
	for b := range f.batches {
		at = min(at, b.began)
	}
	if f.held != nil {
		at = min(at, *f.held)
	}
	return at
}

// hold says that rows whose ids are claimed from now on are in the engine only after release. It is for one at a time.
func (f *inFlight) hold() (release func()) {
	now := f.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = &now
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.held = nil
	}
}

// begin registers a batch before its first claim.
func (f *inFlight) begin(b *batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.batches == nil {
		f.batches = map[*batch]struct{}{}
	}
	f.batches[b] = struct{}{}
	b.settled, b.failures, b.began = make(chan struct{}), f.failures, f.now()
}

// end tells that a batch is in the log, or that its claims were given back.
func (f *inFlight) end(b *batch, failed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.batches, b)
	if failed {
		f.failures++
	}
	close(b.settled)
}

// wait returns when the batches that were under way have ended; it tells whether all since b began did well.
func (f *inFlight) wait(b *batch) bool {
	f.mu.Lock()
	others := make([]*batch, 0, len(f.batches))
	for o := range f.batches {
		others = append(others, o)
	}
	f.mu.Unlock()
	for _, o := range others {
		<-o.settled
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failures == b.failures
}

// turns lets the writers of records go on in the order of the records' numbers.
type turns struct {
	mu   sync.Mutex
	cond sync.Cond
	next uint64
}

func (t *turns) init() { t.cond.L = &t.mu }

// take waits for the turn of record n, calls f and passes the turn on.
func (t *turns) take(n uint64, f func()) {
	t.mu.Lock()
	for t.next != n {
		t.cond.Wait()
	}
	t.mu.Unlock()
	f()
	t.mu.Lock()
	t.next++
	t.mu.Unlock()
	t.cond.Broadcast()
}

// observe tells the Observer of what was committed.
func (db *DB) observe(p signal.Project, rows []store.Row) {
	if db.cfg.Observer == nil || len(rows) == 0 {
		return
	}
	db.observing.Lock()
	defer db.observing.Unlock()
	db.cfg.Observer.Committed(p, rows)
}
