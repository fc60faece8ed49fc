// Package self is how the server tells about itself: its log and its own metrics. It stands beside the flow and knows
// no other package of ours; app connects it to the parts. Nothing here is called or written once an item, only once a
// request or rarer.
package self

import (
	"context"
	"io"
	"log/slog"
)

// NewLogger returns a logger that writes lines of level and above to w, as JSON when format is "json", else as text.
func NewLogger(w io.Writer, level slog.Level, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// Quieter returns a logger for a library whose news are of no interest to people: what it logs as info is debug.
func Quieter(l *slog.Logger) *slog.Logger { return slog.New(quieter{l.Handler()}) }

type quieter struct{ slog.Handler }

func (q quieter) level(l slog.Level) slog.Level {
	if l >= slog.LevelInfo && l < slog.LevelWarn {
		return slog.LevelDebug
	}
	return l
}

func (q quieter) Enabled(ctx context.Context, l slog.Level) bool {
	return q.Handler.Enabled(ctx, q.level(l))
}

func (q quieter) Handle(ctx context.Context, r slog.Record) error {
	r.Level = q.level(r.Level)
	return q.Handler.Handle(ctx, r)
}

func (q quieter) WithAttrs(as []slog.Attr) slog.Handler { return quieter{q.Handler.WithAttrs(as)} }
func (q quieter) WithGroup(name string) slog.Handler    { return quieter{q.Handler.WithGroup(name)} }
