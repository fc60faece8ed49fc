package eventdb

import (
	"slices"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// A question is answered window by window of time, so that its order costs a sort of one window, its limit ends it
// early and its memory is bounded. A window that holds too much is asked again in a shorter one; where there is little,
// the next one is four or eight times as long.
const (
	// longWindow is where a question begins that wants every row, shortWindow one that wants the first ones: a second
	// or two hold enough of them in a busy store, and in an idle one the windows reach any day in a dozen steps.
	longWindow  = int64(time.Hour)
	shortWindow = int64(2 * time.Second)
	// windowRows and windowBytes bound what a window holds.
	windowRows  = 16_384
	windowBytes = 16 << 20
	// firstRows bounds the windows of a reader that may stop soon. They grow as it goes on.
	firstRows = 2048
	minRows   = 512
)

// pace says which window is asked for next.
type pace struct {
	order store.Order
	size  int64
	rows  int // bounds the rows of a window
	now   int64
	limit bool
}

// newPace returns the pace of a question. limit 0 means that every row may be asked for.
func (db *DB) newPace(order store.Order, limit int) *pace {
	pc := &pace{order: order, size: longWindow, rows: windowRows, now: db.cfg.Clock().UnixNano(), limit: limit > 0}
	switch {
	case limit > 0:
		pc.size, pc.rows = shortWindow, min(max(8*limit, minRows), windowRows)
	case order != store.Unordered:
		pc.rows = firstRows
	}
	return pc
}

// next returns the window of rest to ask for. What lies ahead of the clock is a window of its own: there is hardly
// ever anything, and the newest rows are to be looked for behind it.
func (pc *pace) next(rest signal.TimeRange) signal.TimeRange {
	if pc.order != store.NewestFirst {
		if rest.End-rest.Start <= pc.size {
			return rest
		}
		return signal.TimeRange{Start: rest.Start, End: rest.Start + pc.size}
	}
	if rest.End-rest.Start <= pc.size {
		return rest
	}
	w := signal.TimeRange{Start: rest.End - pc.size, End: rest.End}
	if ahead := pc.now + int64(time.Second); rest.Start < ahead && ahead < rest.End && pc.limit {
		w.Start = ahead
	}
	return w
}

// full says that a window held too much, with the times of some rows in it: the next one ends where half of what is
// allowed lies before it, as far as they show.
func (pc *pace) full(w signal.TimeRange, times []int64) {
	size := (w.End - w.Start) / 8
	if k := pc.rows / 2; k < len(times) {
		slices.Sort(times)
		if pc.order == store.NewestFirst {
			size = w.End - times[len(times)-1-k]
		} else {
			size = times[k] - w.Start
		}
	}
	pc.size = max(1, min(size, (w.End-w.Start)/16*15))
	if w.Start > pc.now {
		pc.now = w.End // there are many ahead of the clock: it is no landmark
	}
}

// took says how many rows came of a window, when more of them are wanted.
func (pc *pace) took(w signal.TimeRange, n int) {
	const longest = int64(365 * day)
	if !pc.limit {
		pc.rows = min(2*pc.rows, windowRows)
	}
	switch {
	case w.Start > pc.now || pc.size >= longest:
	case n == 0:
		pc.size *= 8
	case n < pc.rows/8:
		pc.size *= 4
	case n < pc.rows/2:
		pc.size += pc.size / 2
	}
}
