package signal

import (
	"math"
	"time"
)

// TimeRange is a half-open range of time [Start, End) in nanoseconds since the Unix epoch.
type TimeRange struct {
	Start, End int64
}

// AllTime is the range that holds every time a signal can carry.
func AllTime() TimeRange { return TimeRange{Start: math.MinInt64, End: math.MaxInt64} }

// Between returns the range from start (inclusive) to end (exclusive).
func Between(start, end time.Time) TimeRange {
	return TimeRange{Start: start.UnixNano(), End: end.UnixNano()}
}

// Contains tells whether t (nanoseconds) lies in r.
func (r TimeRange) Contains(t int64) bool { return t >= r.Start && t < r.End }

// Empty tells whether no time lies in r.
func (r TimeRange) Empty() bool { return r.End <= r.Start }

// Include returns the smallest range that holds r and the instant t. An empty r counts as no range.
func (r TimeRange) Include(t int64) TimeRange {
	end := t
	if end < math.MaxInt64 {
		end++
	}
	if r.Empty() {
		return TimeRange{Start: t, End: end}
	}
	return TimeRange{Start: min(r.Start, t), End: max(r.End, end)}
}
