package team

import (
	"testing"
	"time"
)

// TestPartiesCountEachCallOnce: wrappers repeat their call's usage, agents that of their calls, and only the first span
// of a trace names the session.
func TestPartiesCountEachCallOnce(t *testing.T) {
	q := asked(t, time.Hour, `trace 1
invocation | 0s 9s | session.id=c1
  invoke_agent a | 0s 9s | mindscope.operation=invoke_agent mindscope.tokens_input=100 mindscope.tokens_output=10
    call_llm | 1s 2s | mindscope.operation=chat mindscope.tokens_input=100 mindscope.tokens_output=10
      generate_content | 1s 1s | mindscope.operation=generate_content mindscope.tokens_input=100 mindscope.tokens_output=10
---
trace 2
invocation | 20m 9s | session.id=c1
  invoke_agent b | 20m 9s | mindscope.operation=invoke_agent mindscope.tokens_input=7
---
trace 3
chat | 20m 1s | session.id=c2 mindscope.operation=chat mindscope.tokens_input=3
chat | 21m 1s | mindscope.operation=chat mindscope.tokens_input=4
---
trace 4
chat | 20m 1s | mindscope.operation=chat mindscope.tokens_input=1000
`)
	page, err := q.Conversations(t.Context(), p, time.Time{}, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Tokens{"c1": {Input: 107, Output: 10}, "c2": {Input: 7}}
	if len(page.Parties) != 2 || page.Cut {
		t.Fatalf("got %+v", page)
	}
	for _, party := range page.Parties {
		if party.Tokens != want[party.ID] {
			t.Errorf("%s: %+v, want %+v", party.ID, party.Tokens, want[party.ID])
		}
	}
}
