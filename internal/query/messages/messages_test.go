package messages

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/store"
)

// span makes a row of attributes.
func span(operation string, attrs map[string]store.Value) *store.Row {
	r := &store.Row{Kind: store.KindSpan}
	if operation != "" {
		r.Add(store.FieldOperation, store.String(operation))
	}
	for k, v := range attrs {
		r.Add(store.PrefixAttr+k, v)
	}
	return r
}

func texts(pairs ...string) map[string]store.Value {
	m := map[string]store.Value{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = store.String(pairs[i+1])
	}
	return m
}

func say(role, text string) Message {
	return Message{Role: role, Parts: []Part{{Kind: Text, Text: text}}}
}

// weather is the exchange that every dialect below says in its own way.
func weather() Exchange {
	return Exchange{
		Input: []Message{
			say(System, "Be brief."), say(User, "Weather in Paris?"),
			{Role: Assistant, Parts: []Part{{Kind: ToolCall, ID: "c1", Tool: "get_weather", Value: `{"city":"Paris"}`}}},
			{Role: Tool, Parts: []Part{{Kind: ToolResult, ID: "c1", Text: "rain", Value: "rain"}}},
		},
		Output: []Message{say(Assistant, "It rains.")},
	}
}

func TestDialectsSayTheSame(t *testing.T) {
	for name, r := range map[string]*store.Row{
		"OpenTelemetry": span("chat", texts(
			"gen_ai.system_instructions", `[{"type":"text","content":"Be brief."}]`,
			"gen_ai.input.messages", `[{"role":"user","parts":[{"type":"text","content":"Weather in Paris?"}]},
				{"role":"assistant","parts":[{"type":"tool_call","id":"c1","name":"get_weather","arguments":{"city":"Paris"}}]},
				{"role":"tool","parts":[{"type":"tool_call_response","id":"c1","result":"rain"}]}]`,
			"gen_ai.output.messages", `[{"role":"assistant","parts":[{"type":"text","content":"It rains."}]}]`,
		)),
		"OpenTelemetry, structured": span("chat", map[string]store.Value{
			"gen_ai.input.messages": store.SliceJSON(`[{"role":"system","parts":[{"type":"text","content":"Be brief."}]},` +
				`{"role":"user","parts":[{"type":"text","content":"Weather in Paris?"}]},` +
				`{"role":"assistant","parts":[{"type":"tool_call","id":"c1","name":"get_weather","arguments":{"city":"Paris"}}]},` +
				`{"role":"tool","parts":[{"type":"tool_call_response","id":"c1","response":"rain"}]}]`),
			"gen_ai.output.messages": store.SliceJSON(`[{"role":"assistant","parts":[{"type":"text","content":"It rains."}]}]`),
		}),
		"OpenAI's chat": span("chat", texts(
			"input.value", `{"model":"gpt-4o","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Weather in Paris?"}]},
				{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Paris\"}"}}]},
				{"role":"tool","tool_call_id":"c1","content":"rain"}]}`,
			"output.value", `{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"It rains."}}]}`,
		)),
		"OpenAI's responses": span("chat", texts(
			"input.value", `{"model":"gpt-4o","instructions":"Be brief.","input":[{"role":"user","content":"Weather in Paris?"},
				{"type":"function_call","call_id":"c1","name":"get_weather","arguments":"{\"city\":\"Paris\"}"},{"type":"function_call_output","call_id":"c1","output":"rain"}]}`,
			"output.value", `{"object":"response","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"It rains."}]}]}`,
		)),
		"Anthropic": span("chat", texts(
			"gen_ai.prompt", `{"system":"Be brief.","messages":[{"role":"user","content":"Weather in Paris?"},
				{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"get_weather","input":{"city":"Paris"}}]},
				{"role":"tool","content":[{"type":"tool_result","tool_use_id":"c1","content":"rain"}]}]}`,
			"gen_ai.completion", `{"role":"assistant","content":[{"type":"text","text":"It rains."}]}`,
		)),
		"Gemini": span("chat", texts(
			"gcp.vertex.agent.llm_request", `{"config":{"system_instruction":"Be brief."},"contents":[{"role":"user","parts":[{"text":"Weather in Paris?"}]},
				{"role":"model","parts":[{"function_call":{"id":"c1","name":"get_weather","args":{"city":"Paris"}}}]},
				{"role":"function","parts":[{"function_response":{"id":"c1","response":"rain"}}]}]}`,
			"gcp.vertex.agent.llm_response", `{"content":{"role":"model","parts":[{"text":"It rains."}]},"usage_metadata":{"x":1}}`,
		)),
		"OpenInference, flattened": span("chat", texts(
			"llm.input_messages.0.message.role", "system", "llm.input_messages.0.message.content", "Be brief.",
			"llm.input_messages.1.message.role", "user",
			"llm.input_messages.1.message.contents.0.message_content.type", "text",
			"llm.input_messages.1.message.contents.0.message_content.text", "Weather in Paris?",
			"llm.input_messages.2.message.role", "assistant",
			"llm.input_messages.2.message.tool_calls.0.tool_call.id", "c1",
			"llm.input_messages.2.message.tool_calls.0.tool_call.function.name", "get_weather",
			"llm.input_messages.2.message.tool_calls.0.tool_call.function.arguments", `{"city":"Paris"}`,
			"llm.input_messages.3.message.role", "tool", "llm.input_messages.3.message.tool_call_id", "c1",
			"llm.input_messages.3.message.content", "rain",
			"llm.output_messages.0.message.role", "assistant", "llm.output_messages.0.message.content", "It rains.",
		)),
		"OpenLLMetry, flattened": span("chat", texts(
			"gen_ai.prompt.0.role", "system", "gen_ai.prompt.0.content", "Be brief.",
			"gen_ai.prompt.1.role", "user", "gen_ai.prompt.1.content", "Weather in Paris?",
			"gen_ai.prompt.2.role", "assistant", "gen_ai.prompt.2.tool_calls.0.id", "c1",
			"gen_ai.prompt.2.tool_calls.0.name", "get_weather", "gen_ai.prompt.2.tool_calls.0.arguments", `{"city":"Paris"}`,
			"gen_ai.prompt.3.role", "tool", "gen_ai.prompt.3.tool_call_id", "c1", "gen_ai.prompt.3.content", "rain",
			"gen_ai.completion.0.role", "assistant", "gen_ai.completion.0.content", "It rains.",
		)),
		"Vercel": span("chat", texts(
			"ai.prompt.messages", `[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Weather in Paris?"}]},
				{"role":"assistant","content":[{"type":"tool-call","toolCallId":"c1","toolName":"get_weather","args":{"city":"Paris"}}]},
				{"role":"tool","content":[{"type":"tool-result","toolCallId":"c1","result":"rain"}]}]`,
			"ai.response.text", "It rains.",
		)),
		"LangChain": span("chat", texts(
			"langfuse.observation.input", `{"messages":[[{"type":"system","content":"Be brief."},
				{"id":["langchain_core","messages","HumanMessage"],"kwargs":{"content":"Weather in Paris?"}},
				{"type":"ai","content":"","tool_calls":[{"name":"get_weather","args":{"city":"Paris"},"id":"c1"}]},
				{"type":"tool","tool_call_id":"c1","content":"rain"}]]}`,
			"langfuse.observation.output", `{"generations":[[{"text":"It rains.","type":"ChatGeneration","message":{"kwargs":{"content":"It rains.","type":"ai"}}}]]}`,
		)),
		"Genkit": span("chat", texts(
			"genkit:input", `{"messages":[{"role":"system","content":[{"text":"Be brief."}]},{"role":"user","content":[{"text":"Weather in Paris?"}]},
				{"role":"model","content":[{"toolRequest":{"name":"get_weather","ref":"c1","input":{"city":"Paris"}}}]},
				{"role":"tool","content":[{"toolResponse":{"ref":"c1","output":"rain"}}]}]}`,
			"genkit:output", `{"message":{"role":"model","content":[{"text":"It rains."}]},"usage":{"inputTokens":1}}`,
		)),
		"Pydantic AI's events": span("chat", texts(
			"events", `[{"event.name":"gen_ai.system.message","role":"system","content":"Be brief."},{"event.name":"gen_ai.user.message","role":"user","content":"Weather in Paris?"},
				{"event.name":"gen_ai.assistant.message","role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"get_weather","arguments":{"city":"Paris"}}}]},
				{"event.name":"gen_ai.tool.message","role":"tool","id":"c1","content":"rain"},
				{"event.name":"gen_ai.choice","index":0,"message":{"role":"assistant","content":"It rains."}}]`,
		)),
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(weather(), Of(r)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestSpanEvents(t *testing.T) {
	r := &store.Row{Kind: store.KindSpan}
	r.Add(store.FieldEvents, store.SliceJSON(`[
		{"time":1,"name":"gen_ai.system.message","attributes":{"content":"Be brief."}},
		{"time":2,"name":"gen_ai.user.message","attributes":{"content":"[{\"text\": \"Weather in Paris?\"}]"}},
		{"time":3,"name":"gen_ai.assistant.message","attributes":{"tool_calls":"[{\"id\":\"c1\",\"function\":{\"name\":\"get_weather\",\"arguments\":\"{\\\"city\\\":\\\"Paris\\\"}\"}}]"}},
		{"time":4,"name":"gen_ai.tool.message","attributes":{"id":"c1","content":"rain"}},
		{"time":5,"name":"gen_ai.choice","attributes":{"index":0,"finish_reason":"stop","message":"{\"role\":\"assistant\",\"content\":\"It rains.\"}"}}]`))
	want := weather()
	want.Output[0].Finish = "stop"
	if diff := cmp.Diff(want, Of(r)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLogRecord(t *testing.T) {
	r := &store.Row{Kind: store.KindLog}
	r.Add(store.FieldEventName, store.String("gen_ai.choice"))
	r.Add(store.FieldBody, store.MapJSON(`{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Hi"}}`))
	want := Exchange{Output: []Message{{Role: Assistant, Parts: []Part{{Kind: Text, Text: "Hi"}}, Finish: "stop"}}}
	if diff := cmp.Diff(want, Of(r)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTools(t *testing.T) {
	r := span("execute_tool", texts("gen_ai.tool.call.id", "c1", "gen_ai.tool.call.arguments", `{"city": "Paris"}`,
		"gen_ai.tool.call.result", `{"content":[{"type":"text","text":"rain"}]}`))
	r.Add(store.FieldTool, store.String("get_weather"))
	want := Exchange{
		Input: []Message{{Role: Assistant, Parts: []Part{{Kind: ToolCall, ID: "c1", Tool: "get_weather", Value: `{"city": "Paris"}`}}}},
		Output: []Message{{Role: Tool, Parts: []Part{{
			Kind: ToolResult, ID: "c1", Tool: "get_weather", Text: "rain", Value: `{"content":[{"type":"text","text":"rain"}]}`,
		}}}},
	}
	if diff := cmp.Diff(want, Of(r)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestParts(t *testing.T) {
	image := strings.Repeat("QUJD", 100)
	for name, test := range map[string]struct {
		content string
		want    []Part
	}{
		"reasoning":             {`[{"type":"thinking","thinking":"Hm."},{"type":"text","text":"Yes."}]`, []Part{{Kind: Reasoning, Text: "Hm."}, {Kind: Text, Text: "Yes."}}},
		"Gemini's thought":      {`[{"text":"Hm.","thought":true}]`, []Part{{Kind: Reasoning, Text: "Hm."}}},
		"Bedrock's reasoning":   {`[{"reasoningContent":{"reasoningText":{"text":"Hm."}}}]`, []Part{{Kind: Reasoning, Text: "Hm."}}},
		"OpenAI's summary":      {`[{"type":"reasoning","summary":[{"type":"summary_text","text":"Hm."}]}]`, []Part{{Kind: Reasoning, Text: "Hm."}}},
		"an image's address":    {`[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]`, []Part{{Kind: Media, Media: &Reference{Modality: "image", URI: "https://x/y.png"}}}},
		"an image sent along":   {`[{"type":"image_url","image_url":{"url":"data:image/png;base64,` + image + `"}}]`, []Part{{Kind: Media, Media: &Reference{Modality: "image", Type: "image/png", Bytes: 300}}}},
		"Anthropic's image":     {`[{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"` + image + `"}}]`, []Part{{Kind: Media, Media: &Reference{Modality: "image", Type: "image/jpeg", Bytes: 300}}}},
		"Gemini's inline data":  {`[{"inline_data":{"mime_type":"audio/wav","data":"` + image + `"}}]`, []Part{{Kind: Media, Media: &Reference{Modality: "audio", Type: "audio/wav", Bytes: 300}}}},
		"OpenTelemetry's blob":  {`[{"type":"blob","modality":"image","mime_type":"image/png","content":"` + image + `"}]`, []Part{{Kind: Media, Media: &Reference{Modality: "image", Type: "image/png", Bytes: 300}}}},
		"OpenTelemetry's uri":   {`[{"type":"uri","modality":"video","uri":"gs://b/v.mp4"}]`, []Part{{Kind: Media, Media: &Reference{Modality: "video", URI: "gs://b/v.mp4"}}}},
		"OpenTelemetry's file":  {`[{"type":"file","modality":"document","file_id":"f-1"}]`, []Part{{Kind: Media, Media: &Reference{Modality: "document", File: "f-1"}}}},
		"an unknown part":       {`[{"type":"hologram","depth":3}]`, []Part{{Kind: Raw, Text: `{"type":"hologram","depth":3}`}}},
		"a part without a type": {`[{"a": 1}]`, []Part{{Kind: Raw, Text: `{"a": 1}`}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := span("chat", texts("gen_ai.input.messages", `[{"role":"user","content":`+test.content+`}]`))
			want := Exchange{Input: []Message{{Role: User, Parts: test.want}}}
			if diff := cmp.Diff(want, Of(r)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestAsItCame checks that content of the wrong shape is shown whole.
func TestAsItCame(t *testing.T) {
	for name, text := range map[string]string{
		"cut JSON":           `[{"role":"user","content":"Weather in Par`,
		"an object of data":  `{"city":"Paris","days":3}`,
		"a list of numbers":  `[1,2,3]`,
		"plain text":         `Weather in Paris?`,
		"a number":           `42`,
		"deep nesting":       strings.Repeat(`{"messages":[`, 40) + `"x"` + strings.Repeat(`]}`, 40),
		"messages of nulls":  `{"role":"user","content":null,"x":"keep me"}`,
		"a Python structure": `{'role': 'user', 'content': 'Hi'}`,
	} {
		t.Run(name, func(t *testing.T) {
			e := Of(span("", texts("input.value", text)))
			var shown strings.Builder
			for _, m := range e.Input {
				for _, p := range m.Parts {
					shown.WriteString(p.Text)
				}
			}
			if got := shown.String(); got == "" || !strings.Contains(text, strings.TrimSpace(got)) && got != "123" {
				t.Errorf("shown as %q, sent %q", got, text)
			}
		})
	}
}

func TestHistory(t *testing.T) {
	var h History
	first := Exchange{Input: []Message{say(System, "s"), say(User, "yes")}, Output: []Message{say(Assistant, "a")}}
	if fresh, repeated := h.Next(first); repeated != 0 || !cmp.Equal(fresh, first) {
		t.Errorf("first call: %d repeated, %+v", repeated, fresh)
	}
	// Another agent in between.
	h.Next(Exchange{Input: []Message{say(System, "other"), say(User, "q")}})
	// The same word once more is said again, not repeated.
	second := Exchange{Input: append(append([]Message{}, first.Input...), say(Assistant, "a"), say(User, "yes")), Output: []Message{say(Assistant, "b")}}
	fresh, repeated := h.Next(second)
	if want := (Exchange{Input: []Message{say(User, "yes")}, Output: second.Output}); repeated != 3 || !cmp.Equal(fresh, want) {
		t.Errorf("second call: %d repeated, %+v", repeated, fresh)
	}
	if !fresh.Contains("YES") || fresh.Contains("nothing like it") {
		t.Error("wrong about what is contained")
	}
}

// FuzzOf reads messages of any shape: it must end, and a value that holds something shows something.
func FuzzOf(f *testing.F) {
	f.Add("gen_ai.input.messages", `[{"role":"user","parts":[{"type":"text","content":"x"}]}]`)
	f.Add("llm.input_messages.0.message.contents.0.message_content.text", "x")
	f.Add("gen_ai.prompt.1.tool_calls.0.arguments", `{"a":`)
	f.Add("input.value", `{"messages":[[[[{"role":1,"content":{"type":"image","source":{"data":7}}}]]]]}`)
	f.Add("gcp.vertex.agent.llm_request", `{"contents":{"role":"user"},"config":[]}`)
	f.Add("events", `[{"event.name":"gen_ai.choice","message":[{"tool_calls":{"id":1}}]}]`)
	f.Add("langfuse.observation.input", `{"kwargs":{"content":[null,1,"x",{"type":null}]}}`)
	f.Add("ai.response.toolCalls", `"cut`)
	f.Fuzz(func(t *testing.T, key, value string) {
		for _, operation := range []string{"chat", "execute_tool"} {
			e := Of(span(operation, texts(key, value)))
			for _, list := range [][]Message{e.Input, e.Output} {
				for _, m := range list {
					if m.Finish == choice {
						t.Error("an inner mark left the package")
					}
				}
			}
		}
		r := &store.Row{Kind: store.KindSpan}
		r.Add(store.FieldEvents, store.String(value))
		Of(r)
		if plain := strings.TrimSpace(value); key == "input.value" && plain != "" && !strings.ContainsAny(plain[:1], `{["n`) {
			if Of(span("", texts(key, value))).Empty() {
				t.Errorf("%q shows nothing", value)
			}
		}
	})
}
