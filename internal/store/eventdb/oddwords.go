package eventdb

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mindscope/mindscope/internal/store"
)

// Texts are looked for in any case, while the engine's filters of words, which spare it most of its reading, know words as they
// are written. Nearly all words are written in small letters, with a capital in front or in capitals: a search
// asks for these three. A row with words in another case (userId, iPhone) has them in small letters in a column of
// their own, which a search asks as well.

const (
	colOdd = "_w"
	// oddMany stands in place of more odd words than a row may have: such a row is looked at by every search.
	oddMany     = "0many0"
	maxOddBytes = 1 << 10
	// maxTested bounds how many words of a search are asked for one by one.
	maxTested = 4
)

// odd notes the odd words of a text.
func (e *encoder) odd(text string) {
	if !mayHaveOdd(text) {
		return
	}
	start := -1
	for i, r := range text {
		switch word := isWordRune(r); {
		case word && start < 0:
			start = i
		case !word && start >= 0:
			e.oddWord(text[start:i])
			start = -1
		}
	}
	if start >= 0 {
		e.oddWord(text[start:])
	}
}

// mayHaveOdd tells whether a text has a capital, or a sign that may be one, that does not begin a word.
func mayHaveOdd(text string) bool {
	inWord := false
	for i := range len(text) {
		switch c := text[i]; {
		case c >= utf8.RuneSelf:
			return true
		case c >= 'A' && c <= 'Z':
			if inWord {
				return true
			}
			inWord = true
		default:
			inWord = isWordByte(c)
		}
	}
	return false
}

func (e *encoder) oddWord(word string) {
	low := strings.ToLower(word)
	if slices.Contains(spellings(low), word) || len(e.odds) > maxOddBytes {
		return
	}
	if len(e.odds)+len(low) > maxOddBytes {
		e.odds = append(e.odds[:0], oddMany...)
		e.odds = append(e.odds, make([]byte, maxOddBytes)...) // no more of them
		return
	}
	for w := range strings.SplitSeq(string(e.odds), " ") {
		if w == low {
			return
		}
	}
	if len(e.odds) > 0 {
		e.odds = append(e.odds, ' ')
	}
	e.odds = append(e.odds, low...)
}

// oddColumn returns what the row's column of odd words says, "" when there is none.
func (e *encoder) oddColumn() string {
	if len(e.odds) > maxOddBytes {
		return oddMany
	}
	return string(e.odds)
}

// spellings returns the usual spellings of a word in lower case.
func spellings(low string) []string {
	first, n := utf8.DecodeRuneInString(low)
	return []string{low, strings.ToUpper(string(first)) + low[n:], strings.ToUpper(low)}
}

// hasWords returns a condition for rows that have the whole words of a search in a column ("*": in any), as far as the engine
// tells it without reading texts. Rows from before oldUntil have no column of odd words: they pass. "" stands for a
// search without whole words.
func hasWords(column string, t store.Text, oldUntil int64) string {
	words := slices.DeleteFunc(wholeWords(t), func(w string) bool {
		// What may be a number or a time is not kept as words in each column.
		return strings.Trim(w, "0123456789te") == "" || strings.Trim(w, "0123456789tz") == ""
	})
	if len(words) == 0 {
		return ""
	}
	slices.SortStableFunc(words, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // long ones are rare
	var tests []string
	words = slices.Compact(words)
	for _, w := range words[:min(maxTested, len(words))] {
		var either []string
		for _, s := range spellings(w) {
			either = append(either, column+":"+quote(s))
		}
		if column != "*" {
			either = append(either, quote(colOdd)+":"+quote(w))
		}
		tests = append(tests, "("+strings.Join(slices.Compact(either), " or ")+")")
	}
	out := "(" + strings.Join(tests, " ") + ") or " + quote(colOdd) + ":" + quote(oddMany)
	if oldUntil > 0 {
		out += " or _time:[" + rfc3339(0) + ", " + rfc3339(oldUntil-1) + "]"
	}
	return "(" + out + ")"
}

// textIn returns the condition for rows in which a column ("*": any) may have the text of a search.
func textIn(column string, t store.Text, oldUntil int64) string {
	search := column + ":" + searchText(t)
	if words := hasWords(column, t, oldUntil); words != "" {
		return "(" + words + " " + search + ")"
	}
	return search
}
