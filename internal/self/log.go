// Package self is how the server tells about itself: its log and its own metrics. It stands beside the flow and knows
// no other package of ours; app connects it to the parts. Nothing here is called or written once an item, only once a
// request or rarer.
package self

import (
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
