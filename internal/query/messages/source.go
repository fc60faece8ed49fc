package messages

import (
	"strings"

	"github.com/mindscope/mindscope/internal/store"
)

// source is one place where a dialect keeps messages.
type source struct {
	// key is an attribute, or the beginning of flattened ones when flat is set.
	key  string
	flat bool
	// role is that of content which names none.
	role string
	// pick, when set, takes the messages of one direction out of a list that holds both.
	pick func([]Message) []Message
	// join: the next source's messages belong to this one's message.
	join bool
}

// inputs are the places of what went in, the most telling first. One list serves all dialects: their keys differ, and a
// span with keys of several dialects says the same in each.
func inputs() []source {
	return []source{
		{key: "gen_ai.input.messages", role: User},
		{key: "llm.input_messages.", flat: true, role: User},
		{key: "gen_ai.prompt.", flat: true, role: User},
		{key: "ai.prompt.messages", role: User},
		{key: "gcp.vertex.agent.llm_request", role: User},
		{key: "events", role: User, pick: untilAnswer},
		{key: "genkit:input", role: User},
		{key: "mlflow.spanInputs", role: User},
		{key: "langfuse.observation.input", role: User},
		{key: "gen_ai.prompt", role: User},
		{key: "traceloop.entity.input", role: User},
		{key: "ai.prompt", role: User},
		{key: "ai.value", role: User},
		{key: "ai.values", role: User},
		{key: "pydantic_ai.all_messages", role: User, pick: untilLastAnswer},
		{key: "all_messages_events", role: User, pick: untilLastAnswer},
		{key: "mastra.span.input", role: User},
		{key: "input.value", role: User},
		{key: "user_prompt", role: User},
		{key: "prompt", role: User},
	}
}

// outputs are the places of what came out.
func outputs() []source {
	return []source{
		{key: "gen_ai.output.messages", role: Assistant},
		{key: "llm.output_messages.", flat: true, role: Assistant},
		{key: "gen_ai.completion.", flat: true, role: Assistant},
		{key: "ai.response.reasoning", role: Assistant, join: true},
		{key: "ai.response.text", role: Assistant, join: true},
		{key: "ai.response.object", role: Assistant, join: true},
		{key: "ai.response.toolCalls", role: Assistant},
		{key: "gcp.vertex.agent.llm_response", role: Assistant},
		{key: "events", role: Assistant, pick: answers},
		{key: "genkit:output", role: Assistant},
		{key: "mlflow.spanOutputs", role: Assistant},
		{key: "langfuse.observation.output", role: Assistant},
		{key: "gen_ai.completion", role: Assistant},
		{key: "gen_ai.output", role: Assistant},
		{key: "traceloop.entity.output", role: Assistant},
		{key: "pydantic_ai.all_messages", role: Assistant, pick: lastAnswer},
		{key: "all_messages_events", role: Assistant, pick: lastAnswer},
		{key: "final_result", role: Assistant},
		{key: "mastra.span.output", role: Assistant},
		{key: "output.value", role: Assistant},
		{key: "response", role: Assistant},
	}
}

func arguments() []string {
	return []string{
		"gen_ai.tool.call.arguments", "ai.toolCall.args", "ai.toolCall.input", "gcp.vertex.agent.tool_call_args", "tool_arguments", "gen_ai.tool.args",
		"tool.parameters", "tool_input", "tool_parameters", "arguments", "langfuse.observation.input", "traceloop.entity.input",
		"genkit:input", "mlflow.spanInputs", "mastra.span.input", "input.value",
	}
}

func results() []string {
	return []string{
		"gen_ai.tool.call.result", "ai.toolCall.result", "ai.toolCall.output", "gcp.vertex.agent.tool_response", "tool_response", "gen_ai.tool.output",
		"gen_ai.output", "output", "langfuse.observation.output", "traceloop.entity.output", "genkit:output", "mlflow.spanOutputs",
		"mastra.span.output", "output.value",
	}
}

// fields are the attributes of a row that can hold messages.
type fields struct {
	attrs map[string]store.Value
	flat  map[string][]store.Field // by source key, names without it
}

func fieldsOf(r *store.Row) fields {
	f := fields{attrs: map[string]store.Value{}, flat: map[string][]store.Field{}}
	for _, field := range r.Fields {
		name, ok := strings.CutPrefix(field.Name, store.PrefixAttr)
		if !ok {
			continue
		}
		f.attrs[name] = field.Value
		for _, prefix := range []string{"llm.input_messages.", "llm.output_messages.", "gen_ai.prompt.", "gen_ai.completion."} {
			if rest, ok := strings.CutPrefix(name, prefix); ok {
				f.flat[prefix] = append(f.flat[prefix], store.Field{Name: rest, Value: field.Value})
			}
		}
	}
	return f
}

// first returns the messages of the first source that has any.
func (f fields) first(sources []source) []Message {
	var joined Message
	for _, s := range sources {
		list := f.read(s)
		if s.pick != nil {
			list = s.pick(list)
		}
		if len(joined.Parts) > 0 || s.join {
			for _, m := range list {
				joined.Role = m.Role
				joined.Parts = append(joined.Parts, partsAs(m.Parts, s.key)...)
			}
			if s.join {
				continue
			}
			return []Message{joined}
		}
		if len(list) > 0 {
			return list
		}
	}
	return add(nil, joined)
}

// partsAs gives the parts of an attribute with a meaning of its own their kind.
func partsAs(parts []Part, key string) []Part {
	if key != "ai.response.reasoning" {
		return parts
	}
	for i := range parts {
		if parts[i].Kind == Text {
			parts[i].Kind = Reasoning
		}
	}
	return parts
}

func (f fields) read(s source) []Message {
	if s.flat {
		return fromFlat(f.flat[s.key], s.role)
	}
	v, ok := f.attrs[s.key]
	if !ok {
		return nil
	}
	return fromValue(v, s.role)
}

// system returns the instructions that stand apart from the messages.
func (f fields) system() []Message {
	v, ok := f.attrs["gen_ai.system_instructions"]
	if !ok {
		return nil
	}
	return fromValue(v, System)
}

// tool returns a tool's span as the call and its result.
func (f fields) tool(r *store.Row, e Exchange) Exchange {
	call := Part{Kind: ToolCall, ID: f.text("gen_ai.tool.call.id", "ai.toolCall.id", "tool_call.id", "tool.id"), Tool: r.Text(store.FieldTool)}
	result := Part{Kind: ToolResult, ID: call.ID, Tool: call.Tool}
	call.Value = f.text(arguments()...)
	result.Value = f.text(results()...)
	out := Exchange{Expired: e.Expired}
	if call.Value != "" {
		out.Input = []Message{{Role: Assistant, Parts: []Part{call}}}
	} else {
		out.Input = e.Input
	}
	if result.Value != "" {
		result.Text = readable(node{[]byte(result.Value)})
		out.Output = []Message{{Role: Tool, Parts: []Part{result}}}
	} else {
		out.Output = e.Output
	}
	return out
}

// text returns the first of the attributes that is there and not empty.
func (f fields) text(keys ...string) string {
	for _, k := range keys {
		if s := f.attrs[k].Text(); s != "" {
			return s
		}
	}
	return ""
}

// untilAnswer takes a list of events apart: what is before the model's choice went in.
func untilAnswer(list []Message) []Message {
	for i, m := range list {
		if m.Finish == choice {
			return list[:i]
		}
	}
	return list
}

func answers(list []Message) []Message {
	var out []Message
	for _, m := range list {
		if m.Finish == choice {
			m.Finish = ""
			out = append(out, m)
		}
	}
	return out
}

// untilLastAnswer takes an agent's whole history apart: its last message came out, the others went in or between.
func untilLastAnswer(list []Message) []Message {
	if n := len(list); n > 0 && list[n-1].Role == Assistant {
		return list[:n-1]
	}
	return list
}

func lastAnswer(list []Message) []Message {
	if n := len(list); n > 0 && list[n-1].Role == Assistant {
		return list[n-1:]
	}
	return nil
}
