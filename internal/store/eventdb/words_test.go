package eventdb

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/store"
)

func TestWholeWords(t *testing.T) {
	f := func(words string, phrase bool, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, wholeWords(store.Text{Words: words, Phrase: phrase})); diff != "" {
			t.Errorf("%q, phrase %v:\n%s", words, phrase, diff)
		}
	}
	f("Quiet Lighthouse, 7 in Maine", true, "quiet", "lighthouse", "7", "in", "maine")
	f("Quiet Lighthouse, 7 in Maine", false, "lighthouse", "7", "in")
	f("(whole)", false, "whole")
	f("Привет, МИР", true, "привет", "мир")
	f("snake_case-kebab", true, "snake_case", "kebab")
	f("one", false)
	f("", true)
	f("bad \xff", true)
}

func TestFoldedLen(t *testing.T) {
	for set := range 99_000 {
		n := foldedLen(set)
		if sketchLen%n != 0 || n%64 != 0 || float64(set) > float64(n)*maxFill && n < sketchLen {
			t.Fatalf("%d bits in %d places", set, n)
		}
	}
}

// TestSketch: a group has what was put into it, and hardly anything else.
func TestSketch(t *testing.T) {
	w := newWordHasher()
	rng := rand.New(rand.NewPCG(1, 2))
	hash := func(word string) (out []wordHash) {
		w.each(word, func(h wordHash) { out = append(out, h) })
		return out
	}
	for _, n := range []int{0, 1, 3, 40, 1000, 20_000} {
		s := &sketch{words: w}
		s.reset(nil, false)
		words := make([]string, n)
		for i := range words {
			words[i] = fmt.Sprintf("w%x", rng.Uint32())
		}
		s.add(strings.ToUpper(strings.Join(words, ", ")))
		text := s.String()
		for _, word := range words {
			if !w.mayHave(text, nil, hash(word)) {
				t.Fatalf("%d words: %q is lost", n, word)
			}
		}
		wrong := 0
		for i := range 10_000 {
			if w.mayHave(text, nil, hash(fmt.Sprintf("other%d", i))) {
				wrong++
			}
		}
		if wrong > 600 {
			t.Errorf("%d words: %d of 10 000 others seem to be there", n, wrong)
		}
		if bytes := len(text) - len(sketchMark); n >= 40 && bytes > 2*n {
			t.Errorf("%d words take %d bytes", n, bytes)
		}
	}
}

func TestCommonWordsAreLearned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "words.json")
	c, err := openCommonWords(path)
	if err != nil {
		t.Fatal(err)
	}
	w := newWordHasher()
	s := &sketch{words: w}
	for i := range firstLesson {
		s.reset(nil, true)
		s.add(fmt.Sprintf("the often%d rare%d", i%3, i))
		if err := c.learn(s.buckets); err != nil {
			t.Fatal(err)
		}
	}
	again, err := openCommonWords(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*commonWords{c, again} {
		set, ok := c.find("1")
		if !ok || set != c.current.Load() {
			t.Fatalf("set 1: %v, current %v", set, c.current.Load())
		}
		for word, want := range map[string]bool{"the": true, "often1": true, "rare17": false, "never": false} {
			w.each(word, func(h wordHash) {
				if set.has(h.bucket()) != want {
					t.Errorf("%q is common: %v", word, !want)
				}
			})
		}
	}
	if _, ok := c.find("2"); ok {
		t.Error("there is a second set")
	}
	if err := os.WriteFile(path, []byte(`[{"number":2}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openCommonWords(path); err == nil || !strings.Contains(err.Error(), "words.json") {
		t.Errorf("a damaged file: %v", err)
	}
}

// TestLessonsStayShort: a store that has learned often learns on after a restart.
func TestLessonsStayShort(t *testing.T) {
	f := func(known, lesson int) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "words.json")
		sets := make([]*wordSet, known)
		for i := range sets {
			sets[i] = &wordSet{number: i + 1}
		}
		if err := writeWordSets(path, sets); err != nil {
			t.Fatal(err)
		}
		c, err := openCommonWords(path)
		if err != nil {
			t.Fatal(err)
		}
		if c.lesson != lesson {
			t.Errorf("%d sets are known: the next is made of %d groups, want %d", known, c.lesson, lesson)
		}
	}
	f(0, firstLesson)
	f(1, 2*firstLesson)
	f(8, maxLesson)
	f(20, maxLesson)
	f(maxWordSets, maxLesson)
}

// FuzzWords: whatever holds a text passes the tests that are made of its whole words, by sketch and by spelling.
func FuzzWords(f *testing.F) {
	f.Add("Say Hello to theWorld, 7 times", "hello TO THEWORLD", true)
	f.Add("İstanbul K ſ ß ẞ Ǆ ", "istanbul k", true)
	f.Add("xПривет МИР", "привет мир", false)
	f.Add("a\xffb c", "b C", true)
	w := newWordHasher()
	f.Fuzz(func(t *testing.T, text, words string, phrase bool) {
		if !store.ContainsText(text, words, phrase) {
			return
		}
		s := &sketch{words: w}
		s.reset(nil, false)
		s.add(text)
		e := &encoder{}
		e.odd(text)
		odds := strings.Fields(e.oddColumn())
		written := map[string]bool{}
		for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !isWordRune(r) }) {
			written[word] = true
		}
		for _, word := range wholeWords(store.Text{Words: words, Phrase: phrase}) {
			w.each(word, func(h wordHash) {
				if !w.mayHave(s.String(), nil, []wordHash{h}) {
					t.Errorf("%q has %q, whose word %q is not in the sketch", text, words, word)
				}
			})
			usual := slices.ContainsFunc(spellings(word), func(s string) bool { return written[s] })
			if !usual && !slices.Contains(odds, word) && !slices.Contains(odds, oddMany) {
				t.Errorf("%q has %q, whose word %q is written in none of the ways that are asked for; odd: %q", text, words, word, odds)
			}
		}
	})
}
