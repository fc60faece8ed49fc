package team

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTotals checks what a task adds up to: wrappers and agents that repeat usage count for nothing, calls without usage
// are known to be unknown, handoffs are no tools.
func TestTotals(t *testing.T) {
	var f Fold
	for i, s := range []Span{
		{SpanID: "a", Operation: "invoke_agent", Agent: "writer", HasTokens: true, Tokens: Tokens{Input: 30, Output: 3}},
		{SpanID: "w", ParentID: "a", Operation: "chat", Agent: "writer", Model: "m", HasTokens: true, Tokens: Tokens{Input: 10, Output: 1}},
		{SpanID: "l", ParentID: "w", Operation: "chat", Model: "m-1", HasTokens: true, Tokens: Tokens{Input: 10, Output: 1}},
		{SpanID: "u", ParentID: "a", Operation: "chat", Model: "m-1"},
		{SpanID: "e", ParentID: "a", Operation: "embeddings", Model: "vec", HasTokens: true, Tokens: Tokens{Input: 5}},
		{SpanID: "t", ParentID: "a", Operation: "execute_tool", Tool: "search", Status: "error"},
		{SpanID: "t2", ParentID: "a", Operation: "execute_tool", Tool: "search"},
		{SpanID: "h", ParentID: "a", Operation: "handoff", Tool: "transfer_to_critic"},
		{SpanID: "b", Operation: "invoke_agent", Agent: "critic", HasTokens: true, Tokens: Tokens{Input: 7, Reasoning: 2}},
	} {
		s.TraceID, s.Start = "trace", int64(i)
		f.Add(s)
	}
	sum := f.Summary(100)
	want := []Usage{
		{Operation: "chat", Model: "m-1", Spans: 2, Unknown: 1, Tokens: Tokens{Input: 10, Output: 1}},
		{Operation: "embeddings", Model: "vec", Spans: 1, Tokens: Tokens{Input: 5}},
		{Operation: "invoke_agent", Spans: 1, Tokens: Tokens{Input: 7, Reasoning: 2}},
	}
	if diff := cmp.Diff(want, sum.Usage); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Tool{{Name: "search", Calls: 2, Errors: 1}}, sum.Tools); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
	// Calls that name no agent are the nearest agent's above them.
	for name, want := range map[string]Agent{
		"writer": {Calls: 1, LLMCalls: 3, Tokens: Tokens{Input: 15, Output: 1}},
		"critic": {Calls: 1, Tokens: Tokens{Input: 7, Reasoning: 2}},
	} {
		for _, a := range sum.Agents {
			if a.Name == name && (a.Calls != want.Calls || a.LLMCalls != want.LLMCalls || a.Tokens != want.Tokens) {
				t.Errorf("agent %+v, want %+v", a, want)
			}
		}
	}
	if sum.LLMCalls != 3 || sum.Tokens != (Tokens{Input: 22, Output: 1, Reasoning: 2}) {
		t.Errorf("%d calls, tokens %+v", sum.LLMCalls, sum.Tokens)
	}
	if diff := cmp.Diff([]string{"m", "m-1", "vec"}, sum.Models); diff != "" {
		t.Errorf("models (-want +got):\n%s", diff)
	}
}
