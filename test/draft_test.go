package test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/mindscope/mindscope/test/harness"
)

var rewriteGolden = flag.Bool("rewrite", false, "write the golden files anew")

// draftSpan is a span as code written to the mission's draft makes it.
type draftSpan struct {
	id, parent   byte
	name         string
	start, end   int // seconds
	attrs        map[string]any
	failed       bool
	laterRequest bool
}

// draftTrace is one task of the draft: names and attributes are the draft's, nothing of the conventions is on them. The
// plain calls of the model don't even say which task they are part of.
func draftTrace() []draftSpan {
	task := map[string]any{"trace_id": "task-456"}
	return []draftSpan{
		{id: 1, name: "execute_task", end: 30, attrs: map[string]any{"trace_id": "task-456", "task_type": "article", "quality_score": 8.5}},
		{id: 2, parent: 1, name: "writer_agent", start: 1, end: 12, attrs: map[string]any{"trace_id": "task-456", "quality_score": 9.0}},
		{id: 3, parent: 2, name: "llm_call", start: 2, end: 10, attrs: map[string]any{
			"trace_id": "task-456", "model": "gpt-4o", "prompt_tokens": int64(1204), "completion_tokens": int64(812), "cost_usd": 0.0111,
		}},
		{id: 4, parent: 1, name: "critic_agent", start: 13, end: 20, attrs: task},
		{id: 5, parent: 4, name: "llm_call", start: 14, end: 19, attrs: map[string]any{"model": "gpt-4o-mini"}, laterRequest: true},
		{id: 6, parent: 1, name: "save_artifact", start: 21, end: 22, attrs: task, laterRequest: true},
		{id: 7, parent: 1, name: "translator_agent", start: 23, end: 29, attrs: task, failed: true},
	}
}

// TestDraftsOwnCode checks that what the mission's draft writes is read as it stands: the golden file is the API's answer.
func TestDraftsOwnCode(t *testing.T) {
	s := harness.Start(t, harness.Options{Args: []string{"--retention", "100y"}})
	for _, later := range []bool{false, true} {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "ai_team")
		spans := rs.ScopeSpans().AppendEmpty().Spans()
		base := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		for _, in := range draftTrace() {
			if in.laterRequest != later {
				continue
			}
			span := spans.AppendEmpty()
			span.SetTraceID(pcommon.TraceID{15: 0x56})
			span.SetSpanID(pcommon.SpanID{7: in.id})
			if in.parent != 0 {
				span.SetParentSpanID(pcommon.SpanID{7: in.parent})
			}
			span.SetName(in.name)
			span.SetStartTimestamp(pcommon.NewTimestampFromTime(base.Add(time.Duration(in.start) * time.Second)))
			span.SetEndTimestamp(pcommon.NewTimestampFromTime(base.Add(time.Duration(in.end) * time.Second)))
			if in.failed {
				span.Status().SetCode(ptrace.StatusCodeError)
				span.Status().SetMessage("the model refused")
			}
			if err := span.Attributes().FromRaw(in.attrs); err != nil {
				t.Fatal(err)
			}
		}
		body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
		if err != nil {
			t.Fatal(err)
		}
		postTo(t, s.OTLPHTTP+"/v1/traces", "default", body)
	}
	var raw json.RawMessage
	harness.Eventually(t, visible, "the draft's task", func() error {
		var task struct {
			Spans int `json:"spans"`
		}
		if err := s.Get("/api/mindscope/v1/tasks/task-456", &raw); err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &task); err != nil {
			return err
		}
		if want := len(draftTrace()); task.Spans != want {
			return fmt.Errorf("%d spans, want %d", task.Spans, want)
		}
		return nil
	})
	compareGolden(t, "draft.golden.json", raw)
	// The spans that named no task are no task of their own in the list.
	if tasks := corpusTasks(t, s, "default", len(draftTrace())); len(tasks) != 1 || tasks[0].ID != "task-456" {
		t.Errorf("tasks in the list: %+v", tasks)
	}
}

// compareGolden compares indented JSON with a file in testdata.
func compareGolden(t *testing.T, name string, raw json.RawMessage) {
	t.Helper()
	var got bytes.Buffer
	if err := json.Indent(&got, raw, "", "  "); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	file := filepath.Join("testdata", name)
	if *rewriteGolden {
		if err := os.WriteFile(file, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: run the test with -rewrite and look at what it wrote", err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("-golden +got:\n%s", diff)
	}
}
