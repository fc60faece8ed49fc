package eventdb

import (
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/logger"
)

// engineMemory bounds the engine's caches and the state of one query, for all open stores together.
const engineMemory = "256MiB"

// engineSetup guards what the engine keeps once per process: flags and the output of its log.
var engineSetup sync.Once

// setupEngine gives the engine its flags and its log. The engine reads package flags, so this is the one place that
// parses and sets them; the first opened store of the process lends its logger.
func setupEngine(log *slog.Logger) error {
	var err error
	engineSetup.Do(func() {
		logger.SetOutputForTests(&engineLog{log: log})
		if !flag.Parsed() {
			// Without arguments: the command line belongs to the program, not to the engine.
			if err = flag.CommandLine.Parse(nil); err != nil {
				return
			}
		}
		for name, value := range map[string]string{
			"loggerFormat":        "json",
			"loggerLevel":         "WARN",
			"memory.allowedBytes": engineMemory,
		} {
			if e := flag.Set(name, value); e != nil {
				err = fmt.Errorf("set engine flag %s: %w", name, e)
				return
			}
		}
	})
	return err
}

// engineHint is what to do when the engine has ended the process, which it does for damaged files and a disk that fails.
const engineHint = "when the disk is full or read-only, or this user may not write there, put that right first; then start the server again, " +
	"nothing acknowledged is lost: it compares the files with what was written, names a damaged one and says how to go on without it"

// engineLog turns the engine's log lines, of JSON, into records of ours. In this format the engine ends the process without a
// trace of its stack, which would repeat the content of a damaged block.
type engineLog struct{ log *slog.Logger }

func (l *engineLog) Write(p []byte) (int, error) {
	var line struct{ Level, Caller, Msg string }
	if json.Unmarshal(p, &line) != nil || line.Level == "" {
		l.log.Warn("engine message", "text", strings.TrimRight(string(p), "\n"))
		return len(p), nil
	}
	// What follows is the block itself, of somebody's content.
	text, _, _ := strings.Cut(line.Msg, "; block data")
	switch line.Level {
	case "info":
		l.log.Debug("engine message", "place", line.Caller, "text", text)
	case "warn":
		l.log.Warn("engine message", "place", line.Caller, "text", text)
	case "panic", "fatal":
		l.log.Error("the engine ends the process: it can't go on", "place", line.Caller, "error", text, "hint", engineHint)
	default:
		l.log.Error("engine message", "place", line.Caller, "text", text)
	}
	return len(p), nil
}
