package store

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestContainsText(t *testing.T) {
	for _, c := range []struct {
		text, words  string
		part, phrase bool
	}{
		{"Hello World", "hello", true, true},
		{"Hello World", "ello", true, false},
		{"Hello World", "o w", true, false},
		{"hello_world", "hello", true, false},
		{"say: hello, world!", "Hello, World", true, true},
		{"othello hello", "hello", true, true},
		{"hello1", "hello", true, false},
		{"ÜBER", "über", true, true},
		{"", "", true, true},
		{"", "a", false, false},
		{"a-b", "-", true, true},
	} {
		if got := ContainsText(c.text, c.words, false); got != c.part {
			t.Errorf("%q contains %q: %t", c.text, c.words, got)
		}
		if got := ContainsText(c.text, c.words, true); got != c.phrase {
			t.Errorf("%q contains the phrase %q: %t", c.text, c.words, got)
		}
	}
}

// FuzzFilter: whatever is in a filter, checking, compiling and evaluating it end without a panic, and the two meanings
// of text agree with the simplest ones.
func FuzzFilter(f *testing.F) {
	f.Add("attr.a", "hello world", "hello", "h.*o")
	f.Add("row_id", "5", "5.0", "^$")
	f.Add("", "\xff", "ſK", "(")
	f.Fuzz(func(t *testing.T, field, text, words, pattern string) {
		r := &Row{Kind: KindSpan, ID: text, Fields: []Field{{field, String(text)}, {field, Bytes(words)}}}
		leaves := []Filter{Exists{field}, In{field, []string{text, words}}, Match{field, pattern}, Text{Field: field, Words: words}, Text{Words: words, Phrase: true}}
		for _, op := range []Op{OpEq, OpNe, OpLt, OpLe, OpGt, OpGe, Op(pattern)} {
			leaves = append(leaves, Compare{field, op, String(words)})
		}
		for _, leaf := range leaves {
			m, err := Compile(leaf)
			if (err == nil) != ((Scope{Kind: KindSpan, Filter: leaf}).Check() == nil) {
				t.Fatalf("%#v: Compile says %v, Check does not", leaf, err)
			}
			if err != nil {
				continue
			}
			not, err := Compile(Not{And{leaf, Or{leaf}}})
			if err != nil {
				t.Fatal(err)
			}
			if m(r) == not(r) {
				t.Fatalf("%#v and its negation agree", leaf)
			}
		}
		contains := ContainsText(text, words, false)
		if want := strings.Contains(strings.ToLower(text), strings.ToLower(words)); contains != want {
			t.Fatalf("%q contains %q: %t", text, words, contains)
		}
		if ContainsText(text, words, true) && !contains {
			t.Fatalf("%q contains the phrase %q but not the text", text, words)
		}
		letters := func(s string) bool {
			return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })
		}
		if letters(words) && !ContainsText("("+words+")", words, true) {
			t.Fatalf("the phrase %q is not found in itself", words)
		}
	})
}
