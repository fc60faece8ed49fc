package mindbus

import (
	"bytes"
	"encoding/json"
	"strings"
)

// readObject splits a JSON object into its members, which point into data. Doubled names are an error: readers would
// disagree on which counts.
func readObject(data []byte) (map[string]json.RawMessage, error) {
	if !json.Valid(data) {
		var v json.RawMessage
		return nil, invalid("not JSON: %v", json.Unmarshal(data, &v))
	}
	// From here on the text is known to be right, so that a simple walk finds its parts.
	w := walker{data: data}
	w.space()
	if w.data[w.pos] != '{' {
		return nil, invalid("not a JSON object")
	}
	w.pos++
	fields := make(map[string]json.RawMessage, 16)
	for w.space(); w.data[w.pos] != '}'; w.space() {
		if w.data[w.pos] == ',' {
			w.pos++
			w.space()
		}
		name, err := unquote(w.value())
		if err != nil {
			return nil, err
		}
		if _, twice := fields[name]; twice {
			return nil, invalid("%q is there twice", name)
		}
		w.space()
		w.pos++ // the colon
		w.space()
		fields[name] = w.value()
	}
	return fields, nil
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
