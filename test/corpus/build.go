package corpus

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// spanIn is what every container says of a span.
type spanIn struct {
	trace, id, parent, name, scope, kind, status, message string
	start, end                                            int64
	attrs, resource                                       map[string]any
	events                                                []eventIn
}

type eventIn struct {
	name  string
	time  int64
	attrs map[string]any
}

type builder struct {
	traces ptrace.Traces
	seq    int
	ids    map[string]bool
}

func newBuilder() *builder { return &builder{traces: ptrace.NewTraces(), ids: map[string]bool{}} }

func (b *builder) data() Data { return Data{Traces: b.traces, Logs: plog.NewLogs()} }

func (b *builder) add(in spanIn) {
	b.seq++
	rs := b.traces.ResourceSpans().AppendEmpty()
	put(rs.Resource().Attributes(), in.resource)
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName(in.scope)
	s := ss.Spans().AppendEmpty()
	if in.trace == "" {
		in.trace = "the only trace of its file"
	}
	if in.id == "" || b.ids[in.trace+in.id] {
		in.id = "span " + strconv.Itoa(b.seq)
	}
	b.ids[in.trace+in.id] = true
	s.SetTraceID(pcommon.TraceID(id(in.trace, 16)))
	s.SetSpanID(pcommon.SpanID(id(in.id, 8)))
	if in.parent != "" {
		s.SetParentSpanID(pcommon.SpanID(id(in.parent, 8)))
	}
	s.SetName(in.name)
	s.SetKind(kindOf(in.kind))
	s.SetStartTimestamp(pcommon.Timestamp(in.start))
	s.SetEndTimestamp(pcommon.Timestamp(in.end))
	s.Status().SetMessage(in.message)
	switch strings.ToUpper(in.status) {
	case "ERROR", "STATUS_CODE_ERROR", "2":
		s.Status().SetCode(ptrace.StatusCodeError)
	case "OK", "STATUS_CODE_OK", "1":
		s.Status().SetCode(ptrace.StatusCodeOk)
	}
	put(s.Attributes(), in.attrs)
	for _, e := range in.events {
		ev := s.Events().AppendEmpty()
		ev.SetName(e.name)
		ev.SetTimestamp(pcommon.Timestamp(e.time))
		put(ev.Attributes(), e.attrs)
	}
}

// id returns text as an id of n bytes: hex digits as they are, everything else hashed.
func id(text string, n int) []byte {
	if raw, err := hex.DecodeString(text); err == nil && len(raw) == n {
		return raw
	}
	sum := sha256.Sum256([]byte(text))
	return sum[:n]
}

// bigID turns an id that was written as a decimal number into hex digits of n bytes.
func bigID(num json.Number, n int) string {
	i, ok := new(big.Int).SetString(num.String(), 10)
	if !ok || i.Sign() <= 0 {
		return ""
	}
	return hex.EncodeToString(i.FillBytes(make([]byte, n)))
}

func kindOf(kind string) ptrace.SpanKind {
	switch strings.ToLower(strings.TrimPrefix(kind, "SPAN_KIND_")) {
	case "internal":
		return ptrace.SpanKindInternal
	case "server":
		return ptrace.SpanKindServer
	case "client":
		return ptrace.SpanKindClient
	case "producer":
		return ptrace.SpanKindProducer
	case "consumer":
		return ptrace.SpanKindConsumer
	}
	return ptrace.SpanKindUnspecified
}

func put(m pcommon.Map, attrs map[string]any) {
	for k, v := range attrs {
		set(m.PutEmpty(k), v)
	}
}

func set(dst pcommon.Value, v any) {
	switch v := v.(type) {
	case string:
		dst.SetStr(v)
	case bool:
		dst.SetBool(v)
	case json.Number:
		if i, err := v.Int64(); err == nil {
			dst.SetInt(i)
		} else if f, err := v.Float64(); err == nil {
			dst.SetDouble(f)
		}
	case []any:
		list := dst.SetEmptySlice()
		for _, e := range v {
			set(list.AppendEmpty(), e)
		}
	case map[string]any:
		put(dst.SetEmptyMap(), v)
	}
}

// decode reads JSON and keeps every digit of its numbers.
func decode(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return dec.Decode(into)
}

func integer(n json.Number) int64 {
	i, err := n.Int64()
	if err != nil {
		f, _ := n.Float64()
		return int64(f)
	}
	return i
}

func timeText(text string) int64 {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0
	}
	return t.UnixNano()
}
