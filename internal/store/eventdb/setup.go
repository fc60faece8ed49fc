package eventdb

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
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
const engineHint = "when the disk is full or read-only, or this user may not write there, put that right first; then start the server again, nothing acknowledged is lost: it compares the files with what was written, names a damaged one and says how to go on without it"

// engineLog turns the engine's log lines (time, level, place and message between tabs) into records of ours.
type engineLog struct{ log *slog.Logger }

func (l *engineLog) Write(p []byte) (int, error) {
	parts := bytes.SplitN(bytes.TrimRight(p, "\n"), []byte("\t"), 4)
	if len(parts) < 4 {
		l.log.Warn("engine message", "text", string(p))
		return len(p), nil
	}
	// What follows is the damaged block itself, of somebody's content.
	content, _, _ := bytes.Cut(parts[3], []byte("; block data"))
	place, text := string(parts[2]), string(content)
	switch string(parts[1]) {
	case "info":
		l.log.Debug("engine message", "place", place, "text", text)
	case "warn":
		l.log.Warn("engine message", "place", place, "text", text)
	case "panic", "fatal":
		l.log.Error("the engine ends the process: it can't go on with this file", "place", place, "error", text, "hint", engineHint)
	default:
		l.log.Error("engine message", "place", place, "text", text)
	}
	return len(p), nil
}
