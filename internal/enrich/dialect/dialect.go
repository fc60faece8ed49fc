// Package dialect reads what agents send in their many ways of saying it: which operation a span is, which model was
// called, by whom and with how many tokens. The tables folder holds one file a dialect; docs/dialects.md is made from them.
//
// It is the first Sink behind the receivers. What it finds goes into the mindscope.* attributes, which the store keeps as
// columns. The sender's attributes stay as they came, old names too, and no canonical gen_ai.* attribute is added beside
// them: what is read back equals what was sent, and the columns say the same for every dialect. mindscope.* attributes that
// a sender brought are removed and counted.
package dialect

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
)

// Config has no settings yet.
type Config struct{}

// Sink reads dialects on the way to the next Sink.
type Sink struct {
	next    signal.Sink
	book    *book
	readers sync.Pool
	forged  atomic.Int64
	told    atomic.Int64
	traced  traced
	spans   []atomic.Int64 // by dialect
}

// New returns a Sink in front of next.
func New(next signal.Sink, _ Config) (*Sink, error) {
	c, list, err := load()
	if err != nil {
		return nil, err
	}
	b, err := compile(c, list)
	if err != nil {
		return nil, err
	}
	s := &Sink{next: next, book: b, spans: make([]atomic.Int64, len(b.dialects))}
	s.readers.New = func() any { return newReader(b) }
	return s, nil
}

// Forged returns how many mindscope.* attributes were removed because a sender brought them.
func (s *Sink) Forged() int64 { return s.forged.Load() }

// Told returns how many spans were made of log records.
func (s *Sink) Told() int64 { return s.told.Load() }

// Spans returns how many spans and log records were read in each dialect.
func (s *Sink) Spans() map[string]int64 {
	m := make(map[string]int64, len(s.spans))
	for i := range s.spans {
		m[s.book.dialects[i].name] = s.spans[i].Load()
	}
	return m
}

// Traces reads each span.
func (s *Sink) Traces(ctx context.Context, p signal.Project, td ptrace.Traces) (signal.Rejected, error) {
	r := s.readers.Get().(*reader)
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			scope := s.book.scope(ss.Scope().Name())
			for _, span := range ss.Spans().All() {
				f, d := s.read(r, span.Name(), scope, span.Attributes())
				if d != nil && d.calls && f.conversation != "" {
					s.traced.note(p, f.conversation)
				}
			}
		}
	}
	s.release(r)
	return s.next.Traces(ctx, p, td)
}

// Logs reads each record; its event name stands for a span's name. Records that tell of calls outside of any trace are
// sent on as spans as well, see calls.
func (s *Sink) Logs(ctx context.Context, p signal.Project, ld plog.Logs) (signal.Rejected, error) {
	r := s.readers.Get().(*reader)
	var told calls
	for _, rl := range ld.ResourceLogs().All() {
		told.enter(rl.Resource())
		for _, sl := range rl.ScopeLogs().All() {
			scope := s.book.scope(sl.Scope().Name())
			for _, rec := range sl.LogRecords().All() {
				f, d := s.read(r, rec.EventName(), scope, rec.Attributes())
				if d != nil && d.calls && f.conversation != "" && !s.traced.has(p, f.conversation) {
					told.add(rec, &f)
				}
			}
		}
	}
	s.release(r)
	if told.equal != nil {
		s.told.Add(int64(told.traces.SpanCount()))
		// The records stand for the spans: what is wrong with a span is wrong with its record, and is answered below.
		if _, err := s.next.Traces(ctx, p, told.traces); err != nil {
			return signal.Rejected{}, err
		}
	}
	return s.next.Logs(ctx, p, ld)
}

// Metrics passes md on.
func (s *Sink) Metrics(ctx context.Context, p signal.Project, md pmetric.Metrics) (signal.Rejected, error) {
	return s.next.Metrics(ctx, p, md)
}

// release gives a reader back without holding on to the request's values.
func (s *Sink) release(r *reader) {
	r.reset("")
	s.readers.Put(r)
}

func (s *Sink) read(r *reader, name string, scope int, attrs pcommon.Map) (found, *known) {
	r.reset(name)
	r.take(attrs)
	if r.forged > 0 {
		s.forged.Add(int64(r.forged))
		attrs.RemoveIf(func(k string, _ pcommon.Value) bool {
			return strings.HasPrefix(k, "mindscope.") && s.book.keys[k].forged
		})
		// Values move when others are removed.
		r.reset(name)
		r.take(attrs)
	}
	d := r.detect(scope, attrs)
	if d == nil {
		return found{}, nil
	}
	f := r.find(d)
	f.put(attrs, d.name)
	s.spans[d.index].Add(1)
	return f, d
}

// found is what a span says.
type found struct {
	operation, provider, model, agent, tool, conversation, user, task, taskType string

	usage    usage
	hasUsage bool
	cost     float64
	hasCost  bool
	quality  float64
	scored   bool
}

func (r *reader) find(d *known) found {
	var f found
	f.operation = r.text(d, fOperation, r.book.operations)
	r.operation = f.operation
	f.tool = r.text(d, fTool, nil)
	f.operation = pseudoTool(f.operation, f.tool, r.name)
	r.operation = f.operation
	f.provider = r.provider(d)
	if f.model = r.text(d, fResponseModel, nil); f.model == "" {
		f.model = r.text(d, fRequestModel, nil)
	}
	f.agent = r.text(d, fAgent, nil)
	f.conversation = r.text(d, fConversation, nil)
	f.user = r.text(d, fUser, nil)
	f.task = r.text(d, fTaskID, nil)
	f.taskType = r.text(d, fTaskType, nil)
	f.quality, f.scored = r.number(d, fQuality)
	if countsTokens(f.operation) && !slices.Contains(d.repeats, f.operation) {
		f.usage, f.hasUsage = r.tokens(d)
		f.cost, f.hasCost = r.number(d, fCost)
		if f.cost == 0 && f.hasUsage {
			// Senders write 0 for models whose price they don't know.
			f.hasCost = false
		}
	}
	return f
}

// countsTokens tells whether tokens on a span of the operation can be a call's own: calls of models, and agents and
// workflows whose calls are not seen.
func countsTokens(operation string) bool {
	switch operation {
	case "chat", "generate_content", "text_completion", "embeddings", "invoke_agent", "invoke_workflow":
		return true
	}
	return false
}

// pseudoTool recognises tools that are none: the sum of parallel calls, and one agent handing over to another.
func pseudoTool(operation, tool, name string) string {
	if operation != "execute_tool" {
		return operation
	}
	switch {
	case tool == "(merged)" || tool == "(merged tools)" || strings.HasSuffix(name, "(merged)"):
		return "merged_tools"
	case tool == "transfer_to_agent" || strings.HasPrefix(tool, "transfer_to_") || strings.HasPrefix(tool, "handoff_to_"),
		strings.HasPrefix(tool, "handoff to "):
		return "handoff"
	default:
		return operation
	}
}

// columns is how many columns a span gets at most from all enrich steps.
const columns = 16

func (f *found) put(attrs pcommon.Map, dialect string) {
	attrs.EnsureCapacity(attrs.Len() + columns)
	attrs.PutStr(conv.MindscopeDialect, dialect)
	putText(attrs, conv.MindscopeOperation, f.operation)
	putText(attrs, conv.MindscopeProvider, f.provider)
	putText(attrs, conv.MindscopeModel, f.model)
	putText(attrs, conv.MindscopeAgent, f.agent)
	if f.operation == "execute_tool" || f.operation == "handoff" {
		putText(attrs, conv.MindscopeTool, f.tool)
	}
	putText(attrs, conv.MindscopeConversation, f.conversation)
	putText(attrs, conv.MindscopeUser, f.user)
	putText(attrs, conv.MindscopeTaskID, f.task)
	putText(attrs, conv.MindscopeTaskType, f.taskType)
	if f.scored {
		attrs.PutDouble(conv.MindscopeQuality, f.quality)
	}
	if f.hasUsage {
		if f.usage.hasInput {
			attrs.PutInt(conv.MindscopeTokensInput, f.usage.input)
		}
		if f.usage.hasOutput {
			attrs.PutInt(conv.MindscopeTokensOutput, f.usage.output)
		}
		putCount(attrs, conv.MindscopeTokensCacheRead, f.usage.cacheRead)
		putCount(attrs, conv.MindscopeTokensCacheWrite5m, f.usage.write5m)
		putCount(attrs, conv.MindscopeTokensCacheWrite1h, f.usage.write1h)
		putCount(attrs, conv.MindscopeTokensReasoning, f.usage.reasoning)
	}
	if f.hasCost {
		putCost(attrs, f.cost)
	}
}

func putText(attrs pcommon.Map, key, text string) {
	if text != "" {
		attrs.PutStr(key, text)
	}
}

func putCount(attrs pcommon.Map, key string, n int64) {
	if n > 0 {
		attrs.PutInt(key, n)
	}
}

// maxCost in dollars is beyond what a call can cost and keeps pico-dollars inside 63 bits.
const maxCost = 1e6

// putCost writes a cost that the sender reports. A float of dollars is rounded to the pico-dollar it is nearest to.
func putCost(attrs pcommon.Map, dollars float64) {
	if dollars > maxCost {
		return
	}
	pico := int64(dollars*1e12 + 0.5)
	attrs.PutInt(conv.MindscopeCostMicroUSD, pico/1_000_000)
	attrs.PutInt(conv.MindscopeCostRestPicoUSD, pico%1_000_000)
	attrs.PutStr(conv.MindscopeCostSource, "provider")
}

func internalNames() []string {
	return []string{
		conv.MindscopeTeam, conv.MindscopeTaskID, conv.MindscopeTaskType, conv.MindscopeTaskProvisional, conv.MindscopeTaskInherited,
		conv.MindscopeAgent, conv.MindscopeOperation, conv.MindscopeConversation, conv.MindscopeUser,
		conv.MindscopeTool, conv.MindscopeProvider, conv.MindscopeModel, conv.MindscopeQuality, conv.MindscopeDialect,
		conv.MindscopeTokensInput, conv.MindscopeTokensCacheRead, conv.MindscopeTokensCacheWrite5m,
		conv.MindscopeTokensCacheWrite1h, conv.MindscopeTokensOutput, conv.MindscopeTokensReasoning,
		conv.MindscopeCostMicroUSD, conv.MindscopeCostRestPicoUSD, conv.MindscopeCostSource, conv.MindscopePriceVersion,
		conv.MindscopeCostParts, conv.MindscopeCapture,
	}
}
