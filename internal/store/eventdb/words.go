package eventdb

import (
	"math"
	"math/bits"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mindscope/mindscope/internal/store"
)

// A phrase is looked for in any case, and in texts whose words are nearly all the same ones: neither does the engine have an
// answer to without reading every text. So payloads that are stored together are a group, and a row of its own keeps
// which words a group has: a sketch, a Bloom filter of the words in lower case. A search reads the sketches, about a
// fortieth of the texts, and then the texts of the few groups that may have all the words.
//
// What is here decides what is on disk: hashes, places and folding must stay as they are (docs/format/eventdb.md).

const (
	// sketchLen is the length in bits of a sketch that is being made; a finished one is folded. 64 of its bits at a time
	// are 2^5·3·5·7, which many lengths divide.
	sketchLen = 64 * 3360
	// probes is how many bits a word sets.
	probes = 4
	// groupBytes is the text from which a group is closed.
	groupBytes = 24 << 10
	// signBits is how many bits of a sketch a byte of its text has.
	signBits = 7
)

// wordHash stands for a word in lower case.
type wordHash uint64

// bucket is a word's place among those that are counted to learn which words are common.
func (h wordHash) bucket() uint16 { return uint16(h >> 48) }

// places returns the bits of a word in a sketch that is not folded.
func (h wordHash) places() (out [probes]uint32) {
	x, step := uint32(h), uint32(h>>32)|1
	for i := range out {
		out[i] = uint32(uint64(x) * sketchLen >> 32)
		x += step
	}
	return out
}

// wordHasher hashes the words of texts. It is read only.
type wordHasher struct {
	// signs has a number for each byte that is part of a word, the same one for both cases of a letter; 0 for others.
	signs [256]uint64
	// alphabet are the bytes of a sketch's text, and index is which one a byte is. The engine sees no words in them, of
	// which it would keep a filter as large as the sketch itself: all ASCII but letters, digits, '_' and NUL, and
	// the bytes that continue a letter of UTF-8, without one that begins it.
	alphabet [1 << signBits]byte
	index    [256]byte
}

func newWordHasher() *wordHasher {
	w := &wordHasher{}
	x := uint64(0x6d696e6473636f70)
	for c := range 256 {
		// SplitMix64: any numbers do that are well mixed and stay the same.
		x += 0x9e3779b97f4a7c15
		z := (x ^ x>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		if c >= utf8.RuneSelf || isWordByte(byte(c)) {
			w.signs[c] = z ^ z>>31
		}
	}
	for c := 'A'; c <= 'Z'; c++ {
		w.signs[c] = w.signs[c-'A'+'a']
	}
	n := byte(0)
	for c := 1; c < 0xc0; c++ {
		if !isWordByte(byte(c)) {
			w.alphabet[n], w.index[c] = byte(c), n
			n++
		}
	}
	return w
}

func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isWordRune(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// each calls f for every word of a text, in lower case and any number of times. The words are those that
// store.ContainsText sees.
func (w *wordHasher) each(text string, f func(wordHash)) {
	var h uint64
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			i++
			if v := w.signs[c]; v != 0 {
				h = bits.RotateLeft64(h, 5) ^ v
			} else if h != 0 {
				f(finished(h))
				h = 0
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		i += n
		if r = unicode.ToLower(r); !isWordRune(r) {
			if h != 0 {
				f(finished(h))
				h = 0
			}
			continue
		}
		var b [utf8.UTFMax]byte
		for _, c := range b[:utf8.EncodeRune(b[:], r)] {
			h = bits.RotateLeft64(h, 5) ^ w.signs[c]
		}
	}
	if h != 0 {
		f(finished(h))
	}
}

// finished mixes the bits of a word, most of which stand in a few places of short ones.
func finished(h uint64) wordHash {
	h *= 0x9e3779b97f4a7c15
	return wordHash(h ^ h>>29)
}

// wholeWords returns the words, in lower case, that a text has as whole words when it holds what is asked for. Those at
// the edges may be parts of words unless a phrase is asked for.
func wholeWords(t store.Text) []string {
	if !utf8.ValidString(t.Words) {
		return nil
	}
	low := strings.ToLower(t.Words)
	var out []string
	start := -1
	for i, r := range low + " " {
		switch word := isWordRune(r); {
		case word && start < 0:
			start = i
		case !word && start >= 0:
			if t.Phrase || start > 0 && i < len(low) {
				out = append(out, low[start:i])
			}
			start = -1
		}
	}
	return out
}

// sketch is the filter of the words of a group that is being stored.
type sketch struct {
	words *wordHasher
	// common are the words that are left out.
	common *wordSet
	bits   [sketchLen / 64]uint64
	// buckets are those of all words, when they are counted.
	buckets  *bucketSet
	counting bool
}

func (s *sketch) reset(common *wordSet, counting bool) {
	clear(s.bits[:])
	s.common, s.counting = common, counting
	if !counting {
		return
	}
	if s.buckets == nil {
		s.buckets = &bucketSet{}
	}
	clear(s.buckets[:])
}

// add takes the words of a text. Most texts are ASCII to their end; for them it is each without its calls.
func (s *sketch) add(text string) {
	var h uint64
	for i := range len(text) {
		c := text[i]
		if c >= utf8.RuneSelf {
			i -= len(text[:i]) - len(strings.TrimRightFunc(text[:i], func(r rune) bool { return r < utf8.RuneSelf && isWordByte(byte(r)) }))
			s.words.each(text[i:], s.word) // from the beginning of this word on
			return
		}
		if v := s.words.signs[c]; v != 0 {
			h = bits.RotateLeft64(h, 5) ^ v
		} else if h != 0 {
			s.word(finished(h))
			h = 0
		}
	}
	if h != 0 {
		s.word(finished(h))
	}
}

func (s *sketch) word(h wordHash) {
	b := h.bucket()
	if s.counting {
		s.buckets.set(b)
	}
	if s.common.has(b) {
		return
	}
	for _, p := range h.places() {
		s.bits[p/64] |= 1 << (p % 64)
	}
}

// String returns the sketch folded to the shortest length at which less than half of its bits are set.
func (s *sketch) String() string {
	set := 0
	for _, w := range s.bits {
		set += bits.OnesCount64(w)
	}
	n := foldedLen(set)
	folded := make([]uint64, n/64)
	for i, w := range s.bits {
		folded[i%len(folded)] |= w
	}
	out := append(make([]byte, 0, len(sketchMark)+n/signBits+1), sketchMark...)
	for at := 0; at < n; at += signBits {
		v := folded[at/64] >> (at % 64)
		if at%64 > 64-signBits && at/64+1 < len(folded) {
			v |= folded[at/64+1] << (64 - at%64)
		}
		out = append(out, s.words.alphabet[v&(1<<signBits-1)])
	}
	return string(out)
}

// foldedLen returns the shortest length for a sketch with so many bits, one that divides sketchLen.
func foldedLen(set int) int {
	all := -sketchLen * math.Log1p(-float64(min(set, sketchLen-1))/sketchLen) // those that met included
	for n := 64; n < sketchLen; n += 64 {
		if all <= float64(n)*maxFill && sketchLen%n == 0 {
			return n
		}
	}
	return sketchLen
}

// sketchMark is in front of a sketch (see hashMark); it is long enough to be noticed between them.
const sketchMark = hashMark + hashMark + hashMark + hashMark

// maxFill is -ln(1 - 0.45): so many bits per place leave 55 % of the places empty.
const maxFill = 0.6

// mayHave tells whether the text of a finished sketch says that its group may have all the words.
func (w *wordHasher) mayHave(text string, common *wordSet, words []wordHash) bool {
	text = strings.TrimPrefix(text, sketchMark)
	n := uint32(len(text)*signBits/64) * 64
	if n == 0 {
		return true // not of this release's making
	}
	for _, h := range words {
		if common.has(h.bucket()) {
			continue
		}
		for _, p := range h.places() {
			p %= n
			if w.index[text[p/signBits]]>>(p%signBits)&1 == 0 {
				return false
			}
		}
	}
	return true
}
