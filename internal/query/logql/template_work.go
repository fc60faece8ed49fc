package logql

import (
	"fmt"
	"text/template"
)

const (
	// maxTemplateWork bounds the bytes that the functions of a template work through for a line.
	maxTemplateWork = 32 << 20
	// regexpWork is what compiling a regular expression costs at least, in bytes of work.
	regexpWork = 1000
)

var errTemplateWork = fmt.Errorf("a template may work through at most %d MiB of text for a line", maxTemplateWork>>20)

// work notes that a function is about to work through n bytes. It returns an error when that is too much, and when nobody
// waits for the answer any more.
func (t *lineTemplate) work(n int) error {
	if t.worked += n; t.worked > maxTemplateWork {
		return errTemplateWork
	}
	if t.line.done == nil {
		return nil
	}
	return t.line.done()
}

// meter makes the functions count their work that take long: a loop may call each of them for every turn.
func (t *lineTemplate) meter(funcs template.FuncMap) {
	funcs["count"] = func(pattern, s string) (int, error) {
		if err := t.work(regexpWork + len(pattern) + len(s)); err != nil {
			return 0, err
		}
		return countMatches(pattern, s)
	}
	for name, f := range map[string]func(pattern, s, with string) (string, error){
		"regexReplaceAll": regexReplaceAll, "regexReplaceAllLiteral": regexReplaceAllLiteral,
	} {
		funcs[name] = func(pattern, s, with string) (string, error) {
			if err := t.work(regexpWork + len(pattern) + len(s)); err != nil {
				return "", err
			}
			return f(pattern, s, with)
		}
	}
	replace := func(s, old, with string, n int) (string, error) {
		if err := t.work(len(s)); err != nil {
			return "", err
		}
		return replaceN(s, old, with, n)
	}
	funcs["Replace"] = replace
	funcs["replace"] = func(old, with, s string) (string, error) { return replace(s, old, with, -1) }
	funcs["repeat"] = func(n int, s string) (string, error) {
		text, err := repeat(n, s)
		if err != nil {
			return "", err
		}
		return text, t.work(len(text))
	}
	funcs["fromJson"] = func(s string) (any, error) {
		if err := t.work(len(s)); err != nil {
			return nil, err
		}
		return fromJSON(s)
	}
}
