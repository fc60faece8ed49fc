package messages

import (
	"encoding/json"
	"maps"
	"strings"

	"github.com/mindscope/mindscope/internal/store"
)

// event is one of a span's events.
type event struct {
	name  string
	attrs map[string]node
}

// ofEvents reads the messages that older conventions write as events of a span.
func ofEvents(r *store.Row) (in, out []Message) {
	var e Exchange
	var list []struct {
		Name       string                     `json:"name"`
		Attributes map[string]json.RawMessage `json:"attributes"`
	}
	raw := r.Text(store.FieldEvents)
	if raw == "" || json.Unmarshal([]byte(raw), &list) != nil {
		return nil, nil
	}
	for _, in := range list {
		ev := event{name: in.Name, attrs: make(map[string]node, len(in.Attributes))}
		for k, v := range in.Attributes {
			ev.attrs[k] = node{v}
		}
		ev.read(&e)
	}
	return e.Input, e.Output
}

// ofRecord reads a message that was sent as a log record: its body, or its attributes.
func ofRecord(r *store.Row) (in, out []Message) {
	var e Exchange
	ev := event{name: r.Text(store.FieldEventName), attrs: map[string]node{}}
	for _, f := range r.Fields {
		if name, ok := strings.CutPrefix(f.Name, store.PrefixAttr); ok {
			ev.attrs[name] = node{encode(f.Value)}
		}
	}
	if name := ev.attrs["event.name"].text(); ev.name == "" {
		ev.name = name
	}
	maps.Copy(ev.attrs, node{[]byte(r.Text(store.FieldBody))}.object())
	ev.read(&e)
	return e.Input, e.Output
}

// read adds the event's messages to e.
func (ev event) read(e *Exchange) {
	switch ev.name {
	case "gen_ai.system.message":
		e.Input = append(e.Input, ev.message(System))
	case "gen_ai.user.message":
		e.Input = append(e.Input, ev.message(User))
	case "gen_ai.assistant.message":
		e.Input = append(e.Input, ev.message(Assistant))
	case "gen_ai.tool.message":
		e.Input = append(e.Input, ev.message(Tool))
	case "gen_ai.choice":
		e.Output = append(e.Output, ev.choice()...)
	case "gen_ai.content.prompt":
		e.Input = append(e.Input, fromNode(ev.attrs["gen_ai.prompt"], User)...)
	case "gen_ai.content.completion":
		e.Output = append(e.Output, fromNode(ev.attrs["gen_ai.completion"], Assistant)...)
	case "gen_ai.client.inference.operation.details":
		e.Input = append(e.Input, fromNode(ev.attrs["gen_ai.system_instructions"], System)...)
		e.Input = append(e.Input, fromNode(ev.attrs["gen_ai.input.messages"], User)...)
		e.Output = append(e.Output, fromNode(ev.attrs["gen_ai.output.messages"], Assistant)...)
	case "codex.user_prompt", "user_prompt", "claude_code.user_prompt":
		e.Input = append(e.Input, fromNode(ev.attrs["prompt"], User)...)
	}
}

// fromNode reads a value that is a structure, or a text that may hold one.
func fromNode(n node, role string) []Message {
	if n.is('"') {
		return fromText(n.text(), role)
	}
	return from(n, role, 0)
}

// message reads an event that is one message. Its content may be JSON in a text.
func (ev event) message(role string) Message {
	attrs := make(map[string]node, len(ev.attrs))
	for k, v := range ev.attrs {
		attrs[k] = unwrap(v)
	}
	delete(attrs, "event.name")
	m := message(attrs, role)
	if m.Parts == nil && len(attrs) > 0 {
		m.Parts = rawPart(string(mustEncode(rawOf(ev.attrs))))
	}
	return m
}

func (ev event) choice() []Message {
	if inner := unwrap(ev.attrs["message"]); !inner.empty() {
		list := from(inner, Assistant, 1)
		for i := range list {
			if list[i].Finish == "" {
				list[i].Finish = finish(ev.attrs)
			}
		}
		return list
	}
	return []Message{ev.message(Assistant)}
}

// unwrap returns the JSON inside a text, and everything else as it is.
func unwrap(n node) node {
	s := strings.TrimSpace(n.text())
	if (strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[")) && json.Valid([]byte(s)) {
		return node{[]byte(s)}
	}
	return n
}

func rawOf(m map[string]node) map[string]json.RawMessage {
	out := make(map[string]json.RawMessage, len(m))
	for k, v := range m {
		out[k] = v.raw
	}
	return out
}
