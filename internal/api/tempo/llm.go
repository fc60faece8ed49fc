package tempo

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mindscope/mindscope/internal/store"
)

// maxText is how many bytes of a text a language model gets to read; the trace as JSON has them all.
const maxText = 1000

// llmTrace is a trace in few words, as a tree: what has its usual value is left out, times count from the trace's start.
type llmTrace struct {
	TraceID    string     `json:"trace_id"`
	Start      time.Time  `json:"start"`
	DurationMs float64    `json:"duration_ms"`
	Spans      int        `json:"span_count"`
	Errors     int        `json:"error_count"`
	Partial    string     `json:"partial,omitempty"`
	Roots      []*llmSpan `json:"spans"`
}

type llmSpan struct {
	ID            string         `json:"id"`
	MissingParent string         `json:"missing_parent,omitempty"`
	Name          string         `json:"name"`
	Service       string         `json:"service,omitempty"` // when it is not its parent's
	Kind          string         `json:"kind,omitempty"`    // when it is not internal
	AtMs          float64        `json:"at_ms"`
	DurationMs    float64        `json:"duration_ms"`
	Error         string         `json:"error,omitempty"`
	Attributes    map[string]any `json:"attributes,omitempty"`
	Events        []llmEvent     `json:"events,omitempty"`
	Children      []*llmSpan     `json:"children,omitempty"`
}

type llmEvent struct {
	Name       string         `json:"name"`
	AtMs       float64        `json:"at_ms"`
	Attributes map[string]any `json:"attributes,omitempty"`
}

func millis(ns int64) float64 { return float64(ns/1000) / 1000 }

// compactTrace makes the tree of a trace's rows, which are in order of time.
func compactTrace(rows []store.Row, partial bool) llmTrace {
	out := llmTrace{TraceID: rows[0].Text(store.FieldTraceID), Start: time.Unix(0, rows[0].Time).UTC(), Spans: len(rows)}
	if partial {
		out.Partial = partialMessage
	}
	byID := make(map[string]int, len(rows))
	for i := range rows {
		byID[rows[i].Text(store.FieldSpanID)] = i
	}
	spans := make([]*llmSpan, len(rows))
	end := rows[0].Time
	for i := range rows {
		spans[i] = compactSpan(&rows[i], rows[0].Time)
		if spans[i].Error != "" {
			out.Errors++
		}
		end = max(end, rows[i].Time+rows[i].Get(store.FieldDuration).Int())
	}
	out.DurationMs = millis(end - rows[0].Time)
	out.Roots = grow(rows, spans, byID)
	return out
}

// grow hangs spans below their parents and returns the others. Spans that are each other's ancestors hang nowhere.
func grow(rows []store.Row, spans []*llmSpan, byID map[string]int) (roots []*llmSpan) {
	children := make([][]int, len(rows))
	grown := make([]bool, len(rows))
	var next []int
	for i := range rows {
		id := rows[i].Text(store.FieldParentSpanID)
		if parent, ok := byID[id]; ok {
			children[parent] = append(children[parent], i)
			continue
		}
		spans[i].MissingParent = id
		roots, next, grown[i] = append(roots, spans[i]), append(next, i), true
	}
	for len(next) > 0 {
		parent := next[0]
		next = append(next[1:], children[parent]...)
		for _, i := range children[parent] {
			if rows[i].Text(store.FieldService) == rows[parent].Text(store.FieldService) {
				spans[i].Service = ""
			}
			spans[parent].Children = append(spans[parent].Children, spans[i])
			grown[i] = true
		}
	}
	for i, s := range spans {
		if !grown[i] {
			s.MissingParent = rows[i].Text(store.FieldParentSpanID)
			roots = append(roots, s)
		}
	}
	return roots
}

func compactSpan(r *store.Row, start int64) *llmSpan {
	s := &llmSpan{
		ID: r.Text(store.FieldSpanID), Name: r.Text(store.FieldName), Service: r.Text(store.FieldService),
		Kind: r.Text(store.FieldSpanKind), AtMs: millis(r.Time - start), DurationMs: millis(r.Get(store.FieldDuration).Int()),
	}
	if s.Kind == "internal" || s.Kind == "unspecified" {
		s.Kind = ""
	}
	if r.Text(store.FieldStatus) == "error" {
		s.Error = short(r.Text(store.FieldStatusMessage))
		if s.Error == "" {
			s.Error = "error"
		}
	}
	for _, f := range r.Fields {
		if name, ok := strings.CutPrefix(f.Name, store.PrefixAttr); ok {
			put(&s.Attributes, name, plainValue(f.Value))
		}
	}
	events, _ := store.SpanEvents(r) // a list that can't be read is shown as none
	for _, e := range events {
		ev := llmEvent{Name: e.Name, AtMs: millis(e.Time - start)}
		for k, v := range e.Attributes.All() {
			put(&ev.Attributes, k, short(v.AsString()))
		}
		s.Events = append(s.Events, ev)
	}
	return s
}

func put(m *map[string]any, name string, v any) {
	if *m == nil {
		*m = map[string]any{}
	}
	(*m)[name] = v
}

func plainValue(v store.Value) any {
	switch v.Type() {
	case store.TypeInt:
		return v.Int()
	case store.TypeBool:
		return v.Bool()
	case store.TypeDouble:
		if f, _ := v.Number(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
		return v.Text()
	default:
		return short(v.Text())
	}
}

// short cuts a long text and says so.
func short(s string) string {
	if len(s) <= maxText {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	cut := maxText
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strings.ToValidUTF8(s[:cut], "\uFFFD") + "… (" + strconv.Itoa(len(s)) + " bytes)"
}
