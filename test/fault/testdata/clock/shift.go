package time

import "internal/runtime/atomic"

// shift is by how many seconds the clock is set forth.
var shift atomic.Int64

// SetClock sets the clock forth by so many seconds, back when they are negative. Timers and durations go on as they did.
func SetClock(seconds int64) { shift.Store(seconds) }

// This file is part of Go's package time in the server that TestServerClockJumpsBack builds.
