package otlp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/mindscope/mindscope/internal/signal"
)

// encoding is the form of a request's and its answer's bytes.
type encoding uint8

const (
	protobuf encoding = iota
	jsonText
)

// endpoint is one signal's service: where requests come in, how they are read and how they are answered.
type endpoint struct {
	signal  string
	path    string // of OTLP/HTTP
	service string // of OTLP/gRPC, its only method is Export
	decode  func(body []byte, enc encoding) (batch, error)
	reply   func(r signal.Rejected, enc encoding) ([]byte, error)
}

// batch is a decoded request.
type batch struct {
	items int64 // spans, log records or data points
	write func(ctx context.Context, next signal.Sink, p signal.Project) (signal.Rejected, error)
	// release gives the request's memory back when write has returned.
	release func()
}

// endpoints returns the three services.
func endpoints() []*endpoint {
	return []*endpoint{
		{"traces", "/v1/traces", "opentelemetry.proto.collector.trace.v1.TraceService", decodeTraces, replyTraces},
		{"logs", "/v1/logs", "opentelemetry.proto.collector.logs.v1.LogsService", decodeLogs, replyLogs},
		{"metrics", "/v1/metrics", "opentelemetry.proto.collector.metrics.v1.MetricsService", decodeMetrics, replyMetrics},
	}
}

func decodeTraces(body []byte, enc encoding) (batch, error) {
	req := ptraceotlp.NewExportRequest()
	if err := unmarshal(req, body, enc); err != nil {
		return batch{}, err
	}
	td := req.Traces()
	return batch{int64(td.SpanCount()), func(ctx context.Context, next signal.Sink, p signal.Project) (signal.Rejected, error) {
		return next.Traces(ctx, p, td)
	}, func() { signal.ReleaseTraces(td) }}, nil
}

func replyTraces(r signal.Rejected, enc encoding) ([]byte, error) {
	resp := ptraceotlp.NewExportResponse()
	resp.PartialSuccess().SetRejectedSpans(r.Items)
	resp.PartialSuccess().SetErrorMessage(utf8Text(r.Message()))
	return marshal(resp, enc)
}

func decodeLogs(body []byte, enc encoding) (batch, error) {
	req := plogotlp.NewExportRequest()
	if err := unmarshal(req, body, enc); err != nil {
		return batch{}, err
	}
	ld := req.Logs()
	return batch{int64(ld.LogRecordCount()), func(ctx context.Context, next signal.Sink, p signal.Project) (signal.Rejected, error) {
		return next.Logs(ctx, p, ld)
	}, func() { signal.ReleaseLogs(ld) }}, nil
}

func replyLogs(r signal.Rejected, enc encoding) ([]byte, error) {
	resp := plogotlp.NewExportResponse()
	resp.PartialSuccess().SetRejectedLogRecords(r.Items)
	resp.PartialSuccess().SetErrorMessage(utf8Text(r.Message()))
	return marshal(resp, enc)
}

func decodeMetrics(body []byte, enc encoding) (batch, error) {
	req := pmetricotlp.NewExportRequest()
	if err := unmarshal(req, body, enc); err != nil {
		return batch{}, err
	}
	md := req.Metrics()
	return batch{int64(md.DataPointCount()), func(ctx context.Context, next signal.Sink, p signal.Project) (signal.Rejected, error) {
		return next.Metrics(ctx, p, md)
	}, func() {}}, nil // points end in code of others, which may keep them
}

func replyMetrics(r signal.Rejected, enc encoding) ([]byte, error) {
	resp := pmetricotlp.NewExportResponse()
	resp.PartialSuccess().SetRejectedDataPoints(r.Items)
	resp.PartialSuccess().SetErrorMessage(utf8Text(r.Message()))
	return marshal(resp, enc)
}

// answer encodes the response. When there is nothing to tell the sender, partial_success must be absent, not empty as
// pdata writes it.
func (e *endpoint) answer(r signal.Rejected, enc encoding) ([]byte, error) {
	switch {
	case r.Items > 0 || len(r.Reasons) > 0:
		return e.reply(r, enc)
	case enc == jsonText:
		return []byte(`{}`), nil
	default:
		return nil, nil // the empty message
	}
}

// message is what pdata's requests and responses have in common.
type message interface {
	UnmarshalProto([]byte) error
	UnmarshalJSON([]byte) error
	MarshalProto() ([]byte, error)
	MarshalJSON() ([]byte, error)
}

func marshal(m message, enc encoding) ([]byte, error) {
	if enc == jsonText {
		return m.MarshalJSON()
	}
	return m.MarshalProto()
}

func unmarshal(m message, body []byte, enc encoding) error {
	if enc == protobuf {
		if err := m.UnmarshalProto(body); err != nil {
			return fmt.Errorf("decode protobuf: %w", err)
		}
		return nil
	}
	// pdata's reader stops at the end of the first value and bounds no depth; the stack of a few million nested arrays
	// would end the process. The check of the standard library refuses both.
	if err := json.Unmarshal(body, &wellFormed{}); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return fmt.Errorf("decode JSON: at byte %d: %w", syntax.Offset, err)
		}
		return fmt.Errorf("decode JSON: %w", err)
	}
	if err := m.UnmarshalJSON(body); err != nil {
		return fmt.Errorf("decode JSON: %w", err)
	}
	return nil
}

// wellFormed takes any JSON that is well formed and keeps nothing of it.
type wellFormed struct{}

// UnmarshalJSON is called after the whole text was checked.
func (*wellFormed) UnmarshalJSON([]byte) error { return nil }
