package eventdb

import (
	"strings"
	"unicode/utf8"

	"github.com/mindscope/mindscope/internal/store"
)

const (
	// minElement is the size from which an element of an array is a payload of its own. A reference takes 33 bytes in
	// each row that uses the element, and a payload about 60 more once: below, the element itself is cheaper.
	minElement = 96
	// maxInline bounds what stays in the row of a text that was split; a text with more is a payload as a whole.
	maxInline = 32 << 10
)

// cut is a part of a text that is a payload of its own. The parts of a text are in order and do not overlap; what lies
// between them stays in the row, so that the text comes back byte for byte whatever its white space.
type cut struct{ start, end int }

// split finds the parts of a field's text that are worth storing once, nil when it has none. It reads no more of JSON
// than where values end: what is no JSON, or breaks off, is left whole.
func split(dst []cut, name string, t store.Type, text string) []cut {
	var cuts []cut
	switch {
	case name == store.FieldEvents || name == store.FieldLinks:
		cuts = splitStrings(dst[:0], text)
	case t == store.TypeString || t == store.TypeSlice:
		cuts = splitArray(dst[:0], text)
	}
	if len(cuts) == 0 || !utf8.ValidString(text) {
		return nil
	}
	inline := len(text)
	for _, c := range cuts {
		inline -= c.end - c.start
	}
	if inline > maxInline {
		return nil
	}
	return cuts
}

// splitArray cuts out the long objects, arrays and strings of a JSON array.
func splitArray(dst []cut, s string) []cut {
	i := blank(s, 0)
	if i == len(s) || s[i] != '[' {
		return nil
	}
	i = blank(s, i+1)
	for i < len(s) {
		start := i
		end := valueEnd(s, i)
		if end < 0 {
			return nil
		}
		if end-start >= minElement && strings.IndexByte(`{["`, s[start]) >= 0 {
			dst = append(dst, cut{start, end})
		}
		i = blank(s, end)
		if i == len(s) {
			return nil
		}
		if s[i] == ']' {
			if blank(s, i+1) != len(s) {
				return nil
			}
			return dst
		}
		if s[i] != ',' {
			return nil
		}
		i = blank(s, i+1)
	}
	return nil
}

// splitStrings cuts out the long strings, without their quotes, of JSON that this program wrote: the attributes of
// events, and messages among them.
func splitStrings(dst []cut, s string) []cut {
	for i := 0; i < len(s); {
		q := strings.IndexByte(s[i:], '"')
		if q < 0 {
			return dst
		}
		start := i + q
		end := stringEnd(s, start)
		if end < 0 {
			return nil
		}
		if end-start-2 >= store.PayloadMinBytes {
			dst = append(dst, cut{start + 1, end - 1})
		}
		i = end
	}
	return dst
}

func blank(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i
}

// valueEnd returns the index behind the JSON value that begins at i, -1 when it has no end.
func valueEnd(s string, i int) int {
	depth := 0
	for i < len(s) {
		switch s[i] {
		case '"':
			if i = stringEnd(s, i); i < 0 {
				return -1
			}
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // of the array around it: the value was a number or a word
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return -1
}

// stringEnd returns the index behind the JSON string that begins at i, -1 when it has no end.
func stringEnd(s string, i int) int {
	for i++; ; {
		q := strings.IndexByte(s[i:], '"')
		if q < 0 {
			return -1
		}
		i += q
		slashes := 0
		for s[i-1-slashes] == '\\' {
			slashes++ // stops at the opening quote at the latest
		}
		i++
		if slashes%2 == 0 {
			return i
		}
	}
}

// straddles tells whether words may stand across the edge of a part: parts are objects, arrays and strings between
// white space, commas and brackets, or lie between quotes.
func straddles(words string) bool {
	if strings.IndexByte(words, '"') >= 0 {
		return true
	}
	for i := range len(words) - 1 {
		a, b := words[i], words[i+1]
		if (a == '}' || a == ']') && strings.IndexByte(", \t\r\n]", b) >= 0 ||
			strings.IndexByte(",[ \t\r\n", a) >= 0 && (b == '{' || b == '[') {
			return true
		}
	}
	return false
}
