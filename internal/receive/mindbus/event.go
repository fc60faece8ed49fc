package mindbus

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// kind is what a message is.
type kind uint8

const (
	other kind = iota // a CloudEvent of a type that is not the team's
	command
	result
	failure
	event
	control
)

// name is the mission's name of the type.
func (k kind) name() string {
	return [...]string{"", "COMMAND", "RESULT", "ERROR", "EVENT", "CONTROL"}[k]
}

func (k kind) answers() bool { return k == result || k == failure }

// Delivery is what a broker hands out, as far as the tap reads it.
type Delivery struct {
	Exchange, Key                           string
	MessageID, CorrelationID, ReplyTo, Type string
	Headers                                 map[string]string
	Redelivered                             bool
	Body                                    []byte
}

// message is one message as the tap knows it. Its texts are its own.
type message struct {
	id, eventType, from, to, task string
	kind                          kind
	correlation                   string
	key                           string
	size                          int
	redelivered                   bool

	at       time.Time // when it was sent, by the sender's clock unless that is far off
	received time.Time
	skew     time.Duration // how far off

	hop            spanContext // of the sender's send span
	team, taskType string      // from the baggage

	model                   string
	tokens, input, output   int64
	hasTokens, hasSplit     bool
	cost                    float64
	errorCode, errorMessage string
	text                    string // the payload, for the log of events; gone once that is written
}

// spanContext is a W3C trace context.
type spanContext struct {
	trace [16]byte
	span  [8]byte
	ok    bool
}

// unreadable says why bytes are no message. There are few reasons: each is a label.
type unreadable struct{ reason, detail string }

func (e *unreadable) Error() string { return e.reason + ": " + e.detail }

// Reasons why a message can't be read.
const (
	tooBig     = "too_big"
	notJSON    = "not_json"
	notMessage = "not_a_message"
)

// maxText bounds the payload that goes into a log record.
const maxText = 64 << 10

// envelope has the fields of both forms: a CloudEvent's and the mission's.
type envelope struct {
	SpecVersion string          `json:"specversion"`
	ID          json.RawMessage `json:"id"`
	Type        string          `json:"type"`
	Source      string          `json:"source"`
	ToAgent     string          `json:"toagent"`
	Subject     string          `json:"subject"`
	Time        string          `json:"time"`
	TraceParent string          `json:"traceparent"`
	Data        json.RawMessage `json:"data"`

	From    string          `json:"from_agent"`
	To      string          `json:"to_agent"`
	TraceID json.RawMessage `json:"trace_id"`
	Payload json.RawMessage `json:"payload"`
}

// decode reads a delivery. What is there of a message that can't be read is returned with why.
func decode(d Delivery, maxBytes int, received time.Time) (message, *unreadable) {
	m := message{
		key: d.Key, size: len(d.Body), redelivered: d.Redelivered, received: received, at: received,
		correlation: d.CorrelationID, id: d.MessageID,
	}
	m.hop = parseTraceParent(header(d.Headers, "traceparent"))
	m.readBaggage(header(d.Headers, "baggage"))
	if len(d.Body) > maxBytes {
		return m, &unreadable{tooBig, fmt.Sprintf("%d bytes, more than %d", len(d.Body), maxBytes)}
	}
	var e envelope
	if err := json.Unmarshal(d.Body, &e); err != nil {
		if typ, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return m, &unreadable{notMessage, fmt.Sprintf("%s is a %s", typ.Field, typ.Value)}
		}
		return m, &unreadable{notJSON, err.Error()}
	}
	read := m.readPlain
	if e.SpecVersion != "" {
		read = m.readEvent
	}
	if bad := read(&e); bad != nil {
		return m, bad
	}
	if m.kind == event || m.kind == control {
		m.text = clip(string(e.Data[:min(len(e.Data), maxText+1)]))
	}
	if m.kind.answers() {
		m.readPayload(e.Data)
	}
	return m, nil
}

func (m *message) readEvent(e *envelope) *unreadable {
	if !strings.HasPrefix(e.SpecVersion, "1.") {
		return &unreadable{notMessage, fmt.Sprintf("specversion is %q", clip(e.SpecVersion))}
	}
	id := text(e.ID)
	if id == "" || e.Type == "" || e.Source == "" {
		return &unreadable{notMessage, "a CloudEvent has id, source and type"}
	}
	m.id, m.eventType, m.to, m.task = clean(id), clean(e.Type), clean(e.ToAgent), clean(e.Subject)
	m.from = clean(e.Source)
	if from, err := url.PathUnescape(e.Source); err == nil {
		m.from = clean(from)
	}
	if name, ok := strings.CutPrefix(e.Type, "ai.team."); ok {
		m.kind = kindOf(strings.ToUpper(name))
	}
	if t, err := time.Parse(time.RFC3339Nano, e.Time); err == nil {
		m.at = t
	}
	if !m.hop.ok {
		m.hop = parseTraceParent(e.TraceParent)
	}
	return nil
}

// readPlain reads the mission's message {id, type, from_agent, to_agent, trace_id, payload}.
func (m *message) readPlain(e *envelope) *unreadable {
	id := text(e.ID)
	if id == "" || e.Type == "" || e.From == "" {
		return &unreadable{notMessage, "neither a CloudEvent nor id, type, from_agent, to_agent, trace_id and payload"}
	}
	m.id, m.from, m.to, m.task = clean(id), clean(e.From), clean(e.To), clean(text(e.TraceID))
	m.kind = kindOf(strings.ToUpper(e.Type))
	m.eventType = clean(e.Type)
	if m.kind != other {
		m.eventType = "ai.team." + strings.ToLower(m.kind.name())
	}
	e.Data = e.Payload
	return nil
}

func kindOf(name string) kind {
	for k := command; k <= control; k++ {
		if k.name() == name {
			return k
		}
	}
	return other
}

// answer is what a result or an error says of the work behind it.
type answer struct {
	Metrics struct {
		Model        string      `json:"model"`
		TokensUsed   json.Number `json:"tokens_used"`
		InputTokens  json.Number `json:"input_tokens"`
		OutputTokens json.Number `json:"output_tokens"`
		CostUSD      json.Number `json:"estimated_cost_usd"`
	} `json:"metrics"`
	Error struct {
		Code    json.RawMessage `json:"code"`
		Message string          `json:"message"`
	} `json:"error"`
}

// readPayload takes what it finds; a payload of another shape says nothing of the work.
func (m *message) readPayload(data json.RawMessage) {
	if len(data) == 0 || data[0] != '{' || m.kind == result && !bytes.Contains(data, []byte(`"metrics"`)) {
		m.defaultError("")
		return
	}
	var a answer
	err := json.Unmarshal(data, &a)
	if _, wrong := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !wrong { // what has the right type was read all the same
		m.defaultError("")
		return
	}
	m.model = clean(a.Metrics.Model)
	if n, err := a.Metrics.TokensUsed.Int64(); err == nil && n >= 0 {
		m.tokens, m.hasTokens = n, true
	}
	in, errIn := a.Metrics.InputTokens.Int64()
	out, errOut := a.Metrics.OutputTokens.Int64()
	if errIn == nil && errOut == nil && in >= 0 && out >= 0 {
		m.input, m.output, m.hasSplit, m.hasTokens = in, out, true, true
	}
	if c, err := a.Metrics.CostUSD.Float64(); err == nil && c >= 0 && c < 1e9 {
		m.cost = c
	}
	if m.kind == failure {
		m.errorCode, m.errorMessage = clean(text(a.Error.Code)), clip(clean(a.Error.Message))
		m.defaultError(m.errorCode)
	}
}

func (m *message) defaultError(code string) {
	if m.kind == failure && code == "" {
		m.errorCode = "UNKNOWN"
	}
}

// readBaggage takes the team's part of W3C baggage.
func (m *message) readBaggage(baggage string) {
	if len(baggage) > 8192 {
		return
	}
	for member := range strings.SplitSeq(baggage, ",") {
		member, _, _ = strings.Cut(member, ";")
		key, value, _ := strings.Cut(member, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if err != nil {
			continue
		}
		switch strings.TrimSpace(key) {
		case "ai_team.team":
			m.team = strings.Clone(clean(value))
		case "ai_team.task.type":
			m.taskType = strings.Clone(clean(value))
		}
	}
}

// parseTraceParent reads a W3C traceparent; what is invalid is none.
func parseTraceParent(s string) spanContext {
	var c spanContext
	s = strings.TrimSpace(s)
	if len(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' || s[:2] == "ff" || len(s) > 55 && (s[:2] == "00" || s[55] != '-') ||
		strings.ToLower(s) != s {
		return c
	}
	var version, flags [1]byte
	for _, part := range []struct {
		to   []byte
		from string
	}{{version[:], s[:2]}, {c.trace[:], s[3:35]}, {c.span[:], s[36:52]}, {flags[:], s[53:55]}} {
		if _, err := hex.Decode(part.to, []byte(part.from)); err != nil {
			return spanContext{}
		}
	}
	c.ok = c.trace != [16]byte{} && c.span != [8]byte{}
	if !c.ok {
		return spanContext{}
	}
	return c
}

// header finds a header whatever the case of its name.
func header(h map[string]string, name string) string {
	if v, ok := h[name]; ok {
		return v
	}
	for k, v := range h {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return ""
}

// text returns a JSON string's text or a number as it is written; "" for all else.
func text(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	if raw[0] == '"' {
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return s
		}
	}
	if c := raw[0]; c == '-' || c >= '0' && c <= '9' {
		return string(raw)
	}
	return ""
}

// maxName bounds ids and names, which go into every span of a message.
const maxName = 512

// clean bounds an id or a name. What it cuts is copied: spans that are held must not keep all of a text that is large.
func clean(s string) string {
	if len(s) > maxName {
		s = strings.Clone(s[:maxName])
	}
	return strings.ToValidUTF8(s, "�")
}

// clip bounds a text without cutting a character.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	s = s[:maxText]
	for len(s) > 0 && !utf8.ValidString(s[len(s)-min(len(s), utf8.UTFMax):]) {
		s = s[:len(s)-1]
	}
	return s
}
