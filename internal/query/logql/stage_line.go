package logql

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// step is a compiled stage: it changes a line and tells whether to keep it.
type step func(ln *line) bool

func (s *LineStage) compile() (step, error) {
	tests := make([]func(string) bool, 0, len(s.Texts))
	for _, t := range s.Texts {
		test, err := s.test(t)
		if err != nil {
			return nil, err
		}
		tests = append(tests, test)
	}
	want := !s.negated()
	return func(ln *line) bool {
		return slices.ContainsFunc(tests, func(test func(string) bool) bool { return test(ln.text) }) == want
	}, nil
}

func (s *LineStage) test(t LineText) (func(string) bool, error) {
	switch {
	case t.IP:
		r, err := parseIPRange(t.Text)
		if err != nil {
			return nil, err
		}
		return r.inText, nil
	case s.Op == "|=", s.Op == "!=":
		return func(text string) bool { return strings.Contains(text, t.Text) }, nil
	case s.Op == "|~", s.Op == "!~":
		re, err := compileRegexp(t.Text)
		if err != nil {
			return nil, err
		}
		return re.MatchString, nil
	default:
		p, err := parsePattern(t.Text, true)
		if err != nil {
			return nil, err
		}
		return func(text string) bool { return p.match(text, nil) }, nil
	}
}

// ipRange is an address, a range a-b or a network.
type ipRange struct{ from, to netip.Addr }

func parseIPRange(text string) (ipRange, error) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefixRange(prefix), nil
	}
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	a, err := netip.ParseAddr(strings.TrimSpace(from))
	b, err2 := netip.ParseAddr(strings.TrimSpace(to))
	if err != nil || err2 != nil || a.BitLen() != b.BitLen() || b.Less(a) {
		return ipRange{}, fmt.Errorf("%q is no address, no range such as 10.0.0.1-10.0.0.9 and no network such as 10.0.0.0/8", text)
	}
	return ipRange{a.WithZone(""), b.WithZone("")}, nil
}

func prefixRange(p netip.Prefix) ipRange {
	first := p.Masked().Addr()
	last := first.AsSlice()
	for bit := p.Bits(); bit < first.BitLen(); bit++ {
		last[bit/8] |= 1 << (7 - bit%8)
	}
	end, _ := netip.AddrFromSlice(last)
	return ipRange{first, end}
}

func (r ipRange) contains(a netip.Addr) bool {
	return a.BitLen() == r.from.BitLen() && !a.Less(r.from) && !r.to.Less(a)
}

// inText tells whether an address in a text is in the range.
func (r ipRange) inText(text string) bool {
	for text != "" {
		begin := strings.IndexFunc(text, isAddressRune)
		if begin < 0 {
			return false
		}
		text = text[begin:]
		end := strings.IndexFunc(text, func(c rune) bool { return !isAddressRune(c) })
		if end < 0 {
			end = len(text)
		}
		if r.isAddress(text[:end]) {
			return true
		}
		text = text[end:]
	}
	return false
}

// isAddress tells whether a word is an address in the range, maybe with a port or a full stop behind it.
func (r ipRange) isAddress(word string) bool {
	if len(word) > 64 {
		return false
	}
	word = strings.Trim(word, ".")
	if a, err := netip.ParseAddr(strings.TrimSuffix(word, ":")); err == nil {
		return r.contains(a)
	}
	ap, err := netip.ParseAddrPort(word)
	return err == nil && r.contains(ap.Addr())
}

func isAddressRune(c rune) bool {
	return c == '.' || c == ':' || c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// pattern is a text with parts that stand for one character or more.
type pattern struct{ parts []patternPart }

// patternPart is a literal, or a capture: with a name, or "_" for one that is not kept.
type patternPart struct{ literal, name string }

var capture = regexp.MustCompile(`<[a-zA-Z_][a-zA-Z0-9_]*>`)

// parsePattern reads a pattern. Where only the line is tested, captures can't have names and need not be there.
func parsePattern(text string, test bool) (*pattern, error) {
	p := &pattern{}
	named, at := map[string]bool{}, 0
	for _, m := range capture.FindAllStringIndex(text, -1) {
		if m[0] > at {
			p.parts = append(p.parts, patternPart{literal: text[at:m[0]]})
		} else if len(p.parts) > 0 {
			return nil, fmt.Errorf("the pattern %q has two captures with nothing between them", text)
		}
		name := text[m[0]+1 : m[1]-1]
		switch {
		case name != "_" && test:
			return nil, fmt.Errorf("the pattern %q names a capture: a line filter has only <_>", text)
		case name != "_" && named[name]:
			return nil, fmt.Errorf("the pattern %q has two captures named %q", text, name)
		}
		named[name] = true
		p.parts = append(p.parts, patternPart{name: name})
		at = m[1]
	}
	if at < len(text) {
		p.parts = append(p.parts, patternPart{literal: text[at:]})
	}
	delete(named, "_")
	if !test && len(named) == 0 {
		return nil, fmt.Errorf("the pattern %q needs a capture with a name, as <method>", text)
	}
	return p, nil
}

// match tells whether a text has the pattern's form, and calls found with its captures as far as it has it.
func (p *pattern) match(text string, found func(name, value string)) bool {
	if len(p.parts) == 0 {
		return text == ""
	}
	for i := 0; i < len(p.parts); i++ {
		part := p.parts[i]
		if part.literal != "" { // the first one: those behind captures are taken with them
			rest, ok := strings.CutPrefix(text, part.literal)
			if !ok {
				return false
			}
			text = rest
			continue
		}
		end, next := len(text), ""
		if i+1 < len(p.parts) {
			next = p.parts[i+1].literal
			if end = strings.Index(text, next); i+2 == len(p.parts) && end >= 0 {
				end = strings.LastIndex(text, next) // the last literal ends the text
			}
		}
		if end < 0 || end == 0 && found == nil {
			return false
		}
		if found != nil && part.name != "_" {
			found(part.name, text[:end])
		}
		text = text[end+len(next):]
		i++
	}
	return text == ""
}

func (s *PatternStage) compile() (step, error) {
	p, err := parsePattern(s.Pattern, false)
	if err != nil {
		return nil, err
	}
	return func(ln *line) bool {
		p.match(ln.text, ln.labels.extract)
		return true
	}, nil
}
