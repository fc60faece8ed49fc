package store

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata"
)

// Traces turns span rows back into what their senders sent, grouped by resource and scope in the order of rows.
// Canonical columns are left out: they were not sent. Rows must hold all their fields.
// The error wraps ErrCorrupt.
func Traces(rows []Row) (ptrace.Traces, error) {
	td := ptrace.NewTraces()
	groups := map[string]ptrace.SpanSlice{}
	resources := map[string]ptrace.ResourceSpans{}
	for i := range rows {
		r := &rows[i]
		resKey, scopeKey := groupKeys(r)
		spans, ok := groups[resKey+scopeKey]
		if !ok {
			rs, ok := resources[resKey]
			if !ok {
				rs = td.ResourceSpans().AppendEmpty()
				rs.SetSchemaUrl(r.Text(FieldResourceSchemaURL))
				if err := toResource(r, rs.Resource()); err != nil {
					return td, err
				}
				resources[resKey] = rs
			}
			ss := rs.ScopeSpans().AppendEmpty()
			ss.SetSchemaUrl(r.Text(FieldScopeSchemaURL))
			if err := toScope(r, ss.Scope()); err != nil {
				return td, err
			}
			spans = ss.Spans()
			groups[resKey+scopeKey] = spans
		}
		if err := toSpan(r, spans.AppendEmpty()); err != nil {
			return td, fmt.Errorf("restore span %s: %w", r.ID, err)
		}
	}
	return td, nil
}

// Logs turns log, start and heartbeat rows back into what their senders sent, as Traces does.
func Logs(rows []Row) (plog.Logs, error) {
	ld := plog.NewLogs()
	groups := map[string]plog.LogRecordSlice{}
	resources := map[string]plog.ResourceLogs{}
	for i := range rows {
		r := &rows[i]
		resKey, scopeKey := groupKeys(r)
		recs, ok := groups[resKey+scopeKey]
		if !ok {
			rl, ok := resources[resKey]
			if !ok {
				rl = ld.ResourceLogs().AppendEmpty()
				rl.SetSchemaUrl(r.Text(FieldResourceSchemaURL))
				if err := toResource(r, rl.Resource()); err != nil {
					return ld, err
				}
				resources[resKey] = rl
			}
			sl := rl.ScopeLogs().AppendEmpty()
			sl.SetSchemaUrl(r.Text(FieldScopeSchemaURL))
			if err := toScope(r, sl.Scope()); err != nil {
				return ld, err
			}
			recs = sl.LogRecords()
			groups[resKey+scopeKey] = recs
		}
		if err := toRecord(r, recs.AppendEmpty()); err != nil {
			return ld, fmt.Errorf("restore log record %s: %w", r.ID, err)
		}
	}
	return ld, nil
}

// groupKeys returns texts that are equal for rows of one resource, and of one scope within it, in whatever order an
// engine gives their fields.
func groupKeys(r *Row) (resource, scope string) {
	return fieldsKey(r, "resource."), "\x00" + fieldsKey(r, "scope.")
}

func fieldsKey(r *Row, prefix string) string {
	var fields []Field
	for _, f := range r.Fields {
		if strings.HasPrefix(f.Name, prefix) {
			fields = append(fields, f)
		}
	}
	slices.SortStableFunc(fields, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	var key []byte
	for _, f := range fields {
		key = appendFieldKey(key, f)
	}
	return string(key)
}

func toResource(r *Row, res pcommon.Resource) error {
	res.SetDroppedAttributesCount(uint32(r.Get(fieldResourceDropped).Int()))
	if err := toEntityRefs(r, res); err != nil {
		return err
	}
	return toAttrs(r, PrefixResource, res.Attributes())
}

func toScope(r *Row, s pcommon.InstrumentationScope) error {
	s.SetName(r.Text(FieldScopeName))
	s.SetVersion(r.Text(FieldScopeVersion))
	s.SetDroppedAttributesCount(uint32(r.Get(fieldScopeDropped).Int()))
	return toAttrs(r, PrefixScopeAttr, s.Attributes())
}

// toAttrs fills m, repeated keys included.
func toAttrs(r *Row, prefix string, m pcommon.Map) error {
	var built xpdata.MapBuilder
	for _, f := range r.Fields {
		if !strings.HasPrefix(f.Name, prefix) {
			continue
		}
		if err := toAny(f.Value, built.AppendEmpty(f.Name[len(prefix):])); err != nil {
			return fmt.Errorf("restore attribute %q: %w", f.Name, err)
		}
	}
	built.UnsafeIntoMap(m)
	return nil
}

func toSpan(r *Row, s ptrace.Span) error {
	s.SetTraceID(traceIDOf(r.Text(FieldTraceID)))
	s.SetSpanID(spanIDOf(r.Text(FieldSpanID)))
	s.SetParentSpanID(spanIDOf(r.Text(FieldParentSpanID)))
	s.SetName(r.Text(FieldName))
	s.SetKind(spanKindOf(r.Text(FieldSpanKind)))
	s.SetStartTimestamp(pcommon.Timestamp(r.Time))
	s.SetEndTimestamp(pcommon.Timestamp(r.Get(FieldEnd).Int()))
	s.Status().SetCode(statusOf(r.Text(FieldStatus)))
	s.Status().SetMessage(r.Text(FieldStatusMessage))
	s.TraceState().FromRaw(r.Text(FieldTraceState))
	s.SetFlags(uint32(r.Get(FieldFlags).Int()))
	s.SetDroppedAttributesCount(uint32(r.Get(fieldAttrsDropped).Int()))
	s.SetDroppedEventsCount(uint32(r.Get(fieldEventsDropped).Int()))
	s.SetDroppedLinksCount(uint32(r.Get(fieldLinksDropped).Int()))
	events, err := SpanEvents(r)
	if err != nil {
		return err
	}
	for _, e := range events {
		dst := s.Events().AppendEmpty()
		dst.SetTimestamp(pcommon.Timestamp(e.Time))
		dst.SetName(e.Name)
		dst.SetDroppedAttributesCount(e.Dropped)
		e.Attributes.CopyTo(dst.Attributes())
	}
	links, err := SpanLinks(r)
	if err != nil {
		return err
	}
	for _, l := range links {
		dst := s.Links().AppendEmpty()
		dst.SetTraceID(traceIDOf(l.TraceID))
		dst.SetSpanID(spanIDOf(l.SpanID))
		dst.TraceState().FromRaw(l.TraceState)
		dst.SetFlags(l.Flags)
		dst.SetDroppedAttributesCount(l.Dropped)
		l.Attributes.CopyTo(dst.Attributes())
	}
	return toAttrs(r, PrefixAttr, s.Attributes())
}

func toRecord(r *Row, rec plog.LogRecord) error {
	rec.SetTraceID(traceIDOf(r.Text(FieldTraceID)))
	rec.SetSpanID(spanIDOf(r.Text(FieldSpanID)))
	if !r.Get(FieldRecordTimeZero).Bool() {
		rec.SetTimestamp(pcommon.Timestamp(r.Time))
	}
	rec.SetObservedTimestamp(pcommon.Timestamp(r.Get(FieldObservedTime).Int()))
	rec.SetSeverityNumber(plog.SeverityNumber(r.Get(FieldSeverity).Int()))
	rec.SetSeverityText(r.Text(FieldSeverityText))
	rec.SetEventName(r.Text(FieldEventName))
	rec.SetFlags(plog.LogRecordFlags(r.Get(FieldFlags).Int()))
	rec.SetDroppedAttributesCount(uint32(r.Get(fieldAttrsDropped).Int()))
	if err := toAny(r.Get(FieldBody), rec.Body()); err != nil {
		return fmt.Errorf("restore body: %w", err)
	}
	return toAttrs(r, PrefixAttr, rec.Attributes())
}

// SpanEvent is an event of a span row.
type SpanEvent struct {
	Time       int64
	Name       string
	Attributes pcommon.Map
	Dropped    uint32
}

// SpanLink is a link of a span row.
type SpanLink struct {
	TraceID, SpanID, TraceState string
	Flags                       uint32
	Attributes                  pcommon.Map
	Dropped                     uint32
}

// SpanEvents returns the events of a span row, in the sender's order. The error wraps ErrCorrupt.
func SpanEvents(r *Row) ([]SpanEvent, error) {
	items, err := listOf(r, FieldEvents)
	if err != nil || items == nil {
		return nil, err
	}
	out := make([]SpanEvent, 0, len(items))
	for _, m := range items {
		out = append(out, SpanEvent{
			Time: memberInt(m, "time"), Name: memberText(m, "name"),
			Attributes: memberMap(m), Dropped: uint32(memberInt(m, "dropped")),
		})
	}
	return out, nil
}

// SpanLinks returns the links of a span row, in the sender's order. The error wraps ErrCorrupt.
func SpanLinks(r *Row) ([]SpanLink, error) {
	items, err := listOf(r, FieldLinks)
	if err != nil || items == nil {
		return nil, err
	}
	out := make([]SpanLink, 0, len(items))
	for _, m := range items {
		out = append(out, SpanLink{
			TraceID: memberText(m, "trace_id"), SpanID: memberText(m, "span_id"), TraceState: memberText(m, "state"),
			Flags: uint32(memberInt(m, "flags")), Attributes: memberMap(m), Dropped: uint32(memberInt(m, "dropped")),
		})
	}
	return out, nil
}

func listOf(r *Row, field string) ([]pcommon.Map, error) {
	v := r.Get(field)
	if v.typ == TypeEmpty {
		return nil, nil
	}
	list := pcommon.NewValueEmpty()
	if err := DecodeAny(v.str, list); err != nil {
		return nil, fmt.Errorf("read %s: %w", field, err)
	}
	if list.Type() != pcommon.ValueTypeSlice {
		return nil, fmt.Errorf("read %s: %w: not a list", field, ErrCorrupt)
	}
	var out []pcommon.Map
	for _, item := range list.Slice().All() {
		if item.Type() != pcommon.ValueTypeMap {
			return nil, fmt.Errorf("read %s: %w: not a list of objects", field, ErrCorrupt)
		}
		out = append(out, item.Map())
	}
	return out, nil
}

func memberText(m pcommon.Map, key string) string {
	if v, ok := m.Get(key); ok {
		return v.Str()
	}
	return ""
}

func memberInt(m pcommon.Map, key string) int64 {
	if v, ok := m.Get(key); ok {
		return v.Int()
	}
	return 0
}

func memberMap(m pcommon.Map) pcommon.Map {
	if v, ok := m.Get("attributes"); ok && v.Type() == pcommon.ValueTypeMap {
		return v.Map()
	}
	return pcommon.NewMap()
}

func traceIDOf(text string) (id pcommon.TraceID) {
	if len(text) == 32 {
		_, _ = hex.Decode(id[:], []byte(text)) // an id that is no hex reads as the empty one
	}
	return id
}

func spanIDOf(text string) (id pcommon.SpanID) {
	if len(text) == 16 {
		_, _ = hex.Decode(id[:], []byte(text)) // as above
	}
	return id
}

// JSON returns v as a JSON value for an API: numbers as numbers, slices and maps as they were sent. What JSON has no
// form for (bytes, NaN) keeps EncodeAny's form.
func (v Value) JSON() json.RawMessage {
	switch v.typ {
	case TypeSlice, TypeMap:
		return json.RawMessage(v.str)
	case TypeEmpty:
		return json.RawMessage("null")
	}
	value := pcommon.NewValueEmpty()
	_ = toAny(v, value) // fails for slices and maps only
	return json.RawMessage(EncodeAny(value))
}
