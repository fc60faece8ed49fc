package eventdb

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/logger"
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
	f(`{"ts":"2026-11-28T13:17:16Z","level":"info","caller":"lib/x.go:1","msg":"opened"}`, `level=DEBUG msg="engine message" place=lib/x.go:1 text=opened`, "hint")
	f(`{"ts":"2026-11-28T13:17:16Z","level":"warn","caller":"lib/x.go:1","msg":"slow"}`, "level=WARN", "hint")
	f(`{"ts":"2026-11-28T13:17:16Z","level":"error","caller":"lib/x.go:1","msg":"bad"}`, "level=ERROR", "hint")
	f(`{"ts":"2026-11-28T13:17:16Z","level":"panic","caller":"lib/x.go:1","msg":"FATAL: part; block data (hex): 7365"}`, "start the server again", "7365")
	f("no line of the engine", `level=WARN msg="engine message" text="no line of the engine"`, "hint")
}

const envEnding = "EVENTDB_TEST_ENDING"

// TestEngineEndsProcess: what the engine says at its end has none of the content that it could not read.
func TestEngineEndsProcess(t *testing.T) {
	if os.Getenv(envEnding) != "" {
		if err := setupEngine(slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
			t.Fatal(err)
		}
		logger.Panicf("FATAL: part 1: cannot decompress; block data (hex): 736563726574")
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestEngineEndsProcess$")
	cmd.Env = append(os.Environ(), envEnding+"=1")
	said, err := cmd.CombinedOutput()
	if end := (*exec.ExitError)(nil); !errors.As(err, &end) {
		t.Fatalf("it went on: %v", err)
	}
	if text := string(said); !strings.Contains(text, "FATAL: part 1: cannot decompress") || !strings.Contains(text, "start the server again") ||
		strings.Contains(text, "736563726574") {
		t.Errorf("it said %s", text)
	}
}
