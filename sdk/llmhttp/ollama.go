package llmhttp

import (
	"encoding/json"

	"github.com/mindscope/mindscope/sdk"
)

// ollama reads Ollama's own API.
type ollama struct{}

type ollamaMessage struct {
	Role      string           `json:"role"`
	Content   string           `json:"content"`
	Thinking  string           `json:"thinking"`
	ToolCalls []openAIToolCall `json:"tool_calls"`
	Images    []string         `json:"images"`
	ToolName  string           `json:"tool_name"`
}

func (ollama) request(body []byte, q *question) {
	var r struct {
		Model    string          `json:"model"`
		Stream   *bool           `json:"stream"`
		Prompt   string          `json:"prompt"`
		System   string          `json:"system"`
		Input    json.RawMessage `json:"input"`
		Messages []ollamaMessage `json:"messages"`
		Options  struct {
			Predict     tokens   `json:"num_predict"`
			Temperature *float64 `json:"temperature"`
		} `json:"options"`
	}
	decode(body, &r)
	q.model = r.Model
	q.stream = r.Stream == nil || *r.Stream // streams unless told not to
	q.maxTokens, q.temperature = r.Options.Predict, r.Options.Temperature
	if r.System != "" {
		q.instruct(&part{kind: textPart, content: []byte(r.System)})
	}
	for _, m := range r.Messages {
		parts := []*part{}
		if m.Role == "tool" {
			parts = append(parts, &part{kind: toolResponse, name: m.ToolName, content: []byte(m.Content)})
		} else if m.Content != "" {
			parts = append(parts, &part{kind: textPart, content: []byte(m.Content)})
		}
		for _, c := range m.ToolCalls {
			parts = append(parts, &part{kind: toolCall, id: c.ID, name: c.Function.Name, content: plain(c.Function.Arguments)})
		}
		for _, image := range m.Images {
			parts = append(parts, &part{kind: blobPart, mime: "image/*", content: []byte(image)})
		}
		q.add(m.Role, parts...)
	}
	if r.Prompt != "" {
		q.add("user", &part{kind: textPart, content: []byte(r.Prompt)})
	}
	q.add("user", content(r.Input, openAIPart)...)
}

func (ollama) event(_ string, data []byte, a *answer) {
	var r struct {
		Model    string          `json:"model"`
		Message  ollamaMessage   `json:"message"`
		Response string          `json:"response"`
		Thinking string          `json:"thinking"`
		Reason   string          `json:"done_reason"`
		Prompt   *tokens         `json:"prompt_eval_count"`
		Eval     *tokens         `json:"eval_count"`
		Error    json.RawMessage `json:"error"`
	}
	decode(data, &r)
	a.named(r.Model, "")
	a.grow(0, place{kind: reasoningPart}, r.Message.Thinking+r.Thinking)
	a.grow(0, place{kind: textPart}, r.Message.Content+r.Response)
	if a.keep {
		for _, c := range r.Message.ToolCalls {
			a.add(0, &part{kind: toolCall, id: c.ID, name: c.Function.Name, content: plain(c.Function.Arguments)})
		}
	}
	a.ended(0, r.Reason)
	if r.Prompt != nil || r.Eval != nil {
		a.took(sdk.Usage{Input: r.Prompt.n(), Output: r.Eval.n()})
	}
	if len(r.Error) > 0 {
		a.failure("", data)
	}
}
