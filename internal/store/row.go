package store

import (
	"slices"
)

// Kind is the kind of a row.
type Kind string

// The kinds of rows. Their columns are listed in docs/format/rows.md.
const (
	KindSpan    Kind = "span"
	KindLog     Kind = "log"
	KindStart   Kind = "start"
	KindRange   Kind = "range"
	KindTask    Kind = "task"
	KindCost    Kind = "cost"
	KindPayload Kind = "payload"
	// KindContent rows hold content of spans that was held back until their task failed; their ids are the spans'.
	KindContent Kind = "content"
	// KindJoin rows say that a trace which names no task belongs to one; the ledger writes them. Their id is the trace's.
	KindJoin Kind = "join"
	// KindFinding rows are what the ledger found missing in a task that ended; their id is the task's and the finding's.
	KindFinding Kind = "finding"
	// KindHeartbeat rows are never stored: Write hands them to the Observer only.
	KindHeartbeat Kind = "heartbeat"
)

// Names of fields that are no attributes.
const (
	FieldKind     = "kind"
	FieldRowID    = "row_id"
	FieldRevision = "rev"

	FieldTraceID       = "trace_id"
	FieldSpanID        = "span_id"
	FieldParentSpanID  = "parent_span_id"
	FieldTraceState    = "trace_state"
	FieldFlags         = "flags"
	FieldName          = "name"
	FieldSpanKind      = "span_kind" // unspecified, internal, server, client, producer, consumer
	FieldEnd           = "end_ns"
	FieldDuration      = "duration_ns" // end − start, negative when the sender said so
	FieldStatus        = "status"      // unset, ok, error
	FieldStatusMessage = "status_message"
	FieldEvents        = "events"
	FieldLinks         = "links"

	FieldService           = "service" // resource's service.name, "unknown_service" when absent
	FieldResourceSchemaURL = "resource.schema_url"
	FieldScopeName         = "scope.name"
	FieldScopeVersion      = "scope.version"
	FieldScopeSchemaURL    = "scope.schema_url"

	FieldSeverity       = "severity" // OTLP severity number
	FieldSeverityText   = "severity_text"
	FieldEventName      = "event_name"
	FieldBody           = "body"
	FieldObservedTime   = "observed_ns"
	FieldRecordTimeZero = "time_zero" // the record had no time of its own; its row's time is the observed one

	// FieldPayloadsExpired names the fields, joined by ',', whose content is past the retention of payloads.
	FieldPayloadsExpired = "payloads_expired"

	PrefixAttr      = "attr."
	PrefixResource  = "resource.attr."
	PrefixScopeAttr = "scope.attr."
)

// Canonical columns: what the enrich steps found out. In pdata they are attributes named "mindscope." + these.
const (
	FieldTeam            = "team"
	FieldTaskID          = "task_id"
	FieldTaskType        = "task_type"
	FieldTaskProvisional = "task_provisional" // bool: the task id was made up from the trace's root
	FieldTaskInherited   = "task_inherited"   // bool: the sender named no task, it is that of the trace's other rows
	FieldAgent           = "agent"
	FieldOperation       = "operation"
	FieldConversation    = "conversation"
	FieldUser            = "user"
	FieldTool            = "tool"
	FieldProvider        = "provider"
	FieldModel           = "model" // response model, else request model
	FieldQuality         = "quality"
	FieldDialect         = "dialect"

	FieldTokensInput        = "tokens_input" // uncached
	FieldTokensCacheRead    = "tokens_cache_read"
	FieldTokensCacheWrite5m = "tokens_cache_write_5m"
	FieldTokensCacheWrite1h = "tokens_cache_write_1h"
	FieldTokensOutput       = "tokens_output" // visible
	FieldTokensReasoning    = "tokens_reasoning"

	// Money is FieldCostMicro·10⁻⁶ $ + FieldCostRest·10⁻¹² $, 0 ≤ rest < 10⁶: two integers whose float sums stay exact.
	FieldCostMicro    = "cost_micro_usd"
	FieldCostRest     = "cost_rest_pico_usd"
	FieldCostSource   = "cost_source" // prices, provider, refused
	FieldPriceVersion = "price_version"
	FieldCostParts    = "cost_parts" // JSON: pico-dollars by bucket of tokens

	// FieldHop is on a finding: the hop where the task's id was lost. FieldFinding is what was found, one of few words.
	FieldHop     = "hop"
	FieldFinding = "finding"
	// FieldJoinedBy is on a join: message, conversation, link or time.
	// FieldJoinedTo is the span of the task by which the trace was found, TRACE/SPAN.
	FieldJoinedBy = "joined_by"
	FieldJoinedTo = "joined_to"

	// FieldCapture names the content policy that took content off the row: metadata, failed-only.
	FieldCapture = "capture"
)

// Field is one named value of a row.
type Field struct {
	Name  string
	Value Value
}

// Row is one stored thing. Its Fields are in no particular order; a name may repeat only where OTLP let the sender
// repeat an attribute's key.
//
// Ownership: a row given to Events.Write is only read until Write returns. A row that Select yields is the
// caller's until the next one is asked for; Clone keeps it.
type Row struct {
	Kind Kind
	// ID makes the row idempotent: within a project and kind, rows of one ID are one row.
	ID string
	// Time is the row's place in time, nanoseconds since the epoch.
	Time   int64
	Fields []Field
}

// Get returns the value of the first field of that name; the empty Value when there is none.
func (r *Row) Get(name string) Value {
	for i := range r.Fields {
		if r.Fields[i].Name == name {
			return r.Fields[i].Value
		}
	}
	return Value{}
}

// Has tells whether the row has a field of that name.
func (r *Row) Has(name string) bool {
	return slices.ContainsFunc(r.Fields, func(f Field) bool { return f.Name == name })
}

// Text returns the text of the first field of that name, "" when there is none.
func (r *Row) Text(name string) string { return r.Get(name).Text() }

// Add appends a field.
func (r *Row) Add(name string, v Value) { r.Fields = append(r.Fields, Field{Name: name, Value: v}) }

// Clone returns a copy that shares nothing mutable with r.
func (r *Row) Clone() *Row {
	c := *r
	c.Fields = slices.Clone(r.Fields)
	return &c
}
