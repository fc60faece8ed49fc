package corpus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Data is a recording as OTLP.
type Data struct {
	Traces ptrace.Traces
	Logs   plog.Logs
}

// ErrContainer means that a file's container is none of those that Convert reads.
var ErrContainer = errors.New("container is not known")

// Convert turns the bytes of a recording in the container that format names into OTLP. Ids that are no W3C ids become
// hashes of themselves; what a container doesn't keep (span ids in one of them) is numbered.
func Convert(format string, raw []byte) (Data, error) {
	// any-agent writes its own name behind the container's.
	format, _, _ = strings.Cut(format, " ")
	conv, ok := map[string]func([]byte) (Data, error){
		"otlp-json":          fromOTLP,
		"jaeger-json":        fromJaeger,
		"span-list":          fromSpanList,
		"langfuse-export":    fromLangfuse,
		"js-readable-span":   fromSpanList,
		"otel-readable-span": fromReadable,
		"attribute-map":      fromAttributes,
	}[format]
	if !ok {
		return Data{}, fmt.Errorf("convert recording: %w: %q", ErrContainer, format)
	}
	d, err := conv(raw)
	if err != nil {
		return Data{}, fmt.Errorf("convert recording in %s: %w", format, err)
	}
	return d, nil
}

func fromOTLP(raw []byte) (Data, error) {
	d := Data{Traces: ptrace.NewTraces(), Logs: plog.NewLogs()}
	// Some files hold one request a line.
	for _, doc := range documents(raw) {
		var parts struct {
			ResourceSpans json.RawMessage `json:"resourceSpans"`
			ResourceLogs  json.RawMessage `json:"resourceLogs"`
		}
		if err := json.Unmarshal(doc, &parts); err != nil {
			return Data{}, err
		}
		if parts.ResourceSpans != nil {
			td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces([]byte(`{"resourceSpans":` + string(parts.ResourceSpans) + `}`))
			if err != nil {
				return Data{}, err
			}
			td.ResourceSpans().MoveAndAppendTo(d.Traces.ResourceSpans())
		}
		if parts.ResourceLogs != nil {
			ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs([]byte(`{"resourceLogs":` + string(parts.ResourceLogs) + `}`))
			if err != nil {
				return Data{}, err
			}
			ld.ResourceLogs().MoveAndAppendTo(d.Logs.ResourceLogs())
		}
	}
	return d, nil
}

func documents(raw []byte) [][]byte {
	dec := json.NewDecoder(bytes.NewReader(raw))
	var docs [][]byte
	for dec.More() {
		var doc json.RawMessage
		if dec.Decode(&doc) != nil {
			return docs
		}
		docs = append(docs, doc)
	}
	return docs
}

func fromJaeger(raw []byte) (Data, error) {
	var doc struct {
		Data []struct {
			Spans []struct {
				TraceID    string `json:"traceID"`
				SpanID     string `json:"spanID"`
				Name       string `json:"operationName"`
				References []struct {
					RefType string `json:"refType"`
					SpanID  string `json:"spanID"`
				} `json:"references"`
				StartTime json.Number `json:"startTime"`
				Duration  json.Number `json:"duration"`
				Tags      []jaegerTag `json:"tags"`
				Logs      []struct {
					Timestamp json.Number `json:"timestamp"`
					Fields    []jaegerTag `json:"fields"`
				} `json:"logs"`
				ProcessID string `json:"processID"`
			} `json:"spans"`
			Processes map[string]struct {
				ServiceName string      `json:"serviceName"`
				Tags        []jaegerTag `json:"tags"`
			} `json:"processes"`
		} `json:"data"`
	}
	if err := decode(raw, &doc); err != nil {
		return Data{}, err
	}
	b := newBuilder()
	for _, tr := range doc.Data {
		for _, s := range tr.Spans {
			p := tr.Processes[s.ProcessID]
			out := spanIn{
				trace: s.TraceID, id: s.SpanID, name: s.Name, attrs: tagMap(s.Tags),
				resource: tagMap(p.Tags), start: integer(s.StartTime) * 1000,
			}
			out.resource["service.name"] = p.ServiceName
			out.end = out.start + integer(s.Duration)*1000
			for _, r := range s.References {
				if r.RefType == "CHILD_OF" {
					out.parent = r.SpanID
				}
			}
			out.scope, _ = out.attrs["otel.scope.name"].(string)
			code, _ := out.attrs["otel.status_code"].(string)
			if out.attrs["error"] == true {
				code = "ERROR"
			}
			out.status = code
			out.kind, _ = out.attrs["span.kind"].(string)
			for _, l := range s.Logs {
				e := eventIn{time: integer(l.Timestamp) * 1000, attrs: tagMap(l.Fields)}
				e.name, _ = e.attrs["event"].(string)
				out.events = append(out.events, e)
			}
			b.add(out)
		}
	}
	return b.data(), nil
}

type jaegerTag struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

func tagMap(tags []jaegerTag) map[string]any {
	m := make(map[string]any, len(tags)+1)
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	return m
}

func fromAttributes(raw []byte) (Data, error) {
	attrs := map[string]any{}
	if err := decode(raw, &attrs); err != nil {
		return Data{}, err
	}
	b := newBuilder()
	b.add(spanIn{name: "span", attrs: attrs})
	return b.data(), nil
}
