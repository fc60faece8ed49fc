package mindbus

import (
	"bytes"
	"encoding/json"
	"strings"
)

// object is the members of a JSON object in their order. An event has about a dozen, for which there is room at once and
// among which looking is faster than hashing; names are looked up in the index when there are many more.
type object struct {
	room    [12]member
	members []member
	index   map[string]int // of members, nil while there are at most maxUnindexed
}

// member is one of an object; raw points into the JSON text.
type member struct {
	name string
	raw  json.RawMessage
}

const maxUnindexed = 32

// get returns a member's value.
func (o *object) get(name string) (json.RawMessage, bool) {
	if o.index != nil {
		i, ok := o.index[name]
		if !ok {
			return nil, false
		}
		return o.members[i].raw, true
	}
	for i := range o.members {
		if o.members[i].name == name {
			return o.members[i].raw, true
		}
	}
	return nil, false
}

func (o *object) add(name string, raw json.RawMessage) {
	o.members = append(o.members, member{name, raw})
	switch {
	case o.index != nil:
		o.index[name] = len(o.members) - 1
	case len(o.members) > maxUnindexed:
		o.index = make(map[string]int, 2*maxUnindexed)
		for i := range o.members {
			o.index[o.members[i].name] = i
		}
	}
}

// read splits a JSON object into its members, which point into data. Doubled names are an error: readers would disagree
// on which counts.
func (o *object) read(data []byte) error {
	if !json.Valid(data) {
		var v json.RawMessage
		return invalid("not JSON: %v", json.Unmarshal(data, &v))
	}
	// From here on the text is known to be right, so that a simple walk finds its parts.
	w := walker{data: data}
	w.space()
	if w.data[w.pos] != '{' {
		return invalid("not a JSON object")
	}
	w.pos++
	o.members = o.room[:0]
	for w.space(); w.data[w.pos] != '}'; w.space() {
		if w.data[w.pos] == ',' {
			w.pos++
			w.space()
		}
		name, err := memberName(w.value())
		if err != nil {
			return err
		}
		if _, twice := o.get(name); twice {
			return invalid("%q is there twice", name)
		}
		w.space()
		w.pos++ // the colon
		w.space()
		o.add(name, w.value())
	}
	return nil
}

// memberName is unquote for names; those that every event has are not made again for each.
func memberName(raw []byte) (string, error) {
	switch string(raw) {
	case `"specversion"`:
		return "specversion", nil
	case `"id"`:
		return "id", nil
	case `"type"`:
		return "type", nil
	case `"source"`:
		return "source", nil
	case `"toagent"`:
		return "toagent", nil
	case `"subject"`:
		return "subject", nil
	case `"time"`:
		return "time", nil
	case `"traceparent"`:
		return "traceparent", nil
	case `"datacontenttype"`:
		return "datacontenttype", nil
	case `"data"`:
		return "data", nil
	}
	return unquote(raw)
}

// walker moves over JSON that is known to be valid.
type walker struct {
	data []byte
	pos  int
}

func (w *walker) space() {
	for strings.IndexByte(" \t\r\n", w.data[w.pos]) >= 0 {
		w.pos++
	}
}

// value passes the value at pos and returns it.
func (w *walker) value() []byte {
	start, depth := w.pos, 0
	for ; w.pos < len(w.data); w.pos++ {
		switch c := w.data[w.pos]; c {
		case '"':
			w.text()
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth < 0 {
				return w.data[start:w.pos] // a number or word at the end of the object
			}
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return w.data[start:w.pos]
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			w.pos++
			return w.data[start:w.pos]
		}
	}
	return w.data[start:w.pos]
}

// text moves to the closing quote of the text that begins at pos.
func (w *walker) text() {
	for w.pos++; w.data[w.pos] != '"'; w.pos++ {
		if w.data[w.pos] == '\\' {
			w.pos++
		}
	}
}

// unquote returns the text that a JSON string stands for.
func unquote(raw []byte) (string, error) {
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", invalid("not JSON: %v", err)
	}
	return s, nil
}
