package store

import (
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/mindscope/mindscope/internal/conv"
)

// AppendLogRows appends one row a log record of ld to dst: KindStart for the SDK's start records, KindHeartbeat for
// its heartbeats, KindLog for all others. The rows share ld's texts but none of its mutable parts.
func AppendLogRows(dst []Row, ld plog.Logs) []Row {
	var c carrier
	var ids ordinals
	for _, rl := range ld.ResourceLogs().All() {
		c.setResource(rl.Resource(), rl.SchemaUrl())
		for _, sl := range rl.ScopeLogs().All() {
			c.setScope(sl.Scope(), sl.SchemaUrl())
			for _, rec := range sl.LogRecords().All() {
				dst = append(dst, logRow(rec, &c, &ids))
			}
		}
	}
	return dst
}

func logRow(rec plog.LogRecord, c *carrier, ids *ordinals) Row {
	t, observed := nanos(rec.Timestamp()), nanos(rec.ObservedTimestamp())
	f := make([]Field, 0, 10+rec.Attributes().Len()+len(c.resource)+len(c.scope))
	hexIDs := appendHexID(make([]byte, 0, 64), rec.TraceID(), rec.SpanID(), [8]byte{})
	traceID, spanID := hexIDs[:32], hexIDs[32:48]
	if !rec.TraceID().IsEmpty() {
		f = append(f, Field{FieldTraceID, String(traceID)})
	}
	if !rec.SpanID().IsEmpty() {
		f = append(f, Field{FieldSpanID, String(spanID)})
	}
	if observed != 0 {
		f = append(f, Field{FieldObservedTime, Int(observed)})
	}
	if t == 0 {
		t = observed
		f = append(f, Field{FieldRecordTimeZero, Bool(true)})
	}
	if n := rec.SeverityNumber(); n != 0 {
		f = append(f, Field{FieldSeverity, Int(int64(n))})
	}
	f = addText(f, FieldSeverityText, rec.SeverityText())
	f = addText(f, FieldEventName, rec.EventName())
	f = addCount(f, FieldFlags, uint32(rec.Flags()))
	f = addCount(f, fieldAttrsDropped, rec.DroppedAttributesCount())
	if body := fromAny(rec.Body()); body.typ != TypeEmpty {
		f = append(f, Field{FieldBody, body})
	}
	f = append(f, c.resource...)
	f = append(f, c.scope...)
	f = appendAttrs(f, rec.Attributes(), PrefixAttr)
	r := Row{Kind: KindLog, Time: t, Fields: f}
	named := !rec.TraceID().IsEmpty() && !rec.SpanID().IsEmpty()
	switch {
	case rec.EventName() == conv.EventAITeamSpanStarted && named:
		r.Kind, r.ID = KindStart, hexIDs[:48]
	case rec.EventName() == conv.EventAITeamSpanHeartbeat && named:
		r.Kind, r.ID = KindHeartbeat, hexIDs[:48]
	case rec.EventName() == conv.EventAITeamSpanContent && named: // made by enrich/policy, which lets no sender's through
		r.Kind, r.ID = KindContent, hexIDs[:48]
	default:
		r.ID = ids.of(&r)
	}
	return r
}
