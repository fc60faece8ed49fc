package llmhttp

import (
	"context"
	"encoding/json"

	"github.com/mindscope/mindscope/sdk"
)

// bedrockAgent reads InvokeAgent: an agent that runs at AWS and, asked to, traces the calls of models it makes.
type bedrockAgent struct{}

// maxHosted bounds the calls of a hosted agent that are open at a time.
const maxHosted = 64

// hosted are the calls of models that a hosted agent makes. Each is a call of its own, since each is paid for.
type hosted struct {
	ctx      context.Context
	provider string
	open     map[string]*sdk.LLM
}

func (bedrockAgent) request(body []byte, q *question) {
	var r struct {
		Input string `json:"inputText"`
	}
	decode(body, &r)
	q.model = ""
	q.add("user", &part{kind: textPart, content: []byte(r.Input)})
}

// invocation is one of the records by which the agent tells of a model's call.
type invocation struct {
	TraceID string `json:"traceId"`
	Model   string `json:"foundationModel"`
	Text    string `json:"text"`
	Meta    struct {
		Usage *converseUsage `json:"usage"`
	} `json:"metadata"`
	Raw struct {
		Content string `json:"content"`
	} `json:"rawResponse"`
}

func (bedrockAgent) event(name string, data []byte, a *answer) {
	switch name {
	case "chunk":
		var c struct {
			Bytes []byte `json:"bytes"`
		}
		decode(data, &c)
		a.grow(0, place{kind: textPart}, string(c.Bytes))
	case "trace":
		var t struct {
			Trace map[string]json.RawMessage `json:"trace"`
		}
		decode(data, &t)
		for _, step := range t.Trace {
			var s struct {
				Input  *invocation `json:"modelInvocationInput"`
				Output *invocation `json:"modelInvocationOutput"`
			}
			decode(step, &s)
			a.calls.begin(s.Input)
			a.calls.end(s.Output)
		}
	}
}

func (h *hosted) begin(i *invocation) {
	if i == nil || h.ctx == nil || len(h.open) >= maxHosted || h.open[i.TraceID] != nil {
		return
	}
	if h.open == nil {
		h.open = map[string]*sdk.LLM{}
	}
	_, call := sdk.StartLLM(h.ctx, h.provider, i.Model)
	call.Input([]*message{{Role: "user", Parts: []*part{{kind: textPart, content: []byte(i.Text)}}}})
	h.open[i.TraceID] = call
}

func (h *hosted) end(i *invocation) {
	if i == nil {
		return
	}
	if h.open[i.TraceID] == nil {
		h.begin(i)
	}
	call := h.open[i.TraceID]
	if call == nil {
		return
	}
	delete(h.open, i.TraceID)
	var a answer
	if i.Meta.Usage.report(&a); a.counted {
		call.Usage(a.usage)
	}
	call.Output([]*message{{
		Role: "assistant", FinishReason: "stop", Parts: []*part{{kind: textPart, content: []byte(i.Raw.Content)}},
	}})
	var none error
	call.End(&none)
}

// close ends the calls that the agent never told the end of.
func (h *hosted) close() {
	for _, call := range h.open {
		call.End(nil)
	}
	h.open = nil
}
