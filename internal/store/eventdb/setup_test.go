package eventdb

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// TestEngineLog turns what the engine says into records of ours.
func TestEngineLog(t *testing.T) {
	var said bytes.Buffer
	l := engineLog{log: slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	f := func(line string, want, without string) {
		t.Helper()
		said.Reset()
		if n, err := l.Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("%q: %d bytes, %v", line, n, err)
		}
		if text := said.String(); !strings.Contains(text, want) || strings.Contains(text, without) {
			t.Errorf("%q became %q", line, text)
		}
	}
	f("2026-11-28T13:17:16Z\tinfo\tlib/x.go:1\topened\n", `level=DEBUG msg="engine message" place=lib/x.go:1 text=opened`, "hint")
	f("2026-11-28T13:17:16Z\twarn\tlib/x.go:1\tslow\n", "level=WARN", "hint")
	f("2026-11-28T13:17:16Z\terror\tlib/x.go:1\tbad\n", "level=ERROR", "hint")
	f("2026-11-28T13:17:16Z\tpanic\tlib/x.go:1\tFATAL: part: cannot unmarshal; block data (hex): 736563726574\n", "start the server again", "736563726574")
	f("no line of the engine", `level=WARN msg="engine message" text="no line of the engine"`, "hint")
}
