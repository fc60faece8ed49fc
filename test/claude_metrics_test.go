package test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/mindscope/mindscope/test/harness"
)

// TestClaudeCodesDeltas sends Claude Code's own metrics, which are deltas by default: a query must see their sum.
func TestClaudeCodesDeltas(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	start := time.Now().Add(-time.Minute)
	for i, tokens := range []int64{5, 7} {
		md := pmetric.NewMetrics()
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", "claude-code")
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.Scope().SetName("com.anthropic.claude_code")
		m := sm.Metrics().AppendEmpty()
		m.SetName("claude_code.token.usage")
		m.SetUnit("tokens")
		sum := m.SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		point := sum.DataPoints().AppendEmpty()
		point.Attributes().PutStr("type", "input")
		point.Attributes().PutStr("model", "claude-sonnet-4-5")
		point.SetIntValue(tokens)
		point.SetStartTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Duration(i) * 10 * time.Second)))
		point.SetTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Duration(i+1) * 10 * time.Second)))
		body, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
		if err != nil {
			t.Fatal(err)
		}
		postTo(t, s.OTLPHTTP+"/v1/metrics", "default", body)
	}
	harness.Eventually(t, visible, "the sum", func() error {
		var answer struct {
			Data struct {
				Result []struct {
					Value [2]any `json:"value"`
				} `json:"result"`
			} `json:"data"`
		}
		query := url.QueryEscape(`sum by (type) ({__name__=~"claude_code_token_usage.*"})`)
		if err := s.Get("/api/v1/query?query="+query, &answer); err != nil {
			return err
		}
		if r := answer.Data.Result; len(r) != 1 || r[0].Value[1] != "12" {
			return fmt.Errorf("got %+v, want 12", r)
		}
		return nil
	})
}
