package llmhttp

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// message is a message in the form of OpenTelemetry's gen_ai.input.messages and gen_ai.output.messages.
type message struct {
	Role         string  `json:"role"`
	Parts        []*part `json:"parts"`
	FinishReason string  `json:"finish_reason,omitempty"`
}

// The kinds of parts.
const (
	textPart      = "text"
	reasoningPart = "reasoning"
	toolCall      = "tool_call"
	toolResponse  = "tool_call_response"
	uriPart       = "uri"
	blobPart      = "blob"
)

// part is a piece of a message.
type part struct {
	kind     string
	id, name string
	mime     string
	// content is the text, the address, or a tool's arguments or result, as JSON where it is JSON.
	content []byte
}

// MarshalJSON implements json.Marshaler.
func (p *part) MarshalJSON() ([]byte, error) {
	m := map[string]any{"type": p.kind}
	switch p.kind {
	case textPart, reasoningPart:
		m["content"] = string(p.content)
	case toolCall:
		m["name"], m["arguments"] = p.name, jsonOrText(p.content)
	case toolResponse:
		m["response"] = jsonOrText(p.content)
	case uriPart:
		m["modality"], m["uri"] = modality(p.mime), string(p.content)
	case blobPart:
		// The bytes are left out: an image is not what a trace is read for.
		m["modality"], m["content"], m["size"] = modality(p.mime), "", len(p.content)
	}
	if p.id != "" {
		m["id"] = p.id
	}
	if p.mime != "" {
		m["mime_type"] = p.mime
	}
	return json.Marshal(m)
}

func jsonOrText(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	if json.Valid(b) {
		return json.RawMessage(b)
	}
	return string(b)
}

func modality(mime string) string {
	switch kind, _, _ := strings.Cut(mime, "/"); kind {
	case "audio", "video":
		return kind
	}
	return "image"
}

// question is what a request asks.
type question struct {
	model       string
	stream      bool
	maxTokens   tokens
	temperature *float64
	// keep says that content is wanted, of which room is left.
	keep   bool
	room   int
	system []*part
	input  []*message
}

// add adds a message of what the parts are.
func (q *question) add(role string, parts ...*part) {
	if !q.keep || q.room <= 0 {
		return
	}
	parts = q.fit(parts)
	if len(parts) > 0 {
		q.input = append(q.input, &message{Role: role, Parts: parts})
	}
}

// instruct adds to the system's instructions.
func (q *question) instruct(parts ...*part) {
	if q.keep {
		q.system = append(q.system, q.fit(parts)...)
	}
}

// fit cuts parts to the room that is left. Blobs take none, since their bytes are not kept.
func (q *question) fit(parts []*part) []*part {
	var fit []*part
	for _, p := range parts {
		if p == nil || q.room <= 0 {
			continue
		}
		if p.kind != blobPart {
			p.content = []byte(cut(string(p.content), q.room))
			q.room -= len(p.content) + len(p.name) + len(p.id)
		}
		fit = append(fit, p)
	}
	return fit
}

// cut cuts text to n bytes, between characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// text is a string, or a number as its digits; all else is empty.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*t = text(s)
	} else if len(b) > 0 && (b[0] == '-' || b[0] >= '0' && b[0] <= '9') {
		*t = text(b)
	}
	return nil
}

// tokens is a count. What is negative, broken or absurd is none.
type tokens int

// UnmarshalJSON implements json.Unmarshaler.
func (n *tokens) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err == nil && f >= 0 && f < 1<<40 && f == math.Trunc(f) {
		*n = tokens(f)
	}
	return nil
}

// decode reads what fits of a document; a member of another type than expected is left out, and of a document that is
// broken there is nothing to report.
func decode(data []byte, into any) {
	if len(data) > 0 {
		_ = json.Unmarshal(data, into) // what fits is read in spite of an error
	}
}

// content reads what most formats have as a message's content: a text, or a list of parts that one reads.
func content(raw json.RawMessage, one func(json.RawMessage) *part) []*part {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return []*part{{kind: textPart, content: []byte(s)}}
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		list = []json.RawMessage{raw}
	}
	parts := make([]*part, 0, len(list))
	for _, item := range list {
		if json.Unmarshal(item, &s) == nil {
			parts = append(parts, &part{kind: textPart, content: []byte(s)})
		} else if p := one(item); p != nil {
			parts = append(parts, p)
		}
	}
	return parts
}

// media makes a part of an address, which may hold the bytes themselves.
func media(mime, uri string) *part {
	if rest, ok := strings.CutPrefix(uri, "data:"); ok {
		head, data, _ := strings.Cut(rest, ",")
		own, _, _ := strings.Cut(head, ";")
		return &part{kind: blobPart, mime: own, content: []byte(data)}
	}
	return &part{kind: uriPart, mime: mime, content: []byte(uri)}
}

// plain returns a JSON string's text, and all else as it is.
func plain(raw json.RawMessage) []byte {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return []byte(s)
	}
	return raw
}
