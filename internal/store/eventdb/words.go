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
	// sketchLen is the length in bits of a sketch that is being made; a finished one is folded.
	sketchLen = 3 << 16
	// probes is how many bits a word sets.
	probes = 4
	// groupBytes is the text from which a group is closed.
	groupBytes = 24 << 10
	// sketchSigns is the first sign of a sketch's text, which has six bits in each byte. Bytes of this kind are no
	// words to the engine, that would keep a filter of them as large as the sketch itself.
	sketchSigns = 0x80
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

// add takes the words of a text.
func (s *sketch) add(text string) { s.words.each(text, s.word) }

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
	out := make([]byte, 0, n/6+1)
	for at := 0; at < n; at += 6 {
		v := folded[at/64] >> (at % 64)
		if at%64 > 58 && at/64+1 < len(folded) {
			v |= folded[at/64+1] << (64 - at%64)
		}
		out = append(out, sketchSigns|byte(v&63))
	}
	return string(out)
}

// foldedLen returns the shortest length, 3·2^k or 2^k, for a sketch with so many bits. All of them divide sketchLen.
func foldedLen(set int) int {
	n := 192
	all := -sketchLen * math.Log1p(-float64(min(set, sketchLen-1))/sketchLen) // those that met included
	for all > float64(n)*maxFill && n < sketchLen {
		switch {
		case n == sketchLen/2:
			n = sketchLen
		case n&(n-1) == 0:
			n += n / 2
		default:
			n += n / 3
		}
	}
	return n
}

// maxFill is -ln(1 - 0.45): so many bits per place leave 55 % of the places empty.
const maxFill = 0.6

// mayHave tells whether the text of a finished sketch says that its group may have all the words.
func mayHave(text string, common *wordSet, words []wordHash) bool {
	n := uint32(len(text)*6/64) * 64
	if n == 0 {
		return true // not of this release's making
	}
	for _, h := range words {
		if common.has(h.bucket()) {
			continue
		}
		for _, p := range h.places() {
			p %= n
			if text[p/6]>>(p%6)&1 == 0 {
				return false
			}
		}
	}
	return true
}
