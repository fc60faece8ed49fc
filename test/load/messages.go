package load

import "strconv"

// Messages are written as the conventions ask: a JSON array of objects with a role and parts.

// message returns one message of one text part.
func message(role, text string) string {
	return `{"role":"` + role + `","parts":[{"type":"text","content":` + quoted(text) + `}]}`
}

// toolCall returns an assistant's message with a text and the call of a tool.
func toolCall(text, id, tool, arguments string) string {
	return `{"role":"assistant","parts":[{"type":"text","content":` + quoted(text) + `},{"type":"tool_call","id":"` + id +
		`","name":"` + tool + `","arguments":` + arguments + `}],"finish_reason":"tool_call"}`
}

// toolResult returns the message that gives a tool's result back to the model.
func toolResult(id, result string) string {
	return `{"role":"tool","parts":[{"type":"tool_call_response","id":"` + id + `","result":` + quoted(result) + `}]}`
}

// instructions returns system instructions of some texts.
func instructions(texts ...string) string {
	b := []byte{'['}
	for i, t := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"type":"text","content":`...)
		b = appendQuoted(b, t)
		b = append(b, '}')
	}
	return string(append(b, ']'))
}

// array returns the JSON array of messages.
func array(messages []string) string {
	n := 2
	for _, m := range messages {
		n += len(m) + 1
	}
	b := append(make([]byte, 0, n), '[')
	for i, m := range messages {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, m...)
	}
	return string(append(b, ']'))
}

func quoted(s string) string { return string(appendQuoted(make([]byte, 0, len(s)+len(s)/16+2), s)) }

// appendQuoted writes s as a JSON string. s has no control characters but line ends and tabs.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// toolDefinitions returns the definitions of n tools.
func (p *prose) toolDefinitions(n int) string {
	tools := make([]string, n)
	for i := range tools {
		name := toolNames[i%len(toolNames)]
		if i >= len(toolNames) {
			name += strconv.Itoa(i)
		}
		tools[i] = `{"type":"function","name":"` + name + `","description":` + quoted(p.text(420)) +
			`,"parameters":{"type":"object","properties":{"path":{"type":"string","description":` + quoted(p.text(90)) +
			`},"pattern":{"type":"string","description":` + quoted(p.text(90)) + `}},"required":["path"]}}`
	}
	return array(tools)
}

var toolNames = [...]string{
	"read_file", "write_file", "edit_file", "list_folder", "search_text", "run_tests", "run_command", "git_diff",
	"git_log", "fetch_page", "plan_steps", "ask_user", "find_symbol", "rename_symbol",
}
