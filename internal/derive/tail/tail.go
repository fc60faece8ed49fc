// Package tail hands new rows to those who watch for them, as they are committed. It is a store.Observer.
//
// Nobody who reads slowly holds the store up: each subscription has a bounded queue, and what does not fit is dropped and
// counted, for the subscriber and in all.
package tail

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// MaxSubscriptions bounds those who watch at once.
	MaxSubscriptions = 100
	// queue is how many rows wait for one of them.
	queue = 2000
	// queueBytes bounds the texts of the rows that wait for one of them, allBytes for all.
	queueBytes = 16 << 20
	allBytes   = 64 << 20
)

// ErrTooMany says that as many watch as may.
var ErrTooMany = errors.New("too many watch already: close another one first")

// Feed is what new rows go through. It is safe for concurrent use.
type Feed struct {
	mu      sync.Mutex
	subs    map[*Subscription]bool
	done    chan struct{}
	count   atomic.Int64 // of subs, so that a commit that nobody watches takes no lock
	dropped atomic.Uint64
	bytes   atomic.Int64 // that wait for all
}

// New returns a Feed that nobody watches.
func New() *Feed {
	return &Feed{subs: map[*Subscription]bool{}, done: make(chan struct{})}
}

// Subscription gets the rows of one project and kind that pass a filter.
type Subscription struct {
	feed    *Feed
	project signal.Project
	kind    store.Kind
	match   store.Matcher
	rows    chan *store.Row
	bytes   atomic.Int64
	dropped atomic.Uint64
}

// Subscribe begins to watch; Close ends it. The error is that of a filter that does not compile, or ErrTooMany.
func (f *Feed) Subscribe(p signal.Project, kind store.Kind, filter store.Filter) (*Subscription, error) {
	match, err := store.Compile(filter)
	if err != nil {
		return nil, signal.Permanent(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.subs) >= MaxSubscriptions {
		return nil, ErrTooMany
	}
	s := &Subscription{feed: f, project: p, kind: kind, match: match, rows: make(chan *store.Row, queue)}
	f.subs[s] = true
	f.count.Store(int64(len(f.subs)))
	return s, nil
}

// Committed implements store.Observer.
func (f *Feed) Committed(p signal.Project, rows []store.Row) {
	if f.count.Load() == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.subs {
		if s.project != p {
			continue
		}
		for i := range rows {
			if rows[i].Kind == s.kind && s.match(&rows[i]) {
				s.offer(&rows[i])
			}
		}
	}
}

// offer queues a copy of a row, or counts it as dropped.
func (s *Subscription) offer(r *store.Row) {
	size := weight(r)
	if s.bytes.Load()+size > queueBytes || s.feed.bytes.Load()+size > allBytes {
		s.drop()
		return
	}
	select {
	case s.rows <- r.Clone():
		s.bytes.Add(size)
		s.feed.bytes.Add(size)
	default:
		s.drop()
	}
}

func (s *Subscription) drop() {
	s.dropped.Add(1)
	s.feed.dropped.Add(1)
}

func weight(r *store.Row) int64 {
	n := int64(0)
	for i := range r.Fields {
		n += int64(len(r.Fields[i].Name)) + 48
		switch r.Fields[i].Value.Type() {
		case store.TypeString, store.TypeBytes, store.TypeSlice, store.TypeMap:
			n += int64(len(r.Fields[i].Value.Text()))
		}
	}
	return n
}

// Rows returns the channel of new rows; who takes one calls Taken. They are the receiver's.
func (s *Subscription) Rows() <-chan *store.Row { return s.rows }

// Taken says that a row was taken from Rows, so that there is room for others.
func (s *Subscription) Taken(r *store.Row) {
	size := weight(r)
	s.bytes.Add(-size)
	s.feed.bytes.Add(-size)
}

// Dropped returns how many rows were dropped since it was asked last.
func (s *Subscription) Dropped() uint64 { return s.dropped.Swap(0) }

// Close ends the subscription. A second Close is a no-op.
func (s *Subscription) Close() {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	if !s.feed.subs[s] {
		return
	}
	delete(s.feed.subs, s)
	s.feed.bytes.Add(-s.bytes.Load()) // what waits is not taken any more
	s.feed.count.Store(int64(len(s.feed.subs)))
}

// Watched returns how many watch, and how many rows were dropped since the start.
func (f *Feed) Watched() (subscriptions int, dropped uint64) {
	return int(f.count.Load()), f.dropped.Load()
}

// Close tells all who watch to end. A second Close is a no-op.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.done:
	default:
		close(f.done)
	}
}

// Done returns a channel that Close closes.
func (f *Feed) Done() <-chan struct{} { return f.done }

// Save implements store.StatefulObserver: a Feed remembers nothing.
func (*Feed) Save(io.Writer) error { return nil }

// Load implements store.StatefulObserver.
func (*Feed) Load([]byte) error { return nil }
