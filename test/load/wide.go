package load

import (
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Wide returns one trace of n small spans, in parts of a thousand: an agent that went on and on.
func (g *Generator) Wide(start time.Time, n int) []ptrace.Traces {
	t := &trace{generator: g, now: start, td: ptrace.NewTraces(), id: "wide"}
	t.traceID = pcommon.TraceID{0xfd, 15: 1}
	t.begin("crawler", "engineering", "crawl")
	root := t.span("execute_task crawl", ptrace.SpanKindInternal, pcommon.SpanID{})
	for i := range n - 1 {
		t.small(root.SpanID(), fmt.Sprintf("fetch page %d", i), ptrace.SpanKindClient, 20*time.Millisecond,
			"gen_ai.operation.name", "execute_tool", "gen_ai.tool.name", "fetch_page", "url.path", "/"+g.prose.rare())
	}
	t.done(root)
	return batches(t.td, 1000)
}
