package redact

import (
	"slices"
	"strings"
)

// scanner finds anchors of all rules in one pass: three bytes, folded to one case, are looked up in a bit set that fits
// the processor's first cache; only where they are in it, anchors and expressions are tried.
type scanner struct {
	set   [1024]uint64
	heads map[uint32][]anchor
	rules []rule
}

type anchor struct {
	text string // folded
	rule int
}

// window bounds how much of a text one expression may look at.
const window = 20_000

func newScanner(rules []rule) *scanner {
	s := &scanner{heads: map[uint32][]anchor{}, rules: rules}
	for i := range rules {
		for _, a := range rules[i].anchors {
			folded := foldText(a)
			h := head(a, 0)
			s.set[bucket(h)>>6] |= 1 << (bucket(h) & 63)
			s.heads[h] = append(s.heads[h], anchor{folded, i})
		}
	}
	return s
}

// head returns the three bytes at i with the bit of the letters' case set.
func head(s string, i int) uint32 {
	return (uint32(s[i]) | uint32(s[i+1])<<8 | uint32(s[i+2])<<16) | 0x202020
}

func bucket(h uint32) uint32 { return h * 0x9E3779B1 >> 16 }

// fold sets the bit of the letters' case: texts that are equal without case are equal folded.
func fold(c byte) byte { return c | 0x20 }

func foldText(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = fold(b[i])
	}
	return string(b)
}

func (s *scanner) find(text string, hits []hit) []hit {
	if len(s.rules) == 0 || len(text) < 3 {
		return hits
	}
	h := uint32(text[0])<<8 | uint32(text[1])<<16 | 0x202000
	for i := 2; i < len(text); i++ {
		h = h>>8 | (uint32(text[i])|0x20)<<16
		b := bucket(h)
		if s.set[b>>6]&(1<<(b&63)) == 0 {
			continue
		}
		if end := s.try(text, i-2, h, &hits); end > i {
			// Go on behind the secret.
			if end >= len(text) {
				break
			}
			i = end
			h = (uint32(text[i-1])<<8 | uint32(text[i])<<16) | 0x202000
		}
	}
	return hits
}

// try looks for secrets that have their anchor at i. It returns where the longest ends, 0 when there is none.
func (s *scanner) try(text string, i int, h uint32, hits *[]hit) int {
	found := 0
	for _, a := range s.heads[h] {
		if !hasFolded(text[i:], a.text) {
			continue
		}
		r := &s.rules[a.rule]
		start := i
		for start > 0 && i-start < r.back && word(text[start-1]) {
			start--
		}
		if !r.inside && start > 0 && word(text[start-1]) {
			continue
		}
		if r.worth != nil && !r.worth(text[i:]) {
			continue
		}
		m := r.re.FindStringSubmatchIndex(text[start:min(len(text), start+window)])
		if m == nil || m[2*r.group] < 0 {
			continue
		}
		h := hit{start + m[2*r.group], start + m[2*r.group+1], r.id}
		if masked(text[h.start:h.end]) || slices.Contains(*hits, h) {
			continue
		}
		*hits = append(*hits, h)
		found = max(found, h.end)
	}
	return found
}

// masked tells whether a value is a mask already, a variable's name or a placeholder.
func masked(s string) bool {
	return strings.HasPrefix(s, "[redacted") || strings.HasPrefix(s, "$") || strings.Trim(s, "*.xX-") == ""
}

func hasFolded(text, prefix string) bool {
	if len(text) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if fold(text[i]) != prefix[i] {
			return false
		}
	}
	return true
}

// word tells whether c is part of a word. Bytes of other alphabets are not: a key may stand behind a Cyrillic word.
func word(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

// findEmails finds addresses around each @.
func findEmails(s string, rule int, hits []hit) []hit {
	for from := 0; ; {
		at := strings.IndexByte(s[from:], '@')
		if at < 0 {
			return hits
		}
		at += from
		from = at + 1
		start := at
		for start > 0 && at-start < 64 && (word(s[start-1]) || strings.IndexByte(".%+-", s[start-1]) >= 0) {
			start--
		}
		for start < at && (s[start] == '.' || s[start] == '-') {
			start++
		}
		end, dot := at+1, 0
		for end < len(s) && end-at < 255 && (word(s[end]) || s[end] == '.' || s[end] == '-') {
			if s[end] == '.' {
				dot = end
			}
			end++
		}
		// A sentence's full stop is no part of the address.
		for end > at && (s[end-1] == '.' || s[end-1] == '-') {
			end--
			dot = strings.LastIndexByte(s[:end], '.')
		}
		if start < at && dot > at+1 && end-dot >= 3 && !allDigits(s[dot+1:end]) {
			hits = append(hits, hit{start, end, rule})
			from = end
		}
	}
}

func allDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}
