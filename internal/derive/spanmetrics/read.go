package spanmetrics

import (
	"cmp"
	"slices"
	"strings"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/store"
)

// span is what is counted of a span or start row.
type span struct {
	trace, id, parent          string
	name, kind, service        string
	start, end, duration       int64
	status, errorType, outcome string

	team, task, taskType       string
	provisional, sdkMetrics    bool
	agent, operation, model    string
	tool, provider             string
	hasTokens, hasCost         bool
	tokens                     [5]int64 // in the order of tokenTypes
	cost                       int64    // pico-dollars
	hasQuality                 bool
	quality                    float64
	messageType, from, to      string
	wait                       float64
	hasWait                    bool
	table, artifact, startName string
	requestModel               string
}

func tokenTypes() [5]string {
	return [5]string{"input", "cache_read", "cache_write", "output", "reasoning"}
}

// Names of attribute fields.
const (
	fieldErrorType   = store.PrefixAttr + conv.ErrorType
	fieldOutcome     = store.PrefixAttr + conv.AITeamTaskStatus
	fieldMessageType = store.PrefixAttr + conv.AITeamMessageType
	fieldFrom        = store.PrefixAttr + conv.AITeamMessageFromAgent
	fieldTo          = store.PrefixAttr + conv.AITeamMessageToAgent
	fieldWait        = store.PrefixAttr + conv.AITeamMessageWaitMs
	fieldTable       = store.PrefixAttr + conv.AITeamRecordTable
	fieldArtifact    = store.PrefixAttr + conv.AITeamArtifactKey
	fieldStartName   = store.PrefixAttr + conv.AITeamSpanName
	fieldStartParent = store.PrefixAttr + conv.AITeamSpanParentID
	fieldStartTime   = store.PrefixAttr + conv.AITeamSpanStartTimeUnixNano
	fieldRequest     = store.PrefixAttr + conv.GenAIRequestModel
	fieldMetrics     = store.PrefixResource + conv.AITeamMetrics
)

// read fills s from a row in one pass: it is done for every span.
func (s *span) read(r *store.Row) {
	*s = span{start: r.Time}
	for i := range r.Fields {
		f := &r.Fields[i]
		switch f.Name {
		case store.FieldTraceID:
			s.trace = f.Value.Text()
		case store.FieldSpanID:
			s.id = f.Value.Text()
		case store.FieldParentSpanID, fieldStartParent:
			s.parent = f.Value.Text()
		case store.FieldName:
			s.name = f.Value.Text()
		case store.FieldSpanKind:
			s.kind = f.Value.Text()
		case store.FieldService:
			s.service = f.Value.Text()
		case store.FieldEnd:
			s.end = f.Value.Int()
		case store.FieldDuration:
			s.duration = max(0, f.Value.Int())
		case store.FieldStatus:
			s.status = f.Value.Text()
		case store.FieldTeam:
			s.team = f.Value.Text()
		case store.FieldTaskID:
			s.task = f.Value.Text()
		case store.FieldTaskType:
			s.taskType = f.Value.Text()
		case store.FieldTaskProvisional:
			s.provisional = f.Value.Bool()
		case store.FieldAgent:
			s.agent = f.Value.Text()
		case store.FieldOperation:
			s.operation = f.Value.Text()
		case store.FieldModel:
			s.model = f.Value.Text()
		case store.FieldTool:
			s.tool = f.Value.Text()
		case store.FieldProvider:
			s.provider = f.Value.Text()
		case store.FieldQuality:
			s.quality, s.hasQuality = f.Value.Number()
		case store.FieldTokensInput:
			s.tokens[0], s.hasTokens = f.Value.Int(), true
		case store.FieldTokensCacheRead:
			s.tokens[1] = f.Value.Int()
		case store.FieldTokensCacheWrite5m, store.FieldTokensCacheWrite1h:
			s.tokens[2] += f.Value.Int()
		case store.FieldTokensOutput:
			s.tokens[3], s.hasTokens = f.Value.Int(), true
		case store.FieldTokensReasoning:
			s.tokens[4] = f.Value.Int()
		case store.FieldCostMicro:
			s.cost += f.Value.Int() * 1_000_000
			s.hasCost = true
		case store.FieldCostRest:
			s.cost += f.Value.Int()
		default:
			if strings.HasPrefix(f.Name, store.PrefixAttr) || f.Name == fieldMetrics {
				s.readAttribute(f)
			}
		}
	}
}

func (s *span) readAttribute(f *store.Field) {
	switch f.Name {
	case fieldErrorType:
		s.errorType = label(f)
	case fieldOutcome:
		s.outcome = label(f)
	case fieldMessageType:
		s.messageType = label(f)
	case fieldFrom:
		s.from = label(f)
	case fieldTo:
		s.to = label(f)
	case fieldWait:
		s.wait, s.hasWait = f.Value.Number()
	case fieldTable:
		s.table = label(f)
	case fieldArtifact:
		s.artifact = f.Value.Text()
	case fieldRequest:
		s.requestModel = label(f)
	case fieldStartName:
		s.startName = label(f)
	case fieldStartTime:
		if t := f.Value.Int(); t > 0 {
			s.start = t
		}
	case fieldMetrics:
		s.sdkMetrics = f.Value.Text() == "sdk"
	}
}

// label returns an attribute's text, "" for one that is kept as content: no name is so long, and the store takes the
// secrets out of contents only after it told of the row.
func label(f *store.Field) string {
	if store.IsPayload(*f) {
		return ""
	}
	return f.Value.Text()
}

// errorOr is the type of the error, _OTHER when nobody named one.
func (s *span) errorOr() string { return cmp.Or(s.errorType, "_OTHER") }

func (s *span) failed() bool { return s.status == "error" }

// inference tells whether the span is one call of a model.
func (s *span) inference() bool {
	switch s.operation {
	case "chat", "generate_content", "text_completion", "embeddings":
		return true
	}
	return false
}

// attempt tells whether the span is one attempt at a task: a task span, or the root of a trace that names no task.
func (s *span) attempt() bool {
	if s.provisional {
		return s.parent == ""
	}
	return s.operation == "invoke_workflow"
}

// result is how a task or agent span ended.
func (s *span) result() string {
	switch {
	case slices.Contains([]string{"completed", "failed", "cancelled"}, s.outcome):
		return s.outcome
	case s.failed() && s.errorType == "cancelled":
		return "cancelled"
	case s.failed():
		return "failed"
	}
	return "completed"
}

func (s *span) exemplar() exemplar {
	return exemplar{trace: s.trace, span: s.id, at: cmp.Or(s.end, s.start)}
}

func (s *span) seconds() float64 { return float64(s.duration) / 1e9 }
