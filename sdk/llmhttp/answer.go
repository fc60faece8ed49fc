package llmhttp

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/mindscope/mindscope/sdk"
)

// maxChoices and maxParts bound what one answer may make us remember.
const (
	maxChoices = 128
	maxParts   = 1024
)

// answer is what is known of an answer, put together from its events.
type answer struct {
	model, id string
	finish    []string
	usage     sdk.Usage
	counted   bool // the provider said how many tokens: unknown is not 0
	cost      float64
	err       *callError

	// keep says that content is wanted, of which room is left.
	keep    bool
	room    int
	choices map[int]*choice
	// calls are those that a hosted agent made of models.
	calls hosted
}

// choice is one of the alternative messages of an answer.
type choice struct {
	role   string
	finish string
	parts  map[place]*part
	order  []*part
}

// place is where a part of a streamed message grows: the index of its block, and its kind where blocks have none.
type place struct {
	kind  string
	index int
}

// begin gives the answer what calls of hosted agents are reported with.
func (a *answer) begin(ctx context.Context, r route) {
	a.calls = hosted{ctx: ctx, provider: r.provider}
}

// named keeps the answer's model and id; they come with every event, and the first ones count.
func (a *answer) named(model, id string) {
	a.model = cmp.Or(a.model, model)
	a.id = cmp.Or(a.id, id)
}

// took keeps a usage. A later one replaces it: streams count up.
func (a *answer) took(u sdk.Usage) { a.usage, a.counted = u, true }

// ended keeps why a choice ended.
func (a *answer) ended(index int, reason string) {
	if reason == "" {
		return
	}
	if len(a.finish) < maxChoices {
		a.finish = append(a.finish, reason)
	}
	if c := a.choice(index); c != nil {
		c.finish = finishReason(reason)
	}
}

// finishReason returns OpenTelemetry's name of a reason.
func finishReason(reason string) string {
	switch r := strings.ToLower(reason); r {
	case "stop", "end_turn", "stop_sequence", "complete", "completed", "eos", "finish":
		return "stop"
	case "length", "max_tokens", "max_output_tokens", "model_length":
		return "length"
	case "tool_calls", "tool_call", "tool_use", "function_call":
		return "tool_call"
	case "content_filter", "content_filtered", "safety", "refusal", "guardrail_intervened", "recitation", "blocklist",
		"prohibited_content", "spii":
		return "content_filter"
	case "error":
		return "error"
	default:
		return r
	}
}

// choice returns the choice of an index, nil when content is not wanted.
func (a *answer) choice(index int) *choice {
	if !a.keep {
		return nil
	}
	c := a.choices[index]
	if c == nil {
		if len(a.choices) >= maxChoices {
			return nil
		}
		if a.choices == nil {
			a.choices = map[int]*choice{}
		}
		c = &choice{role: "assistant", parts: map[place]*part{}}
		a.choices[index] = c
	}
	return c
}

// part returns the part that grows at a place, nil when content is not wanted or too much.
func (a *answer) part(index int, at place) *part {
	c := a.choice(index)
	if c == nil {
		return nil
	}
	p := c.parts[at]
	if p == nil {
		if len(c.parts) >= maxParts || a.room <= 0 {
			return nil
		}
		p = &part{kind: at.kind}
		c.parts[at] = p
		c.order = append(c.order, p)
	}
	return p
}

// grow adds text to the part at a place.
func (a *answer) grow(index int, at place, more string) {
	if more == "" {
		return
	}
	if p := a.part(index, at); p != nil {
		more = cut(more, max(a.room, 0))
		a.room -= len(more)
		p.content = append(p.content, more...)
	}
}

// call names the tool call at a place, and adds to its arguments.
func (a *answer) call(index, block int, id, name, arguments string) {
	at := place{toolCall, block}
	if p := a.part(index, at); p != nil {
		p.id, p.name = cmp.Or(p.id, id), cmp.Or(p.name, name)
	}
	a.grow(index, at, arguments)
}

// add adds whole parts to a choice, after those that it has.
func (a *answer) add(index int, parts ...*part) {
	for _, p := range parts {
		c := a.choice(index)
		if c == nil || p == nil || len(c.order) >= maxParts || a.room <= 0 {
			continue
		}
		if p.kind != blobPart {
			p.content = []byte(cut(string(p.content), a.room))
			a.room -= len(p.content)
		}
		c.order = append(c.order, p)
	}
}

// messages returns the choices in their order.
func (a *answer) messages() []*message {
	var out []*message
	for _, i := range slices.Sorted(maps.Keys(a.choices)) {
		c := a.choices[i]
		out = append(out, &message{Role: c.role, Parts: joined(c.order), FinishReason: cmp.Or(c.finish, "stop")})
	}
	return out
}

// joined makes one part of texts that follow each other: streams without blocks send them in pieces.
func joined(parts []*part) []*part {
	out := make([]*part, 0, len(parts))
	for _, p := range parts {
		if n := len(out); n > 0 && out[n-1].kind == p.kind && (p.kind == textPart || p.kind == reasoningPart) {
			before := *out[n-1]
			before.content = slices.Concat(before.content, p.content)
			out[n-1] = &before
			continue
		}
		out = append(out, p)
	}
	return out
}

// report writes all that is known on the call's span.
func (a *answer) report(call *sdk.LLM) {
	a.calls.close()
	call.Response(a.model, a.id, a.finish...)
	if a.counted {
		call.Usage(a.usage)
	}
	if a.cost > 0 {
		call.Cost(a.cost)
	}
	if m := a.messages(); len(m) > 0 {
		call.Output(m)
	}
}
