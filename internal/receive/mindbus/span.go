package mindbus

import (
	"crypto/sha256"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
)

// scopeName marks all that the tap tells.
const scopeName = "github.com/mindscope/mindscope/internal/receive/mindbus"

// role is what a span of the tap shows.
type role uint8

const (
	roleSend    role = iota // a message leaves its sender
	roleProcess             // its agent has it
	roleAgent               // the agent works
	roleTask                // all of a task's work
)

// span is one span that the tap tells.
type span struct {
	role       role
	trace      [16]byte
	id, parent [8]byte
	start, end time.Time
	msg        *message // the one it is about; of a task its first
	answer     *message // of an agent: what it answered, nil for nothing
	problem    string   // with the answer: missing, late, duplicate, unmatched
	failed     bool     // of a task
	cause      string
}

// spanID hashes a message's id for one of the spans that are made of it.
func spanID(what, from, id string) (out [8]byte) {
	h := hash(what, from, id)
	copy(out[:], h[:8])
	return out
}

// traceID hashes what holds a trace together that has no trace context.
func traceID(what, id string) (out [16]byte) {
	h := hash("trace of "+what, id, "")
	copy(out[:], h[:16])
	return out
}

func hash(parts ...string) [32]byte {
	return sha256.Sum256([]byte("mindscope tap\x00" + strings.Join(parts, "\x00")))
}

// writer collects what is told until it is sent.
type writer struct {
	exchange string
	traces   ptrace.Traces
	logs     plog.Logs
	spans    map[resourceKey]ptrace.SpanSlice
	records  map[resourceKey]plog.LogRecordSlice
	n        int
}

type resourceKey struct{ team, agent string }

// release gives the memory of what was sent back, and begins anew.
func (w *writer) release() {
	signal.ReleaseTraces(w.traces)
	signal.ReleaseLogs(w.logs)
	w.reset()
}

func newWriter(exchange string) *writer {
	w := &writer{exchange: exchange}
	w.reset()
	return w
}

func (w *writer) reset() {
	w.traces, w.logs = ptrace.NewTraces(), plog.NewLogs()
	w.spans, w.records = map[resourceKey]ptrace.SpanSlice{}, map[resourceKey]plog.LogRecordSlice{}
	w.n = 0
}

func (k resourceKey) put(attrs pcommon.Map) {
	attrs.PutStr(conv.ServiceName, k.agent)
	if k.team != "" {
		attrs.PutStr(conv.ServiceNamespace, k.team)
	}
}

func (w *writer) span(k resourceKey) ptrace.Span {
	w.n++
	s, ok := w.spans[k]
	if !ok {
		rs := w.traces.ResourceSpans().AppendEmpty()
		k.put(rs.Resource().Attributes())
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName(scopeName)
		s = ss.Spans()
		w.spans[k] = s
	}
	return s.AppendEmpty()
}

func (w *writer) record(k resourceKey) plog.LogRecord {
	w.n++
	s, ok := w.records[k]
	if !ok {
		rl := w.logs.ResourceLogs().AppendEmpty()
		k.put(rl.Resource().Attributes())
		sl := rl.ScopeLogs().AppendEmpty()
		sl.Scope().SetName(scopeName)
		s = sl.LogRecords()
		w.records[k] = s
	}
	return s.AppendEmpty()
}

// worker is the agent whose span it is.
func (s *span) worker() string {
	if s.role == roleProcess || s.role == roleAgent {
		return s.msg.to
	}
	return s.msg.from
}

func (s *span) name() string {
	switch s.role {
	case roleSend:
		return "send " + s.msg.template()
	case roleProcess:
		return "process agent." + s.msg.to
	case roleAgent:
		return "invoke_agent " + s.msg.to
	default:
		return "execute_task"
	}
}

// add tells a span.
func (w *writer) add(s *span) {
	out := w.span(resourceKey{s.msg.team, s.worker()})
	out.SetName(s.name())
	out.SetTraceID(s.trace)
	out.SetSpanID(s.id)
	out.SetParentSpanID(s.parent)
	out.SetStartTimestamp(pcommon.NewTimestampFromTime(s.start))
	out.SetEndTimestamp(pcommon.NewTimestampFromTime(s.end))
	a := out.Attributes()
	a.EnsureCapacity(28)
	s.msg.putTask(a)
	switch s.role {
	case roleSend:
		out.SetKind(ptrace.SpanKindProducer)
		w.putMessage(a, s.msg, "send")
		if s.problem != "" {
			a.PutStr(conv.AITeamMessageAnswer, s.problem)
		}
	case roleProcess:
		out.SetKind(ptrace.SpanKindConsumer)
		w.putMessage(a, s.msg, "process")
		s.fail(out)
	case roleAgent:
		out.SetKind(ptrace.SpanKindInternal)
		a.PutStr(conv.GenAIOperationName, "invoke_agent")
		a.PutStr(conv.GenAIAgentName, s.msg.to)
		s.putWork(a)
		s.fail(out)
	case roleTask:
		out.SetKind(ptrace.SpanKindInternal)
		a.PutStr(conv.GenAIOperationName, "invoke_workflow")
		status := "completed"
		if s.failed {
			status = "failed"
			out.Status().SetCode(ptrace.StatusCodeError)
			out.Status().SetMessage(s.cause)
		}
		a.PutStr(conv.AITeamTaskStatus, status)
	}
}

// fail marks the span of an agent that answered with an error, or not at all.
func (s *span) fail(out ptrace.Span) {
	switch {
	case s.problem == "missing":
		out.Status().SetCode(ptrace.StatusCodeError)
		out.Status().SetMessage("no answer came")
		out.Attributes().PutStr(conv.ErrorType, "no_answer")
		out.Attributes().PutStr(conv.AITeamMessageAnswer, s.problem)
	case s.answer != nil && s.answer.kind == failure:
		out.Status().SetCode(ptrace.StatusCodeError)
		out.Status().SetMessage(s.answer.errorMessage)
		out.Attributes().PutStr(conv.ErrorType, s.answer.errorCode)
	}
}

// putWork writes what the answer says of the work. One number of tokens counts as input. Without a price of its own or a
// split into input and output the model is not named, since a price made of that would be a guess.
func (s *span) putWork(a pcommon.Map) {
	m := s.answer
	if m == nil {
		return
	}
	switch {
	case m.hasSplit:
		a.PutInt(conv.GenAIUsageInputTokens, m.input)
		a.PutInt(conv.GenAIUsageOutputTokens, m.output)
	case m.hasTokens:
		a.PutInt(conv.GenAIUsageInputTokens, m.tokens)
	}
	if m.cost > 0 {
		a.PutDouble(conv.GenAIUsageCostAmount, m.cost)
		a.PutStr(conv.GenAIUsageCostCurrency, "USD")
	}
	if m.model != "" && (m.hasSplit || m.cost > 0 || !m.hasTokens) {
		a.PutStr(conv.GenAIResponseModel, m.model)
	}
}

func (m *message) putTask(a pcommon.Map) {
	if m.task != "" {
		a.PutStr(conv.AITeamTaskID, m.task)
	}
	if m.taskType != "" {
		a.PutStr(conv.AITeamTaskType, m.taskType)
	}
	if m.team != "" {
		a.PutStr(conv.AITeamTeam, m.team)
	}
}

// template is the key without what tells instances apart: its first two words.
func (m *message) template() string {
	first, rest, ok := strings.Cut(m.key, ".")
	if !ok || m.kind == event || m.kind == control {
		return m.key
	}
	second, _, _ := strings.Cut(rest, ".")
	return first + "." + second
}

func (w *writer) putMessage(a pcommon.Map, m *message, operation string) {
	a.PutStr(conv.MessagingSystem, "rabbitmq")
	a.PutStr(conv.MessagingOperationName, operation)
	a.PutStr(conv.MessagingOperationType, operation)
	a.PutStr(conv.MessagingDestinationName, w.exchange+":"+m.key)
	a.PutStr(conv.MessagingDestinationTemplate, m.template())
	a.PutStr(conv.MessagingRabbitmqDestinationRoutingKey, m.key)
	a.PutStr(conv.MessagingMessageID, m.id)
	a.PutInt(conv.MessagingMessageBodySize, int64(m.size))
	putText(a, conv.MessagingMessageConversationID, m.correlation)
	putText(a, conv.AITeamMessageType, m.kind.name())
	a.PutStr(conv.AITeamMessageFromAgent, m.from)
	putText(a, conv.AITeamMessageToAgent, m.to)
	a.PutStr(conv.CloudeventsEventID, m.id)
	a.PutStr(conv.CloudeventsEventSource, m.from)
	a.PutStr(conv.CloudeventsEventType, m.eventType)
	putText(a, conv.CloudeventsEventSubject, m.task)
	if m.redelivered {
		a.PutBool(conv.AITeamMessageRedelivered, true)
	}
	if m.skew != 0 {
		a.PutDouble(conv.AITeamMessageClockSkewMs, float64(m.skew.Microseconds())/1000)
	}
}

func putText(a pcommon.Map, key, value string) {
	if value != "" {
		a.PutStr(key, value)
	}
}

// running tells that a span has begun, or still runs.
func (w *writer) running(eventName string, s *span, now time.Time) {
	rec := w.record(resourceKey{s.msg.team, s.worker()})
	rec.SetEventName(eventName)
	rec.SetTimestamp(pcommon.NewTimestampFromTime(now))
	rec.SetObservedTimestamp(pcommon.NewTimestampFromTime(now))
	rec.SetSeverityNumber(plog.SeverityNumberInfo)
	rec.SetTraceID(s.trace)
	rec.SetSpanID(s.id)
	a := rec.Attributes()
	a.EnsureCapacity(12)
	s.msg.putTask(a)
	operation := "invoke_workflow"
	if s.role == roleAgent {
		operation = "invoke_agent"
		a.PutStr(conv.GenAIAgentName, s.msg.to)
	}
	a.PutStr(conv.GenAIOperationName, operation)
	a.PutStr(conv.AITeamSpanName, s.name())
	a.PutStr(conv.AITeamSpanKind, "internal")
	a.PutInt(conv.AITeamSpanStartTimeUnixNano, s.start.UnixNano())
	if s.parent != [8]byte{} {
		a.PutStr(conv.AITeamSpanParentID, pcommon.SpanID(s.parent).String())
	}
}

// log tells of a message in a record.
func (w *writer) log(m *message, trace [16]byte, id [8]byte, severity plog.SeverityNumber, problem, body string) {
	rec := w.record(resourceKey{m.team, m.from})
	rec.SetEventName(conv.EventAITeamMessage)
	rec.SetTimestamp(pcommon.NewTimestampFromTime(m.at))
	rec.SetObservedTimestamp(pcommon.NewTimestampFromTime(m.received))
	rec.SetSeverityNumber(severity)
	rec.SetTraceID(trace)
	rec.SetSpanID(id)
	rec.Body().SetStr(body)
	a := rec.Attributes()
	a.EnsureCapacity(16)
	m.putTask(a)
	a.PutStr(conv.GenAIAgentName, m.from)
	a.PutStr(conv.MessagingMessageID, m.id)
	a.PutStr(conv.MessagingRabbitmqDestinationRoutingKey, m.key)
	a.PutStr(conv.CloudeventsEventType, m.eventType)
	putText(a, conv.AITeamMessageType, m.kind.name())
	putText(a, conv.AITeamMessageFromAgent, m.from)
	putText(a, conv.AITeamMessageToAgent, m.to)
	putText(a, conv.AITeamMessageAnswer, problem)
}

// unreadable tells of bytes that are no message, with what the broker knows of them.
func (w *writer) unreadable(m *message, err error) {
	rec := w.record(resourceKey{m.team, "unknown"})
	rec.SetEventName(conv.EventAITeamMessageUnreadable)
	rec.SetTimestamp(pcommon.NewTimestampFromTime(m.received))
	rec.SetObservedTimestamp(pcommon.NewTimestampFromTime(m.received))
	rec.SetSeverityNumber(plog.SeverityNumberWarn)
	if m.hop.ok {
		rec.SetTraceID(m.hop.trace)
		rec.SetSpanID(m.hop.span)
	}
	rec.Body().SetStr("a message on the bus can't be read: " + clip(err.Error()))
	a := rec.Attributes()
	a.PutStr(conv.MessagingRabbitmqDestinationRoutingKey, m.key)
	a.PutInt(conv.MessagingMessageBodySize, int64(m.size))
	putText(a, conv.MessagingMessageID, m.id)
}
