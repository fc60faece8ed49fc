package loki

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/query/logql"
	"github.com/mindscope/mindscope/internal/signal"
)

// Bounds of times, so that no sum of them overflows: 1970 to 2200.
const (
	minTime = int64(0)
	maxTime = int64(7_258_118_400_000_000_000)
)

func bad(format string, args ...any) error { return signal.Permanent(fmt.Errorf(format, args...)) }

// parseTime reads nanoseconds, seconds (up to ten digits, or with a point) or RFC 3339. It is cut to the years 1970 to 2200.
func parseTime(text string) (int64, error) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		if t.Year() < 1970 {
			return minTime, nil
		}
		if t.Year() >= 2200 {
			return maxTime, nil
		}
		return t.UnixNano(), nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if len(strings.TrimPrefix(text, "-")) <= 10 {
			n = min(max(n, 0), maxTime/int64(time.Second)) * int64(time.Second)
		}
		return min(max(n, minTime), maxTime), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) {
		return 0, fmt.Errorf("%q is no time: give nanoseconds, seconds or RFC 3339", text)
	}
	if f < 1e11 {
		f *= 1e9
	}
	return int64(min(max(f, float64(minTime)), float64(maxTime))), nil
}

// time returns a parameter's time, otherwise when it is missing.
func (q *request) time(name string, otherwise int64) (int64, error) {
	text := q.Form.Get(name)
	if text == "" {
		return otherwise, nil
	}
	t, err := parseTime(text)
	if err != nil {
		return 0, bad("%s: %w", name, err)
	}
	return t, nil
}

// timeRange returns the range [start, end) of a request: the hour before end, and end is now, when it names none.
func (q *request) timeRange() (signal.TimeRange, error) {
	end, err := q.time("end", q.now.UnixNano())
	if err != nil {
		return signal.TimeRange{}, err
	}
	since, err := q.duration("since", time.Hour)
	if err != nil {
		return signal.TimeRange{}, err
	}
	start, err := q.time("start", max(end-int64(since), minTime))
	if err != nil {
		return signal.TimeRange{}, err
	}
	if start > end {
		return signal.TimeRange{}, bad("start is after end")
	}
	return signal.TimeRange{Start: start, End: end}, nil
}

// duration returns a parameter's duration: seconds, or with units.
func (q *request) duration(name string, otherwise time.Duration) (time.Duration, error) {
	text := q.Form.Get(name)
	if text == "" {
		return otherwise, nil
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		f *= float64(time.Second)
		if !(f >= 1) || f >= math.MaxInt64 {
			return 0, bad("%s: %q is no positive duration", name, text)
		}
		return time.Duration(f), nil
	}
	d, err := logql.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, bad("%s: %q is no positive duration such as 15s", name, text)
	}
	return d, nil
}

// step returns the parameter step, a 250th of the range and at least a second when it is missing.
func (q *request) step(at signal.TimeRange) (time.Duration, error) {
	return q.duration("step", max(time.Duration(at.End-at.Start)/250, time.Second).Truncate(time.Second))
}

// count returns a parameter that is a number from 1 to most.
func (q *request) count(name string, otherwise, most int) (int, error) {
	text := q.Form.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, bad("%s: %q: give a number from 1 to %d", name, text, most)
	}
	return n, nil
}

func (q *request) forward() (bool, error) {
	switch d := strings.ToLower(q.Form.Get("direction")); d {
	case "", "backward":
		return false, nil
	case "forward":
		return true, nil
	default:
		return false, bad("direction: %q: give forward or backward", d)
	}
}
