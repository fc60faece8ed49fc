package messages

import (
	"encoding/json"
	"strings"

	"github.com/mindscope/mindscope/internal/store"
)

// maxDepth bounds how deep messages are looked for inside of values.
const maxDepth = 8

// choice marks a message that a list of events calls the model's choice; it never leaves the package.
const choice = "\x00choice"

// fromValue reads an attribute: a text, JSON in a text, or a structure.
func fromValue(v store.Value, role string) []Message {
	text := v.Text()
	if t := strings.TrimSpace(text); t == "" || t == "null" {
		return nil
	}
	if v.Type() == store.TypeSlice {
		if list := textsIn(text, role); list != nil {
			return list
		}
	}
	return fromText(text, role)
}

// textsIn reads a slice of texts, each of which may be JSON (the Vercel AI SDK writes such).
func textsIn(slice, role string) []Message {
	var out []Message
	for _, n := range (node{[]byte(slice)}).list() {
		if !n.is('"') {
			return nil
		}
		out = append(out, fromText(n.text(), role)...)
	}
	return out
}

func fromText(text, role string) []Message {
	t := strings.TrimSpace(text)
	if t == "" {
		return nil
	}
	if t[0] != '{' && t[0] != '[' && t[0] != '"' {
		return []Message{{Role: role, Parts: textPart(text)}}
	}
	if !json.Valid([]byte(t)) {
		kind := Raw
		if t[0] == '"' {
			kind = Text
		}
		return []Message{{Role: role, Parts: []Part{{Kind: kind, Text: text}}}}
	}
	return from(node{[]byte(t)}, role, 0)
}

// from finds the messages in a value of any shape. It never returns nothing for a value that holds something.
func from(n node, role string, depth int) []Message {
	switch {
	case n.empty():
		return nil
	case depth > maxDepth:
		return []Message{{Role: role, Parts: rawPart(n.value())}}
	case n.is('"'):
		return []Message{{Role: role, Parts: textPart(n.text())}}
	case n.is('['):
		return fromList(n, role, depth)
	case n.is('{'):
		return fromObject(n, role, depth)
	default:
		return []Message{{Role: role, Parts: rawPart(n.value())}}
	}
}

func fromList(n node, role string, depth int) []Message {
	var out []Message
	var loose Message // parts that stand in the list without a message around them
	flush := func() {
		out = add(out, loose)
		loose = Message{}
	}
	for _, item := range n.list() {
		m := item.object()
		switch {
		case item.empty():
		case m == nil && item.is('['):
			flush()
			out = append(out, from(item, role, depth+1)...)
		case m == nil:
			flush()
			out = append(out, Message{Role: role, Parts: looseText(item)})
		case isMessage(m) || container(m) != "":
			flush()
			out = append(out, from(item, role, depth+1)...)
		default:
			p := part(item, m)
			r := roleOfPart(p, role)
			if loose.Role != r {
				flush()
				loose.Role = r
			}
			loose.Parts = append(loose.Parts, p...)
		}
	}
	flush()
	return out
}

func looseText(n node) []Part {
	if n.is('"') {
		return textPart(n.text())
	}
	return rawPart(n.value())
}

// roleOfPart is the role of a part outside of any message: calls of tools are the model's, results the tools'.
func roleOfPart(parts []Part, role string) string {
	for _, p := range parts {
		switch p.Kind {
		case ToolCall:
			return Assistant
		case ToolResult:
			return Tool
		}
	}
	return role
}

// isMessage tells whether an object is a message: it says who speaks.
func isMessage(m map[string]node) bool {
	if m["role"].text() != "" || len(m["kwargs"].object()) > 0 {
		return true
	}
	return m["content"].raw != nil && roleOf(m["type"].text()) != ""
}

// saysMore tells whether an object without known content holds anything beside the members that messages have.
func saysMore(m map[string]node) bool {
	for name, n := range m {
		switch name {
		case "role", "type", "name", "id", "index", "event.name", "example", "content", "parts", "tool_calls", "refusal",
			"finish_reason", "response_metadata", "additional_kwargs", "gen_ai.system", "gen_ai.message.index":
			continue
		}
		if !n.empty() {
			return true
		}
	}
	return false
}

// containers are the members in which requests and answers of the providers hold their messages.
func containers() []string {
	return []string{
		"messages", "contents", "choices", "candidates", "generations", "message", "new_message", "newMessage", "kwargs",
		"output", "outputs", "input", "inputs", "prompt", "query", "question", "result", "results", "response", "content", "data",
	}
}

func container(m map[string]node) string {
	for _, name := range containers() {
		if n, ok := m[name]; ok && !n.empty() {
			return name
		}
	}
	return ""
}

func fromObject(n node, role string, depth int) []Message {
	m := n.object()
	if isMessage(m) && len(m["kwargs"].object()) == 0 {
		msg := message(m, role)
		if len(msg.Parts) == 0 && saysMore(m) {
			msg.Parts = rawPart(n.value())
		}
		return []Message{msg}
	}
	if p := part(n, m); m["message"].object() == nil && len(p) > 0 && p[0].Kind != Raw {
		return []Message{{Role: roleOfPart(p, role), Parts: p, Finish: finish(m)}}
	}
	name := container(m)
	if name == "" {
		if parts := partsOf(m["parts"]); len(parts) > 0 {
			return []Message{{Role: role, Parts: parts, Finish: finish(m)}}
		}
		return []Message{{Role: role, Parts: rawPart(n.value())}}
	}
	inside := m[name]
	if name == "content" && isContent(inside) {
		return []Message{message(m, role)}
	}
	if name == "kwargs" { // LangChain's way of writing a message down
		k := inside.object()
		if isMessage(k) || k["content"].raw != nil {
			return []Message{message(k, roleOf(lastID(m["id"])))}
		}
	}
	if inside.text() == "" && !inside.is('[') && !inside.is('{') || !known(name, m) {
		return []Message{{Role: role, Parts: rawPart(n.value())}}
	}
	out := from(inside, role, depth+1)
	for i := range out {
		if f := finish(m); f != "" && out[i].Finish == "" {
			out[i].Finish = f
		}
		if strings.HasSuffix(m["event.name"].text(), ".choice") {
			out[i].Finish = choice
		}
	}
	if name == "content" { // what stands beside an answer's content is no instruction
		return out
	}
	return append(instructions(m), out...)
}

// known tells whether the members beside a container are those of a request or an answer. An object with other members
// is data of the sender's own and is shown whole.
func known(name string, m map[string]node) bool {
	switch name {
	case "messages", "contents", "choices", "candidates", "generations", "message", "kwargs", "new_message", "newMessage":
		return true
	case "content":
		return isMessage(m[name].object()) || len(m) == 1
	case "output":
		return m["object"].raw != nil || len(m) == 1
	case "prompt", "input":
		return len(m) == 1 || m["system"].raw != nil || m["instructions"].raw != nil || m["model"].raw != nil
	default:
		return len(m) == 1
	}
}

// isContent tells whether a value is a message's content and no message itself.
func isContent(n node) bool {
	if n.is('"') {
		return true
	}
	for _, item := range n.list() {
		m := item.object()
		if m == nil && !item.is('"') || m != nil && isMessage(m) {
			return false
		}
	}
	return n.is('[')
}

// instructions returns what a request says to the model apart from its messages.
func instructions(m map[string]node) []Message {
	n := pick(m, "system", "system_instruction", "systemInstruction", "instructions")
	if n.empty() {
		n = pick(m["config"].object(), "system_instruction", "systemInstruction")
	}
	if n.empty() {
		return nil
	}
	var out []Message
	for _, msg := range from(n, System, 1) {
		msg.Role = System
		out = append(out, msg)
	}
	return out
}

func lastID(n node) string {
	ids := n.list()
	if len(ids) == 0 {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(ids[len(ids)-1].text(), "Chunk"), "Message"))
}

// roleOf translates the words that frameworks have for the four roles; "" when text is none of them.
func roleOf(text string) string {
	switch strings.ToLower(text) {
	case "system", "developer", "systemmessage":
		return System
	case "user", "human", "humanmessage":
		return User
	case "assistant", "ai", "model", "aimessage", "aimessagechunk":
		return Assistant
	case "tool", "function", "toolmessage":
		return Tool
	default:
		return ""
	}
}

func finish(m map[string]node) string {
	return pick(m, "finish_reason", "finishReason", "stop_reason", "stopReason").text()
}

// message reads one message.
func message(m map[string]node, role string) Message {
	out := Message{Role: role, Name: m["name"].text(), Finish: finish(m)}
	if word := m["role"].text(); word != "" {
		if out.Role = roleOf(word); out.Role == "" {
			out.Role = word
		}
	} else if r := roleOf(m["type"].text()); r != "" {
		out.Role = r
	}
	if n := pick(m, "reasoning_content", "reasoning", "thinking"); n.text() != "" {
		out.Parts = append(out.Parts, Part{Kind: Reasoning, Text: n.text()})
	}
	content := partsOf(pick(m, "parts", "content", "contents"))
	if out.Role == Tool {
		content = asResult(m, content)
		out.Name = ""
	}
	out.Parts = append(out.Parts, content...)
	if n := m["refusal"]; n.text() != "" {
		out.Parts = append(out.Parts, Part{Kind: Text, Text: n.text()})
	}
	out.Parts = append(out.Parts, calls(m)...)
	if strings.HasSuffix(m["event.name"].text(), ".choice") {
		out.Finish = choice
	}
	return out
}

// asResult makes the content of a tool's message the result of the call that the message names.
func asResult(m map[string]node, content []Part) []Part {
	for _, p := range content {
		if p.Kind == ToolResult {
			return content
		}
	}
	n := pick(m, "content", "contents", "parts")
	if n.empty() {
		return content
	}
	value := n.value()
	text := readable(n)
	if n.is('"') {
		text = value
	}
	return []Part{{
		Kind: ToolResult, ID: pick(m, "tool_call_id", "toolCallId", "id").text(), Tool: pick(m, "name", "tool_name").text(),
		Text: text, Value: value,
	}}
}

// calls reads the calls of tools that stand beside a message's content.
func calls(m map[string]node) []Part {
	list := pick(m, "tool_calls", "toolCalls")
	if list.empty() {
		list = pick(m["additional_kwargs"].object(), "tool_calls", "function_call")
	}
	var out []Part
	for _, item := range list.list() {
		o := item.object()
		if inner := o["tool_call"].object(); inner != nil {
			o = inner
		}
		out = append(out, call(o))
	}
	if f := m["function_call"].object(); f != nil {
		out = append(out, call(f))
	}
	return out
}

// call reads a call of a tool in the spellings of the providers.
func call(m map[string]node) Part {
	f := m
	if inner := m["function"].object(); inner != nil {
		f = inner
	}
	return Part{
		Kind: ToolCall, ID: pick(m, "id", "call_id", "toolCallId", "toolUseId", "ref", "tool_call_id").value(),
		Tool:  pick(f, "name", "toolName", "tool_name", "tool.name").text(),
		Value: pick(f, "arguments", "args", "input", "tool.args", "parameters").value(),
	}
}
