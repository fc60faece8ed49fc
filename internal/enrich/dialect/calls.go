package dialect

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
)

// CallsScope is the instrumentation scope of spans that were made from log records.
const CallsScope = "mindscope/calls-from-logs"

// calls makes spans of the log records by which command-line agents (Claude Code, Codex CLI) tell of their calls when they
// send no traces: without them such a sender would be in no list and its tokens in no sum. A record that was written in a
// trace is left alone, since its span tells of the same call.
//
// The spans' ids follow from what the records say, so that a request that is sent again makes the same spans. All calls of
// a conversation are one trace.
type calls struct {
	traces ptrace.Traces
	spans  ptrace.SpanSlice
	// resource is the one that spans belongs to, scope the one of the record being read.
	resource pcommon.Resource
	open     bool
	// equal counts the records of one request that say the same.
	equal map[pcommon.SpanID]uint64
}

// enter begins a resource.
func (c *calls) enter(r pcommon.Resource) { c.resource, c.open = r, false }

// add gives a record outside of any trace the provisional task that its conversation's spans have, and makes a span of it
// when it tells of a call or of a tool's run.
func (c *calls) add(rec plog.LogRecord, f *found) {
	if !rec.TraceID().IsEmpty() {
		return
	}
	trace := pcommon.TraceID(digest("conversation", f.conversation)[:16])
	if f.task == "" {
		rec.Attributes().PutStr(conv.MindscopeTaskID, hex.EncodeToString(trace[:]))
		rec.Attributes().PutBool(conv.MindscopeTaskProvisional, true)
	}
	if !countsTokens(f.operation) && f.operation != "execute_tool" {
		return
	}
	if !c.open {
		c.begin()
	}
	attrs := rec.Attributes()
	span := c.spans.AppendEmpty()
	span.SetTraceID(trace)
	span.SetSpanID(c.id(rec))
	span.SetName(callName(rec, f))
	span.SetKind(ptrace.SpanKindClient)
	if f.operation == "execute_tool" {
		span.SetKind(ptrace.SpanKindInternal)
	}
	end := rec.Timestamp()
	if end == 0 {
		end = rec.ObservedTimestamp()
	}
	span.SetEndTimestamp(end)
	span.SetStartTimestamp(end - duration(attrs, end))
	if message, failed := failure(attrs); failed {
		span.Status().SetCode(ptrace.StatusCodeError)
		span.Status().SetMessage(message)
	}
	attrs.CopyTo(span.Attributes())
}

func (c *calls) begin() {
	if c.equal == nil {
		c.traces, c.equal = ptrace.NewTraces(), map[pcommon.SpanID]uint64{}
	}
	rs := c.traces.ResourceSpans().AppendEmpty()
	c.resource.CopyTo(rs.Resource())
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName(CallsScope)
	c.spans, c.open = ss.Spans(), true
}

// id is the hash of the record; equal records of one request get different ones.
func (c *calls) id(rec plog.LogRecord) pcommon.SpanID {
	h := sha256.New()
	writeNumber(h, uint64(rec.Timestamp()))
	writeText(h, rec.EventName())
	writeText(h, rec.Body().AsString())
	for k, v := range rec.Attributes().All() {
		if !strings.HasPrefix(k, "mindscope.") {
			writeText(h, k)
			writeText(h, v.AsString())
		}
	}
	id := pcommon.SpanID(h.Sum(nil)[:8])
	n := c.equal[id]
	c.equal[id] = n + 1
	if n == 0 {
		return id
	}
	writeNumber(h, n)
	return pcommon.SpanID(h.Sum(nil)[:8])
}

// maxTraced bounds the conversations that are remembered, twice; maxConversation the length of their ids.
const (
	maxTraced       = 4096
	maxConversation = 256
)

// traced remembers the conversations whose spans came: their log records tell of the same calls once more. It holds the
// newest few thousand. The zero value is ready; it is safe for concurrent use.
type traced struct {
	mu         sync.Mutex
	young, old map[string]struct{}
}

func (t *traced) note(p signal.Project, conversation string) {
	if len(conversation) > maxConversation {
		return
	}
	key := string(p) + "\x00" + conversation
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.young[key]; ok {
		return
	}
	if t.young == nil || len(t.young) == maxTraced {
		t.young, t.old = make(map[string]struct{}, 64), t.young
	}
	t.young[key] = struct{}{}
}

func (t *traced) has(p signal.Project, conversation string) bool {
	key := string(p) + "\x00" + conversation
	t.mu.Lock()
	defer t.mu.Unlock()
	_, young := t.young[key]
	_, old := t.old[key]
	return young || old
}

func digest(texts ...string) []byte {
	h := sha256.New()
	for _, s := range texts {
		writeText(h, s)
	}
	return h.Sum(nil)
}

func writeText(h hash.Hash, s string) {
	writeNumber(h, uint64(len(s)))
	h.Write([]byte(s))
}

func writeNumber(h hash.Hash, n uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	h.Write(b[:])
}

func callName(rec plog.LogRecord, f *found) string {
	switch {
	case f.operation == "execute_tool" && f.tool != "":
		return "execute_tool " + f.tool
	case f.model != "":
		return f.operation + " " + f.model
	case f.operation != "":
		return f.operation
	default:
		return rec.EventName()
	}
}

// duration reads how long the call took, in nanoseconds; 0 when the record doesn't say or says nonsense.
func duration(attrs pcommon.Map, end pcommon.Timestamp) pcommon.Timestamp {
	v, ok := attrs.Get("duration_ms")
	if !ok {
		return 0
	}
	ms, ok := numberOf(v)
	if !ok || ms > float64(math.MaxInt64)/1e6 || pcommon.Timestamp(ms*1e6) > end {
		return 0
	}
	return pcommon.Timestamp(ms * 1e6)
}

// failure tells whether the record tells of something that failed.
func failure(attrs pcommon.Map) (message string, failed bool) {
	for _, key := range []string{"error", "error.message", conv.ErrorType} {
		if v, ok := attrs.Get(key); ok && v.AsString() != "" {
			return v.AsString(), true
		}
	}
	v, ok := attrs.Get("success")
	return "", ok && v.AsString() == "false"
}
