package logql

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fastjson"
)

// Kinds of errors that a line is marked with.
const (
	errorJSON    = "JSONParserErr"
	errorLogfmt  = "LogfmtParserErr"
	errorSample  = "SampleExtractionErr"
	errorFilter  = "LabelFilterErr"
	errorFormat  = "TemplateFormatErr"
	maxExtracted = 1000 // labels that one parser takes from a line
)

func (s *RegexpStage) compile() (step, error) {
	re, err := compileRegexp(s.Pattern)
	if err != nil {
		return nil, err
	}
	names := re.SubexpNames()
	return func(ln *line) bool {
		m := re.FindStringSubmatch(ln.text)
		for i := range m {
			if names[i] != "" {
				ln.labels.extract(names[i], m[i])
			}
		}
		return true
	}, nil
}

func (s *JSONStage) compile() (step, error) {
	paths := make([][]string, len(s.Fields))
	for i, f := range s.Fields {
		path, err := parseJSONPath(f.Path)
		if err != nil {
			return nil, err
		}
		paths[i] = path
	}
	var parser fastjson.Parser
	return func(ln *line) bool {
		if !looksLikeJSON(ln.text) {
			ln.labels.fail(errorJSON, errNoObject.Error())
			return true
		}
		v, err := parser.Parse(ln.text)
		if err != nil {
			ln.labels.fail(errorJSON, err.Error())
			return true
		}
		if len(paths) == 0 {
			f := flattener{to: &ln.labels, left: maxExtracted}
			f.object("", v)
			return true
		}
		for i, path := range paths {
			if found := v.Get(path...); found != nil {
				ln.labels.extract(s.Fields[i].Label, jsonText(found))
			}
		}
		return true
	}, nil
}

var errNoObject = errors.New("the line is no JSON object")

// looksLikeJSON tells whether a line begins as an object does.
func looksLikeJSON(text string) bool {
	return strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{")
}

// flattener makes labels of an object: the keys of nested ones are joined with '_', arrays are left out.
type flattener struct {
	to   *lineLabels
	left int
}

func (f *flattener) object(prefix string, v *fastjson.Value) {
	v.GetObject().Visit(func(key []byte, v *fastjson.Value) {
		name := string(key)
		if prefix != "" {
			name = prefix + "_" + name
		}
		switch v.Type() {
		case fastjson.TypeObject:
			f.object(name, v)
		case fastjson.TypeArray:
		default:
			if f.left--; f.left >= 0 {
				f.to.extract(sanitize(name), jsonText(v))
			}
		}
	})
}

// jsonText returns a text as it is, null as "", anything else as JSON.
func jsonText(v *fastjson.Value) string {
	switch v.Type() {
	case fastjson.TypeString:
		return string(v.GetStringBytes())
	case fastjson.TypeNull:
		return ""
	default:
		return string(v.MarshalTo(nil))
	}
}

func checkJSONPath(path string) error {
	_, err := parseJSONPath(path)
	return err
}

// parseJSONPath reads a.b[0]["c d"].
func parseJSONPath(path string) ([]string, error) {
	fail := fmt.Errorf("the path %q can't be read: write it as a.b[0][\"c d\"]", path)
	var out []string
	for rest := path; rest != ""; {
		if rest[0] == '[' {
			key, after, err := bracketed(rest)
			if err != nil {
				return nil, fail
			}
			out, rest = append(out, key), after
			continue
		}
		after, dot := strings.CutPrefix(rest, ".")
		if dot != (len(out) > 0) {
			return nil, fail
		}
		end := strings.IndexAny(after, ".[")
		if end < 0 {
			end = len(after)
		}
		if end == 0 {
			return nil, fail
		}
		out, rest = append(out, after[:end]), after[end:]
	}
	if len(out) == 0 {
		return nil, fail
	}
	return out, nil
}

func bracketed(text string) (key, rest string, err error) {
	if strings.HasPrefix(text, `["`) {
		quoted, err := strconv.QuotedPrefix(text[1:])
		if err != nil {
			return "", "", err
		}
		if key, err = strconv.Unquote(quoted); err != nil {
			return "", "", err
		}
		rest, ok := strings.CutPrefix(text[1+len(quoted):], "]")
		if !ok {
			return "", "", errors.New("no closing bracket")
		}
		return key, rest, nil
	}
	key, rest, ok := strings.Cut(text[1:], "]")
	if !ok {
		return "", "", errors.New("no closing bracket")
	}
	if _, err := strconv.ParseUint(key, 10, 31); err != nil {
		return "", "", err
	}
	return key, rest, nil
}

func (s *LogfmtStage) step() step {
	return func(ln *line) bool {
		left := maxExtracted
		err := eachPair(ln.text, s.Strict, func(key, value string) {
			if len(s.Fields) == 0 {
				if left--; left >= 0 && (value != "" || s.KeepEmpty) {
					ln.labels.extract(sanitize(key), value)
				}
				return
			}
			for _, f := range s.Fields {
				if f.Path == key {
					ln.labels.extract(f.Label, value)
				}
			}
		})
		if err != nil {
			ln.labels.fail(errorLogfmt, err.Error())
		}
		return true
	}
}

// eachPair calls f with the pairs of a line in logfmt: a=1 b="c d" e. strict ends at the first word that is none.
func eachPair(text string, strict bool, f func(key, value string)) error {
	for at := 0; ; {
		for at < len(text) && text[at] <= ' ' {
			at++
		}
		if at == len(text) {
			return nil
		}
		begin := at
		for at < len(text) && text[at] > ' ' && text[at] != '=' && text[at] != '"' {
			at++
		}
		key := text[begin:at]
		if key == "" || at < len(text) && text[at] == '"' || !utf8.ValidString(key) {
			if strict {
				return fmt.Errorf("unexpected %q at position %d", text[at], at+1)
			}
			at = skipWord(text, at)
			continue
		}
		if at == len(text) || text[at] != '=' {
			if strict {
				return fmt.Errorf("the key %q has no value, at position %d", key, begin+1)
			}
			f(key, "")
			continue
		}
		value, end, ok := logfmtValue(text, at+1)
		if !ok {
			if strict {
				return fmt.Errorf("the value of %q has no closing quote, at position %d", key, at+2)
			}
			return nil
		}
		f(key, value)
		at = end
	}
}

func skipWord(text string, at int) int {
	at++
	for at < len(text) && text[at] > ' ' {
		at++
	}
	return at
}

func logfmtValue(text string, at int) (value string, end int, ok bool) {
	if at < len(text) && text[at] == '"' {
		quoted, err := strconv.QuotedPrefix(text[at:])
		if err != nil {
			return "", 0, false
		}
		value, err := strconv.Unquote(quoted)
		return value, at + len(quoted), err == nil
	}
	end = at
	for end < len(text) && text[end] > ' ' {
		end++
	}
	return text[at:end], end, true
}

func (*UnpackStage) step() step {
	var parser fastjson.Parser
	return func(ln *line) bool {
		v, err := parser.Parse(ln.text)
		if err == nil && v.Type() != fastjson.TypeObject {
			err = errNoObject
		}
		if err != nil {
			ln.labels.fail(errorJSON, err.Error())
			return true
		}
		left := maxExtracted
		v.GetObject().Visit(func(key []byte, v *fastjson.Value) {
			if v.Type() != fastjson.TypeString {
				return
			}
			text := string(v.GetStringBytes())
			if string(key) == labelEntry {
				ln.text = text
			} else if left--; left >= 0 {
				ln.labels.extract(sanitize(string(key)), text)
			}
		})
		return true
	}
}

func (*DecolorizeStage) step() step {
	return func(ln *line) bool {
		ln.text = decolorize(ln.text)
		return true
	}
}

// decolorize removes the sequences ESC [ … letter.
func decolorize(s string) string {
	if !strings.Contains(s, "\x1b[") {
		return s
	}
	var b strings.Builder
	for s != "" {
		begin := strings.Index(s, "\x1b[")
		if begin < 0 {
			break
		}
		b.WriteString(s[:begin])
		s = s[begin+2:]
		end := strings.IndexFunc(s, func(r rune) bool { return r >= '@' && r <= '~' })
		if end < 0 {
			return b.String()
		}
		s = s[end+1:]
	}
	return b.String() + s
}

func (s *DropStage) step() step {
	return func(ln *line) bool {
		for _, it := range s.Items {
			if i := ln.labels.find(it.Name); i >= 0 && it.has(ln.labels.list[i].Value) {
				ln.labels.remove(i)
				if it.Name == labelError {
					ln.labels.set(labelErrorDetails, "")
				}
			}
		}
		return true
	}
}

func (it LabelItem) has(value string) bool { return it.Matcher == nil || it.Matcher.Matches(value) }

func (s *KeepStage) step() step {
	return func(ln *line) bool {
		ln.labels.list = slices.DeleteFunc(ln.labels.list, func(l lineLabel) bool {
			if l.Name == labelError || l.Name == labelErrorDetails {
				return false
			}
			return !slices.ContainsFunc(s.Items, func(it LabelItem) bool { return it.Name == l.Name && it.has(l.Value) })
		})
		return true
	}
}
