package jaeger

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/query/traceql"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Limits of a search. More is cut to the most.
const (
	usualTraces = 20
	mostTraces  = 1000
)

// usualLookback is how far back is looked without a start.
const usualLookback = time.Hour

// trace answers one trace.
func (a *API) trace(r *request) (any, error) {
	rows, partial, err := a.rows(r)
	if err != nil {
		return nil, err
	}
	return answer{Data: wireTraces(rows), Total: 1, Errors: partialErrors(partial)}, nil
}

func (a *API) rows(r *request) ([]store.Row, bool, error) {
	id, err := traceql.ParseTraceID(r.PathValue("id"))
	if err != nil {
		return nil, false, err
	}
	at := signal.AllTime()
	if r.params.Get("start") != "" || r.params.Get("end") != "" {
		if at, err = a.time(r); err != nil {
			return nil, false, err
		}
	}
	return a.engine.Trace(r.Context(), r.project, id, at)
}

// search answers traces with a span that meets all conditions.
func (a *API) search(r *request) (any, error) {
	if ids := r.params["traceID"]; len(ids) > 0 {
		return a.byIDs(r, ids)
	}
	f, err := filterOf(r)
	if err != nil {
		return nil, err
	}
	at, err := a.time(r)
	if err != nil {
		return nil, err
	}
	limit, err := limitOf(r.params.Get("limit"))
	if err != nil {
		return nil, err
	}
	return a.find(r, f, at, limit)
}

func (a *API) byIDs(r *request, texts []string) (any, error) {
	var ids []string
	for _, text := range texts[:min(len(texts), mostTraces)] {
		id, err := traceql.ParseTraceID(text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return a.whole(r, ids)
}

func (a *API) find(r *request, f store.Filter, at signal.TimeRange, limit int) (any, error) {
	ids, err := a.engine.TraceIDs(r.Context(), r.project, f, at, limit)
	if err != nil {
		return nil, err
	}
	return a.whole(r, ids)
}

// whole reads traces and answers them, in the order of their ids.
func (a *API) whole(r *request, ids []string) (any, error) {
	if len(ids) == 0 {
		return answer{Data: []wireTrace{}}, nil
	}
	rows, partial, err := a.engine.Traces(r.Context(), r.project, ids)
	if err != nil {
		return nil, err
	}
	traces := wireTraces(rows)
	return answer{Data: inOrder(traces, ids), Total: len(traces), Errors: partialErrors(partial)}, nil
}

func limitOf(text string) (int, error) {
	if text == "" {
		return usualTraces, nil
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n < 0:
		return 0, badRequest("limit %q: a number of traces is expected", text)
	case n == 0:
		return usualTraces, nil
	}
	return min(n, mostTraces), nil
}

// time reads start and end, in microseconds, or the time to look back.
func (a *API) time(r *request) (signal.TimeRange, error) {
	now := a.clock()
	end, err := micros(r.params.Get("end"), now.UnixMicro())
	if err != nil {
		return signal.TimeRange{}, err
	}
	lookback := usualLookback
	if text := r.params.Get("lookback"); text != "" && text != "custom" {
		if lookback, err = lookbackOf(text); err != nil {
			return signal.TimeRange{}, err
		}
	}
	start, err := micros(r.params.Get("start"), end-lookback.Microseconds())
	if err != nil {
		return signal.TimeRange{}, err
	}
	if start > end {
		return signal.TimeRange{}, badRequest("the start (%d) is after the end (%d)", start, end)
	}
	return signal.TimeRange{Start: start * 1000, End: end*1000 + 1}, nil
}

// mostMicros is the last microsecond that nanoseconds can say.
const mostMicros = 1<<63/1000 - 1

func micros(text string, usual int64) (int64, error) {
	if text == "" {
		return max(0, usual), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, badRequest("time %q: microseconds since 1970 are expected", text)
	}
	return min(n, mostMicros), nil
}

// lookbackOf reads a duration that may be in days.
func lookbackOf(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 100_000 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, badRequest("lookback %q: a duration like 2h or 7d is expected", text)
	}
	return d, nil
}

// filterOf makes a filter of the parameters of a search: one span must meet them all.
func filterOf(r *request) (store.Filter, error) {
	service := r.params.Get("service")
	if service == "" {
		return nil, badRequest("the parameter service is missing")
	}
	f := store.And{store.Eq(store.FieldService, service)}
	if name := r.params.Get("operation"); name != "" && name != "all" {
		f = append(f, store.Eq(store.FieldName, name))
	}
	if text := r.params.Get("tags"); text != "" {
		var tags map[string]any
		if err := json.Unmarshal([]byte(text), &tags); err != nil {
			return nil, badRequest(`tags %q: a JSON object like {"key":"value"} is expected`, text)
		}
		for name, v := range tags {
			f = append(f, tagFilter(name, tagText(v)))
		}
	}
	for _, pair := range r.params["tag"] { // as Jaeger's own UI sends them
		name, value, _ := strings.Cut(pair, ":")
		f = append(f, tagFilter(name, value))
	}
	return durations(f, r.params.Get("minDuration"), r.params.Get("maxDuration"))
}

func durations(f store.And, least, most string) (store.Filter, error) {
	for _, d := range []struct {
		name, text string
		op         store.Op
	}{{"minDuration", least, store.OpGe}, {"maxDuration", most, store.OpLe}} {
		if d.text == "" {
			continue
		}
		duration, err := time.ParseDuration(d.text)
		if err != nil || duration < 0 {
			return nil, badRequest("%s %q: a duration like 1.2s, 100ms or 500us is expected", d.name, d.text)
		}
		f = append(f, store.Compare{Field: store.FieldDuration, Op: d.op, Value: store.Int(int64(duration))})
	}
	return f, nil
}

func tagText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return store.Double(v).Text()
	default:
		return fmt.Sprint(v)
	}
}

// tagFilter is the condition for a tag: an attribute of the span or of its resource, or what Jaeger makes tags of.
func tagFilter(name, value string) store.Filter {
	switch name {
	case "error":
		failed := store.Eq(store.FieldStatus, "error")
		if value == "false" {
			return store.Not{Filter: failed}
		}
		return failed
	case tagKind:
		return store.Eq(store.FieldSpanKind, strings.ToLower(value))
	case tagStatus:
		return store.Eq(store.FieldStatus, strings.ToLower(value))
	case tagStatusMessage:
		return store.Eq(store.FieldStatusMessage, value)
	case tagScopeName, "otel.library.name":
		return store.Eq(store.FieldScopeName, value)
	case tagScopeVersion, "otel.library.version":
		return store.Eq(store.FieldScopeVersion, value)
	}
	return store.Or{
		store.Eq(store.PrefixAttr+name, value), store.Eq(store.PrefixResource+name, value), store.Eq(store.PrefixScopeAttr+name, value),
	}
}
