package llmhttp

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/mindscope/mindscope/sdk"
)

// converse reads Bedrock's Converse and ConverseStream, which are the same for all models.
type converse struct{}

type converseMessage struct {
	Role    string            `json:"role"`
	Content []json.RawMessage `json:"content"`
}

func (converse) request(body []byte, q *question) {
	var r struct {
		System   []json.RawMessage `json:"system"`
		Messages []converseMessage `json:"messages"`
		Config   struct {
			MaxTokens   tokens   `json:"maxTokens"`
			Temperature *float64 `json:"temperature"`
		} `json:"inferenceConfig"`
	}
	decode(body, &r)
	q.maxTokens, q.temperature = r.Config.MaxTokens, r.Config.Temperature
	q.instruct(converseMessage{Content: r.System}.read()...)
	for _, m := range r.Messages {
		q.add(m.Role, m.read()...)
	}
}

func (m converseMessage) read() []*part {
	var parts []*part
	for _, raw := range m.Content {
		if p := conversePart(raw); p != nil {
			parts = append(parts, p)
		}
	}
	return parts
}

type converseTool struct {
	ID      string          `json:"toolUseId"`
	Name    string          `json:"name"`
	Input   json.RawMessage `json:"input"`
	Content json.RawMessage `json:"content"`
}

type converseReasoning struct {
	Text   string `json:"text"` // in a stream
	Inside struct {
		Text string `json:"text"`
	} `json:"reasoningText"`
}

func conversePart(raw json.RawMessage) *part {
	var b struct {
		Text      *string            `json:"text"`
		ToolUse   *converseTool      `json:"toolUse"`
		Result    *converseTool      `json:"toolResult"`
		Reasoning *converseReasoning `json:"reasoningContent"`
		Image     *struct {
			Format string `json:"format"`
			Source struct {
				Bytes string `json:"bytes"`
			} `json:"source"`
		} `json:"image"`
	}
	decode(raw, &b)
	switch {
	case b.Text != nil:
		return &part{kind: textPart, content: []byte(*b.Text)}
	case b.ToolUse != nil:
		return &part{kind: toolCall, id: b.ToolUse.ID, name: b.ToolUse.Name, content: b.ToolUse.Input}
	case b.Result != nil:
		return &part{kind: toolResponse, id: b.Result.ID, content: b.Result.Content}
	case b.Reasoning != nil:
		return &part{kind: reasoningPart, content: []byte(b.Reasoning.Inside.Text)}
	case b.Image != nil:
		return &part{kind: blobPart, mime: "image/" + b.Image.Format, content: []byte(b.Image.Source.Bytes)}
	}
	return nil
}

func (converse) event(_ string, data []byte, a *answer) {
	var r struct {
		Output struct {
			Message converseMessage `json:"message"`
		} `json:"output"`
		Stop  string         `json:"stopReason"`
		Usage *converseUsage `json:"usage"`
		Index int            `json:"contentBlockIndex"`
		Start struct {
			ToolUse converseTool `json:"toolUse"`
		} `json:"start"`
		Delta struct {
			Text    string `json:"text"`
			ToolUse struct {
				Input string `json:"input"`
			} `json:"toolUse"`
			Reasoning converseReasoning `json:"reasoningContent"`
		} `json:"delta"`
	}
	decode(data, &r)
	if a.keep {
		a.add(0, r.Output.Message.read()...)
	}
	if t := r.Start.ToolUse; t.Name != "" {
		a.call(0, r.Index, t.ID, t.Name, "")
	}
	a.grow(0, place{textPart, r.Index}, r.Delta.Text)
	a.grow(0, place{reasoningPart, r.Index}, r.Delta.Reasoning.Text)
	a.grow(0, place{toolCall, r.Index}, r.Delta.ToolUse.Input)
	a.ended(0, r.Stop)
	r.Usage.report(a)
}

// converseUsage counts what was cached beside the input.
type converseUsage struct {
	Input  *tokens `json:"inputTokens"`
	Output *tokens `json:"outputTokens"`
	Read   tokens  `json:"cacheReadInputTokens"`
	Write  tokens  `json:"cacheWriteInputTokens"`
}

func (u *converseUsage) report(a *answer) {
	if u == nil || u.Input == nil && u.Output == nil {
		return
	}
	a.took(sdk.Usage{
		Input: u.Input.n() + int(u.Read) + int(u.Write), Output: u.Output.n(), CacheRead: int(u.Read), CacheWrite: int(u.Write),
	})
}

// invoke reads InvokeModel, whose bodies are those of the model's maker. In a stream they are packed in base64.
type invoke struct{ family dialect }

// familyOf returns the format of a model by its maker, which its id names.
func familyOf(model string) dialect {
	for _, f := range []struct {
		maker   string
		dialect dialect
	}{
		{"anthropic.", anthropic{}},
		{"mistral.", openAI{}},
		{"openai.", openAI{}},
		{"deepseek.", openAI{}},
		{"qwen.", openAI{}},
		{"cohere.command-r", cohere{}},
		{"amazon.nova", converse{}},
	} {
		if strings.Contains(model, f.maker) {
			return invoke{f.dialect}
		}
	}
	return invoke{plainModel{}}
}

func (i invoke) request(body []byte, q *question) {
	model := q.model
	i.family.request(body, q)
	q.model = model // the address is the one that counts
}

func (i invoke) event(name string, data []byte, a *answer) {
	var chunk struct {
		Bytes string `json:"bytes"`
	}
	if name != "chunk" {
		i.family.event(name, data, a)
		return
	}
	decode(data, &chunk)
	inner, err := base64.StdEncoding.DecodeString(chunk.Bytes)
	if err != nil {
		return
	}
	i.family.event("", inner, a)
	invocationMetrics(inner, a)
}

// invocationMetrics takes the counts that the last chunk of every model carries. They win over the model's own: they
// are those of Bedrock, who sends the bill. What part of them was reasoning, or stays in the cache for an hour, only the
// model's own say.
func invocationMetrics(data []byte, a *answer) {
	var last struct {
		Metrics struct {
			Input  *tokens `json:"inputTokenCount"`
			Output *tokens `json:"outputTokenCount"`
			Read   tokens  `json:"cacheReadInputTokenCount"`
			Write  tokens  `json:"cacheWriteInputTokenCount"`
		} `json:"amazon-bedrock-invocationMetrics"`
	}
	decode(data, &last)
	m := last.Metrics
	u := converseUsage{Input: m.Input, Output: m.Output, Read: m.Read, Write: m.Write}
	before := a.usage
	u.report(a)
	a.usage.Reasoning = min(before.Reasoning, a.usage.Output)
	a.usage.CacheWrite1h = min(before.CacheWrite1h, a.usage.CacheWrite)
}

// plainModel reads the formats of a prompt and a text: Llama, Titan, Jurassic, old Cohere.
type plainModel struct{}

func (plainModel) request(body []byte, q *question) {
	var r struct {
		Prompt      string   `json:"prompt"`
		Input       string   `json:"inputText"`
		MaxGen      tokens   `json:"max_gen_len"`
		MaxTokens   tokens   `json:"max_tokens"`
		Temperature *float64 `json:"temperature"`
	}
	decode(body, &r)
	q.maxTokens, q.temperature = max(r.MaxGen, r.MaxTokens), r.Temperature
	if ask := r.Prompt + r.Input; ask != "" {
		q.add("user", &part{kind: textPart, content: []byte(ask)})
	}
}

func (plainModel) event(_ string, data []byte, a *answer) {
	var r struct {
		Generation string  `json:"generation"`
		Text       string  `json:"outputText"`
		Stop       string  `json:"stop_reason"`
		Reason     string  `json:"completionReason"`
		Prompt     *tokens `json:"prompt_token_count"`
		Generated  *tokens `json:"generation_token_count"`
		Input      *tokens `json:"inputTextTokenCount"`
		Results    []struct {
			Text   string `json:"outputText"`
			Reason string `json:"completionReason"`
			Count  tokens `json:"tokenCount"`
		} `json:"results"`
	}
	decode(data, &r)
	a.grow(0, place{kind: textPart}, r.Generation+r.Text)
	out := r.Generated.n()
	for _, one := range r.Results {
		a.grow(0, place{kind: textPart}, one.Text)
		a.ended(0, one.Reason)
		out += int(one.Count)
	}
	a.ended(0, r.Stop+r.Reason)
	if in := first(r.Prompt, r.Input); in != nil {
		a.took(sdk.Usage{Input: in.n(), Output: out})
	}
}
