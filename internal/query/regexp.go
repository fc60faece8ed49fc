// Package query holds what the languages of queries share.
package query

import (
	"fmt"
	"regexp/syntax"
	"slices"
)

const (
	// maxRegexp bounds the instructions of one regular expression: matching takes up to that many steps for each character.
	maxRegexp = 20_000
	// maxRegexps bounds those of all expressions of a query.
	maxRegexps = 200_000
)

// Regexps counts the regular expressions of one query. The zero value has counted none.
type Regexps struct{ size int }

// Add counts an expression, before it is compiled. Its error says that it, or all of them together, would be too large. One
// that can't be read is not counted: compiling it tells why.
func (r *Regexps) Add(pattern string) error {
	n := regexpSize(pattern)
	if n > maxRegexp {
		return fmt.Errorf("the regular expression has about %d instructions, at most %d are allowed: repeat less in it", n, maxRegexp)
	}
	if r.size += n; r.size > maxRegexps {
		return fmt.Errorf("the regular expressions have more than %d instructions together: use fewer, or repeat less in them", maxRegexps)
	}
	return nil
}

// regexpSize estimates the instructions of an expression. Lists of texts count nothing, since they are no larger than the
// query itself: Grafana writes the choice of hundreds of values that way.
func regexpSize(pattern string) int {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || !repeats(re) {
		return 0
	}
	return instructions(re)
}

func repeats(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpStar, syntax.OpPlus, syntax.OpRepeat:
		return true
	}
	return slices.ContainsFunc(re.Sub, repeats)
}

// instructions counts as the compiler does, which writes what is repeated once for each time.
func instructions(re *syntax.Regexp) int {
	n := 0
	for _, sub := range re.Sub {
		n += instructions(sub)
	}
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune)
	case syntax.OpConcat:
		return n
	case syntax.OpAlternate:
		return n + len(re.Sub) - 1
	case syntax.OpCapture:
		return n + 2
	case syntax.OpRepeat:
		return n*max(1, re.Min, re.Max) + max(1, re.Max-re.Min)
	default: // a choice, or one character
		return n + 1
	}
}
