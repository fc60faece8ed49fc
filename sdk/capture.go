package sdk

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// CaptureVariable is the environment variable that turns the capture of content on.
const CaptureVariable = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

// CaptureContent tells whether prompts, answers, tool arguments and results are recorded: when CaptureVariable is
// true, span_only or span_and_event. The default is no.
func CaptureContent() bool {
	switch strings.ToLower(os.Getenv(CaptureVariable)) {
	case "true", "1", "span_only", "span_and_event":
		return true
	}
	return false
}

// capture sets v as JSON text: strings as they are, all else marshalled.
func capture(span trace.Span, key string, v any) {
	if !span.IsRecording() || !CaptureContent() {
		return
	}
	if s, ok := v.(string); ok {
		span.SetAttributes(attribute.String(key, clean(s)))
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		span.SetAttributes(attribute.String(key, fmt.Sprintf("not capturable: %T", v)))
		return
	}
	span.SetAttributes(attribute.String(key, string(b)))
}
