package cost

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// matcher tells whether a name of a model or provider is meant.
type matcher interface{ match(name string) bool }

type (
	equals     string
	startsWith string
	endsWith   string
	contains   string
	pattern    struct{ re, unless *regexp.Regexp }
	anyOf      []matcher
	allOf      []matcher
)

func (m equals) match(s string) bool     { return s == string(m) }
func (m startsWith) match(s string) bool { return strings.HasPrefix(s, string(m)) }
func (m endsWith) match(s string) bool   { return strings.HasSuffix(s, string(m)) }
func (m contains) match(s string) bool   { return strings.Contains(s, string(m)) }
func (m pattern) match(s string) bool {
	return m.re.MatchString(s) && (m.unless == nil || !m.unless.MatchString(s))
}

func (m anyOf) match(s string) bool {
	for _, sub := range m {
		if sub.match(s) {
			return true
		}
	}
	return false
}

func (m allOf) match(s string) bool {
	for _, sub := range m {
		if !sub.match(s) {
			return false
		}
	}
	return true
}

// clause is a matcher as the data write it: an object with one key.
type clause map[string]json.RawMessage

func (c clause) compile() (matcher, error) {
	for kind, raw := range c {
		if kind == "or" || kind == "and" {
			var subs []clause
			if err := json.Unmarshal(raw, &subs); err != nil {
				return nil, fmt.Errorf("read clause %q: %w", kind, err)
			}
			list := make([]matcher, 0, len(subs))
			for _, sub := range subs {
				m, err := sub.compile()
				if err != nil {
					return nil, err
				}
				list = append(list, m)
			}
			if kind == "or" {
				return anyOf(list), nil
			}
			return allOf(list), nil
		}
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, fmt.Errorf("read clause %q: %w", kind, err)
		}
		return newMatcher(kind, text)
	}
	return nil, fmt.Errorf("read clause: it is empty")
}

func newMatcher(kind, text string) (matcher, error) {
	switch kind {
	case "equals":
		return equals(text), nil
	case "starts_with":
		return startsWith(text), nil
	case "ends_with":
		return endsWith(text), nil
	case "contains":
		return contains(text), nil
	case "regex":
		return newPattern(text)
	}
	return nil, fmt.Errorf("read clause: kind %q is not known", kind)
}

// newPattern compiles an expression. The table has some that begin with a look-ahead, ^(?!x)y, which RE2 does not know: they
// hold where ^y does and ^x does not.
func newPattern(text string) (matcher, error) {
	var p pattern
	var err error
	if not, rest, ok := cutLookAhead(text); ok {
		if p.unless, err = regexp.Compile("^(?:" + not + ")"); err != nil {
			return nil, fmt.Errorf("compile clause: %w", err)
		}
		text = "^" + rest
	}
	if p.re, err = regexp.Compile(text); err != nil {
		return nil, fmt.Errorf("compile clause: %w", err)
	}
	return p, nil
}

// cutLookAhead cuts ^(?!not)rest.
func cutLookAhead(text string) (not, rest string, ok bool) {
	body, ok := strings.CutPrefix(text, "^(?!")
	if !ok {
		return "", text, false
	}
	depth := 1
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++
		case '[':
			if end := strings.IndexByte(body[i:], ']'); end > 0 {
				i += end
			}
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return body[:i], body[i+1:], true
			}
		}
	}
	return "", text, false
}
