package app

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/config"
)

// TestScrubIsNoNews: what was counted before a scrub isn't counted again when its rows are written anew.
func TestScrubIsNoNews(t *testing.T) {
	cfg := settings("")
	cfg.Memory = true
	a, _ := start(t, cfg)
	id := pcommon.TraceID{4}
	sendSpan(t, a, id, time.Now().Add(-time.Minute))
	calls := func() (found string) {
		t.Helper()
		_, text := get(t, a, "/metrics")
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "traces_spanmetrics_calls_total{") {
				found += line
			}
		}
		return found
	}
	before := calls()
	if !strings.HasSuffix(before, " 1\n") {
		t.Fatalf("counted %q", before)
	}
	resp, text := do(t, http.MethodPost, "http://"+a.Addrs().HTTP+"/api/mindscope/v1/scrubs", "application/json", []byte(`{"match":"orchestrator"}`))
	if resp.StatusCode != http.StatusOK || !strings.Contains(text, `{"kind":"span","rows":1}`) {
		t.Fatalf("scrub: %s %s", resp.Status, text)
	}
	if after := calls(); after != before {
		t.Errorf("counted %q, before the scrub %q", after, before)
	}
}

// TestInvalidNamesLeaveTheMetrics: one sender's broken names must not take the metrics of all away.
func TestInvalidNamesLeaveTheMetrics(t *testing.T) {
	cfg := settings("")
	cfg.Memory = true
	cfg.Budgets = []config.Budget{{Name: "agents", Project: "default", Per: []string{"agent"}, Period: "day", Tokens: 1000}}
	a, _ := start(t, cfg)
	for i, bad := range []string{"\xff", "\xfe"} {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.namespace", bad)
		s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetTraceID(pcommon.TraceID{byte(i + 1)})
		s.SetSpanID(pcommon.SpanID{1})
		s.SetName("chat " + bad)
		s.Attributes().PutStr("gen_ai.operation.name", "chat")
		s.Attributes().PutStr("gen_ai.agent.name", bad)
		s.Attributes().PutStr("gen_ai.request.model", bad)
		s.Attributes().PutInt("gen_ai.usage.input_tokens", 7)
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		post(t, a, "/v1/traces", traceBytes(t, td))
	}
	eventually(t, a, "/metrics", `ai_team_budget_spent_tokens{agent="�",budget="agents",model="",period="day",project="default",task_type="",team="*"} 14`)
}
