// Package identity finds out whose work a span or log record is: team, task, agent, conversation and user, and for
// calls of models what was called and how many tokens it took. It writes what it found into the mindscope.* attributes,
// which the store keeps as columns; the sender's own attributes stay as they are.
//
// It is a Sink around the next Sink. The first thing it does is to remove attributes of those names that a sender
// brought: nobody may forge a team or a cost.
package identity

import (
	"context"
	"encoding/hex"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
)

// DefaultTeam is the team of senders that name none.
const DefaultTeam = "default"

// Sink sets identities on the way to the next Sink.
type Sink struct {
	next   signal.Sink
	forged atomic.Int64
}

// New returns a Sink in front of next.
func New(next signal.Sink) *Sink { return &Sink{next: next} }

// Forged returns how many mindscope.* attributes were removed because a sender brought them.
func (s *Sink) Forged() int64 { return s.forged.Load() }

// Traces sets the identity of each span.
func (s *Sink) Traces(ctx context.Context, p signal.Project, td ptrace.Traces) (signal.Rejected, error) {
	for _, rs := range td.ResourceSpans().All() {
		res := rs.Resource().Attributes()
		team := teamOf(res)
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				s.strip(span.Attributes())
				found := find(span.Attributes(), res, team)
				found.call(span.Attributes())
				found.provisional(span.TraceID())
				found.quality(span)
				found.put(span.Attributes())
			}
		}
	}
	return s.next.Traces(ctx, p, td)
}

// Logs sets the identity of each record. A record outside of any trace and task has none.
func (s *Sink) Logs(ctx context.Context, p signal.Project, ld plog.Logs) (signal.Rejected, error) {
	for _, rl := range ld.ResourceLogs().All() {
		res := rl.Resource().Attributes()
		team := teamOf(res)
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				s.strip(rec.Attributes())
				found := find(rec.Attributes(), res, team)
				found.provisional(rec.TraceID())
				found.put(rec.Attributes())
			}
		}
	}
	return s.next.Logs(ctx, p, ld)
}

// Metrics passes md on.
func (s *Sink) Metrics(ctx context.Context, p signal.Project, md pmetric.Metrics) (signal.Rejected, error) {
	return s.next.Metrics(ctx, p, md)
}

// strip removes the attributes that only enrich steps may set.
func (s *Sink) strip(attrs pcommon.Map) {
	const prefix = "mindscope."
	attrs.RemoveIf(func(k string, _ pcommon.Value) bool {
		forged := len(k) > len(prefix) && k[:len(prefix)] == prefix && isInternal(k)
		if forged {
			s.forged.Add(1)
		}
		return forged
	})
}

func isInternal(k string) bool {
	switch k {
	case conv.MindscopeTeam, conv.MindscopeTaskID, conv.MindscopeTaskType, conv.MindscopeTaskProvisional,
		conv.MindscopeAgent, conv.MindscopeOperation, conv.MindscopeConversation, conv.MindscopeUser,
		conv.MindscopeTool, conv.MindscopeProvider, conv.MindscopeModel, conv.MindscopeQuality, conv.MindscopeDialect,
		conv.MindscopeTokensInput, conv.MindscopeTokensCacheRead, conv.MindscopeTokensCacheWrite5m,
		conv.MindscopeTokensCacheWrite1h, conv.MindscopeTokensOutput, conv.MindscopeTokensReasoning,
		conv.MindscopeCostMicroUSD, conv.MindscopeCostRestPicoUSD, conv.MindscopeCostSource, conv.MindscopePriceVersion:
		return true
	}
	return false
}

func teamOf(res pcommon.Map) string {
	for _, k := range []string{conv.AITeamTeam, conv.ServiceNamespace} {
		if text := text(res, k); text != "" {
			return text
		}
	}
	return DefaultTeam
}

// identity is what was found out about one span or record.
type identity struct {
	team, task, taskType, agent, operation, conversation, user, tool string

	provider, model string
	usage           *usage
	madeUp          bool
	score           float64
	scored          bool
}

// usage holds the disjoint buckets of a call's tokens.
type usage struct{ input, cacheRead, cacheWrite, output, reasoning int64 }

// first returns the first non-empty text among the keys.
func first(attrs pcommon.Map, keys ...string) string {
	for _, k := range keys {
		if s := text(attrs, k); s != "" {
			return s
		}
	}
	return ""
}

func text(attrs pcommon.Map, key string) string {
	v, ok := attrs.Get(key)
	if !ok {
		return ""
	}
	return v.AsString()
}

func find(attrs, res pcommon.Map, team string) identity {
	id := identity{
		team:         first(attrs, conv.AITeamTeam),
		task:         first(attrs, conv.AITeamTaskID),
		taskType:     first(attrs, conv.AITeamTaskType),
		agent:        first(attrs, conv.GenAIAgentName),
		operation:    first(attrs, conv.GenAIOperationName),
		conversation: first(attrs, conv.GenAIConversationID, conv.AITeamConversationID, conv.SessionID),
		user:         first(attrs, conv.AITeamUserID, conv.UserID),
		tool:         first(attrs, conv.GenAIToolName),
	}
	if id.team == "" {
		id.team = team
	}
	if id.task == "" {
		id.task = text(res, conv.AITeamTaskID)
	}
	return id
}

// call reads the model and the tokens of a span that calls one. OpenTelemetry counts cached tokens into the input and
// reasoning into the output; the buckets are disjoint.
func (id *identity) call(attrs pcommon.Map) {
	id.provider = first(attrs, conv.GenAIProviderName)
	id.model = first(attrs, conv.GenAIResponseModel, conv.GenAIRequestModel)
	in, hasIn := number(attrs, conv.GenAIUsageInputTokens)
	out, hasOut := number(attrs, conv.GenAIUsageOutputTokens)
	if !hasIn && !hasOut {
		return
	}
	u := &usage{}
	u.cacheRead, _ = number(attrs, conv.GenAIUsageCacheReadInputTokens)
	u.cacheWrite, _ = number(attrs, conv.GenAIUsageCacheWriteInputTokens)
	u.reasoning, _ = number(attrs, conv.GenAIUsageReasoningOutputTokens)
	u.input = max(in-u.cacheRead-u.cacheWrite, 0)
	u.output = max(out-u.reasoning, 0)
	id.usage = u
}

// number reads a count of tokens; negative ones and what is no integer are no count.
func number(attrs pcommon.Map, key string) (int64, bool) {
	v, ok := attrs.Get(key)
	if !ok || v.Type() != pcommon.ValueTypeInt || v.Int() < 0 {
		return 0, false
	}
	return v.Int(), true
}

// provisional gives work that names no task the id of its trace, so that it shows up in every list.
func (id *identity) provisional(trace pcommon.TraceID) {
	if id.task != "" || trace.IsEmpty() {
		return
	}
	id.task, id.madeUp = hex.EncodeToString(trace[:]), true
}

// quality reads the score that a judge gave: an attribute, else the newest evaluation event.
func (id *identity) quality(span ptrace.Span) {
	if id.setScore(span.Attributes(), conv.AITeamQualityScore) {
		return
	}
	for _, e := range span.Events().All() {
		if e.Name() == conv.EventGenAIEvaluationResult {
			id.setScore(e.Attributes(), conv.GenAIEvaluationScoreValue)
		}
	}
}

func (id *identity) setScore(attrs pcommon.Map, key string) bool {
	v, ok := attrs.Get(key)
	if !ok {
		return false
	}
	switch v.Type() {
	case pcommon.ValueTypeDouble:
		id.score = v.Double()
	case pcommon.ValueTypeInt:
		id.score = float64(v.Int())
	default:
		return false
	}
	id.scored = true
	return true
}

func (id *identity) put(attrs pcommon.Map) {
	attrs.EnsureCapacity(attrs.Len() + 16)
	for _, f := range [...]struct{ key, value string }{
		{conv.MindscopeTeam, id.team},
		{conv.MindscopeTaskID, id.task},
		{conv.MindscopeTaskType, id.taskType},
		{conv.MindscopeAgent, id.agent},
		{conv.MindscopeOperation, id.operation},
		{conv.MindscopeConversation, id.conversation},
		{conv.MindscopeUser, id.user},
		{conv.MindscopeTool, id.tool},
		{conv.MindscopeProvider, id.provider},
		{conv.MindscopeModel, id.model},
	} {
		if f.value != "" {
			attrs.PutStr(f.key, f.value)
		}
	}
	if id.madeUp {
		attrs.PutBool(conv.MindscopeTaskProvisional, true)
	}
	if id.scored {
		attrs.PutDouble(conv.MindscopeQuality, id.score)
	}
	if u := id.usage; u != nil {
		attrs.PutInt(conv.MindscopeTokensInput, u.input)
		attrs.PutInt(conv.MindscopeTokensOutput, u.output)
		putCount(attrs, conv.MindscopeTokensCacheRead, u.cacheRead)
		putCount(attrs, conv.MindscopeTokensCacheWrite5m, u.cacheWrite)
		putCount(attrs, conv.MindscopeTokensReasoning, u.reasoning)
	}
}

func putCount(attrs pcommon.Map, key string, n int64) {
	if n > 0 {
		attrs.PutInt(key, n)
	}
}
