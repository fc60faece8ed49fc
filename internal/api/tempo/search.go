package tempo

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/query/traceql"
)

// Limits of a search. More is cut to the most.
const (
	usualTraces = 20
	mostTraces  = 1000
	usualSpans  = 3
	mostSpans   = 1000
)

// rootMissing stands for the name of a root that has not come.
const rootMissing = "<root span not yet received>"

// searchResponse and what it holds are tempopb.SearchResponse in proto3 JSON: 64-bit integers are texts.
type searchResponse struct {
	Traces  []traceMetadata `json:"traces"`
	Metrics searchMetrics   `json:"metrics"`
}

type traceMetadata struct {
	TraceID           string                  `json:"traceID"`
	RootServiceName   string                  `json:"rootServiceName,omitempty"`
	RootTraceName     string                  `json:"rootTraceName,omitempty"`
	StartTimeUnixNano string                  `json:"startTimeUnixNano"`
	DurationMs        uint32                  `json:"durationMs,omitempty"`
	SpanSets          []spanSet               `json:"spanSets,omitempty"`
	ServiceStats      map[string]serviceStats `json:"serviceStats,omitempty"`
}

type serviceStats struct {
	SpanCount  int `json:"spanCount,omitempty"`
	ErrorCount int `json:"errorCount,omitempty"`
}

type spanSet struct {
	Spans      []foundSpan `json:"spans"`
	Matched    int         `json:"matched"`
	Attributes []keyValue  `json:"attributes,omitempty"`
}

type foundSpan struct {
	SpanID            string     `json:"spanID"`
	Name              string     `json:"name,omitempty"`
	StartTimeUnixNano string     `json:"startTimeUnixNano"`
	DurationNanos     string     `json:"durationNanos"`
	Attributes        []keyValue `json:"attributes,omitempty"`
}

type searchMetrics struct {
	InspectedTraces int    `json:"inspectedTraces"`
	InspectedSpans  string `json:"inspectedSpans"`
	CompletedJobs   int    `json:"completedJobs"`
	TotalJobs       int    `json:"totalJobs"`
}

type keyValue struct {
	Key   string   `json:"key"`
	Value anyValue `json:"value"`
}

// anyValue is OTLP's AnyValue. Its members are pointers, since a value may be 0, false or empty.
type anyValue struct {
	StringValue *string  `json:"stringValue,omitempty"`
	IntValue    *string  `json:"intValue,omitempty"`
	DoubleValue *float64 `json:"doubleValue,omitempty"`
	BoolValue   *bool    `json:"boolValue,omitempty"`
}

func (a *API) search(w http.ResponseWriter, r *request) error {
	req, err := a.searchRequest(r)
	if err != nil {
		return err
	}
	found, err := a.engine.Search(r.Context(), r.project, req)
	if err != nil {
		return err
	}
	out := searchResponse{Traces: []traceMetadata{}, Metrics: searchMetrics{
		InspectedTraces: found.InspectedTraces, InspectedSpans: strconv.Itoa(found.InspectedSpans), CompletedJobs: 1, TotalJobs: 1,
	}}
	for _, t := range found.Traces {
		out.Traces = append(out.Traces, wireTrace(t))
	}
	return answer(w, out)
}

func (a *API) searchRequest(r *request) (req traceql.SearchRequest, err error) {
	text := r.params.Get("q")
	if text == "" {
		if text, err = legacyQuery(r.params.Get("tags"), r.params.Get("minDuration"), r.params.Get("maxDuration")); err != nil {
			return req, err
		}
	}
	if req.Query, err = traceql.Parse(text); err != nil {
		return req, err
	}
	if req.Time, _, err = r.time(a.clock()); err != nil {
		return req, err
	}
	if req.Limit, err = r.count("limit", usualTraces, mostTraces); err != nil {
		return req, err
	}
	req.SpansPerSet, err = r.count("spss", usualSpans, mostSpans)
	return req, err
}

// legacyQuery makes a query of what the search of Grafana 10 without TraceQL sends: tags in logfmt, and durations.
func legacyQuery(tags, minDuration, maxDuration string) (string, error) {
	var parts []string
	for name, value := range logfmt(tags) {
		parts = append(parts, tagCondition(name, value))
	}
	for op, text := range map[string]string{">=": minDuration, "<=": maxDuration} {
		if text == "" {
			continue
		}
		if _, err := time.ParseDuration(text); err != nil {
			return "", badRequest("duration %q: one like 100ms is expected", text)
		}
		parts = append(parts, "traceDuration "+op+" "+text)
	}
	return "{ " + strings.Join(parts, " && ") + " }", nil
}

// tagCondition is what a tag says in TraceQL. Tags have no types: a value that looks like a number or a boolean may be one.
func tagCondition(name, value string) string {
	attr := "." + quoted(name)
	switch {
	case name == "name":
		attr = "name"
	case (name == "status" || name == "status.code") && (value == "error" || value == "ok" || value == "unset"):
		return "status = " + value
	}
	conditions := []string{attr + " = " + quoted(value)}
	if isNumber(value) || value == "true" || value == "false" {
		conditions = append(conditions, attr+" = "+value)
	}
	return "(" + strings.Join(conditions, " || ") + ")"
}

// isNumber tells whether TraceQL reads a text as a number: JSON's numbers are among them.
func isNumber(text string) bool {
	var n json.Number
	return json.Unmarshal([]byte(text), &n) == nil && text != "" && text[0] != '"' && text != "null"
}

func wireTrace(t traceql.Found) traceMetadata {
	out := traceMetadata{
		TraceID: t.TraceID, RootServiceName: t.RootService, RootTraceName: t.RootName,
		StartTimeUnixNano: strconv.FormatInt(t.Start, 10),
		DurationMs:        uint32(min(t.Duration/int64(time.Millisecond), math.MaxUint32)),
		ServiceStats:      map[string]serviceStats{},
	}
	if t.RootName == "" && t.RootService == "" {
		out.RootTraceName = rootMissing
	}
	for name, s := range t.Services {
		out.ServiceStats[name] = serviceStats{SpanCount: s.Spans, ErrorCount: s.Errors}
	}
	for _, set := range t.Sets {
		ss := spanSet{Matched: set.Matched, Attributes: wirePairs(set.Attributes), Spans: []foundSpan{}}
		for _, s := range set.Spans {
			ss.Spans = append(ss.Spans, foundSpan{
				SpanID: s.SpanID, Name: s.Name, StartTimeUnixNano: strconv.FormatInt(s.Start, 10),
				DurationNanos: strconv.FormatInt(s.Duration, 10), Attributes: wirePairs(s.Attributes),
			})
		}
		out.SpanSets = append(out.SpanSets, ss)
	}
	return out
}

func wirePairs(pairs []traceql.Pair) []keyValue {
	var out []keyValue
	for _, p := range pairs {
		out = append(out, keyValue{p.Key, wireValue(p.Value)})
	}
	return out
}

func wireValue(v traceql.Value) anyValue {
	switch v.Type() {
	case traceql.TypeInt:
		text := v.Text()
		return anyValue{IntValue: &text}
	case traceql.TypeFloat:
		f, _ := v.Number()
		if math.IsNaN(f) || math.IsInf(f, 0) { // JSON has no such numbers
			text := v.Text()
			return anyValue{StringValue: &text}
		}
		return anyValue{DoubleValue: &f}
	case traceql.TypeBool:
		b := v.True()
		return anyValue{BoolValue: &b}
	default:
		text := v.Text()
		return anyValue{StringValue: &text}
	}
}
