package eventdb

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/mindscope/mindscope/internal/store"
)

// Words that a good part of all groups have tell nothing apart and are half of what a sketch would hold. Which words these
// are is learned from the stored texts themselves, whatever their language. Each set that was learned has a
// number, which the sketches made with it carry; without the set, such a sketch leaves every word open.

const (
	// firstLesson is how many counted groups the first set is made of; each later one takes twice as many.
	firstLesson = 128
	// countEvery is which part of the groups are counted.
	countEvery = 2
	// maxLesson bounds a lesson: a word is counted in 16 bits.
	maxLesson = 1 << 15
	// commonPart of the groups have a word that is common: a quarter.
	commonPart = 4
	// maxWordSets bounds how many sets there are; a set takes 8 KiB.
	maxWordSets = 64
)

// bucketSet is a set of words by their buckets.
type bucketSet [1 << 16 / 64]uint64

func (s *bucketSet) set(b uint16) { s[b/64] |= 1 << (b % 64) }

// wordSet are words that sketches leave out. The nil set is empty.
type wordSet struct {
	number  int
	buckets bucketSet
}

func (s *wordSet) has(bucket uint16) bool {
	return s != nil && s.buckets[bucket/64]>>(bucket%64)&1 == 1
}

// id names the set in rows.
func (s *wordSet) id() string {
	if s == nil {
		return "0"
	}
	return strconv.Itoa(s.number)
}

// commonWords learns which words are common and keeps the sets there have been.
type commonWords struct {
	path    string
	current atomic.Pointer[wordSet]
	groups  atomic.Uint64

	mu      sync.Mutex
	sets    []*wordSet // number n is at n-1
	counts  []uint16
	counted int
	lesson  int
}

// storedWordSet is a set in the file of sets, a JSON array.
type storedWordSet struct {
	Number  int    `json:"number"`
	Buckets string `json:"buckets"` // base64 of 8 KiB, a bit for each bucket
}

func openCommonWords(path string) (*commonWords, error) {
	c := &commonWords{path: path, lesson: firstLesson}
	text, err := readSealed(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	var all []storedWordSet
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("%w: file %s: %w", store.ErrCorrupt, path, err)
	}
	for i, s := range all {
		data, err := base64.StdEncoding.DecodeString(s.Buckets)
		set := &wordSet{number: s.Number}
		if err != nil || len(data) != len(set.buckets)*8 || s.Number != i+1 {
			return nil, fmt.Errorf("%w: file %s: set %d", store.ErrCorrupt, path, i+1)
		}
		for j, b := range data {
			set.buckets[j/8] |= uint64(b) << (j % 8 * 8)
		}
		c.sets = append(c.sets, set)
		c.current.Store(set)
		c.lesson = min(2*c.lesson, maxLesson)
	}
	return c, nil
}

// next returns the set for a new group and whether the group is one of those that are counted.
func (c *commonWords) next() (s *wordSet, count bool) {
	return c.current.Load(), c.groups.Add(1)%countEvery == 0
}

// find returns the set of an id; false when it is not known.
func (c *commonWords) find(id string) (*wordSet, bool) {
	if id == "0" {
		return nil, true
	}
	n, err := strconv.Atoi(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || n < 1 || n > len(c.sets) {
		return nil, false
	}
	return c.sets[n-1], true
}

// learn takes the words of a group into account.
func (c *commonWords) learn(words *bucketSet) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = make([]uint16, 1<<16)
	}
	for i, w := range words {
		for ; w != 0; w &= w - 1 {
			c.counts[i*64+bits.TrailingZeros64(w)]++
		}
	}
	if c.counted++; c.counted < c.lesson {
		return nil
	}
	set, least := &wordSet{number: len(c.sets) + 1}, uint16(c.counted/commonPart)
	for b, n := range c.counts {
		if n >= least {
			set.buckets.set(uint16(b))
		}
	}
	c.counts, c.counted, c.lesson = nil, 0, min(2*c.lesson, maxLesson)
	if len(c.sets) == maxWordSets || !c.current.Load().differs(set) {
		return nil
	}
	sets := append(slices.Clone(c.sets), set)
	if err := writeWordSets(c.path, sets); err != nil {
		return fmt.Errorf("keep the common words: %w", err)
	}
	c.sets = sets
	c.current.Store(set)
	return nil
}

// differs tells whether another set is worth its place: it has a tenth more or other words.
func (s *wordSet) differs(other *wordSet) bool {
	both, apart := 0, 0
	for i, w := range other.buckets {
		var ours uint64
		if s != nil {
			ours = s.buckets[i]
		}
		both += bits.OnesCount64(w & ours)
		apart += bits.OnesCount64(w ^ ours)
	}
	return apart*10 > both
}

func writeWordSets(path string, sets []*wordSet) error {
	all := make([]storedWordSet, len(sets))
	for i, s := range sets {
		data := make([]byte, len(s.buckets)*8)
		for j := range data {
			data[j] = byte(s.buckets[j/8] >> (j % 8 * 8))
		}
		all[i] = storedWordSet{Number: s.number, Buckets: base64.StdEncoding.EncodeToString(data)}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return writeSealed(path, text)
}
