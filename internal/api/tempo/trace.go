package tempo

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/query/traceql"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	typeProtobuf = "application/protobuf"
	typeLLM      = "application/vnd.grafana.llm"
)

// traceV1 answers OTLP's TracesData.
func (a *API) traceV1(w http.ResponseWriter, r *request) error {
	return a.trace(w, r, func(td ptrace.Traces, _ bool) ([]byte, error) {
		return (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	}, func(td ptrace.Traces, _ bool) ([]byte, error) {
		body, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
		return bytes.Replace(body, []byte(`{"resourceSpans":`), []byte(`{"batches":`), 1), err
	})
}

// traceV2 answers tempopb.TraceByIDResponse, whose first field is what traceV1 answers. It is written even when it is
// empty: Grafana's plugin relies on it.
func (a *API) traceV2(w http.ResponseWriter, r *request) error {
	return a.trace(w, r, func(td ptrace.Traces, partial bool) ([]byte, error) {
		body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		out := append(binary.AppendUvarint([]byte{fieldTrace}, uint64(len(body))), body...)
		if partial {
			out = append(out, fieldStatus, statusPartial, fieldMessage, byte(len(partialMessage)))
			out = append(out, partialMessage...)
		}
		return out, err
	}, func(td ptrace.Traces, partial bool) ([]byte, error) {
		body, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
		if err != nil {
			return nil, err
		}
		out := struct {
			Trace   json.RawMessage `json:"trace"`
			Status  string          `json:"status,omitempty"`
			Message string          `json:"message,omitempty"`
		}{Trace: body}
		if partial {
			out.Status, out.Message = "PARTIAL", partialMessage
		}
		return json.Marshal(out)
	})
}

// Tags of TraceByIDResponse's fields, and PartialStatus.
const (
	fieldTrace     = 1<<3 | 2
	fieldStatus    = 3 << 3
	fieldMessage   = 4<<3 | 2
	statusPartial  = 1
	partialMessage = "a part of the store did not answer"
)

// trace answers a trace as protobuf, JSON or compact JSON for language models, as the request accepts.
func (a *API) trace(w http.ResponseWriter, r *request, proto, text func(td ptrace.Traces, partial bool) ([]byte, error)) error {
	rows, partial, err := a.rows(r)
	if err != nil {
		return a.traceProblem(w, err)
	}
	accept := r.Header.Get("Accept")
	if strings.Contains(accept, typeLLM) {
		w.Header().Set("Content-Type", typeLLM)
		body, err := encode(compactTrace(rows, partial))
		if err != nil {
			return fmt.Errorf("write trace: %w", err)
		}
		_, err = w.Write(body)
		return err
	}
	td, err := store.Traces(rows)
	if err != nil {
		return err
	}
	normalise(td, rows)
	contentType, write := "application/json", text
	if strings.Contains(accept, typeProtobuf) {
		contentType, write = typeProtobuf, proto
	}
	body, err := write(td, partial)
	if err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	w.Header().Set("Content-Type", contentType)
	_, err = w.Write(body)
	return err
}

func (a *API) rows(r *request) ([]store.Row, bool, error) {
	id, err := traceql.ParseTraceID(r.args[0])
	if err != nil {
		return nil, false, err
	}
	at, given, err := r.time(a.clock())
	if err != nil {
		return nil, false, err
	}
	if !given {
		at = signal.AllTime()
	}
	return a.engine.Trace(r.Context(), r.project, id, at)
}

// traceProblem answers in plain text what Grafana shows as it is.
func (a *API) traceProblem(w http.ResponseWriter, err error) error {
	status := http.StatusBadRequest
	switch {
	case errors.Is(err, store.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, traceql.ErrTooLarge):
		status = http.StatusRequestEntityTooLarge
	case !signal.IsPermanent(err):
		return err
	}
	http.Error(w, err.Error(), status)
	return nil
}

// normalise gives the trace what Grafana's plugin needs of every one: a resource without attributes would make it drop
// all its spans. (Messages that many senders leave out, it does not survive: pdata writes the trace, resources, scopes
// and statuses always, and a test holds it to that.)
func normalise(td ptrace.Traces, rows []store.Row) {
	for _, rs := range td.ResourceSpans().All() {
		attrs := rs.Resource().Attributes()
		if _, ok := attrs.Get(conv.ServiceName); ok {
			continue
		}
		// The resource names no service, so that its rows have the name that stands for none.
		for i := range rows {
			if !rows[i].Has(store.PrefixResource + conv.ServiceName) {
				attrs.PutStr(conv.ServiceName, rows[i].Text(store.FieldService))
				break
			}
		}
	}
}
