package team

import (
	"cmp"
	"slices"
)

// Tool is what became of one tool's calls in a task. Handoffs and the sums of parallel calls are no calls of tools.
type Tool struct {
	Name          string
	Calls, Errors int
}

// Usage is what the counted spans of one operation and model used. Its lines add up to the task's tokens and cost.
type Usage struct {
	// Operation is chat, generate_content, text_completion or embeddings; another one where an agent reported tokens and
	// none of its calls was seen.
	Operation, Model string
	// Spans counts the spans, Unknown those of them that reported no tokens at all: what they used is not known, not 0.
	Spans, Unknown int
	Tokens         Tokens
	Cost           PicoUSD
}

type usageKey struct{ operation, model string }

// totals collects what a task's spans add up to beside tokens and money.
type totals struct {
	agents map[string]*Agent
	tools  map[string]*Tool
	usage  map[usageKey]*Usage
}

func newTotals() *totals {
	return &totals{agents: map[string]*Agent{}, tools: map[string]*Tool{}, usage: map[usageKey]*Usage{}}
}

func (t *totals) agent(name string) *Agent {
	a, ok := t.agents[name]
	if !ok {
		a = &Agent{Name: name}
		t.agents[name] = a
	}
	return a
}

func (t *totals) tool(s *Span) {
	if s.Operation != "execute_tool" {
		return
	}
	tool, ok := t.tools[s.Tool]
	if !ok {
		tool = &Tool{Name: s.Tool}
		t.tools[s.Tool] = tool
	}
	tool.Calls++
	if s.Failed() {
		tool.Errors++
	}
}

func (t *totals) use(s *Span) {
	key := usageKey{s.Operation, s.Model}
	u, ok := t.usage[key]
	if !ok {
		u = &Usage{Operation: s.Operation, Model: s.Model}
		t.usage[key] = u
	}
	u.Spans++
	if !s.HasTokens {
		u.Unknown++
	}
	u.Tokens.add(s.Tokens)
	u.Cost = u.Cost.plus(s.Cost)
}

// into writes the collected totals into sum, in an order that doesn't depend on the spans'.
func (t *totals) into(sum *Summary) {
	for _, a := range t.agents {
		if a.Name != "" {
			sum.Agents = append(sum.Agents, *a)
		}
	}
	for _, tool := range t.tools {
		sum.Tools = append(sum.Tools, *tool)
	}
	for _, u := range t.usage {
		sum.Usage = append(sum.Usage, *u)
	}
	slices.SortFunc(sum.Agents, func(a, b Agent) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(sum.Tools, func(a, b Tool) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(sum.Usage, func(a, b Usage) int {
		return cmp.Or(cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Model, b.Model))
	})
}
