package logql

import (
	"errors"
	"fmt"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
)

const (
	// maxTemplateBytes bounds what one template writes for a line, and each text that its functions make.
	maxTemplateBytes = 256 << 10
	// maxTemplateTurns bounds the turns of all of its loops for a line.
	maxTemplateTurns = 10_000
)

var (
	errTemplateBytes = fmt.Errorf("a template may write at most %d bytes for a line", maxTemplateBytes)
	errTemplateTurns = fmt.Errorf("a template may loop at most %d times for a line", maxTemplateTurns)
)

// lineTemplate is a compiled template. It is for one goroutine.
type lineTemplate struct {
	tmpl  *template.Template
	line  *line // the one that is written
	turns int
	// worked counts the bytes that functions worked through for the line.
	worked int
	out    boundedBuilder
	data   map[string]string
}

// compileTemplate reads a template. Named templates are refused, since they may call themselves without an end, and every
// turn of a loop is counted.
func compileTemplate(text string) (*lineTemplate, error) {
	t := &lineTemplate{data: map[string]string{}}
	funcs := templateFuncs()
	funcs["__line__"] = func() string { return t.line.text }
	funcs["__timestamp__"] = func() time.Time { return time.Unix(0, t.line.at).UTC() }
	funcs[turnFunc] = func() (string, error) {
		if t.turns++; t.turns > maxTemplateTurns {
			return "", errTemplateTurns
		}
		return "", t.work(0)
	}
	t.meter(funcs)
	var err error
	if t.tmpl, err = template.New("template").Option("missingkey=zero").Funcs(funcs).Parse(text); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	if len(t.tmpl.Templates()) > 1 {
		return nil, errors.New("a template can't define or call others")
	}
	turn, err := template.New("turn").Funcs(funcs).Parse("{{" + turnFunc + "}}")
	if err != nil {
		return nil, err
	}
	if t.tmpl.Tree == nil || t.tmpl.Root == nil {
		return t, nil // it writes nothing
	}
	return t, countTurns(t.tmpl.Root, turn.Root.Nodes[0])
}

const turnFunc = "__turn__"

// countTurns puts a call of turnFunc into every loop below n.
func countTurns(n parse.Node, turn parse.Node) error {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		for _, one := range n.Nodes {
			if err := countTurns(one, turn); err != nil {
				return err
			}
		}
	case *parse.IfNode:
		return errors.Join(countTurns(n.List, turn), countTurns(n.ElseList, turn))
	case *parse.WithNode:
		return errors.Join(countTurns(n.List, turn), countTurns(n.ElseList, turn))
	case *parse.RangeNode:
		if err := errors.Join(countTurns(n.List, turn), countTurns(n.ElseList, turn)); err != nil {
			return err
		}
		n.List.Nodes = append([]parse.Node{turn}, n.List.Nodes...)
	case *parse.TemplateNode:
		return errors.New("a template can't define or call others")
	}
	return nil
}

// boundedBuilder refuses to grow past maxTemplateBytes.
type boundedBuilder struct{ strings.Builder }

func (b *boundedBuilder) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxTemplateBytes {
		return 0, errTemplateBytes
	}
	return b.Builder.Write(p)
}

// write returns what the template makes of a line.
func (t *lineTemplate) write(ln *line) (string, error) {
	t.line, t.turns, t.worked = ln, 0, 0
	t.out.Reset()
	clear(t.data)
	for i := range ln.labels.list {
		t.data[ln.labels.list[i].Name] = ln.labels.list[i].Value
	}
	if err := t.tmpl.Execute(&t.out, t.data); err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	return t.out.String(), nil
}

func (s *LineFormatStage) compile() (step, error) {
	t, err := compileTemplate(s.Template)
	if err != nil {
		return nil, err
	}
	return func(ln *line) bool {
		text, err := t.write(ln)
		if err != nil {
			ln.labels.fail(errorFormat, err.Error())
			return true
		}
		ln.text = text
		return true
	}, nil
}

func (s *LabelFormatStage) compile() (step, error) {
	templates := make([]*lineTemplate, len(s.Items))
	for i, f := range s.Items {
		if f.From != "" {
			continue
		}
		t, err := compileTemplate(f.Template)
		if err != nil {
			return nil, err
		}
		templates[i] = t
	}
	return func(ln *line) bool {
		for i, f := range s.Items {
			if t := templates[i]; t == nil {
				if value := ln.labels.get(f.From); value != "" && f.From != f.Label {
					ln.labels.set(f.From, "")
					ln.labels.set(f.Label, value)
				}
				continue
			}
			text, err := templates[i].write(ln)
			if err != nil {
				ln.labels.fail(errorFormat, err.Error())
				continue
			}
			ln.labels.set(f.Label, text)
		}
		return true
	}, nil
}
