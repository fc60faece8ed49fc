// Package tasklog makes every line of log/slog findable by its task: it writes trace_id, span_id, task_id and agent on
// the line, wherever it goes, and sends the record to OpenTelemetry as well.
//
//	slog.SetDefault(slog.New(tasklog.NewHandler(slog.NewJSONHandler(os.Stderr, nil))))
//	slog.InfoContext(ctx, "draft written")
package tasklog

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk"
)

// Names of the attributes that the handler adds.
const (
	TraceIDKey = "trace_id"
	SpanIDKey  = "span_id"
	TaskIDKey  = "task_id"
	AgentKey   = "agent"
)

// Handler writes records to a next handler, with ids, and to OpenTelemetry. It is safe for concurrent use.
type Handler struct {
	// base is next before any group was opened; ids belong at the top level, so groups and attributes are kept in ops
	// and applied behind the ids.
	base   slog.Handler
	ops    []func(slog.Handler) slog.Handler
	bridge slog.Handler
}

// NewHandler returns a handler that writes to next with ids and, once telemetry is set up, to OpenTelemetry.
func NewHandler(next slog.Handler) *Handler {
	return &Handler{base: next, bridge: otelslog.NewHandler(sdk.ScopeName + "/tasklog")}
}

// Enabled implements slog.Handler: the next handler's level decides.
func (h *Handler) Enabled(ctx context.Context, l slog.Level) bool { return h.base.Enabled(ctx, l) }

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	next := h.base
	if ids := idsOf(ctx); len(ids) > 0 {
		next = next.WithAttrs(ids)
	}
	for _, op := range h.ops {
		next = op(next)
	}
	err := next.Handle(ctx, r)
	if h.bridge.Enabled(ctx, r.Level) {
		err = errors.Join(err, h.bridge.Handle(ctx, r))
	}
	return err
}

func idsOf(ctx context.Context) []slog.Attr {
	ids := make([]slog.Attr, 0, 4)
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		ids = append(ids, slog.String(TraceIDKey, sc.TraceID().String()), slog.String(SpanIDKey, sc.SpanID().String()))
	}
	if task := sdk.TaskID(ctx); task != "" {
		ids = append(ids, slog.String(TaskIDKey, task))
	}
	if agent := sdk.AgentFrom(ctx); agent != "" {
		ids = append(ids, slog.String(AgentKey, agent))
	}
	return ids
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(n slog.Handler) slog.Handler { return n.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler. The ids stay outside of the group.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.with(func(n slog.Handler) slog.Handler { return n.WithGroup(name) })
}

func (h *Handler) with(op func(slog.Handler) slog.Handler) *Handler {
	return &Handler{base: h.base, ops: slices.Concat(h.ops, []func(slog.Handler) slog.Handler{op}), bridge: op(h.bridge)}
}
