package eventdb

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// maxNumberLen is the length of the longest text the engine reads as a number.
const maxNumberLen = len("18_446_744_073_709_551_615")

// comesBack tells whether the engine returns s as it is. When all values of a column within a block look like numbers,
// addresses or times it keeps them in binary form and writes them anew on reading; "1_000", "1.10", "-0",
// "2024-01-02 03:04:05.000Z" and many doubles of 17 digits then read differently. Since a block may hold any mixture
// of rows, each text that has more than one spelling counts as not coming back.
func comesBack(s string) bool {
	if s == "" || len(s) > maxNumberLen+1 || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
		return true
	}
	if strings.Count(s, ".") == 3 {
		return plainAddress(s)
	}
	if len(s) == len("2006-01-02T15:04:05.000Z") && s[4] == '-' {
		t, err := time.Parse("2006-01-02T15:04:05.000Z", s)
		return err == nil && t.Year() >= 1678 && t.Year() <= 2261
	}
	return plainNumber(s)
}

// plainAddress tells whether each part of a dotted text is written without leading zeros.
func plainAddress(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if len(part) > 1 && part[0] == '0' {
			return false
		}
	}
	return true
}

// plainNumber tells whether s is no number to the engine, or one it writes the same way.
func plainNumber(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	minus := len(digits) != len(s)
	whole, frac, point := strings.Cut(digits, ".")
	n, ok := engineUint(whole)
	if !ok {
		return true
	}
	if strings.Contains(s, "_") || minus && n == 0 && !point {
		return false
	}
	if !point || frac == "" {
		return true
	}
	zeros := 0
	for zeros < len(frac)-1 && frac[zeros] == '0' {
		zeros++
	}
	nf, ok := engineUint(frac[zeros:])
	if !ok {
		return true
	}
	// The engine's own arithmetic: exact for short fractions only.
	f := math.FMA(float64(nf), math.Pow10(-len(frac)), float64(n))
	if minus {
		f = -f
	}
	return strconv.FormatFloat(f, 'f', -1, 64) == s
}

// engineUint reads an unsigned integer the way the engine does: no leading zero, underscores ignored.
func engineUint(s string) (uint64, bool) {
	if s == "" || len(s) > maxNumberLen || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	var n uint64
	for _, c := range []byte(s) {
		if c == '_' {
			continue
		}
		if c < '0' || c > '9' || n > math.MaxUint64/10 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
		if n < uint64(c-'0') {
			return 0, false
		}
	}
	return n, true
}
