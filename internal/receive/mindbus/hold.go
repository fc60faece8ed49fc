package mindbus

import (
	"sync"
	"time"
)

// side is one side of a message: who sent it or who had it.
type side struct {
	message  string
	consumer bool
}

// hold keeps spans for as long as an SDK's span of the same message may still come. Yield may be called at any time from
// any goroutine; the rest is one goroutine's.
type hold struct {
	wait time.Duration
	max  int

	queue []held // in the order of their due times
	first int

	mu      sync.Mutex
	told    map[side]time.Time // by SDKs
	recent  []side             // a ring of told's keys
	next    int
	maxTold int
}

type held struct {
	by   side
	due  time.Time
	span *span
}

func newHold(wait time.Duration, maxHeld int) *hold {
	return &hold{wait: wait, max: maxHeld, told: map[side]time.Time{}, maxTold: maxHeld}
}

// yield notes that an SDK told of one side of a message itself.
func (h *hold) yield(by side, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.told[by]; known {
		return
	}
	if len(h.recent) < h.maxTold {
		h.recent = append(h.recent, by)
	} else {
		delete(h.told, h.recent[h.next])
		h.recent[h.next] = by
		h.next = (h.next + 1) % len(h.recent)
	}
	h.told[by] = now
}

func (h *hold) yielded(by side) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.told[by]
	return ok
}

// put keeps a span; false means that there is no room.
func (h *hold) put(by side, s *span, now time.Time) bool {
	if h.len() >= h.max {
		return false
	}
	h.queue = append(h.queue, held{by, now.Add(h.wait), s})
	return true
}

func (h *hold) len() int { return len(h.queue) - h.first }

// due takes out what waited long enough: told is called with what nobody else told, yielded counts the rest.
func (h *hold) due(now time.Time, tell func(*span)) (yielded int) {
	for h.first < len(h.queue) && !h.queue[h.first].due.After(now) {
		one := h.queue[h.first]
		h.queue[h.first] = held{}
		h.first++
		if h.yielded(one.by) {
			yielded++
			continue
		}
		tell(one.span)
	}
	if h.first > 1024 && h.first > len(h.queue)/2 {
		h.queue = append(h.queue[:0:0], h.queue[h.first:]...)
		h.first = 0
	}
	return yielded
}
