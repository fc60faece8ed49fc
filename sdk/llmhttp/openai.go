package llmhttp

import (
	"encoding/json"

	"github.com/mindscope/mindscope/sdk"
)

// openAI reads chat completions, completions and embeddings of OpenAI and of all who speak its format.
type openAI struct{}

type openAIRequest struct {
	Model         string          `json:"model"`
	Stream        bool            `json:"stream"`
	MaxTokens     tokens          `json:"max_tokens"`
	MaxCompletion tokens          `json:"max_completion_tokens"`
	Temperature   *float64        `json:"temperature"`
	Messages      []openAIMessage `json:"messages"`
	Prompt        json.RawMessage `json:"prompt"`
	Input         json.RawMessage `json:"input"`
}

type openAIMessage struct {
	Role       string           `json:"role"`
	Content    json.RawMessage  `json:"content"`
	Refusal    string           `json:"refusal"`
	Reasoning  string           `json:"reasoning"`
	Thinking   string           `json:"reasoning_content"`
	ToolCalls  []openAIToolCall `json:"tool_calls"`
	Function   *openAIFunction  `json:"function_call"`
	ToolCallID string           `json:"tool_call_id"`
}

type openAIToolCall struct {
	Index    int            `json:"index"`
	ID       string         `json:"id"`
	Function openAIFunction `json:"function"`
}

type openAIFunction struct {
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

func (openAI) request(body []byte, q *question) {
	var r openAIRequest
	decode(body, &r)
	if r.Model != "" {
		q.model = r.Model
	}
	q.stream, q.temperature = r.Stream, r.Temperature
	q.maxTokens = max(r.MaxTokens, r.MaxCompletion)
	for _, m := range r.Messages {
		m.ask(q)
	}
	q.add("user", content(r.Prompt, openAIPart)...)
	q.add("user", content(r.Input, openAIPart)...)
}

func (m openAIMessage) ask(q *question) {
	switch m.Role {
	case "system", "developer":
		q.add("system", content(m.Content, openAIPart)...)
	case "tool", "function":
		q.add("tool", &part{kind: toolResponse, id: m.ToolCallID, content: plain(m.Content)})
	default:
		parts := content(m.Content, openAIPart)
		for _, c := range m.ToolCalls {
			parts = append(parts, &part{kind: toolCall, id: c.ID, name: c.Function.Name, content: plain(c.Function.Arguments)})
		}
		if m.Function != nil {
			parts = append(parts, &part{kind: toolCall, name: m.Function.Name, content: plain(m.Function.Arguments)})
		}
		q.add(m.Role, parts...)
	}
}

// openAIPart reads one part of a message, of chat completions and of responses.
func openAIPart(raw json.RawMessage) *part {
	var p struct {
		Type     string          `json:"type"`
		Text     string          `json:"text"`
		Refusal  string          `json:"refusal"`
		ImageURL json.RawMessage `json:"image_url"`
		Audio    struct {
			Data   string `json:"data"`
			Format string `json:"format"`
		} `json:"input_audio"`
		Thinking json.RawMessage `json:"thinking"`
	}
	decode(raw, &p)
	switch {
	case p.Type == "thinking": // Mistral's
		var b []byte
		for _, t := range content(p.Thinking, openAIPart) {
			b = append(b, t.content...)
		}
		return &part{kind: reasoningPart, content: b}
	case p.Text != "" || p.Type == "text" || p.Type == "input_text" || p.Type == "output_text":
		return &part{kind: textPart, content: []byte(p.Text)}
	case p.Refusal != "":
		return &part{kind: textPart, content: []byte(p.Refusal)}
	case len(p.ImageURL) > 0:
		var image struct {
			URL string `json:"url"`
		}
		if decode(p.ImageURL, &image); image.URL == "" {
			image.URL = string(plain(p.ImageURL))
		}
		return media("", image.URL)
	case p.Audio.Data != "":
		return &part{kind: blobPart, mime: "audio/" + p.Audio.Format, content: []byte(p.Audio.Data)}
	}
	return nil
}

type openAIAnswer struct {
	ID      string `json:"id"`
	Model   string `json:"model"`
	Choices []struct {
		Index   int           `json:"index"`
		Finish  text          `json:"finish_reason"`
		Message openAIMessage `json:"message"`
		Delta   openAIMessage `json:"delta"`
		Text    string        `json:"text"`
	} `json:"choices"`
	Usage *openAIUsage    `json:"usage"`
	Error json.RawMessage `json:"error"`
	XGroq struct {
		Usage *openAIUsage `json:"usage"`
	} `json:"x_groq"`
}

func (openAI) event(_ string, data []byte, a *answer) {
	var r openAIAnswer
	decode(data, &r)
	a.named(r.Model, r.ID)
	for _, c := range r.Choices {
		for _, m := range []openAIMessage{c.Message, c.Delta} {
			m.answer(c.Index, a)
		}
		a.grow(c.Index, place{kind: textPart}, c.Text)
		a.ended(c.Index, string(c.Finish))
	}
	r.XGroq.Usage.report(a)
	r.Usage.report(a)
	if len(r.Error) > 0 && string(r.Error) != "null" {
		a.failure("", data)
	}
}

// answer takes a message, or a piece of one.
func (m openAIMessage) answer(index int, a *answer) {
	if !a.keep {
		return
	}
	a.grow(index, place{kind: reasoningPart}, m.Reasoning+m.Thinking)
	for _, p := range content(m.Content, openAIPart) {
		a.grow(index, place{kind: p.kind}, string(p.content))
	}
	a.grow(index, place{kind: textPart}, m.Refusal)
	for i, c := range m.ToolCalls {
		a.call(index, max(i, c.Index), c.ID, c.Function.Name, string(plain(c.Function.Arguments)))
	}
	if m.Function != nil {
		a.call(index, 0, "", m.Function.Name, string(plain(m.Function.Arguments)))
	}
}

// openAIUsage is the usage of chat completions and of responses. Cached tokens are part of the input.
type openAIUsage struct {
	Prompt     *tokens         `json:"prompt_tokens"`
	Completion *tokens         `json:"completion_tokens"`
	Input      *tokens         `json:"input_tokens"`
	Output     *tokens         `json:"output_tokens"`
	Total      tokens          `json:"total_tokens"`
	PromptMore openAIInputs    `json:"prompt_tokens_details"`
	InputMore  openAIInputs    `json:"input_tokens_details"`
	ComplMore  openAIOutputs   `json:"completion_tokens_details"`
	OutputMore openAIOutputs   `json:"output_tokens_details"`
	CacheHit   tokens          `json:"prompt_cache_hit_tokens"` // DeepSeek's
	Cost       json.RawMessage `json:"cost"`                    // OpenRouter's and Perplexity's
}

type openAIInputs struct {
	Cached  tokens `json:"cached_tokens"`
	Written tokens `json:"cache_write_tokens"`
}

type openAIOutputs struct {
	Reasoning tokens `json:"reasoning_tokens"`
}

func (u *openAIUsage) report(a *answer) {
	if u == nil {
		return
	}
	in, out := first(u.Prompt, u.Input), first(u.Completion, u.Output)
	if in == nil && out == nil {
		return
	}
	t := sdk.Usage{
		Input: in.n(), Output: out.n(),
		CacheRead:  int(max(u.PromptMore.Cached, u.InputMore.Cached, u.CacheHit)),
		CacheWrite: int(max(u.PromptMore.Written, u.InputMore.Written)),
		Reasoning:  int(max(u.ComplMore.Reasoning, u.OutputMore.Reasoning)),
	}
	// Some count reasoning beside the output; their total tells.
	if t.Reasoning > 0 && int(u.Total) == t.Input+t.Output+t.Reasoning {
		t.Output += t.Reasoning
	}
	a.took(t)
	var cost float64
	var detail struct {
		Total float64 `json:"total_cost"`
	}
	if len(u.Cost) > 0 && json.Unmarshal(u.Cost, &cost) != nil {
		decode(u.Cost, &detail)
		cost = detail.Total
	}
	a.cost = max(a.cost, cost)
}

// n returns the count, 0 for none.
func (n *tokens) n() int {
	if n == nil {
		return 0
	}
	return int(*n)
}

// first returns the first count that there is.
func first(counts ...*tokens) *tokens {
	for _, c := range counts {
		if c != nil {
			return c
		}
	}
	return nil
}
