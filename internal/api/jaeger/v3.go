package jaeger

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// The third version of the API says the same as OTLP's JSON, below "result".

func (a *API) servicesV3(r *request) (any, error) {
	names, err := a.texts(r, store.FieldService, nil)
	return struct {
		Services []string `json:"services"`
	}{names}, err
}

func (a *API) operationsV3(r *request) (any, error) {
	if r.params.Get("spanKind") == "" {
		r.params.Set("spanKind", r.params.Get("span_kind"))
	}
	ops, err := a.kinds(r)
	return struct {
		Operations []operation `json:"operations"`
	}{ops}, err
}

func (a *API) traceV3(r *request) (any, error) {
	for from, to := range map[string]string{"startTime": "start", "start_time": "start", "endTime": "end", "end_time": "end"} {
		if err := microsOf(r, from, to); err != nil {
			return nil, err
		}
	}
	rows, _, err := a.rows(r)
	if err != nil {
		return nil, err
	}
	return resultOf(rows)
}

// searchV3 reads query.service_name and the like, in either spelling.
func (a *API) searchV3(r *request) (any, error) {
	get := func(snake string) string {
		words := strings.Split(snake, "_")
		for i, w := range words[1:] {
			words[i+1] = strings.ToUpper(w[:1]) + w[1:]
		}
		if v := r.params.Get("query." + snake); v != "" {
			return v
		}
		return r.params.Get("query." + strings.Join(words, ""))
	}
	for name, v := range map[string]string{
		"service": get("service_name"), "operation": get("operation_name"), "tags": get("attributes"),
		"minDuration": get("duration_min"), "maxDuration": get("duration_max"), "limit": get("search_depth"),
	} {
		r.params.Set(name, v)
	}
	if r.params.Get("limit") == "" {
		r.params.Set("limit", get("num_traces"))
	}
	for name, to := range map[string]string{"start_time_min": "start", "start_time_max": "end"} {
		r.params.Set(name, get(name))
		if err := microsOf(r, name, to); err != nil {
			return nil, err
		}
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
	ids, err := a.engine.TraceIDs(r.Context(), r.project, f, at, limit)
	if err != nil || len(ids) == 0 {
		return resultMessage{Result: json.RawMessage(`{"resourceSpans":[]}`)}, err
	}
	rows, _, err := a.engine.Traces(r.Context(), r.project, ids)
	if err != nil {
		return nil, err
	}
	return resultOf(rows)
}

// microsOf turns a time in RFC 3339 into the parameter that the other endpoints have for it.
func microsOf(r *request, from, to string) error {
	text := r.params.Get(from)
	if text == "" {
		return nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return badRequest("%s %q: a time like 2026-03-01T10:00:00Z is expected", from, text)
	}
	r.params.Set(to, fmt.Sprint(max(0, t.UnixMicro())))
	return nil
}

type resultMessage struct {
	Result json.RawMessage `json:"result"`
}

func resultOf(rows []store.Row) (any, error) {
	td, err := store.Traces(rows)
	if err != nil {
		return nil, err
	}
	body, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	if err != nil {
		return nil, signal.Permanent(fmt.Errorf("write trace: %w", err))
	}
	return resultMessage{Result: body}, nil
}
