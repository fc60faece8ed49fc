package store

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Matcher tells whether a row passes a compiled filter. It is safe for concurrent use.
type Matcher func(r *Row) bool

// Compile turns a filter into a Matcher: the meaning that every engine must agree with. It returns an error that wraps
// ErrBadQuery for a pattern that is no RE2 expression, an unknown operator and a nil node inside the tree.
func Compile(f Filter) (Matcher, error) {
	switch f := f.(type) {
	case nil:
		return func(*Row) bool { return true }, nil
	case And:
		return compileAll([]Filter(f), func(ms []Matcher, r *Row) bool {
			for _, m := range ms {
				if !m(r) {
					return false
				}
			}
			return true
		})
	case Or:
		return compileAll([]Filter(f), func(ms []Matcher, r *Row) bool {
			for _, m := range ms {
				if m(r) {
					return true
				}
			}
			return false
		})
	case Not:
		if f.Filter == nil {
			return nil, badQuery("not of nothing")
		}
		m, err := Compile(f.Filter)
		if err != nil {
			return nil, err
		}
		return func(r *Row) bool { return !m(r) }, nil
	case Compare:
		return compileCompare(f)
	case In:
		return compileIn(f), nil
	case Match:
		re, err := regexp.Compile(f.Pattern)
		if err != nil {
			return nil, badQuery("pattern on field %q: %v", f.Field, err)
		}
		return func(r *Row) bool { return re.MatchString(textOf(r, f.Field)) }, nil
	case Exists:
		return func(r *Row) bool { return textOf(r, f.Field) != "" }, nil
	case Text:
		return compileText(f), nil
	default:
		return nil, badQuery("unknown condition %T", f)
	}
}

func compileIn(f In) Matcher {
	values := make(map[string]struct{}, len(f.Values))
	for _, v := range f.Values {
		values[v] = struct{}{}
	}
	return func(r *Row) bool {
		_, ok := values[textOf(r, f.Field)]
		return ok
	}
}

func compileAll(fs []Filter, join func([]Matcher, *Row) bool) (Matcher, error) {
	ms := make([]Matcher, 0, len(fs))
	for _, f := range fs {
		if f == nil {
			return nil, badQuery("nothing inside and/or")
		}
		m, err := Compile(f)
		if err != nil {
			return nil, err
		}
		ms = append(ms, m)
	}
	return func(r *Row) bool { return join(ms, r) }, nil
}

func compileCompare(c Compare) (Matcher, error) {
	want := c.Value.Text()
	number, isNumber := c.Value.Number()
	order := func(ok func(a, b float64) bool) Matcher {
		return func(r *Row) bool {
			n, rowHas := valueOf(r, c.Field).Number()
			return isNumber && rowHas && ok(n, number)
		}
	}
	switch c.Op {
	case OpEq:
		return func(r *Row) bool { return textOf(r, c.Field) == want }, nil
	case OpNe:
		return func(r *Row) bool { return textOf(r, c.Field) != want }, nil
	case OpLt:
		return order(func(a, b float64) bool { return a < b }), nil
	case OpLe:
		return order(func(a, b float64) bool { return a <= b }), nil
	case OpGt:
		return order(func(a, b float64) bool { return a > b }), nil
	case OpGe:
		return order(func(a, b float64) bool { return a >= b }), nil
	default:
		return nil, badQuery("unknown operator %q on field %q", c.Op, c.Field)
	}
}

func textOf(r *Row, field string) string { return valueOf(r, field).Text() }

// valueOf returns a field's value. The row's id and kind are fields to filters.
func valueOf(r *Row, field string) Value {
	switch field {
	case FieldRowID:
		return String(r.ID)
	case FieldKind:
		return String(string(r.Kind))
	}
	return r.Get(field)
}

func compileText(t Text) Matcher {
	has := func(s string) bool { return ContainsText(s, t.Words, t.Phrase) }
	if t.Field != "" {
		return func(r *Row) bool { return has(textOf(r, t.Field)) }
	}
	return func(r *Row) bool {
		return slices.ContainsFunc(r.Fields, func(f Field) bool { return has(f.Value.Text()) })
	}
}

// ContainsText tells whether s contains words, in any case; with phrase, only where they begin and end at the edge of
// a word. A word is a run of letters, digits and '_'.
func ContainsText(s, words string, phrase bool) bool {
	if words == "" {
		return true
	}
	s, words = strings.ToLower(s), strings.ToLower(words)
	if !phrase {
		return strings.Contains(s, words)
	}
	first, _ := utf8.DecodeRuneInString(words)
	last, _ := utf8.DecodeLastRuneInString(words)
	for from := 0; ; {
		i := strings.Index(s[from:], words)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(words)
		before, _ := utf8.DecodeLastRuneInString(s[:start])
		after, _ := utf8.DecodeRuneInString(s[end:])
		if (start == 0 || !isWord(first) || !isWord(before)) && (end == len(s) || !isWord(last) || !isWord(after)) {
			return true
		}
		_, size := utf8.DecodeRuneInString(s[start:])
		from = start + size
	}
}

func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
