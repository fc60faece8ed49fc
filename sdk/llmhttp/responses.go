package llmhttp

import (
	"cmp"
	"encoding/json"
	"strings"
)

// responses reads OpenAI's responses.
type responses struct{}

// responseItem is an item of a request's input or of an answer's output.
type responseItem struct {
	ID        string          `json:"id"`
	Type      string          `json:"type"`
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"`
	CallID    string          `json:"call_id"`
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
	Input     json.RawMessage `json:"input"`
	Output    json.RawMessage `json:"output"`
	Summary   json.RawMessage `json:"summary"`
	Action    json.RawMessage `json:"action"`
}

func (responses) request(body []byte, q *question) {
	var r struct {
		Model        string          `json:"model"`
		Stream       bool            `json:"stream"`
		MaxTokens    tokens          `json:"max_output_tokens"`
		Temperature  *float64        `json:"temperature"`
		Instructions string          `json:"instructions"`
		Input        json.RawMessage `json:"input"`
	}
	decode(body, &r)
	if r.Model != "" {
		q.model = r.Model
	}
	q.stream, q.maxTokens, q.temperature = r.Stream, r.MaxTokens, r.Temperature
	if r.Instructions != "" {
		q.instruct(&part{kind: textPart, content: []byte(r.Instructions)})
	}
	var items []responseItem
	if json.Unmarshal(r.Input, &items) != nil {
		q.add("user", content(r.Input, openAIPart)...)
		return
	}
	for _, item := range items {
		role := cmp.Or(item.Role, "assistant")
		if role == "developer" {
			role = "system"
		}
		if strings.HasSuffix(item.Type, "_output") {
			role = "tool"
		}
		q.add(role, item.parts()...)
	}
}

// parts returns an item as parts of a message.
func (i responseItem) parts() []*part {
	switch {
	case i.Type == "function_call" || i.Type == "custom_tool_call":
		arguments := i.Arguments
		if len(arguments) == 0 {
			arguments = i.Input
		}
		return []*part{{kind: toolCall, id: i.CallID, name: i.Name, content: plain(arguments)}}
	case strings.HasSuffix(i.Type, "_output"):
		return []*part{{kind: toolResponse, id: i.CallID, content: plain(i.Output)}}
	case i.Type == "reasoning":
		parts := append(content(i.Summary, openAIPart), content(i.Content, openAIPart)...)
		for _, p := range parts {
			p.kind = reasoningPart
		}
		return parts
	case strings.HasSuffix(i.Type, "_call"):
		// The provider's own tools: what was asked of them is all that is said.
		return []*part{{kind: toolCall, id: i.ID, name: strings.TrimSuffix(i.Type, "_call"), content: i.Action}}
	default:
		return content(i.Content, openAIPart)
	}
}

type responseAnswer struct {
	Object     string         `json:"object"`
	ID         string         `json:"id"`
	Model      string         `json:"model"`
	Status     string         `json:"status"`
	Output     []responseItem `json:"output"`
	Usage      *openAIUsage   `json:"usage"`
	Incomplete struct {
		Reason string `json:"reason"`
	} `json:"incomplete_details"`
	Error json.RawMessage `json:"error"`
}

// event takes a whole answer, or one of a stream's events. Of those the last has all that the others say in pieces.
func (responses) event(_ string, data []byte, a *answer) {
	var e struct {
		Type     string          `json:"type"`
		Response json.RawMessage `json:"response"`
	}
	decode(data, &e)
	switch e.Type {
	case "":
		responseDone(data, a)
	case "response.created":
		var r responseAnswer
		decode(e.Response, &r)
		a.named(r.Model, r.ID)
	case "response.completed", "response.incomplete", "response.failed":
		responseDone(e.Response, a)
	case "error":
		a.failure("", data)
	}
}

func responseDone(data []byte, a *answer) {
	var r responseAnswer
	decode(data, &r)
	a.named(r.Model, r.ID)
	r.Usage.report(a)
	for _, item := range r.Output {
		if a.keep {
			a.add(0, item.parts()...)
		}
	}
	a.ended(0, cmp.Or(r.Incomplete.Reason, r.Status))
	if len(r.Error) > 0 && string(r.Error) != "null" {
		a.failure("", data)
	}
}
