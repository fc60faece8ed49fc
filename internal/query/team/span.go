package team

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/store"
)

// Tokens are disjoint buckets of tokens.
type Tokens struct {
	Input, CacheRead, CacheWrite, Output, Reasoning int64
}

// Total returns the sum of all buckets.
func (t Tokens) Total() int64 {
	return plus(plus(plus(t.Input, t.CacheRead), t.CacheWrite), plus(t.Output, t.Reasoning))
}

func (t *Tokens) add(o Tokens) {
	t.Input = plus(t.Input, o.Input)
	t.CacheRead = plus(t.CacheRead, o.CacheRead)
	t.CacheWrite = plus(t.CacheWrite, o.CacheWrite)
	t.Output = plus(t.Output, o.Output)
	t.Reasoning = plus(t.Reasoning, o.Reasoning)
}

// PicoUSD is money in 10⁻¹² US dollars; it holds up to nine million dollars.
type PicoUSD int64

// maxMicroUSD is the largest number of micro-dollars that a PicoUSD can hold.
const maxMicroUSD = math.MaxInt64/1_000_000 - 1

// plus adds; what no PicoUSD can hold stays at the largest one.
func (p PicoUSD) plus(o PicoUSD) PicoUSD { return PicoUSD(plus(int64(p), int64(o))) }

// String returns the exact decimal number of dollars, without trailing zeros: 0.0231.
func (p PicoUSD) String() string {
	sign, n := "", int64(p)
	if n < 0 {
		sign, n = "-", -n
	}
	frac := strconv.FormatInt(1_000_000_000_000+n%1_000_000_000_000, 10)[1:]
	frac = strings.TrimRight(frac, "0")
	if frac == "" {
		return sign + strconv.FormatInt(n/1_000_000_000_000, 10)
	}
	return sign + strconv.FormatInt(n/1_000_000_000_000, 10) + "." + frac
}

// Span is what the questions know of one span, or of one that has only started.
type Span struct {
	TraceID, SpanID, ParentID string
	Name, Kind, Service       string
	// Start and Duration are nanoseconds. A running span's Duration is 0.
	Start, Duration int64
	// Status is unset, ok or error; Error and ErrorType say more when it is error.
	Status, Error, ErrorType string
	// Running: only the start record is known. LastSign is when its sender last showed that it lives, as far as
	// somebody kept watch; 0 for nobody.
	Running  bool
	LastSign int64

	Team, Task, TaskType, Outcome string
	Provisional                   bool
	Agent, Operation, Tool, Model string
	HasTokens                     bool
	Tokens                        Tokens
	HasCost                       bool
	Cost                          PicoUSD
	Quality                       *float64

	// Hops: what the span says of a message, a record or an artifact.
	Message     *Message
	RecordTable string
	Artifact    *Artifact

	// What only the ledger asks for (ledgerFields).
	// Inherited: the sender named no task; Task is that of the trace's other rows.
	Inherited bool
	// MessageID and CorrelationID are of the message that the span sent or took; Collection is the table of a statement,
	// RecordID the key of the record that it was about.
	MessageID, CorrelationID, Collection, RecordID string
	Links                                          []SpanID
}

// Message is the bus's part of a span.
type Message struct {
	Destination, Type, From, To string
	// WaitMs is the time in the queue, 0 when unknown.
	WaitMs float64
}

// Artifact is the object's part of a span.
type Artifact struct {
	Key, Digest, MediaType, URI string
	Size                        int64
}

// End returns the span's end in nanoseconds.
func (s *Span) End() int64 { return s.Start + s.Duration }

// Failed tells whether the span has the status error.
func (s *Span) Failed() bool { return s.Status == "error" }

// spanFields are the fields that spanOf reads.
func spanFields() []string {
	return []string{
		store.FieldTraceID, store.FieldSpanID, store.FieldParentSpanID, store.FieldName, store.FieldSpanKind,
		store.FieldService, store.FieldDuration, store.FieldStatus, store.FieldStatusMessage,
		store.FieldTeam, store.FieldTaskID, store.FieldTaskType, store.FieldTaskProvisional, store.FieldAgent,
		store.FieldOperation, store.FieldTool, store.FieldModel, store.FieldQuality,
		store.FieldTokensInput, store.FieldTokensCacheRead, store.FieldTokensCacheWrite5m,
		store.FieldTokensCacheWrite1h, store.FieldTokensOutput, store.FieldTokensReasoning,
		store.FieldCostMicro, store.FieldCostRest,
		attr(conv.ErrorType), attr(conv.AITeamTaskStatus),
		attr(conv.MessagingDestinationName), attr(conv.MessagingDestinationTemplate),
		attr(conv.AITeamMessageType), attr(conv.AITeamMessageFromAgent), attr(conv.AITeamMessageToAgent),
		attr(conv.AITeamMessageWaitMs), attr(conv.AITeamRecordTable), attr(conv.DBCollectionName),
		attr(conv.AITeamArtifactKey), attr(conv.AITeamArtifactDigest), attr(conv.AITeamArtifactMediaType),
		attr(conv.AITeamArtifactURI), attr(conv.AITeamArtifactSize),
		attr(conv.AITeamSpanName), attr(conv.AITeamSpanKind), attr(conv.AITeamSpanParentID),
		attr(conv.AITeamSpanStartTimeUnixNano),
	}
}

// ledgerFields are spanFields and what only the ledger reads.
func ledgerFields() []string {
	return append(spanFields(), store.FieldTaskInherited, store.FieldLinks, store.FieldConversation,
		attr(conv.MessagingMessageID), attr(conv.MessagingMessageConversationID), attr(conv.AITeamRecordID))
}

func attr(name string) string { return store.PrefixAttr + name }

// spanOf reads a span or start row.
func spanOf(r *store.Row) Span {
	s := Span{
		TraceID: r.Text(store.FieldTraceID), SpanID: r.Text(store.FieldSpanID), Service: r.Text(store.FieldService),
		Start: r.Time,
		Team:  r.Text(store.FieldTeam), Task: r.Text(store.FieldTaskID), TaskType: r.Text(store.FieldTaskType),
		Provisional: r.Get(store.FieldTaskProvisional).Bool(),
		Agent:       r.Text(store.FieldAgent), Operation: r.Text(store.FieldOperation),
		Tool: r.Text(store.FieldTool), Model: r.Text(store.FieldModel),
	}
	s.Inherited = r.Get(store.FieldTaskInherited).Bool()
	if r.Kind == store.KindStart {
		s.Running = true
		s.Name, s.Kind = r.Text(attr(conv.AITeamSpanName)), r.Text(attr(conv.AITeamSpanKind))
		s.ParentID, s.Status = r.Text(attr(conv.AITeamSpanParentID)), "unset"
		if t := r.Get(attr(conv.AITeamSpanStartTimeUnixNano)).Int(); t > 0 {
			s.Start = t
		}
		return s
	}
	s.ParentID, s.Name, s.Kind = r.Text(store.FieldParentSpanID), r.Text(store.FieldName), r.Text(store.FieldSpanKind)
	s.Duration = r.Get(store.FieldDuration).Int()
	s.Status, s.Error = r.Text(store.FieldStatus), r.Text(store.FieldStatusMessage)
	s.ErrorType, s.Outcome = r.Text(attr(conv.ErrorType)), r.Text(attr(conv.AITeamTaskStatus))
	if q, ok := r.Get(store.FieldQuality).Number(); ok {
		s.Quality = &q
	}
	s.readUsage(r)
	s.readHops(r)
	return s
}

func (s *Span) readUsage(r *store.Row) {
	tokens := func(field string) int64 {
		s.HasTokens = s.HasTokens || r.Has(field)
		return max(r.Get(field).Int(), 0)
	}
	s.Tokens = Tokens{
		Input:      tokens(store.FieldTokensInput),
		CacheRead:  tokens(store.FieldTokensCacheRead),
		CacheWrite: plus(tokens(store.FieldTokensCacheWrite5m), tokens(store.FieldTokensCacheWrite1h)),
		Output:     tokens(store.FieldTokensOutput),
		Reasoning:  tokens(store.FieldTokensReasoning),
	}
	// A cost beyond all prices is none.
	if micro := r.Get(store.FieldCostMicro).Int(); r.Has(store.FieldCostMicro) && micro >= 0 && micro <= maxMicroUSD {
		s.HasCost = true
		s.Cost = PicoUSD(micro*1_000_000 + min(max(r.Get(store.FieldCostRest).Int(), 0), 999_999))
	}
}

func (s *Span) readHops(r *store.Row) {
	destination := r.Text(attr(conv.MessagingDestinationTemplate))
	if destination == "" {
		destination = r.Text(attr(conv.MessagingDestinationName))
	}
	if destination != "" || r.Has(attr(conv.AITeamMessageType)) || r.Has(attr(conv.AITeamMessageToAgent)) {
		wait, _ := r.Get(attr(conv.AITeamMessageWaitMs)).Number()
		s.Message = &Message{
			Destination: destination, Type: r.Text(attr(conv.AITeamMessageType)),
			From: r.Text(attr(conv.AITeamMessageFromAgent)), To: r.Text(attr(conv.AITeamMessageToAgent)), WaitMs: wait,
		}
	}
	s.MessageID, s.CorrelationID = r.Text(attr(conv.MessagingMessageID)), r.Text(attr(conv.MessagingMessageConversationID))
	s.Collection, s.RecordID, s.Links = r.Text(attr(conv.DBCollectionName)), r.Text(attr(conv.AITeamRecordID)), linksOf(r)
	s.RecordTable = r.Text(attr(conv.AITeamRecordTable))
	if key := r.Text(attr(conv.AITeamArtifactKey)); key != "" {
		s.Artifact = &Artifact{
			Key: key, Digest: r.Text(attr(conv.AITeamArtifactDigest)), URI: r.Text(attr(conv.AITeamArtifactURI)),
			MediaType: r.Text(attr(conv.AITeamArtifactMediaType)), Size: r.Get(attr(conv.AITeamArtifactSize)).Int(),
		}
	}
}

// linksOf returns the spans that a row links to. Links that can't be read are none.
func linksOf(r *store.Row) []SpanID {
	text := r.Text(store.FieldLinks)
	if text == "" {
		return nil
	}
	var links []struct {
		Trace string `json:"trace_id"`
		Span  string `json:"span_id"`
	}
	if json.Unmarshal([]byte(text), &links) != nil {
		return nil
	}
	out := make([]SpanID, 0, len(links))
	for _, l := range links {
		out = append(out, SpanID(l))
	}
	return out
}

// Inference tells whether the span is one call of a model: what tokens and money are counted from.
func (s *Span) Inference() bool { return slices.Contains(inferences(), s.Operation) }

func inferences() []string {
	return []string{"chat", "generate_content", "text_completion", "embeddings"}
}
