package dialect

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
)

// TestForgedColumns checks that senders can't write into the server's own columns.
func TestForgedColumns(t *testing.T) {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	a := span.Attributes()
	a.PutInt(conv.MindscopeCostMicroUSD, 1)
	a.PutStr("gen_ai.operation.name", "chat")
	a.PutStr(conv.MindscopeTeam, "another team")
	a.PutStr("gen_ai.request.model", "gpt-4o")
	a.PutStr("mindscope.note", "no column of ours")
	next := &last{}
	s, err := New(next, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Traces(t.Context(), signal.DefaultProject, td); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "mindscope.note": "no column of ours",
		conv.MindscopeDialect: "otel", conv.MindscopeOperation: "chat", conv.MindscopeModel: "gpt-4o",
	}
	if diff := cmp.Diff(want, a.AsRaw()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if s.Forged() != 2 || s.Spans()["otel"] != 1 {
		t.Errorf("%d forged, spans %v", s.Forged(), s.Spans())
	}
}

// FuzzSpan reads spans of any shape. What was sent must stay, and what is read must make sense.
func FuzzSpan(f *testing.F) {
	f.Add("ai", "ai.generateText", `{"ai.operationId":"ai.generateText.doGenerate","ai.usage.inputTokens":-1}`)
	f.Add("", "llm_call", `{"trace_id":"task-456","prompt_tokens":"9223372036854775808","cost_usd":1e308}`)
	f.Add("gcp.vertex.agent", "call_llm", `{"gcp.vertex.agent.llm_response":"{\"usage_metadata\":{\"thoughts_token_count\":3"}`)
	f.Add("langfuse-sdk", "x", `{"langfuse.observation.usage_details":"{\"input\":[[[[","langfuse.observation.type":"generation"}`)
	f.Add("codex", "event", `{"event.name":"codex.sse_event","event.kind":"response.completed","input_token_count":"1"}`)
	f.Add("", "x", `{"gen_ai.usage.input_tokens":{"a":[1,null,true]},"gen_ai.operation.name":["chat"]}`)
	s, err := New(&last{}, Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, scope, name, attributes string) {
		var raw map[string]any
		if json.Unmarshal([]byte(attributes), &raw) != nil {
			return
		}
		td := ptrace.NewTraces()
		ss := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
		ss.Scope().SetName(scope)
		span := ss.Spans().AppendEmpty()
		span.SetName(name)
		if span.Attributes().FromRaw(raw) != nil {
			return
		}
		sent := pcommon.NewMap()
		span.Attributes().CopyTo(sent)
		forged := false
		for k := range sent.All() {
			forged = forged || strings.HasPrefix(k, "mindscope.")
		}
		if _, err := s.Traces(t.Context(), signal.DefaultProject, td); err != nil {
			t.Fatal(err)
		}
		if forged {
			return
		}
		span.Attributes().RemoveIf(func(k string, v pcommon.Value) bool {
			if strings.HasPrefix(k, "mindscope.") && v.Type() == pcommon.ValueTypeInt && (v.Int() < 0 || v.Int() > 2*maxTokens) {
				t.Errorf("%s is %d", k, v.Int())
			}
			return strings.HasPrefix(k, "mindscope.")
		})
		if !sent.Equal(span.Attributes()) {
			t.Errorf("sent %v, kept %v", sent.AsRaw(), span.Attributes().AsRaw())
		}
	})
}

// FuzzRecord reads log records of any shape as those of Claude Code. Spans that are made of them have ids and times that
// make sense.
func FuzzRecord(f *testing.F) {
	f.Add(`{"event.name":"api_request","session.id":"s","duration_ms":"4022"}`, uint64(1_760_000_000_000_000_000))
	f.Add(`{"event.name":"tool_result","session.id":"s","success":"false","duration_ms":-1}`, uint64(0))
	f.Add(`{"event.name":"api_error","session.id":"s","duration_ms":1e300,"error":{"a":1}}`, uint64(1<<63))
	next := &last{}
	s, err := New(next, Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, attributes string, at uint64) {
		var raw map[string]any
		if json.Unmarshal([]byte(attributes), &raw) != nil {
			return
		}
		ld := plog.NewLogs()
		sl := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
		sl.Scope().SetName("com.anthropic.claude_code.events")
		for range 2 { // equal records are two calls
			rec := sl.LogRecords().AppendEmpty()
			rec.SetTimestamp(pcommon.Timestamp(at))
			if rec.Attributes().FromRaw(raw) != nil {
				return
			}
		}
		next.traces = ptrace.NewTraces()
		if _, err := s.Logs(t.Context(), signal.DefaultProject, ld); err != nil {
			t.Fatal(err)
		}
		ids := map[pcommon.SpanID]bool{}
		for span := range spansOf(next.traces) {
			if span.TraceID().IsEmpty() || span.SpanID().IsEmpty() || ids[span.SpanID()] || span.StartTimestamp() > span.EndTimestamp() {
				t.Errorf("span %s of trace %s from %d to %d", span.SpanID(), span.TraceID(), span.StartTimestamp(), span.EndTimestamp())
			}
			ids[span.SpanID()] = true
		}
	})
}

// FuzzLookup compares lookup with the standard library's decoder on valid objects, and must end on all others.
func FuzzLookup(f *testing.F) {
	f.Add(`{"a":{"b":"x\"y"},"c":[1,{"d":2}]}`, "a.b")
	f.Add(`{"usage":{"input":12`, "usage.input")
	f.Add(`{"a":1,"a":2}`, "a")
	f.Add(strings.Repeat(`{"a":`, 300), "a.a")
	f.Fuzz(func(t *testing.T, text, path string) {
		names := strings.Split(path, ".")
		got, ok := lookup(text, names)
		var doc any
		if strings.ContainsAny(path, `\"`) || json.Unmarshal([]byte(text), &doc) != nil {
			return
		}
		want := doc
		for _, name := range names {
			m, isMap := want.(map[string]any)
			if !isMap {
				return
			}
			if want, isMap = m[name]; !isMap {
				return
			}
		}
		// The decoder takes the last of equal names, lookup the first; invalid UTF-8 becomes something else in the decoder.
		if s, isText := want.(string); isText && strings.Count(text, `"`+names[len(names)-1]+`"`) == 1 && !strings.ContainsRune(s, '\uFFFD') {
			if !ok || got != s {
				t.Errorf("lookup(%q, %q) = %q, %v, want %q", text, path, got, ok, s)
			}
		}
	})
}
