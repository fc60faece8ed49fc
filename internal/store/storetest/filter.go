package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/mindscope/mindscope/internal/store"
)

// splitWords splits a line at blanks outside quotes and brackets; parentheses inside filters are words of their own.
func splitWords(line string) ([]string, error) {
	var words []string
	start, quoted, depth := -1, false, 0
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quoted:
			switch c {
			case '\\':
				i++
			case '"':
				quoted = false
			}
			continue
		case c == '"':
			quoted = true
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case (c == ' ' || c == '\n' || c == '\t') && depth <= 0:
			if start >= 0 {
				words = append(words, line[start:i])
			}
			start = -1
			continue
		}
		if start < 0 {
			start = i
		}
	}
	if quoted {
		return nil, errors.New("a quote is open")
	}
	if start >= 0 {
		words = append(words, line[start:])
	}
	return words, nil
}

// parseValue reads "text", "text"*300, 5, 5.0, true, null, bytes"…", list[…], map{…}.
func parseValue(s string) (store.Value, error) {
	switch {
	case s == "null":
		return store.Value{}, nil
	case s == "true", s == "false":
		return store.Bool(s == "true"), nil
	case strings.HasPrefix(s, "list"):
		return store.SliceJSON(s[len("list"):]), nil
	case strings.HasPrefix(s, "map"):
		return store.MapJSON(s[len("map"):]), nil
	case strings.HasPrefix(s, "bytes"):
		text, err := strconv.Unquote(s[len("bytes"):])
		return store.Bytes(text), err
	case strings.HasPrefix(s, `"`):
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			return store.Value{}, err
		}
		text, err := strconv.Unquote(quoted)
		if times, ok := strings.CutPrefix(s[len(quoted):], "*"); ok {
			n, err := strconv.Atoi(times)
			return store.String(strings.Repeat(text, n)), err
		}
		return store.String(text), err
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return store.Int(n), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	return store.Double(f), err
}

// parseFilter reads a filter written in parentheses:
//
//	(= field value) and != < <= > >=    (in field "a" "b")    (match field "pattern")    (exists field)
//	(text field "words")    (phrase field "words")    (and …)    (or …)    (not …)
//
// The field * of text and phrase is every field.
func parseFilter(s string) (store.Filter, error) {
	p := &filterParser{rest: strings.TrimSpace(s)}
	f, err := p.filter()
	if err == nil && p.rest != "" {
		err = fmt.Errorf("text behind the filter: %s", p.rest)
	}
	return f, err
}

type filterParser struct{ rest string }

func (p *filterParser) eat(c string) bool {
	rest, ok := strings.CutPrefix(strings.TrimSpace(p.rest), c)
	if ok {
		p.rest = strings.TrimSpace(rest)
	}
	return ok
}

func (p *filterParser) word() (string, error) {
	end := strings.IndexAny(p.rest, " \n()")
	if strings.HasPrefix(p.rest, `"`) || strings.HasPrefix(p.rest, `bytes"`) {
		prefix := strings.Index(p.rest, `"`)
		quoted, err := strconv.QuotedPrefix(p.rest[prefix:])
		if err != nil {
			return "", err
		}
		end = prefix + len(quoted)
	}
	if end <= 0 {
		return "", fmt.Errorf("no word at %q", p.rest)
	}
	w := p.rest[:end]
	p.rest = strings.TrimSpace(p.rest[end:])
	return w, nil
}

func (p *filterParser) filter() (store.Filter, error) {
	if !p.eat("(") {
		return nil, fmt.Errorf("no filter at %q", p.rest)
	}
	op, err := p.word()
	if err != nil {
		return nil, err
	}
	switch op {
	case "and", "or", "not":
		return p.tree(op)
	}
	var words []string
	for !p.eat(")") {
		w, err := p.word()
		if err != nil {
			return nil, err
		}
		words = append(words, w)
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("%s of no field", op)
	}
	return leaf(op, words[0], words[1:])
}

func (p *filterParser) tree(op string) (store.Filter, error) {
	var parts []store.Filter
	for !p.eat(")") {
		f, err := p.filter()
		if err != nil {
			return nil, err
		}
		parts = append(parts, f)
	}
	switch {
	case op == "and":
		return store.And(parts), nil
	case op == "or":
		return store.Or(parts), nil
	case len(parts) == 1:
		return store.Not{Filter: parts[0]}, nil
	}
	return nil, errors.New("not takes one filter")
}

func leaf(op, field string, words []string) (store.Filter, error) {
	values := make([]store.Value, len(words))
	for i, w := range words {
		var err error
		if values[i], err = parseValue(w); err != nil {
			return nil, fmt.Errorf("value %s: %w", w, err)
		}
	}
	if op == "exists" {
		return store.Exists{Field: field}, nil
	}
	if op == "in" {
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = v.Text()
		}
		return store.In{Field: field, Values: texts}, nil
	}
	if len(values) != 1 {
		return nil, fmt.Errorf("%s takes one value", op)
	}
	switch op {
	case "match":
		return store.Match{Field: field, Pattern: values[0].Text()}, nil
	case "text", "phrase":
		if field == "*" {
			field = ""
		}
		return store.Text{Field: field, Words: values[0].Text(), Phrase: op == "phrase"}, nil
	}
	return store.Compare{Field: field, Op: store.Op(op), Value: values[0]}, nil
}
