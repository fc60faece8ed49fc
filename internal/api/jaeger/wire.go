package jaeger

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/store"
)

// Tags that Jaeger makes of what OpenTelemetry has fields for.
const (
	tagKind          = "span.kind"
	tagError         = "error"
	tagStatus        = "otel.status_code"
	tagStatusMessage = "otel.status_description"
	tagScopeName     = "otel.scope.name"
	tagScopeVersion  = "otel.scope.version"
	tagTraceState    = "w3c.tracestate"
)

type wireTrace struct {
	TraceID   string             `json:"traceID"`
	Spans     []wireSpan         `json:"spans"`
	Processes map[string]process `json:"processes"`
	Warnings  []string           `json:"warnings"`
}

// wireSpan is a span; times are in microseconds.
type wireSpan struct {
	TraceID       string      `json:"traceID"`
	SpanID        string      `json:"spanID"`
	Flags         int64       `json:"flags,omitempty"`
	OperationName string      `json:"operationName"`
	References    []reference `json:"references"`
	StartTime     int64       `json:"startTime"`
	Duration      int64       `json:"duration"`
	Tags          []tag       `json:"tags"`
	Logs          []logEntry  `json:"logs"`
	ProcessID     string      `json:"processID"`
	Warnings      []string    `json:"warnings"`
}

type reference struct {
	RefType string `json:"refType"`
	TraceID string `json:"traceID"`
	SpanID  string `json:"spanID"`
}

type tag struct {
	Key   string `json:"key"`
	Type  string `json:"type"`
	Value any    `json:"value"`
}

type logEntry struct {
	Timestamp int64 `json:"timestamp"`
	Fields    []tag `json:"fields"`
}

type process struct {
	ServiceName string `json:"serviceName"`
	Tags        []tag  `json:"tags"`
}

// wireTraces parts rows, which are in order of time, by trace.
func wireTraces(rows []store.Row) []wireTrace {
	var out []wireTrace
	places := map[string]int{}
	processes := map[string]map[string]string{}
	for i := range rows {
		r := &rows[i]
		id := r.Text(store.FieldTraceID)
		at, ok := places[id]
		if !ok {
			at = len(out)
			places[id], processes[id] = at, map[string]string{}
			out = append(out, wireTrace{TraceID: id, Processes: map[string]process{}})
		}
		p := processOf(r)
		key := fmt.Sprint(p)
		pid := processes[id][key]
		if pid == "" {
			pid = fmt.Sprintf("p%d", len(processes[id])+1)
			processes[id][key] = pid
			out[at].Processes[pid] = p
		}
		out[at].Spans = append(out[at].Spans, spanOf(r, pid))
	}
	return out
}

// inOrder sorts traces as their ids are.
func inOrder(traces []wireTrace, ids []string) []wireTrace {
	slices.SortStableFunc(traces, func(a, b wireTrace) int {
		return cmp.Compare(slices.Index(ids, a.TraceID), slices.Index(ids, b.TraceID))
	})
	return traces
}

func processOf(r *store.Row) process {
	p := process{ServiceName: r.Text(store.FieldService), Tags: []tag{}}
	for _, f := range r.Fields {
		if name, ok := strings.CutPrefix(f.Name, store.PrefixResource); ok && name != conv.ServiceName {
			p.Tags = append(p.Tags, tagOf(name, f.Value))
		}
	}
	sortTags(p.Tags)
	return p
}

func sortTags(tags []tag) {
	slices.SortStableFunc(tags, func(a, b tag) int { return strings.Compare(a.Key, b.Key) })
}

func spanOf(r *store.Row, pid string) wireSpan {
	s := wireSpan{
		TraceID: r.Text(store.FieldTraceID), SpanID: r.Text(store.FieldSpanID), OperationName: r.Text(store.FieldName),
		Flags: r.Get(store.FieldFlags).Int() & 0xff, StartTime: r.Time / 1000, Duration: max(0, r.Get(store.FieldDuration).Int()) / 1000,
		References: []reference{}, Logs: []logEntry{}, ProcessID: pid,
	}
	if parent := r.Text(store.FieldParentSpanID); parent != "" {
		s.References = append(s.References, reference{"CHILD_OF", s.TraceID, parent})
	}
	links, err := store.SpanLinks(r)
	if err != nil {
		s.Warnings = append(s.Warnings, err.Error())
	}
	for _, l := range links {
		s.References = append(s.References, reference{"FOLLOWS_FROM", l.TraceID, l.SpanID})
	}
	s.Tags = tagsOf(r)
	events, err := store.SpanEvents(r)
	if err != nil {
		s.Warnings = append(s.Warnings, err.Error())
	}
	for _, e := range events {
		s.Logs = append(s.Logs, logOf(e))
	}
	return s
}

// tagsOf lists the scope, the attributes by name, then what is made of fields.
func tagsOf(r *store.Row) []tag {
	var scope, attrs []tag
	for _, f := range []struct{ name, field string }{{tagScopeName, store.FieldScopeName}, {tagScopeVersion, store.FieldScopeVersion}} {
		if text := r.Text(f.field); text != "" {
			scope = append(scope, tag{f.name, "string", text})
		}
	}
	for _, f := range r.Fields {
		if name, ok := strings.CutPrefix(f.Name, store.PrefixScopeAttr); ok {
			scope = append(scope, tagOf(name, f.Value))
		}
		if name, ok := strings.CutPrefix(f.Name, store.PrefixAttr); ok {
			attrs = append(attrs, tagOf(name, f.Value))
		}
	}
	sortTags(attrs)
	tags := slices.Concat(scope, attrs)
	if kind := r.Text(store.FieldSpanKind); kind != "" && kind != "unspecified" {
		tags = append(tags, tag{tagKind, "string", kind})
	}
	switch status := r.Text(store.FieldStatus); status {
	case "error":
		tags = append(tags, tag{tagStatus, "string", "ERROR"}, tag{tagError, "bool", true})
	case "ok":
		tags = append(tags, tag{tagStatus, "string", "OK"})
	}
	for _, f := range []struct{ name, field string }{{tagStatusMessage, store.FieldStatusMessage}, {tagTraceState, store.FieldTraceState}} {
		if text := r.Text(f.field); text != "" {
			tags = append(tags, tag{f.name, "string", text})
		}
	}
	if tags == nil {
		tags = []tag{}
	}
	return tags
}

func logOf(e store.SpanEvent) logEntry {
	l := logEntry{Timestamp: e.Time / 1000, Fields: []tag{}}
	if e.Name != "" {
		l.Fields = append(l.Fields, tag{"event", "string", e.Name})
	}
	for k, v := range e.Attributes.All() {
		l.Fields = append(l.Fields, attributeTag(k, v))
	}
	return l
}

func tagOf(name string, v store.Value) tag {
	switch v.Type() {
	case store.TypeBool:
		return tag{name, "bool", v.Bool()}
	case store.TypeInt:
		return tag{name, "int64", v.Int()}
	case store.TypeDouble:
		f, _ := v.Number()
		return numberTag(name, f)
	case store.TypeBytes:
		return tag{name, "binary", base64.StdEncoding.EncodeToString([]byte(v.Text()))}
	default:
		return tag{name, "string", strings.ToValidUTF8(v.Text(), "\uFFFD")}
	}
}

// numberTag writes what JSON has no number for as a text.
func numberTag(name string, f float64) tag {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return tag{name, "string", store.Double(f).Text()}
	}
	return tag{name, "float64", f}
}

func attributeTag(name string, v pcommon.Value) tag {
	switch v.Type() {
	case pcommon.ValueTypeBool:
		return tag{name, "bool", v.Bool()}
	case pcommon.ValueTypeInt:
		return tag{name, "int64", v.Int()}
	case pcommon.ValueTypeDouble:
		return numberTag(name, v.Double())
	case pcommon.ValueTypeStr:
		return tag{name, "string", strings.ToValidUTF8(v.Str(), "\uFFFD")}
	case pcommon.ValueTypeEmpty:
		return tag{name, "string", ""}
	default:
		return tag{name, "string", store.EncodeAny(v)}
	}
}
