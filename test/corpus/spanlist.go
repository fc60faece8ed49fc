package corpus

import (
	"encoding/json"
)

// fromSpanList reads a flat list of spans, in the spellings of Python, of CloudWatch and of JavaScript.
func fromSpanList(raw []byte) (Data, error) {
	var list []map[string]any
	if err := decode(raw, &list); err != nil {
		return Data{}, err
	}
	b := newBuilder()
	for _, m := range list {
		ctx := object(m, "spanContext")
		parent := object(m, "parentSpanContext")
		in := spanIn{
			trace:  first(text(m, "trace_id"), text(m, "traceId"), text(ctx, "traceId")),
			id:     first(text(m, "span_id"), text(m, "spanId"), text(ctx, "spanId")),
			parent: first(text(m, "parent_span_id"), text(m, "parentSpanId"), text(parent, "spanId")),
			name:   text(m, "name"),
			attrs:  object(m, "attributes"),
			scope:  first(text(object(m, "scope"), "name"), text(object(m, "instrumentationScope"), "name")),
			start:  firstTime(m, "start_time", "startTimeUnixNano", "startTime"),
			end:    firstTime(m, "end_time", "endTimeUnixNano", "endTime"),
			kind:   kindText(m["kind"]),
		}
		in.resource = object(object(m, "resource"), "attributes")
		status := object(m, "status")
		in.status = first(text(status, "code"), text(status, "status_code"))
		in.message = first(text(status, "message"), text(status, "description"))
		for _, key := range []string{"span_events", "events"} {
			in.events = append(in.events, eventsOf(m[key])...)
		}
		b.add(in)
	}
	return b.data(), nil
}

// fromReadable reads {"spans":[…]} as any-agent writes it: ids are decimal numbers.
func fromReadable(raw []byte) (Data, error) {
	var doc struct {
		Spans []map[string]any `json:"spans"`
	}
	if err := decode(raw, &doc); err != nil {
		return Data{}, err
	}
	b := newBuilder()
	for _, m := range doc.Spans {
		ctx, parent := object(m, "context"), object(m, "parent")
		status := object(m, "status")
		b.add(spanIn{
			trace: bigID(number(ctx, "trace_id"), 16), id: bigID(number(ctx, "span_id"), 8),
			parent: bigID(number(parent, "span_id"), 8),
			name:   text(m, "name"), kind: kindText(m["kind"]), attrs: object(m, "attributes"),
			start: integer(number(m, "start_time")), end: integer(number(m, "end_time")),
			status: text(status, "status_code"), message: text(status, "description"),
			resource: object(object(m, "resource"), "attributes"), events: eventsOf(m["events"]),
			scope: text(object(m, "scope"), "name"),
		})
	}
	return b.data(), nil
}

func eventsOf(v any) []eventIn {
	list, _ := v.([]any)
	var out []eventIn
	for _, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			continue
		}
		out = append(out, eventIn{
			name:  first(text(m, "name"), text(m, "event_name")),
			attrs: object(m, "attributes"), time: firstTime(m, "timestamp", "time", "timeUnixNano"),
		})
	}
	return out
}

// kindText reads a kind written as a word, or as JavaScript's number (0 is internal).
func kindText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		i := integer(v)
		if kinds := []string{"internal", "server", "client", "producer", "consumer"}; i >= 0 && i < int64(len(kinds)) {
			return kinds[i]
		}
	}
	return ""
}

func object(m map[string]any, key string) map[string]any {
	o, _ := m[key].(map[string]any)
	if o == nil {
		o = map[string]any{}
	}
	return o
}

func text(m map[string]any, key string) string {
	switch v := m[key].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func number(m map[string]any, key string) json.Number {
	n, _ := m[key].(json.Number)
	return n
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// firstTime reads nanoseconds, JavaScript's [seconds, nanoseconds] or RFC 3339.
func firstTime(m map[string]any, keys ...string) int64 {
	for _, k := range keys {
		switch v := m[k].(type) {
		case json.Number:
			return integer(v)
		case string:
			if t := timeText(v); t != 0 {
				return t
			}
			return integer(json.Number(v))
		case []any:
			if len(v) == 2 {
				sec, _ := v[0].(json.Number)
				nsec, _ := v[1].(json.Number)
				return integer(sec)*1e9 + integer(nsec)
			}
		}
	}
	return 0
}
