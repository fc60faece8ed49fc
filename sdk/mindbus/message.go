package mindbus

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"
)

// Type says what a message is.
type Type string

// The types of messages.
const (
	// Command asks an agent to do something; it is answered by a Result or an Error.
	Command Type = "COMMAND"
	// Result answers a command that was done.
	Result Type = "RESULT"
	// ErrorResult answers a command that was not done; its payload is an ErrorPayload.
	ErrorResult Type = "ERROR"
	// Event tells whoever listens that something happened.
	Event Type = "EVENT"
	// Control steers agents (pause, stop) and overtakes everything else.
	Control Type = "CONTROL"
)

// valid reports whether t is one of the five types.
func (t Type) valid() bool {
	switch t {
	case Command, Result, ErrorResult, Event, Control:
		return true
	}
	return false
}

// Message is one message of the team. ID, Type, From, To, TaskID and Payload are what the agents speak about; the rest
// is the envelope's.
type Message struct {
	// ID is unique among the messages of its sender. Publish makes one when it is empty.
	ID string
	// Type is required.
	Type Type
	// From is the sending agent. Publish takes it from the context's agent when it is empty.
	From string
	// To is the agent the message is for. For an Event it is `topic.event`, for a Control message `target.scope`.
	To string
	// TaskID is the task the message belongs to, of any shape. Publish takes it from the context when it is empty.
	TaskID string
	// Payload is the content, as JSON. Empty means none.
	Payload json.RawMessage

	// Time is when the message was made. Publish sets it when it is zero.
	Time time.Time
	// TraceParent and TraceState are the creation context: where the message began, whatever hops came after.
	// A value that is no valid W3C traceparent is kept as it came and starts no trace.
	TraceParent, TraceState string
	// Extensions are further CloudEvents attributes: lower-case names, values of type string, bool or int32.
	// They are kept as they came.
	Extensions map[string]any

	// CorrelationID is the id of the command that a Result or Error answers. It travels as a property of the
	// transport, not in the event.
	CorrelationID string
	// ReplyTo is the queue that waits for the answer. It travels as a property of the transport.
	ReplyTo string
}

// NewMessage returns a message with a new id and payload as its JSON. A json.RawMessage is taken as it is, nil means none.
func NewMessage(t Type, from, to string, payload any) (Message, error) {
	data, err := marshalPayload(payload)
	if err != nil {
		return Message{}, err
	}
	return Message{ID: NewID(), Type: t, From: from, To: to, Payload: data}, nil
}

// Decode reads the payload into v. An empty payload is an error.
func (m Message) Decode(v any) error {
	if len(m.Payload) == 0 {
		return fmt.Errorf("decode payload of message %q: it has none", m.ID)
	}
	if err := json.Unmarshal(m.Payload, v); err != nil {
		return fmt.Errorf("decode payload of message %q: %w", m.ID, err)
	}
	return nil
}

// NewID returns a random id for a message, 26 letters and digits.
func NewID() string { return rand.Text() }

func marshalPayload(payload any) (json.RawMessage, error) {
	if payload == nil {
		return nil, nil
	}
	data, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("encode payload: %w", err)
	}
	return data, nil
}

// Metrics is what a Result's payload says under `metrics` about the work behind it, for those who see only the bus.
type Metrics struct {
	// Model is the model that did most of the work.
	Model string `json:"model,omitempty"`
	// TokensUsed counts input and output tokens together.
	TokensUsed int64 `json:"tokens_used"`
	// EstimatedCostUSD is the sender's own estimate, 0 when it has none.
	EstimatedCostUSD float64 `json:"estimated_cost_usd"`
}
