// Package identity finds out whose work a span or log record is: team, task, conversation and user, and the score that a
// judge gave it. It writes what it found into the mindscope.* attributes, which the store keeps as columns; the sender's
// own attributes stay as they are.
//
// It is a Sink around the next Sink and stands behind enrich/dialect, whose answers it takes over: dialect removes forged
// columns and reads what is special to one framework, identity knows the names that are the same everywhere.
package identity

import (
	"context"
	"encoding/hex"
	"math"

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
	next signal.Sink
}

// New returns a Sink in front of next.
func New(next signal.Sink) *Sink { return &Sink{next: next} }

// Traces sets the identity of each span.
func (s *Sink) Traces(ctx context.Context, p signal.Project, td ptrace.Traces) (signal.Rejected, error) {
	var open unnamed
	for _, rs := range td.ResourceSpans().All() {
		res := resourceOf(rs.Resource().Attributes())
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				id := find(span.Attributes(), &res)
				id.evaluations(span.Events())
				id.put(span.Attributes())
				open.note(span.TraceID(), id.task, span.Attributes())
			}
		}
	}
	open.name()
	return s.next.Traces(ctx, p, td)
}

// Logs sets the identity of each record. A record outside of any trace and task has no task.
func (s *Sink) Logs(ctx context.Context, p signal.Project, ld plog.Logs) (signal.Rejected, error) {
	var open unnamed
	for _, rl := range ld.ResourceLogs().All() {
		res := resourceOf(rl.Resource().Attributes())
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				id := find(rec.Attributes(), &res)
				if rec.EventName() == conv.EventGenAIEvaluationResult {
					id.evaluated(rec.Attributes())
				}
				id.put(rec.Attributes())
				open.note(rec.TraceID(), id.task, rec.Attributes())
			}
		}
	}
	open.name()
	return s.next.Logs(ctx, p, ld)
}

// Metrics passes md on.
func (s *Sink) Metrics(ctx context.Context, p signal.Project, md pmetric.Metrics) (signal.Rejected, error) {
	return s.next.Metrics(ctx, p, md)
}

// resource is what all spans of one resource inherit.
type resource struct{ team, task, taskType, agent string }

func resourceOf(attrs pcommon.Map) resource {
	var namespace string
	var r resource
	for k, v := range attrs.All() {
		switch k {
		case conv.AITeamTeam:
			r.team = v.AsString()
		case conv.ServiceNamespace:
			namespace = v.AsString()
		case conv.AITeamTaskID:
			r.task = v.AsString()
		case conv.AITeamTaskType:
			r.taskType = v.AsString()
		case conv.GenAIAgentName:
			r.agent = v.AsString()
		}
	}
	for _, team := range []string{namespace, DefaultTeam} {
		if r.team == "" {
			r.team = team
		}
	}
	return r
}

// identity is what was found out about one span or record. The fields of has say which columns are there already.
type identity struct {
	team, task, taskType, agent, conversation, user string

	score  float64
	scored bool

	has struct{ task, taskType, agent, conversation, user, quality bool }
}

func find(attrs pcommon.Map, res *resource) identity {
	var id identity
	var own struct{ task, taskType, conversation, user, session, userID, endUser string }
	for k, v := range attrs.All() {
		switch k {
		case conv.AITeamTeam:
			id.team = v.AsString()
		case conv.AITeamTaskID:
			own.task = v.AsString()
		case conv.AITeamTaskType:
			own.taskType = v.AsString()
		case conv.AITeamConversationID:
			own.conversation = v.AsString()
		case conv.AITeamUserID:
			own.user = v.AsString()
		case conv.SessionID:
			own.session = v.AsString()
		case conv.UserID:
			own.userID = v.AsString()
		case "enduser.id":
			own.endUser = v.AsString()
		case conv.AITeamQualityScore:
			id.setScore(v)
		case conv.MindscopeTaskID:
			id.task, id.has.task = v.AsString(), true
		case conv.MindscopeTaskType:
			id.has.taskType = true
		case conv.MindscopeAgent:
			id.has.agent = true
		case conv.MindscopeConversation:
			id.has.conversation = true
		case conv.MindscopeUser:
			id.has.user = true
		case conv.MindscopeQuality:
			id.has.quality = true
		}
	}
	// The team's own word for its task is worth more than a dialect's.
	if own.task != "" {
		id.task, id.has.task = own.task, false
	}
	id.team = first(id.team, res.team)
	id.task = first(id.task, res.task)
	id.taskType = first(own.taskType, res.taskType)
	id.agent = res.agent
	id.conversation = first(own.conversation, own.session)
	id.user = first(own.user, own.userID, own.endUser)
	return id
}

func first(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// evaluations reads the newest verdict among a span's events when no attribute has one.
func (id *identity) evaluations(events ptrace.SpanEventSlice) {
	if id.scored || id.has.quality {
		return
	}
	for _, e := range events.All() {
		if e.Name() == conv.EventGenAIEvaluationResult {
			id.evaluated(e.Attributes())
		}
	}
}

func (id *identity) evaluated(attrs pcommon.Map) {
	if v, ok := attrs.Get(conv.GenAIEvaluationScoreValue); ok {
		id.setScore(v)
	}
}

func (id *identity) setScore(v pcommon.Value) {
	var score float64
	switch v.Type() {
	case pcommon.ValueTypeDouble:
		score = v.Double()
	case pcommon.ValueTypeInt:
		score = float64(v.Int())
	default:
		return
	}
	if !math.IsNaN(score) && !math.IsInf(score, 0) {
		id.score, id.scored = score, true
	}
}

// columns is how many columns identity adds at most.
const columns = 9

func (id *identity) put(attrs pcommon.Map) {
	attrs.EnsureCapacity(attrs.Len() + columns)
	attrs.PutStr(conv.MindscopeTeam, id.team)
	put(attrs, id.has.task, conv.MindscopeTaskID, id.task)
	put(attrs, id.has.taskType, conv.MindscopeTaskType, id.taskType)
	put(attrs, id.has.agent, conv.MindscopeAgent, id.agent)
	put(attrs, id.has.conversation, conv.MindscopeConversation, id.conversation)
	put(attrs, id.has.user, conv.MindscopeUser, id.user)
	if id.scored {
		attrs.PutDouble(conv.MindscopeQuality, id.score)
	}
}

func put(attrs pcommon.Map, has bool, key, value string) {
	if !has && value != "" {
		attrs.PutStr(key, value)
	}
}

// unnamed collects the spans or records of one request that name no task.
type unnamed struct {
	list []nameless
	// tasks is the task of each trace that has exactly one in the request, "" of one that has several.
	tasks map[pcommon.TraceID]string
	// The trace and task noted last save most look-ups: spans of a trace come together.
	trace pcommon.TraceID
	task  string
}

type nameless struct {
	trace pcommon.TraceID
	attrs pcommon.Map
}

func (u *unnamed) note(trace pcommon.TraceID, task string, attrs pcommon.Map) {
	if trace.IsEmpty() {
		return
	}
	if task == "" {
		u.list = append(u.list, nameless{trace, attrs})
		return
	}
	if u.trace == trace && u.task == task {
		return
	}
	u.trace, u.task = trace, task
	if u.tasks == nil {
		u.tasks = map[pcommon.TraceID]string{}
	}
	if known, ok := u.tasks[trace]; ok && known != task {
		task = ""
	}
	u.tasks[trace] = task
}

// name gives work that names no task the one task of its trace; else, so that it shows up in every list, a provisional
// task: the trace's id. Either is marked, since the ledger asks who names its task.
func (u *unnamed) name() {
	for _, n := range u.list {
		if task := u.tasks[n.trace]; task != "" {
			n.attrs.PutStr(conv.MindscopeTaskID, task)
			n.attrs.PutBool(conv.MindscopeTaskInherited, true)
			continue
		}
		n.attrs.PutStr(conv.MindscopeTaskID, hex.EncodeToString(n.trace[:]))
		n.attrs.PutBool(conv.MindscopeTaskProvisional, true)
	}
}
