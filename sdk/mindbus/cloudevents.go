package mindbus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ContentType is the media type of an encoded message.
const ContentType = "application/cloudevents+json"

// MaxSize is the largest encoded message, in bytes; it is what RabbitMQ accepts by default.
const MaxSize = 16 << 20

// ErrInvalid marks every error of Encode and Decode: the message or its bytes break a rule, and would break it again.
var ErrInvalid = errors.New("invalid message")

const specVersion = "1.0"

// envelopeSize is about what all but the payload takes of an encoded message, in bytes.
const envelopeSize = 384

// eventType returns the type as CloudEvents has it.
func (t Type) eventType() string {
	switch t {
	case Command:
		return "ai.team.command"
	case Result:
		return "ai.team.result"
	case ErrorResult:
		return "ai.team.error"
	case Event:
		return "ai.team.event"
	case Control:
		return "ai.team.control"
	}
	return "ai.team." + strings.ToLower(string(t))
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Encode returns m as a CloudEvents 1.0 event in structured JSON. The same message always gives the same bytes.
func Encode(m Message) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	body, err := m.appendEvent(make([]byte, 0, len(m.Payload)+envelopeSize))
	if err != nil {
		return nil, invalid("payload: %v", err)
	}
	if len(m.Extensions) > 0 {
		ext, err := encodeJSON(m.Extensions)
		if err != nil {
			return nil, invalid("extensions: %v", err)
		}
		body = append(append(body[:len(body)-1], ','), ext[1:]...)
	}
	if len(body) > MaxSize {
		return nil, invalid("%d bytes, more than %d", len(body), MaxSize)
	}
	return body, nil
}

// appendEvent writes the event without its extensions. The attributes have always the same order.
func (m Message) appendEvent(b []byte) ([]byte, error) {
	b = append(b, `{"specversion":"`+specVersion+`"`...)
	b = appendAttribute(b, "id", m.ID)
	b = appendAttribute(b, "type", m.Type.eventType())
	b = appendAttribute(b, "source", escapeSource(m.From))
	b = appendAttribute(b, "toagent", m.To)
	b = appendAttribute(b, "subject", m.TaskID)
	if !m.Time.IsZero() {
		b = append(b, `,"time":"`...)
		b = m.Time.UTC().AppendFormat(b, time.RFC3339Nano)
		b = append(b, '"')
	}
	b = appendAttribute(b, "traceparent", m.TraceParent)
	b = appendAttribute(b, "tracestate", m.TraceState)
	if len(m.Payload) > 0 {
		b = append(b, `,"datacontenttype":"application/json","data":`...)
		buf := bytes.NewBuffer(b)
		if err := json.Compact(buf, m.Payload); err != nil {
			return nil, err
		}
		b = buf.Bytes()
	}
	return append(b, '}'), nil
}

// appendAttribute writes an attribute that has a value.
func appendAttribute(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	if !isPlainText(value) || strings.ContainsAny(value, `"\`) {
		// Every string has a JSON form.
		quoted, _ := encodeJSON(value)
		return append(b, quoted...)
	}
	b = append(b, '"')
	b = append(b, value...)
	return append(b, '"')
}

// encodeJSON keeps <, > and & as they are, so that prompts stay readable on the wire.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// check reports the first rule that m breaks, by the mission's names of its fields.
func (m Message) check() error {
	switch {
	case m.ID == "":
		return invalid("id is empty")
	case !m.Type.valid():
		return invalid("type %q is none of COMMAND, RESULT, ERROR, EVENT, CONTROL", m.Type)
	case m.From == "":
		return invalid("from_agent is empty")
	case m.To == "":
		return invalid("to_agent is empty")
	}
	for _, f := range [...]struct{ name, text string }{
		{"id", m.ID},
		{"from_agent", m.From},
		{"to_agent", m.To},
		{"trace_id", m.TaskID},
		{"traceparent", m.TraceParent},
		{"tracestate", m.TraceState},
	} {
		if err := checkText(f.name, f.text); err != nil {
			return err
		}
	}
	// RFC 3339 has four digits for the year.
	if y := m.Time.UTC().Year(); !m.Time.IsZero() && (y < 0 || y > 9999) {
		return invalid("time: year %d is not in 0 to 9999", y)
	}
	for name, v := range m.Extensions {
		if err := checkExtension(name, v); err != nil {
			return err
		}
	}
	return nil
}

// checkText applies the CloudEvents type String: Unicode without control characters.
func checkText(name, s string) error {
	if isPlainText(s) {
		return nil
	}
	if !utf8.ValidString(s) {
		return invalid("%s is not valid UTF-8", name)
	}
	for _, r := range s {
		if r < 0x20 || (r >= 0x7f && r <= 0x9f) || r&0xfffe == 0xfffe || (r >= 0xfdd0 && r <= 0xfdef) {
			return invalid("%s has the character %U, which CloudEvents forbids", name, r)
		}
	}
	return nil
}

// isPlainText reports whether s is printable ASCII alone, as nearly all names and ids are.
func isPlainText(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// hasField reports whether the name is data or an attribute that Message has a field for.
func hasField(name string) bool {
	switch name {
	case "specversion", "id", "type", "source", "toagent", "subject", "time", "traceparent", "tracestate",
		"datacontenttype", "dataschema", "data", "data_base64":
		return true
	}
	return false
}

func checkExtension(name string, v any) error {
	if hasField(name) {
		return invalid("extension %q has a field of its own", name)
	}
	if err := checkName(name); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		return checkText(name, v)
	case bool, int32:
		return nil
	}
	return invalid("extension %q is a %T; string, bool and int32 are allowed", name, v)
}

func checkName(name string) error {
	if name == "" {
		return invalid("an attribute has an empty name")
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			return invalid("attribute %q: names are made of a-z and 0-9", name)
		}
	}
	return nil
}

// Decode reads a message from CloudEvents 1.0 structured JSON, or from plain JSON with the six fields id, type,
// from_agent, to_agent, trace_id and payload. It is strict: what breaks a rule of CloudEvents, is no message of the
// team or is cut off is an error that says what is wrong. The bytes may be reused afterwards.
func Decode(data []byte) (Message, error) {
	if len(data) > MaxSize {
		return Message{}, invalid("%d bytes, more than %d", len(data), MaxSize)
	}
	if !utf8.Valid(data) {
		return Message{}, invalid("not valid UTF-8")
	}
	var fields object
	if err := fields.read(data); err != nil {
		return Message{}, err
	}
	_, isEvent := fields.get("specversion")
	_, isPlain := fields.get("from_agent")
	switch {
	case isEvent:
		return decodeEvent(&fields)
	case isPlain:
		return decodePlain(&fields)
	}
	return Message{}, invalid("neither a CloudEvents event (no specversion) nor a plain message (no from_agent)")
}

func decodeEvent(fields *object) (Message, error) {
	var m Message
	r := attrReader{fields: fields}
	if v := r.take("specversion", true); r.err == nil && v != specVersion {
		return m, invalid("specversion is %q, only %q is understood", v, specVersion)
	}
	m.ID = r.take("id", true)
	typeName := r.take("type", true)
	source := r.take("source", true)
	m.To = r.take("toagent", false)
	m.TaskID = r.take("subject", false)
	timestamp := r.take("time", false)
	m.TraceParent = r.take("traceparent", false)
	m.TraceState = r.take("tracestate", false)
	mediaType := r.take("datacontenttype", false)
	schema := r.take("dataschema", false)
	m.Extensions = r.extensions()
	if r.err != nil {
		return m, r.err
	}
	var err error
	if m.Type, err = typeOf(typeName); err != nil {
		return m, err
	}
	if m.From, err = unescapeSource(source); err != nil {
		return m, err
	}
	if schema != "" {
		if u, err := url.Parse(schema); err != nil || !u.IsAbs() {
			return m, invalid("dataschema %q is no absolute URI", schema)
		}
	}
	if m.Time, err = parseTime(timestamp); err != nil {
		return m, err
	}
	if m.Payload, err = decodeData(fields, mediaType); err != nil {
		return m, err
	}
	return m, m.check()
}

// attrReader reads an event's attributes and keeps the first error.
type attrReader struct {
	fields *object
	err    error
}

// take returns an attribute of type string; null is as good as absent.
func (r *attrReader) take(name string, required bool) (s string) {
	raw, there := r.fields.get(name)
	there = there && raw[0] != 'n'
	switch {
	case r.err != nil:
		return ""
	case !there && required:
		r.err = invalid("%s is missing", name)
		return ""
	case !there:
		return ""
	case raw[0] != '"':
		r.err = invalid("%s is not a string", name)
		return ""
	}
	if s, r.err = unquote(raw); r.err == nil && s == "" {
		r.err = invalid("%s is empty", name)
	}
	if r.err == nil {
		r.err = checkText(name, s)
	}
	return s
}

// extensions returns the attributes that Message has no fields for.
func (r *attrReader) extensions() map[string]any {
	var ext map[string]any
	for _, f := range r.fields.members {
		name, raw := f.name, f.raw
		if hasField(name) || r.err != nil {
			continue
		}
		if r.err = checkName(name); r.err != nil {
			return nil
		}
		var v any
		if v, r.err = decodeAttribute(name, raw); r.err != nil || v == nil {
			continue
		}
		if ext == nil {
			ext = make(map[string]any)
		}
		ext[name] = v
	}
	return ext
}

// decodeAttribute reads the value of a context attribute: string, bool or int32; null is as good as absent.
func decodeAttribute(name string, raw json.RawMessage) (any, error) {
	switch raw[0] {
	case '"':
		return unquote(raw)
	case 'n':
		return nil, nil
	case 't', 'f':
		return raw[0] == 't', nil
	case '{', '[':
		return nil, invalid("%s is an object or array; attributes are strings, booleans or integers", name)
	}
	n, err := strconv.ParseInt(string(raw), 10, 32)
	if err != nil {
		return nil, invalid("%s: %s is no 32-bit integer", name, raw)
	}
	return int32(n), nil
}

func decodeData(fields *object, mediaType string) (json.RawMessage, error) {
	data, hasData := fields.get("data")
	if b64, ok := fields.get("data_base64"); ok && string(b64) != "null" {
		if hasData {
			return nil, invalid("data and data_base64 are both there")
		}
		return nil, invalid("data_base64: payloads of the team are JSON, in data")
	}
	if !hasData {
		return nil, nil
	}
	if !jsonMediaType(mediaType) {
		return nil, invalid("datacontenttype %q: payloads of the team are JSON", mediaType)
	}
	return compact(data), nil
}

func jsonMediaType(s string) bool {
	s, _, _ = strings.Cut(strings.ToLower(s), ";")
	s = strings.TrimSpace(s)
	_, sub, _ := strings.Cut(s, "/")
	return s == "" || sub == "json" || strings.HasSuffix(sub, "+json")
}

// compact drops white space between tokens, which Encode drops too, so that decode and encode are inverse.
func compact(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return bytes.Clone(raw)
	}
	return b.Bytes()
}

func typeOf(name string) (Type, error) {
	for _, t := range []Type{Command, Result, ErrorResult, Event, Control} {
		if t.eventType() == name {
			return t, nil
		}
	}
	return "", invalid("type %q is none of ai.team.command, .result, .error, .event, .control", name)
}

func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, invalid("time %q is not RFC 3339", s)
	}
	return t.UTC(), nil
}

// plain is the mission's message before it became an event.
type plain struct {
	id, typ, from, to, task string
}

func decodePlain(fields *object) (Message, error) {
	var p plain
	for name, f := range map[string]*string{
		"id": &p.id, "type": &p.typ, "from_agent": &p.from, "to_agent": &p.to, "trace_id": &p.task,
	} {
		raw, ok := fields.get(name)
		if !ok {
			return Message{}, invalid("%s is missing", name)
		}
		if raw[0] != '"' {
			return Message{}, invalid("%s is not a string", name)
		}
		var err error
		if *f, err = unquote(raw); err != nil {
			return Message{}, err
		}
	}
	m := Message{ID: p.id, Type: Type(p.typ), From: p.from, To: p.to, TaskID: p.task}
	for _, f := range fields.members {
		switch f.name {
		case "id", "type", "from_agent", "to_agent", "trace_id":
		case "payload":
			m.Payload = compact(f.raw)
		default:
			return Message{}, invalid("%q is none of the six fields of a plain message", f.name)
		}
	}
	return m, m.check()
}

// escapeSource makes a URI reference of an agent's name. Most names are one already; an absolute URI stays as it is.
func escapeSource(agent string) string {
	if isPlainName(agent) || isAbsoluteURI(agent) {
		return agent
	}
	// A colon in the first segment would read as a scheme.
	return strings.ReplaceAll(url.PathEscape(agent), ":", "%3A")
}

func unescapeSource(source string) (string, error) {
	if isPlainName(source) {
		return source, nil
	}
	if err := checkURIReference(source); err != nil {
		return "", err
	}
	if isAbsoluteURI(source) {
		return source, nil
	}
	name, err := url.PathUnescape(source)
	if err != nil {
		return "", invalid("source %q: %v", source, err)
	}
	// What unescapes into a URI would be read as one on the next hop.
	if isAbsoluteURI(name) {
		return source, nil
	}
	return name, nil
}

// isPlainName: letters, digits and what else means nothing in a URI, as most agents are named.
func isPlainName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' && c != '~' {
			return false
		}
	}
	return s != ""
}

func isAbsoluteURI(s string) bool {
	if checkURIReference(s) != nil {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && u.IsAbs()
}

// checkURIReference holds s against the characters and percent-encodings of RFC 3986.
func checkURIReference(s string) error {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			return invalid("source %q is no URI reference", s)
		}
	}
	if _, err := url.Parse(s); err != nil {
		return invalid("source %q is no URI reference", s)
	}
	if _, err := url.PathUnescape(s); err != nil {
		return invalid("source %q is no URI reference", s)
	}
	return nil
}
