package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// How people read figures. The space in numbers is a thin no-break one's place taken by a plain space, so that a
// terminal of any font shows it.

// humanDuration prints 2ms, 0.4s, 6.8s, 2m05s, 1h04m.
func humanDuration(ns int64) string {
	d := time.Duration(ns)
	switch {
	case d < 0:
		return "-" + humanDuration(-ns)
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + "µs"
	case d < 100*time.Millisecond:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
}

// humanCount prints 812, 1 204, 16.4k, 2.1M.
func humanCount(n int64) string {
	switch {
	case n < 1000:
		return strconv.FormatInt(n, 10)
	case n < 10_000:
		return fmt.Sprintf("%d %03d", n/1000, n%1000)
	case n < 1_000_000:
		return strconv.FormatFloat(float64(n)/1e3, 'f', 1, 64) + "k"
	default:
		return strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64) + "M"
	}
}

// humanBytes prints 17 B, 5.1 kB, 2.0 MB.
func humanBytes(n int64) string {
	switch {
	case n < 1000:
		return strconv.FormatInt(n, 10) + " B"
	case n < 1_000_000:
		return strconv.FormatFloat(float64(n)/1e3, 'f', 1, 64) + " kB"
	default:
		return strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64) + " MB"
	}
}

// humanMoney prints dollars with as many digits as matter: $0.0231, $12.40.
func humanMoney(usd string) string {
	f, err := strconv.ParseFloat(usd, 64)
	switch {
	case err != nil:
		return "$" + usd
	case f != 0 && f < 0.00005:
		return "<$0.0001"
	case f < 1:
		return "$" + strconv.FormatFloat(f, 'f', 4, 64)
	default:
		return "$" + strconv.FormatFloat(f, 'f', 2, 64)
	}
}

// oneLine makes telemetry safe to print: no control characters that could drive the terminal, at most n characters.
func oneLine(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n-1]) + "…"
}
