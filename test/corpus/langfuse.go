package corpus

import (
	"encoding/json"
	"strings"
)

// fromLangfuse reads Langfuse's export of a trace. An observation keeps the attributes it was received with in its
// metadata; then they are sent. What Langfuse's own SDK said is in columns only; then it is sent as that SDK sends it.
func fromLangfuse(raw []byte) (Data, error) {
	var doc struct {
		Trace        map[string]any   `json:"trace"`
		Observations []map[string]any `json:"observations"`
	}
	if err := decode(raw, &doc); err != nil {
		return Data{}, err
	}
	b := newBuilder()
	for _, o := range doc.Observations {
		meta := metadata(o["metadata"])
		in := spanIn{
			trace: first(text(o, "traceId"), text(doc.Trace, "id")), id: text(o, "id"),
			parent: text(o, "parentObservationId"), name: text(o, "name"),
			start: timeText(text(o, "startTime")), end: timeText(text(o, "endTime")),
			scope: text(object(meta, "scope"), "name"), message: text(o, "statusMessage"),
			attrs: flat(object(meta, "attributes")), resource: flat(object(meta, "resourceAttributes")),
		}
		if text(o, "level") == "ERROR" {
			in.status = "ERROR"
		}
		if len(in.attrs) == 0 {
			in.attrs = langfuseAttrs(doc.Trace, o, meta)
		} else {
			restoreUsage(in.attrs, o)
			restoreContent(in.attrs, o)
		}
		b.add(in)
	}
	return b.data(), nil
}

func metadata(v any) map[string]any {
	switch v := v.(type) {
	case map[string]any:
		return v
	case string:
		var m map[string]any
		if decode([]byte(v), &m) == nil && m != nil {
			return m
		}
	}
	return map[string]any{}
}

// flat writes values that Langfuse parsed back as the JSON texts they were.
func flat(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		switch v.(type) {
		case map[string]any, []any:
			out[k] = jsonText(v)
		case nil:
		default:
			out[k] = v
		}
	}
	return out
}

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}

func langfuseAttrs(trace, o, meta map[string]any) map[string]any {
	attrs := map[string]any{}
	add := func(key, value string) {
		if value != "" && value != "null" && value != "{}" {
			attrs[key] = value
		}
	}
	add("langfuse.observation.type", strings.ToLower(text(o, "type")))
	add("langfuse.observation.model.name", text(o, "model"))
	add("langfuse.observation.usage_details", jsonText(o["usageDetails"]))
	add("langfuse.observation.cost_details", jsonText(o["costDetails"]))
	add("langfuse.observation.input", anyText(o["input"]))
	add("langfuse.observation.output", anyText(o["output"]))
	add("session.id", text(trace, "sessionId"))
	add("user.id", text(trace, "userId"))
	for k, v := range meta {
		if k != "attributes" && k != "resourceAttributes" && k != "scope" {
			add("langfuse.observation.metadata."+k, anyText(v))
		}
	}
	return attrs
}

func anyText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return jsonText(v)
}

// restoreUsage puts usage back that Langfuse moved from the attributes into its columns.
func restoreUsage(attrs, o map[string]any) {
	for k := range attrs {
		if strings.Contains(k, "usage") || strings.Contains(k, "token_count") {
			return
		}
	}
	for column, key := range map[string]string{"input": "gen_ai.usage.input_tokens", "output": "gen_ai.usage.output_tokens"} {
		if n := number(object(o, "usageDetails"), column); n != "" {
			attrs[key] = n
		}
	}
}

// restoreContent puts messages back that Langfuse moved from the attributes into its columns, under its own names for
// them. Senders whose attributes still hold messages keep those.
func restoreContent(attrs, o map[string]any) {
	for _, column := range []string{"input", "output"} {
		if _, ok := attrs[column+".value"]; ok || o[column] == nil {
			continue
		}
		if _, ok := attrs["events"]; ok {
			continue
		}
		attrs["langfuse.observation."+column] = anyText(o[column])
	}
}
