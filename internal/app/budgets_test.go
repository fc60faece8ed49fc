package app

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
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
