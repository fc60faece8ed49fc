package load

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// Workload is a kind of telemetry.
type Workload string

// The workloads.
const (
	Article Workload = "article"
	Loop    Workload = "loop"
)

// Spans says how many spans a task of the workload has.
func (w Workload) Spans() int {
	if w == Article {
		return 21
	}
	return 121
}

// Generator makes the tasks of a workload, one after the other. It is not safe for concurrent use.
type Generator struct {
	workload Workload
	prose    *prose
	ids      *rand.Rand
	newsroom *newsroom
	coder    *coder
	tasks    int
}

// New returns a Generator. Generators of one workload and seed make the same tasks, times apart.
func New(w Workload, seed uint64) (*Generator, error) {
	g := &Generator{workload: w, prose: newProse(seed), ids: rand.New(rand.NewPCG(seed, 0x1d5))}
	switch w {
	case Article:
		g.newsroom = newNewsroom(g.prose)
	case Loop:
		g.coder = newCoder(g.prose)
	default:
		return nil, fmt.Errorf("make load: workload %q is none of %s, %s", w, Article, Loop)
	}
	return g, nil
}

// Task returns the spans of the next task, which begins at start.
func (g *Generator) Task(start time.Time) ptrace.Traces {
	n := g.tasks
	g.tasks++
	t := &trace{
		generator: g, now: start, td: ptrace.NewTraces(), id: fmt.Sprintf("%s-%06d", g.workload, n),
	}
	binary.BigEndian.PutUint64(t.traceID[:8], g.ids.Uint64())
	binary.BigEndian.PutUint64(t.traceID[8:], g.ids.Uint64())
	if g.newsroom != nil {
		g.newsroom.write(t)
	} else {
		g.coder.write(t)
	}
	return t.td
}

// Requests returns the next task in OTLP's wire format, as its agents would send it: the article's spans at once, the
// loop's in batches of ten.
func (g *Generator) Requests(start time.Time) ([][]byte, error) {
	td := g.Task(start)
	if g.workload == Article {
		body, err := marshal(td)
		return [][]byte{body}, err
	}
	var out [][]byte
	for _, part := range batches(td, 10) {
		body, err := marshal(part)
		if err != nil {
			return nil, err
		}
		out = append(out, body)
	}
	return out, nil
}

func marshal(td ptrace.Traces) ([]byte, error) {
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	return body, nil
}

// batches moves the spans of td, which has one resource and scope, to Traces of n each.
func batches(td ptrace.Traces, n int) []ptrace.Traces {
	rs := td.ResourceSpans().At(0)
	spans := rs.ScopeSpans().At(0).Spans()
	var out []ptrace.Traces
	for from := 0; from < spans.Len(); from += n {
		part := ptrace.NewTraces()
		to := part.ResourceSpans().AppendEmpty()
		rs.Resource().CopyTo(to.Resource())
		ss := to.ScopeSpans().AppendEmpty()
		rs.ScopeSpans().At(0).Scope().CopyTo(ss.Scope())
		for i := from; i < min(from+n, spans.Len()); i++ {
			spans.At(i).MoveTo(ss.Spans().AppendEmpty())
		}
		out = append(out, part)
	}
	return out
}

// trace is a task on its way.
type trace struct {
	generator *Generator
	td        ptrace.Traces
	spans     ptrace.SpanSlice
	traceID   pcommon.TraceID
	id        string // of the task
	kind      string // the task's type
	now       time.Time
}

// begin sets the resource and scope of all spans.
func (t *trace) begin(service, team, kind string) {
	t.kind = kind
	rs := t.td.ResourceSpans().AppendEmpty()
	attrs := rs.Resource().Attributes()
	attrs.PutStr("service.name", service)
	attrs.PutStr("service.namespace", team)
	attrs.PutStr("service.version", "1.4.2")
	attrs.PutStr("host.name", "worker-3")
	attrs.PutStr("telemetry.sdk.name", "opentelemetry")
	attrs.PutStr("telemetry.sdk.language", "go")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("load")
	ss.Scope().SetVersion("1")
	t.spans = ss.Spans()
}

// span adds a span that begins now. Its end is set by done.
func (t *trace) span(name string, kind ptrace.SpanKind, parent pcommon.SpanID) ptrace.Span {
	s := t.spans.AppendEmpty()
	s.SetTraceID(t.traceID)
	var id pcommon.SpanID
	binary.BigEndian.PutUint64(id[:], t.generator.ids.Uint64())
	s.SetSpanID(id)
	s.SetParentSpanID(parent)
	s.SetName(name)
	s.SetKind(kind)
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(t.now))
	s.Attributes().PutStr("ai_team.task.id", t.id)
	s.Attributes().PutStr("ai_team.task.type", t.kind)
	return s
}

// pass lets time go by: mean on average.
func (t *trace) pass(mean time.Duration) {
	t.now = t.now.Add(mean/2 + time.Duration(t.generator.prose.rng.Int64N(int64(mean))))
}

func (t *trace) done(s ptrace.Span) { s.SetEndTimestamp(pcommon.NewTimestampFromTime(t.now)) }

// call is a call of a model.
type call struct {
	agent, provider, model     string
	system, tools, input, says string // JSON
	took                       time.Duration
}

// chat adds the span of a call. Tokens follow from the length of the texts.
func (t *trace) chat(parent pcommon.SpanID, c call) {
	s := t.span("chat "+c.model, ptrace.SpanKindClient, parent)
	a := s.Attributes()
	a.PutStr("gen_ai.operation.name", "chat")
	a.PutStr("gen_ai.provider.name", c.provider)
	a.PutStr("gen_ai.request.model", c.model)
	a.PutStr("gen_ai.response.model", c.model)
	a.PutStr("gen_ai.response.id", fmt.Sprintf("resp_%016x", t.generator.ids.Uint64()))
	a.PutEmptySlice("gen_ai.response.finish_reasons").AppendEmpty().SetStr("stop")
	a.PutDouble("gen_ai.request.temperature", 0.7)
	a.PutInt("gen_ai.request.max_tokens", 4096)
	a.PutInt("gen_ai.usage.input_tokens", int64(len(c.input)+len(c.system)+len(c.tools))/4)
	a.PutInt("gen_ai.usage.output_tokens", int64(len(c.says))/4)
	a.PutStr("gen_ai.agent.name", c.agent)
	a.PutStr("gen_ai.conversation.id", "conv-"+t.id)
	a.PutStr("server.address", "api.example.com")
	a.PutStr("gen_ai.system_instructions", c.system)
	if c.tools != "" {
		a.PutStr("gen_ai.tool.definitions", c.tools)
	}
	a.PutStr("gen_ai.input.messages", c.input)
	a.PutStr("gen_ai.output.messages", c.says)
	t.pass(c.took)
	t.done(s)
}
