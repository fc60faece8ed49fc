package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/test/corpus"
	"github.com/mindscope/mindscope/test/harness"
)

// chatMessage is a message of the API.
type chatMessage struct {
	Role  string `json:"role"`
	Parts []struct {
		Type  string          `json:"type"`
		Text  string          `json:"text"`
		ID    string          `json:"id"`
		Tool  string          `json:"tool"`
		Value json.RawMessage `json:"value"`
	} `json:"parts"`
}

func (m chatMessage) text() string {
	var b strings.Builder
	for _, p := range m.Parts {
		if p.Type == "text" {
			b.WriteString(p.Text)
		}
	}
	return b.String()
}

type exchange struct {
	Input  []chatMessage `json:"input"`
	Output []chatMessage `json:"output"`
}

// oracleSide is what another program reads from one side of an observation.
type oracleSide struct {
	Success bool            `json:"success"`
	Data    []oracleMessage `json:"data"`
}

type oracleMessage struct {
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"`
	ToolCalls []struct {
		ID        string `json:"id"`
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"tool_calls"`
	ToolCallID string `json:"tool_call_id"`
}

// checkOracle compares the API's messages with those that Langfuse reads from the same recording, where the samples have
// them. Where Langfuse reads none (no success, or a message without role and content), the API must still show something.
func checkOracle(t *testing.T, s *harness.Server, rec corpus.Recording, project string, td ptrace.Traces) {
	t.Helper()
	root, _ := harness.Samples(t)
	raw, err := os.ReadFile(filepath.Join(root, strings.TrimSuffix(rec.Path, ".trace.json")+".chatml.json"))
	if err != nil {
		return
	}
	var oracle map[string]map[string]oracleSide
	if err := json.Unmarshal(raw, &oracle); err != nil {
		t.Fatal(err)
	}
	for span := range spansIn(td) {
		sides, ok := oracle[span.SpanID().String()]
		if !ok {
			continue
		}
		delete(oracle, span.SpanID().String())
		// Large texts are stored apart from their spans and may be found a moment later.
		harness.Eventually(t, visible, "the messages of "+span.Name(), func() error {
			got, err := messagesOf(s, project, span)
			if err != nil {
				return err
			}
			for side, list := range map[string][]chatMessage{"input": got.Input, "output": got.Output} {
				want, ok := sides[side]
				if !ok {
					continue
				}
				if err := agrees(want, list); err != nil {
					return fmt.Errorf("%s: %w\ngot %+v", side, err, list)
				}
			}
			return nil
		})
	}
	for id := range oracle {
		t.Errorf("the oracle's span %s was not sent", id)
	}
}

func agrees(want oracleSide, got []chatMessage) error {
	if !want.Success {
		if len(got) == 0 {
			return fmt.Errorf("nothing is shown")
		}
		return nil
	}
	if len(got) != len(want.Data) {
		return fmt.Errorf("%d messages, want %d", len(got), len(want.Data))
	}
	for i, w := range want.Data {
		if err := w.agrees(got[i]); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
	}
	return nil
}

func (w oracleMessage) agrees(got chatMessage) error {
	if w.Role == "" && len(w.Content) == 0 {
		if len(got.Parts) == 0 {
			return fmt.Errorf("nothing is shown")
		}
		return nil
	}
	// Gemini's word for the assistant stays in the oracle.
	if role := strings.Replace(w.Role, "model", "assistant", 1); role != "" && role != got.Role {
		return fmt.Errorf("role %q, want %q", got.Role, role)
	}
	if err := w.sameContent(got); err != nil {
		return err
	}
	n := 0
	for _, p := range got.Parts {
		if p.Type != "tool_call" || len(w.ToolCalls) == 0 {
			continue
		}
		if n == len(w.ToolCalls) {
			return fmt.Errorf("more than %d tool calls", n)
		}
		c := w.ToolCalls[n]
		var args string
		if json.Unmarshal(p.Value, &args) != nil {
			args = string(p.Value)
		}
		if p.Tool != c.Name || p.ID != c.ID || args != c.Arguments {
			return fmt.Errorf("call %d is %s %s %s, want %+v", n, p.ID, p.Tool, args, c)
		}
		n++
	}
	if n < len(w.ToolCalls) {
		return fmt.Errorf("%d tool calls, want %d", n, len(w.ToolCalls))
	}
	return nil
}

func (w oracleMessage) sameContent(got chatMessage) error {
	var text string
	if json.Unmarshal(w.Content, &text) == nil {
		for _, p := range got.Parts {
			if p.Type == "tool_result" && p.ID == w.ToolCallID && p.Text == text {
				return nil
			}
		}
		if w.Role == "tool" || got.text() != text {
			return fmt.Errorf("text %q, want %q", got.text(), text)
		}
		return nil
	}
	var parts []struct {
		Type, Text, ID, Name string
		Input                json.RawMessage
	}
	if len(w.Content) > 0 {
		if err := json.Unmarshal(w.Content, &parts); err != nil {
			return err
		}
	}
	for i, p := range parts {
		if i >= len(got.Parts) {
			return fmt.Errorf("%d parts, want %d", len(got.Parts), len(parts))
		}
		g := got.Parts[i]
		switch p.Type {
		case "text":
			if g.Text != p.Text {
				return fmt.Errorf("part %d is %q, want %q", i, g.Text, p.Text)
			}
		case "tool_use":
			if g.Type != "tool_call" || g.ID != p.ID || g.Tool != p.Name || !sameJSON(g.Value, p.Input) {
				return fmt.Errorf("part %d is %+v, want %+v", i, g, p)
			}
		}
	}
	return nil
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

// messagesOf reads what the API shows of a span.
func messagesOf(s *harness.Server, project string, span ptrace.Span) (exchange, error) {
	var got exchange
	path := "/api/mindscope/v1/traces/" + span.TraceID().String() + "/spans/" + span.SpanID().String() + "/messages"
	return got, s.Get(path+"?project="+project, &got)
}

// checkMessages holds that some span of a recording with calls of models shows messages.
func checkMessages(t *testing.T, s *harness.Server, rec corpus.Recording, project string, td ptrace.Traces) {
	t.Helper()
	if rec.Facts.LLMCalls == 0 {
		return
	}
	harness.Eventually(t, visible, "messages", func() error {
		for span := range spansIn(td) {
			if got, err := messagesOf(s, project, span); err == nil && len(got.Output) > 0 {
				return nil
			}
		}
		return fmt.Errorf("no span shows any")
	})
}
