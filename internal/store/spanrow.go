package store

import (
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// AppendSpanRows appends one row a span of td to dst. The rows share td's texts but none of its mutable parts.
func AppendSpanRows(dst []Row, td ptrace.Traces) []Row {
	var c carrier
	var ids ordinals
	for _, rs := range td.ResourceSpans().All() {
		c.setResource(rs.Resource(), rs.SchemaUrl())
		for _, ss := range rs.ScopeSpans().All() {
			c.setScope(ss.Scope(), ss.SchemaUrl())
			for _, span := range ss.Spans().All() {
				dst = append(dst, spanRow(span, &c, &ids))
			}
		}
	}
	return dst
}

func spanRow(s ptrace.Span, c *carrier, ids *ordinals) Row {
	start, end := nanos(s.StartTimestamp()), nanos(s.EndTimestamp())
	f := make([]Field, 0, 12+s.Attributes().Len()+len(c.resource)+len(c.scope))
	// One allocation holds the three ids.
	hexIDs := appendHexID(make([]byte, 0, 64), s.TraceID(), s.SpanID(), s.ParentSpanID())
	traceID, spanID, parentID := hexIDs[:32], hexIDs[32:48], hexIDs[48:]
	if !s.TraceID().IsEmpty() {
		f = append(f, Field{FieldTraceID, String(traceID)})
	}
	if !s.SpanID().IsEmpty() {
		f = append(f, Field{FieldSpanID, String(spanID)})
	}
	if !s.ParentSpanID().IsEmpty() {
		f = append(f, Field{FieldParentSpanID, String(parentID)})
	}
	f = addText(f, FieldName, s.Name())
	f = append(f,
		Field{FieldSpanKind, String(spanKindText(s.Kind()))},
		Field{FieldStatus, String(statusText(s.Status().Code()))},
		Field{FieldEnd, Int(end)},
		Field{FieldDuration, Int(end - start)})
	f = addText(f, FieldStatusMessage, s.Status().Message())
	f = addText(f, FieldTraceState, s.TraceState().AsRaw())
	f = addCount(f, FieldFlags, s.Flags())
	f = addCount(f, fieldAttrsDropped, s.DroppedAttributesCount())
	f = addCount(f, fieldEventsDropped, s.DroppedEventsCount())
	f = addCount(f, fieldLinksDropped, s.DroppedLinksCount())
	if s.Events().Len() > 0 {
		f = append(f, Field{FieldEvents, SliceJSON(encodeEvents(s.Events()))})
	}
	if s.Links().Len() > 0 {
		f = append(f, Field{FieldLinks, SliceJSON(encodeLinks(s.Links()))})
	}
	f = append(f, c.resource...)
	f = append(f, c.scope...)
	f = appendAttrs(f, s.Attributes(), PrefixAttr)
	r := Row{Kind: KindSpan, Time: start, Fields: f}
	if s.TraceID().IsEmpty() || s.SpanID().IsEmpty() {
		// Spans without ids are different spans unless all they say is equal.
		r.ID = ids.of(&r)
	} else {
		r.ID = hexIDs[:48]
	}
	return r
}

// nanos keeps times beyond the year 2262 as the negative numbers of the same bits; uint64 gives them back.
func nanos(t pcommon.Timestamp) int64 { return int64(t) }

func appendHexID(b []byte, t pcommon.TraceID, s, p pcommon.SpanID) string {
	for _, id := range [][]byte{t[:], s[:], p[:]} {
		for _, c := range id {
			b = append(b, hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(b)
}

func spanKindText(k ptrace.SpanKind) string {
	switch k {
	case ptrace.SpanKindInternal:
		return "internal"
	case ptrace.SpanKindServer:
		return "server"
	case ptrace.SpanKindClient:
		return "client"
	case ptrace.SpanKindProducer:
		return "producer"
	case ptrace.SpanKindConsumer:
		return "consumer"
	case ptrace.SpanKindUnspecified:
		return "unspecified"
	default:
		return strconv.Itoa(int(k))
	}
}

func spanKindOf(text string) ptrace.SpanKind {
	for k := ptrace.SpanKindUnspecified; k <= ptrace.SpanKindConsumer; k++ {
		if spanKindText(k) == text {
			return k
		}
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return ptrace.SpanKindUnspecified
	}
	return ptrace.SpanKind(n)
}

func statusText(c ptrace.StatusCode) string {
	switch c {
	case ptrace.StatusCodeUnset:
		return "unset"
	case ptrace.StatusCodeOk:
		return "ok"
	case ptrace.StatusCodeError:
		return "error"
	default:
		return strconv.Itoa(int(c))
	}
}

func statusOf(text string) ptrace.StatusCode {
	for c := ptrace.StatusCodeUnset; c <= ptrace.StatusCodeError; c++ {
		if statusText(c) == text {
			return c
		}
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return ptrace.StatusCodeUnset
	}
	return ptrace.StatusCode(n)
}

// encodeEvents writes a span's events as [{"time":ns,"name":…,"attributes":{…},"dropped":n}].
func encodeEvents(es ptrace.SpanEventSlice) string {
	b := append(make([]byte, 0, 256), '[')
	for i, e := range es.All() {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"time":`...)
		b = strconv.AppendInt(b, nanos(e.Timestamp()), 10)
		b = append(b, `,"name":`...)
		b = appendText(b, e.Name())
		b = appendTail(b, e.Attributes(), e.DroppedAttributesCount())
	}
	return string(append(b, ']'))
}

// encodeLinks writes a span's links as [{"trace_id":…,"span_id":…,"state":…,"flags":n,"attributes":{…},"dropped":n}].
func encodeLinks(ls ptrace.SpanLinkSlice) string {
	b := append(make([]byte, 0, 256), '[')
	for i, l := range ls.All() {
		if i > 0 {
			b = append(b, ',')
		}
		ids := appendHexID(make([]byte, 0, 64), l.TraceID(), l.SpanID(), pcommon.SpanID{})
		b = append(b, `{"trace_id":"`...)
		b = append(b, ids[:32]...)
		b = append(b, `","span_id":"`...)
		b = append(b, ids[32:48]...)
		b = append(b, '"')
		if state := l.TraceState().AsRaw(); state != "" {
			b = append(b, `,"state":`...)
			b = appendText(b, state)
		}
		if l.Flags() != 0 {
			b = append(b, `,"flags":`...)
			b = strconv.AppendUint(b, uint64(l.Flags()), 10)
		}
		b = appendTail(b, l.Attributes(), l.DroppedAttributesCount())
	}
	return string(append(b, ']'))
}

func appendTail(b []byte, attrs pcommon.Map, dropped uint32) []byte {
	if attrs.Len() > 0 {
		b = append(b, `,"attributes":`...)
		b = appendAnyMap(b, attrs, 0)
	}
	if dropped > 0 {
		b = append(b, `,"dropped":`...)
		b = strconv.AppendUint(b, uint64(dropped), 10)
	}
	return append(b, '}')
}
