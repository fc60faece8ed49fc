package logql

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

var (
	errNumber   = errors.New("no number")
	errDuration = errors.New("no duration")
	errBytes    = errors.New("no amount of bytes")
)

// parseNumber reads a number of a query: decimal, with an exponent, or hexadecimal.
func parseNumber(s string) (float64, error) {
	if i, err := strconv.ParseUint(s, 0, 64); err == nil && strings.HasPrefix(s, "0x") {
		return float64(i), nil
	}
	if strings.Trim(s, "0123456789.eE+-") != "" {
		return 0, errNumber // Go reads more spellings, inf among them
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, errNumber
	}
	return f, nil
}

// unitNanos are the units of durations. Days, weeks and years are those of Prometheus.
var unitNanos = map[string]float64{
	"ns": 1, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9,
	"d": 24 * 3600e9, "w": 7 * 24 * 3600e9, "y": 365 * 24 * 3600e9,
}

// parseDuration reads 5m, 1h30m, 1.5s, 2d, with a sign in front or without.
func parseDuration(s string) (time.Duration, error) {
	sign := int64(1)
	switch {
	case strings.HasPrefix(s, "-"):
		sign, s = -1, s[1:]
	case strings.HasPrefix(s, "+"):
		s = s[1:]
	}
	if s == "" {
		return 0, errDuration
	}
	var total int64
	for s != "" {
		n := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		if n <= 0 {
			return 0, errDuration
		}
		digits, rest := s[:n], s[n:]
		end := strings.IndexFunc(rest, func(r rune) bool { return r == '.' || r >= '0' && r <= '9' })
		if end < 0 {
			end = len(rest)
		}
		unit, ok := unitNanos[rest[:end]]
		if !ok {
			return 0, errDuration
		}
		nanos, err := durationPart(digits, unit)
		if err != nil || nanos > math.MaxInt64-total {
			return 0, errDuration
		}
		total, s = total+nanos, rest[end:]
	}
	return time.Duration(sign * total), nil
}

// durationPart multiplies exactly where the number is whole.
func durationPart(digits string, unit float64) (int64, error) {
	if i, err := strconv.ParseInt(digits, 10, 64); err == nil {
		if i > math.MaxInt64/int64(unit) {
			return 0, errDuration
		}
		return i * int64(unit), nil
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || f*unit >= math.MaxInt64 {
		return 0, errDuration
	}
	return int64(math.Round(f * unit)), nil
}

// formatDuration writes a duration so that parseDuration reads it as the same.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// unitBytes are the units of amounts, in lower case: powers of 1000, and of 1024 with an i.
var unitBytes = map[string]float64{
	"b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "pb": 1e15, "eb": 1e18,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "pib": 1 << 50, "eib": 1 << 60,
}

// parseBytes reads 20KB, 1.5MiB, 100 B; a bare number is no amount.
func parseBytes(s string) (float64, error) {
	n := strings.IndexFunc(s, func(r rune) bool { return r != '.' && r != '-' && r != '+' && (r < '0' || r > '9') })
	if n <= 0 {
		return 0, errBytes
	}
	f, err := strconv.ParseFloat(s[:n], 64)
	unit, ok := unitBytes[strings.ToLower(strings.TrimSpace(s[n:]))]
	if err != nil || !ok {
		return 0, errBytes
	}
	return f * unit, nil
}

// ParseDuration reads a duration as queries write it: 5m, 1h30m, 1.5s, 2d.
func ParseDuration(s string) (time.Duration, error) { return parseDuration(s) }
