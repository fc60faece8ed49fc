package test

import (
	"fmt"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/mindscope/mindscope/test/harness"
)

// TestCallsFromLogs sends what Claude Code and Codex CLI send when tracing is off, twice as an exporter does after a lost
// answer. Each conversation is one task in the list, with its calls, tools, tokens and errors counted once.
func TestCallsFromLogs(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	start := time.Now().Add(-time.Minute)
	for project, events := range map[string][]map[string]any{
		"claude": {
			{"event.name": "user_prompt", "session.id": "s-1", "prompt_length": "12"},
			{
				"event.name": "api_request", "session.id": "s-1", "model": "claude-sonnet-4-5-20250929", "input_tokens": "4", "output_tokens": "241",
				"cache_read_tokens": "29000", "cache_creation_tokens": "306", "cost_usd": "0.013527", "duration_ms": "4022",
			},
			{"event.name": "tool_result", "session.id": "s-1", "tool_name": "Bash", "success": "false", "duration_ms": "31"},
			{"event.name": "api_error", "session.id": "s-1", "model": "claude-sonnet-4-5-20250929", "error": "overloaded", "status_code": "529"},
		},
		"codex": {
			{"event.name": "codex.conversation_starts", "conversation.id": "c-1", "model": "gpt-5-codex"},
			{"event.name": "codex.sse_event", "event.kind": "response.created", "conversation.id": "c-1", "model": "gpt-5-codex"},
			{
				"event.name": "codex.sse_event", "event.kind": "response.completed", "conversation.id": "c-1", "model": "gpt-5-codex",
				"input_token_count": "1200", "cached_token_count": 1024, "output_token_count": 90, "reasoning_token_count": "64",
			},
			{"event.name": "codex.tool_result", "conversation.id": "c-1", "tool_name": "shell", "success": "true", "duration_ms": "31"},
		},
	} {
		ld := plog.NewLogs()
		sl := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
		if project == "claude" {
			sl.Scope().SetName("com.anthropic.claude_code.events")
		}
		for i, attrs := range events {
			rec := sl.LogRecords().AppendEmpty()
			rec.SetTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Duration(i) * time.Second)))
			if err := rec.Attributes().FromRaw(attrs); err != nil {
				t.Fatal(err)
			}
		}
		body, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
		if err != nil {
			t.Fatal(err)
		}
		postTo(t, s.OTLPHTTP+"/v1/logs", project, body)
		postTo(t, s.OTLPHTTP+"/v1/logs", project, body)
	}

	claude := corpusTasks(t, s, "claude", 3)
	if len(claude) != 1 || claude[0].LLMCalls != 2 || claude[0].Errors != 2 || claude[0].Tools[0].Name != "Bash" ||
		claude[0].Tokens != (corpusTokens{Input: 4, Output: 241, CacheRead: 29000, CacheWrite: 306}) {
		t.Errorf("Claude Code: %+v", claude)
	}
	codex := corpusTasks(t, s, "codex", 2)
	if len(codex) != 1 || codex[0].LLMCalls != 1 || codex[0].Errors != 0 || codex[0].Tools[0].Name != "shell" ||
		codex[0].Tokens != (corpusTokens{Input: 176, Output: 26, CacheRead: 1024, Reasoning: 64}) {
		t.Errorf("Codex CLI: %+v", codex)
	}
	// All records of the conversation are the task's, those that tell of no call too.
	var logs struct {
		Logs []struct{} `json:"logs"`
	}
	harness.Eventually(t, visible, "the log records", func() error {
		err := s.Get("/api/mindscope/v1/tasks/"+codex[0].ID+"/logs?project=codex", &logs)
		if err == nil && len(logs.Logs) != 4 {
			err = fmt.Errorf("%d records, want 4", len(logs.Logs))
		}
		return err
	})
	var talk struct {
		Turns []struct{} `json:"turns"`
	}
	if err := s.Get("/api/mindscope/v1/conversations/c-1/messages?project=codex", &talk); err != nil || len(talk.Turns) != 1 {
		t.Errorf("%d turns, %v, want 1", len(talk.Turns), err)
	}
}
