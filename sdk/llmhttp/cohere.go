package llmhttp

import (
	"encoding/json"

	"github.com/mindscope/mindscope/sdk"
)

// cohere reads Cohere's chat (both versions), embed and rerank.
type cohere struct{}

func (cohere) request(body []byte, q *question) {
	var r struct {
		openAIRequest
		Message  string `json:"message"`
		Preamble string `json:"preamble"`
		Query    string `json:"query"`
	}
	decode(body, &r)
	q.model, q.stream, q.temperature, q.maxTokens = r.Model, r.Stream, r.Temperature, r.MaxTokens
	if r.Preamble != "" {
		q.instruct(&part{kind: textPart, content: []byte(r.Preamble)})
	}
	for _, m := range r.Messages {
		m.ask(q)
	}
	if ask := r.Message + r.Query; ask != "" {
		q.add("user", &part{kind: textPart, content: []byte(ask)})
	}
}

// cohereUsage is what the two versions call meta and usage.
type cohereUsage struct {
	Billed cohereTokens `json:"billed_units"`
	Tokens cohereTokens `json:"tokens"`
	Cached tokens       `json:"cached_tokens"`
}

type cohereTokens struct {
	Input  *tokens `json:"input_tokens"`
	Output *tokens `json:"output_tokens"`
}

// report takes the tokens that are billed, as OpenTelemetry wants it where they are not those that were used: Cohere's
// own instructions to its models cost nothing. How many of the billed ones came from the cache is not said.
func (u *cohereUsage) report(a *answer) {
	if u == nil {
		return
	}
	in, out := first(u.Billed.Input, u.Tokens.Input), first(u.Billed.Output, u.Tokens.Output)
	if in == nil && out == nil {
		return
	}
	t := sdk.Usage{Input: in.n(), Output: out.n()}
	if u.Billed.Input == nil {
		t.CacheRead = int(u.Cached)
	}
	a.took(t)
}

type cohereAnswer struct {
	ID         string          `json:"id"`
	Generation string          `json:"generation_id"`
	Finish     string          `json:"finish_reason"`
	Text       string          `json:"text"`
	Message    openAIMessage   `json:"message"`
	Usage      *cohereUsage    `json:"usage"`
	Meta       *cohereUsage    `json:"meta"`
	Type       string          `json:"type"`
	Index      int             `json:"index"`
	Delta      json.RawMessage `json:"delta"`
}

func (cohere) event(_ string, data []byte, a *answer) {
	var r cohereAnswer
	decode(data, &r)
	if r.Type != "" {
		r.piece(a)
		return
	}
	a.named("", r.ID+r.Generation)
	r.Message.answer(0, a)
	a.grow(0, place{kind: textPart}, r.Text)
	a.ended(0, r.Finish)
	r.Meta.report(a)
	r.Usage.report(a)
}

// piece takes an event of a stream.
func (r cohereAnswer) piece(a *answer) {
	var d struct {
		Finish  string       `json:"finish_reason"`
		Usage   *cohereUsage `json:"usage"`
		Message struct {
			Content struct {
				Text     string `json:"text"`
				Thinking string `json:"thinking"`
			} `json:"content"`
			ToolCalls openAIToolCall `json:"tool_calls"`
		} `json:"message"`
	}
	decode(r.Delta, &d)
	a.named("", r.ID)
	a.grow(0, place{textPart, r.Index}, d.Message.Content.Text)
	a.grow(0, place{reasoningPart, r.Index}, d.Message.Content.Thinking)
	if c := d.Message.ToolCalls; c.ID != "" || len(c.Function.Arguments) > 0 {
		a.call(0, r.Index, c.ID, c.Function.Name, string(plain(c.Function.Arguments)))
	}
	a.ended(0, d.Finish)
	d.Usage.report(a)
}
