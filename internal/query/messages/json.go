package messages

import (
	"bytes"
	"encoding/json"
	"strings"
)

// node is a JSON value that is decoded level by level, so that what is shown as it came keeps its every byte.
type node struct{ raw []byte }

func (n node) trim() []byte { return bytes.TrimSpace(n.raw) }

func (n node) is(first byte) bool {
	t := n.trim()
	return len(t) > 0 && t[0] == first
}

func (n node) empty() bool {
	t := string(n.trim())
	return t == "" || t == "null" || t == `""` || t == "[]" || t == "{}"
}

// object returns the members of an object, nil when n is none.
func (n node) object() map[string]node {
	if !n.is('{') {
		return nil
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(n.raw, &m) != nil {
		return nil
	}
	out := make(map[string]node, len(m))
	for k, v := range m {
		out[k] = node{v}
	}
	return out
}

// list returns the elements of an array, nil when n is none.
func (n node) list() []node {
	if !n.is('[') {
		return nil
	}
	var l []json.RawMessage
	if json.Unmarshal(n.raw, &l) != nil {
		return nil
	}
	out := make([]node, len(l))
	for i, v := range l {
		out[i] = node{v}
	}
	return out
}

// text returns a string's content, a scalar as it is written, and "" for everything else.
func (n node) text() string {
	t := n.trim()
	switch {
	case len(t) == 0 || t[0] == '{' || t[0] == '[' || string(t) == "null":
		return ""
	case t[0] == '"':
		var s string
		if json.Unmarshal(t, &s) != nil {
			return ""
		}
		return s
	default:
		return string(t)
	}
}

// value returns a string's content, and everything else as it is written.
func (n node) value() string {
	if n.is('"') {
		return n.text()
	}
	if string(n.trim()) == "null" {
		return ""
	}
	return string(n.trim())
}

// pick returns the first of the members that is there and not null.
func pick(m map[string]node, names ...string) node {
	for _, name := range names {
		if n, ok := m[name]; ok && string(n.trim()) != "null" {
			return n
		}
	}
	return node{}
}

// readable returns the texts inside content of any known shape, "" when there are none.
func readable(n node) string {
	if n.is('"') {
		return n.text()
	}
	var texts []string
	items := n.list()
	if m := n.object(); m != nil {
		if items = pick(m, "content", "contents", "parts", "result").list(); items == nil {
			return pick(m, "content", "text", "result", "output").text()
		}
	}
	for _, item := range items {
		if s := pick(item.object(), "text", "content").text(); s != "" {
			texts = append(texts, s)
		}
	}
	return strings.Join(texts, "\n")
}
