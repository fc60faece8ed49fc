// Package messages reads what was said to models and tools, and what they answered, out of spans and log records of any
// dialect into one form for display and search. It changes nothing that is stored.
//
// What does not parse is shown as it came: no content is left out because its shape is not known. Only the bytes of media
// are replaced by their size.
package messages

import (
	"strings"

	"github.com/mindscope/mindscope/internal/store"
)

// The roles of messages. Other words of senders stay as they are.
const (
	System    = "system"
	User      = "user"
	Assistant = "assistant"
	Tool      = "tool"
)

// The kinds of parts.
const (
	Text       = "text"
	Reasoning  = "reasoning"
	ToolCall   = "tool_call"
	ToolResult = "tool_result"
	Media      = "media"
	// Raw is content of a shape that is not known, as it came.
	Raw = "raw"
)

// Message is one message to or from a model or tool.
type Message struct {
	// Role is "" where the sender gave none.
	Role, Name string
	Parts      []Part
	// Finish is why the model stopped, in the sender's word.
	Finish string
}

// Part is one piece of a message's content.
type Part struct {
	Kind string
	// Text is a text, a reasoning or raw content; of a tool's result the readable text in it.
	Text string
	// ID is a tool call's, the same on its result. Tool is the tool's name.
	ID, Tool string
	// Value is a tool call's arguments or a result as it came: JSON or plain text.
	Value string
	// Media refers to content that is no text.
	Media *Reference
}

// Reference is where media are to be found, or how large they were.
type Reference struct {
	// Modality is image, audio, video or document when known; Type is the media type.
	Modality, Type string
	// URI or File name the content; Bytes is its size where it was sent along.
	URI, File string
	Bytes     int
}

// Exchange is what went into a span and what came out.
type Exchange struct {
	Input, Output []Message
	// Expired: content of the span is past its retention and can't be shown any more.
	Expired bool
}

// Empty tells whether nothing was found.
func (e Exchange) Empty() bool { return len(e.Input) == 0 && len(e.Output) == 0 }

// Contains tells whether text is in any message, in any case of letters.
func (e Exchange) Contains(text string) bool {
	text = strings.ToLower(text)
	for _, list := range [][]Message{e.Input, e.Output} {
		for _, m := range list {
			if m.contains(text) {
				return true
			}
		}
	}
	return false
}

func (m Message) contains(lower string) bool {
	for _, p := range m.Parts {
		for _, s := range []string{p.Text, p.Tool, p.Value} {
			if strings.Contains(strings.ToLower(s), lower) {
				return true
			}
		}
	}
	return false
}

// Of returns the messages of a span's or log record's row.
func Of(r *store.Row) Exchange {
	f := fieldsOf(r)
	e := Exchange{Input: f.first(inputs()), Output: f.first(outputs())}
	e.Expired = r.Has(store.FieldPayloadsExpired)
	if r.Text(store.FieldOperation) == "execute_tool" || r.Text(store.FieldOperation) == "handoff" {
		return f.tool(r, e)
	}
	if e.Empty() {
		e.Input, e.Output = ofEvents(r)
	}
	if e.Empty() && r.Kind == store.KindLog {
		e.Input, e.Output = ofRecord(r)
	}
	if len(e.Input) == 0 || e.Input[0].Role != System {
		e.Input = append(f.system(), e.Input...)
	}
	return e
}

// add appends a message when it holds anything.
func add(list []Message, m Message) []Message {
	if len(m.Parts) == 0 {
		return list
	}
	return append(list, m)
}

func textPart(s string) []Part {
	if s == "" {
		return nil
	}
	return []Part{{Kind: Text, Text: s}}
}

func rawPart(s string) []Part {
	if s == "" {
		return nil
	}
	return []Part{{Kind: Raw, Text: s}}
}
