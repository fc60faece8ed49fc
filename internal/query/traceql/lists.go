package traceql

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/mindscope/mindscope/internal/store"
)

// listField returns the store's field that holds what an attribute is one of: events or links; "" for all others.
func listField(a Attribute) string {
	switch {
	case a.Intrinsic == IntrinsicEventName, a.Intrinsic == IntrinsicEventTimeSinceStart,
		a.Intrinsic == NoIntrinsic && a.Scope == ScopeEvent:
		return store.FieldEvents
	case a.Intrinsic == IntrinsicLinkTraceID, a.Intrinsic == IntrinsicLinkSpanID,
		a.Intrinsic == NoIntrinsic && a.Scope == ScopeLink:
		return store.FieldLinks
	}
	return ""
}

// listReader reads what the events or links of a span have under one name. Events that can't be read have nothing: one
// damaged row must not end a search.
func listReader(a Attribute) func(*store.Row) Value {
	if listField(a) == store.FieldEvents {
		return func(r *store.Row) Value {
			events, err := store.SpanEvents(r)
			if err != nil {
				return Value{}
			}
			var out []Value
			for _, e := range events {
				if v := ofEvent(a, r, e); !v.IsNil() {
					out = append(out, v)
				}
			}
			return listValue(out)
		}
	}
	return func(r *store.Row) Value {
		links, err := store.SpanLinks(r)
		if err != nil {
			return Value{}
		}
		var out []Value
		for _, l := range links {
			if v := ofLink(a, l); !v.IsNil() {
				out = append(out, v)
			}
		}
		return listValue(out)
	}
}

func ofEvent(a Attribute, r *store.Row, e store.SpanEvent) Value {
	switch a.Intrinsic {
	case IntrinsicEventName:
		return textValue(e.Name)
	case IntrinsicEventTimeSinceStart:
		return Duration(time.Duration(e.Time - r.Time))
	}
	return attributeOf(e.Attributes, a.Name)
}

func ofLink(a Attribute, l store.SpanLink) Value {
	switch a.Intrinsic {
	case IntrinsicLinkTraceID:
		return textValue(l.TraceID)
	case IntrinsicLinkSpanID:
		return textValue(l.SpanID)
	}
	return attributeOf(l.Attributes, a.Name)
}

func attributeOf(m pcommon.Map, name string) Value {
	v, ok := m.Get(name)
	if !ok {
		return Value{}
	}
	switch v.Type() {
	case pcommon.ValueTypeInt:
		return Int(v.Int())
	case pcommon.ValueTypeDouble:
		return Float(v.Double())
	case pcommon.ValueTypeBool:
		return Bool(v.Bool())
	case pcommon.ValueTypeStr:
		return textValue(v.Str())
	case pcommon.ValueTypeEmpty:
		return Value{}
	default:
		return textValue(store.EncodeAny(v))
	}
}
