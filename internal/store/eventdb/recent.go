package eventdb

import (
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// idKey stands for a row id within its project and kind: 128 bits, so that two never meet by chance.
type idKey = xxh3.Uint128

func keyOf(p signal.Project, k store.Kind, id string) idKey {
	b := make([]byte, 0, 160)
	b = append(b, p...)
	b = append(b, 0)
	b = append(b, k...)
	b = append(b, 0)
	b = append(b, id...)
	return xxh3.Hash128(b)
}

// verdict says what is known of a row's id.
type verdict uint8

const (
	fresh    verdict = iota // never stored
	repeat                  // stored, with this revision or a newer one
	revision                // stored with an older revision
	unsure                  // not remembered, and memory does not reach back so far: the engine must be asked
)

// recent is the exact set of the row ids of the last time. Every stored row whose time is at or after floor is in it;
// rows older than that are remembered for a while only, by when they came.
type recent struct {
	mu      sync.Mutex
	max     int
	floor   int64
	ids     map[idKey]sight
	minutes map[int32]int   // how many ids have their row's time in a minute, for eviction
	revs    map[idKey]int64 // the revisions of ids, those above 0
	late    map[idKey]int64 // revisions of rows before floor
	later   map[idKey]int64 // the generation before late
	// full is how many ids there may be until it is looked again what can be dropped.
	full int
	// before returns the second before which ids must have come to be dropped: who asks the engine for a row in its place
	// must find it. Nil lets all go.
	before func() int32
}

// sight is when a row is from, in minutes, and when its id came, in seconds since the store was opened.
type sight struct{ minute, came int32 }

// claim is what one row took from the set, to give it back.
type claim struct {
	key     idKey
	verdict verdict
	before  int64 // the revision known before, with verdict revision
}

func newRecent(maxIDs int) *recent {
	return &recent{
		max: maxIDs, full: maxIDs, floor: math.MaxInt64,
		ids: map[idKey]sight{}, minutes: map[int32]int{}, revs: map[idKey]int64{},
		late: map[idKey]int64{}, later: map[idKey]int64{},
	}
}

// claim says what is known of a row and takes its id, so that of two writers of one row only one goes on. came is when.
// forgot tells that ids were dropped to stay within bounds: the engine's newest rows must become visible now.
func (r *recent) claim(key idKey, at, rev int64, came int32) (c claim, forgot bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.key = key
	if known, ok := r.revision(key); ok {
		if rev <= known {
			c.verdict = repeat
			return c, false
		}
		c.verdict, c.before = revision, known
		r.setRevision(key, rev)
		return c, false
	}
	if at < r.floor {
		c.verdict = unsure
		r.late[key] = rev
		return c, r.turnLate()
	}
	if rev > 0 {
		// An older revision may lie at another time, before floor.
		c.verdict = unsure
	}
	r.put(key, at, rev, came)
	return c, r.evict()
}

// put adds an id that is not there. A minute of any time has a place in 32 bits.
func (r *recent) put(key idKey, at, rev int64, came int32) {
	minute := int32(at / int64(time.Minute))
	r.ids[key] = sight{minute, came}
	r.minutes[minute]++
	if rev > 0 {
		r.revs[key] = rev
	}
}

func (r *recent) revision(key idKey) (int64, bool) {
	if _, ok := r.ids[key]; ok {
		return r.revs[key], true
	}
	if rev, ok := r.late[key]; ok {
		return rev, true
	}
	rev, ok := r.later[key]
	return rev, ok
}

func (r *recent) setRevision(key idKey, rev int64) {
	if _, ok := r.ids[key]; ok {
		r.revs[key] = rev
		return
	}
	r.late[key] = rev
}

// release gives back a claim whose row was not stored.
func (r *recent) release(c claim) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch c.verdict {
	case revision:
		r.setRevision(c.key, c.before)
	case fresh, unsure:
		r.drop(c.key)
	case repeat:
	}
}

// known notes the revision the engine holds of a claimed row.
func (r *recent) known(key idKey, rev int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, _ := r.revision(key); known < rev {
		r.setRevision(key, rev)
	}
}

// forget removes an id after its row was deleted.
func (r *recent) forget(key idKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(key)
}

func (r *recent) drop(key idKey) {
	if s, ok := r.ids[key]; ok {
		r.gone(s.minute)
	}
	delete(r.ids, key)
	delete(r.revs, key)
	delete(r.late, key)
	delete(r.later, key)
}

// gone takes an id out of the count of its minute.
func (r *recent) gone(minute int32) {
	if r.minutes[minute]--; r.minutes[minute] == 0 {
		delete(r.minutes, minute)
	}
}

// evict drops the oldest minutes until an eighth is free again, but for ids that came too lately.
func (r *recent) evict() bool {
	if len(r.ids) <= r.full {
		return false
	}
	before := int32(math.MaxInt32)
	if r.before != nil {
		before = r.before()
	}
	had, left, last := len(r.ids), len(r.ids), int32(math.MinInt32)
	for _, minute := range slices.Sorted(maps.Keys(r.minutes)) {
		if left <= r.max-r.max/8 {
			break
		}
		left, last = left-r.minutes[minute], minute
	}
	for key, s := range r.ids {
		if s.minute <= last && s.came < before {
			delete(r.ids, key)
			delete(r.revs, key)
			r.gone(s.minute)
		}
	}
	r.full = max(r.max, len(r.ids)+r.max/8)
	if len(r.ids) == had {
		return false
	}
	r.floor = max(r.floor, (int64(last)+1)*int64(time.Minute))
	return true
}

func (r *recent) turnLate() bool {
	if len(r.late) <= r.max/4 {
		return false
	}
	r.later, r.late = r.late, map[idKey]int64{}
	return true
}

// load adds a stored row at start.
func (r *recent) load(key idKey, at, rev int64) {
	if _, ok := r.ids[key]; !ok {
		r.put(key, at, rev, 0)
	} else if rev > r.revs[key] {
		r.revs[key] = rev
	}
}

// reach says from which time on every stored row is in the set.
func (r *recent) reach(floor int64) { r.floor = floor }

func (r *recent) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ids) + len(r.late) + len(r.later)
}
