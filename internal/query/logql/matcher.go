package logql

import (
	"regexp"
	"slices"
	"strings"
)

// wholeRegexp matches whole texts.
type wholeRegexp struct {
	re *regexp.Regexp
	// literals are the only texts that match, where the expression is a list of such.
	literals []string
}

func wholeExpression(pattern string) (*wholeRegexp, error) {
	if _, err := compileRegexp(pattern); err != nil {
		return nil, err // it names what the user wrote
	}
	re, err := compileRegexp(wholePattern(pattern))
	if err != nil {
		return nil, err
	}
	return &wholeRegexp{re: re, literals: literalsOf(pattern)}, nil
}

func wholePattern(pattern string) string { return "^(?s:" + pattern + ")$" }

func (w *wholeRegexp) matches(s string) bool {
	if w.literals != nil {
		return slices.Contains(w.literals, s)
	}
	return w.re.MatchString(s)
}

// literalsOf returns the texts that an expression such as a|b\.c stands for, nil for one that is more than a list.
// Grafana writes the choice of several values that way.
func literalsOf(pattern string) []string {
	var out []string
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '|':
			out = append(out, b.String())
			b.Reset()
		case c == '\\' && i+1 < len(pattern) && strings.IndexByte(`\.+*?()|[]{}^$-/ `, pattern[i+1]) >= 0:
			i++
			b.WriteByte(pattern[i])
		case strings.IndexByte(`\.+*?()[]{}^$`, c) >= 0:
			return nil
		default:
			b.WriteByte(c)
		}
	}
	return append(out, b.String())
}

// Matches tells whether a value meets the condition. A label that is not there has the value "".
func (m *Matcher) Matches(value string) bool {
	switch m.Op {
	case MatchEqual:
		return value == m.Value
	case MatchNotEqual:
		return value != m.Value
	case MatchRegexp:
		return m.re.matches(value)
	default:
		return !m.re.matches(value)
	}
}
