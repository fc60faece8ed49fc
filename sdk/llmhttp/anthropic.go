package llmhttp

import "encoding/json"

// anthropic reads Anthropic's messages and completions, its own as well as those on Bedrock and Vertex AI.
type anthropic struct{}

func (anthropic) request(body []byte, q *question) {
	var r struct {
		Model       string          `json:"model"`
		Stream      bool            `json:"stream"`
		MaxTokens   tokens          `json:"max_tokens"`
		Sample      tokens          `json:"max_tokens_to_sample"`
		Temperature *float64        `json:"temperature"`
		System      json.RawMessage `json:"system"`
		Prompt      string          `json:"prompt"`
		Messages    []struct {
			Role    string          `json:"role"`
			Content json.RawMessage `json:"content"`
		} `json:"messages"`
	}
	decode(body, &r)
	if r.Model != "" {
		q.model = r.Model
	}
	q.stream, q.maxTokens, q.temperature = r.Stream, max(r.MaxTokens, r.Sample), r.Temperature
	q.instruct(content(r.System, anthropicPart)...)
	for _, m := range r.Messages {
		q.add(m.Role, content(m.Content, anthropicPart)...)
	}
	if r.Prompt != "" {
		q.add("user", &part{kind: textPart, content: []byte(r.Prompt)})
	}
}

// anthropicBlock is a block of a message's content.
type anthropicBlock struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	Thinking  string          `json:"thinking"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
	ToolUseID string          `json:"tool_use_id"`
	Content   json.RawMessage `json:"content"`
	Source    struct {
		MediaType string `json:"media_type"`
		Data      string `json:"data"`
		URL       string `json:"url"`
	} `json:"source"`
}

func anthropicPart(raw json.RawMessage) *part {
	var b anthropicBlock
	decode(raw, &b)
	switch {
	case b.Type == "text":
		return &part{kind: textPart, content: []byte(b.Text)}
	case b.Type == "thinking":
		return &part{kind: reasoningPart, content: []byte(b.Thinking)}
	case b.Type == "tool_use" || b.Type == "server_tool_use":
		return &part{kind: toolCall, id: b.ID, name: b.Name, content: b.Input}
	case b.ToolUseID != "":
		return &part{kind: toolResponse, id: b.ToolUseID, content: plain(b.Content)}
	case b.Source.URL != "":
		return media(b.Source.MediaType, b.Source.URL)
	case b.Source.Data != "":
		return &part{kind: blobPart, mime: b.Source.MediaType, content: []byte(b.Source.Data)}
	}
	return nil
}

type anthropicMessage struct {
	ID      string            `json:"id"`
	Model   string            `json:"model"`
	Content []json.RawMessage `json:"content"`
	Stop    string            `json:"stop_reason"`
	Usage   *anthropicUsage   `json:"usage"`
}

// anthropicEvent is a whole message, a completion, or an event of a stream.
type anthropicEvent struct {
	anthropicMessage
	Type       string            `json:"type"`
	Index      int               `json:"index"`
	Completion string            `json:"completion"`
	Message    *anthropicMessage `json:"message"`
	Block      json.RawMessage   `json:"content_block"`
	Delta      struct {
		Text     string `json:"text"`
		Thinking string `json:"thinking"`
		JSON     string `json:"partial_json"`
		Stop     string `json:"stop_reason"`
	} `json:"delta"`
}

func (anthropic) event(_ string, data []byte, a *answer) {
	var e anthropicEvent
	decode(data, &e)
	switch e.Type {
	case "error":
		a.failure("", data)
	case "message_start":
		if e.Message != nil {
			e.Message.report(a)
		}
	case "content_block_start":
		startBlock(e.Index, e.Block, a)
	case "content_block_delta":
		a.grow(0, place{textPart, e.Index}, e.Delta.Text)
		a.grow(0, place{reasoningPart, e.Index}, e.Delta.Thinking)
		a.grow(0, place{toolCall, e.Index}, e.Delta.JSON)
	case "message_delta":
		e.Usage.report(a)
		a.ended(0, e.Delta.Stop)
	default:
		a.grow(0, place{kind: textPart}, e.Completion)
		e.report(a)
	}
}

// startBlock begins a part of a streamed message. A tool's empty input comes in pieces later.
func startBlock(index int, raw json.RawMessage, a *answer) {
	p := anthropicPart(raw)
	if p == nil {
		return
	}
	if p.kind == toolCall {
		if string(p.content) == "{}" {
			p.content = nil
		}
		a.call(0, index, p.id, p.name, string(p.content))
		return
	}
	a.grow(0, place{p.kind, index}, string(p.content))
}

func (m *anthropicMessage) report(a *answer) {
	a.named(m.Model, m.ID)
	if a.keep {
		for _, raw := range m.Content {
			a.add(0, anthropicPart(raw))
		}
	}
	m.Usage.report(a)
	a.ended(0, m.Stop)
}

// anthropicUsage counts what was cached beside the input.
type anthropicUsage struct {
	Input  *tokens `json:"input_tokens"`
	Output *tokens `json:"output_tokens"`
	Read   *tokens `json:"cache_read_input_tokens"`
	Write  *tokens `json:"cache_creation_input_tokens"`
	Long   struct {
		Hour *tokens `json:"ephemeral_1h_input_tokens"`
	} `json:"cache_creation"`
	More struct {
		Thinking tokens `json:"thinking_tokens"`
	} `json:"output_tokens_details"`
}

// report takes a usage. The events of a stream tell of it twice, and the second time not all of it: what it leaves out
// stays as it was.
func (u *anthropicUsage) report(a *answer) {
	if u == nil || u.Input == nil && u.Output == nil {
		return
	}
	t := a.usage
	plain := told(u.Input, t.Input-t.CacheRead-t.CacheWrite)
	t.CacheRead, t.CacheWrite = told(u.Read, t.CacheRead), told(u.Write, t.CacheWrite)
	t.CacheWrite1h = min(told(u.Long.Hour, t.CacheWrite1h), t.CacheWrite)
	t.Input, t.Output = plain+t.CacheRead+t.CacheWrite, told(u.Output, t.Output)
	t.Reasoning = max(t.Reasoning, int(u.More.Thinking))
	a.took(t)
}

// told returns a count, or what was known before when an event does not name it.
func told(n *tokens, before int) int {
	if n == nil {
		return before
	}
	return n.n()
}
