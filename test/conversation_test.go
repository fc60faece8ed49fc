package test

import (
	"fmt"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/mindscope/mindscope/test/harness"
)

// TestConversation sends two traces of one conversation, the second in another dialect, whose call repeats what was said
// in the first. Only the roots name the conversation, as several frameworks do.
func TestConversation(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	start := time.Now().Add(-time.Minute)
	add := func(trace, id, parent byte, name string, attrs map[string]any) {
		span := spans.AppendEmpty()
		span.SetTraceID(pcommon.TraceID{15: trace})
		span.SetSpanID(pcommon.SpanID{7: id})
		if parent != 0 {
			span.SetParentSpanID(pcommon.SpanID{7: parent})
		}
		span.SetName(name)
		at := start.Add(time.Duration(id) * time.Second)
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(at))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(at.Add(time.Second)))
		if err := span.Attributes().FromRaw(attrs); err != nil {
			t.Fatal(err)
		}
	}
	add(1, 1, 0, "invoke_agent", map[string]any{"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": "c/9", "gen_ai.agent.name": "guide"})
	add(1, 2, 1, "chat", map[string]any{
		"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 2,
		"gen_ai.input.messages":  `[{"role":"user","parts":[{"type":"text","content":"Weather in Paris?"}]}]`,
		"gen_ai.output.messages": `[{"role":"assistant","parts":[{"type":"text","content":"It rains."}]}]`,
	})
	add(2, 3, 0, "invoke_agent", map[string]any{"openinference.span.kind": "AGENT", "session.id": "c/9"})
	// The call's wrapper has the messages, the call inside it the usage.
	add(2, 4, 3, "LLM", map[string]any{
		"openinference.span.kind": "LLM", "llm.token_count.prompt": 9,
		"input.value":  `{"messages":[{"role":"user","content":"Weather in Paris?"},{"role":"assistant","content":"It rains."},{"role":"user","content":"And in Rome?"}]}`,
		"output.value": `{"choices":[{"message":{"role":"assistant","content":"The sun shines."}}]}`,
	})
	add(2, 5, 4, "chat", map[string]any{"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 3})
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	postTo(t, s.OTLPHTTP+"/v1/traces", "default", body)

	type turn struct {
		SpanID   string `json:"span_id"`
		Repeated int    `json:"repeated"`
		exchange
	}
	read := func(query string, want int) []turn {
		var page struct {
			Turns []turn `json:"turns"`
		}
		harness.Eventually(t, visible, "the conversation", func() error {
			if err := s.Get("/api/mindscope/v1/conversations/c%2F9/messages?"+query, &page); err != nil {
				return err
			}
			if len(page.Turns) != want {
				return fmt.Errorf("%d turns, want %d: %+v", len(page.Turns), want, page.Turns)
			}
			return nil
		})
		return page.Turns
	}
	turns := read("", 2)
	if got := turns[0]; got.SpanID != "0000000000000002" || got.Repeated != 0 || got.Input[0].text() != "Weather in Paris?" || got.Output[0].text() != "It rains." {
		t.Errorf("first turn: %+v", got)
	}
	if got := turns[1]; got.SpanID != "0000000000000005" || got.Repeated != 2 || len(got.Input) != 1 || got.Input[0].text() != "And in Rome?" || got.Output[0].text() != "The sun shines." {
		t.Errorf("second turn: %+v", got)
	}
	if all := read("all=true", 2); len(all[1].Input) != 3 {
		t.Errorf("all of the second turn: %+v", all[1])
	}
	if found := read("text=ROME", 1); found[0].SpanID != "0000000000000005" {
		t.Errorf("found %+v", found)
	}
	var problem exchange
	if err := s.Get("/api/mindscope/v1/conversations/nobody/messages", &problem); err == nil {
		t.Error("an unknown conversation was answered")
	}
}
