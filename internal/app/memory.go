package app

import (
	"os"
	"runtime/debug"
)

// garbagePercent is how much the heap may grow between two collections. At full speed Go's own 100 spends a tenth of the
// processor on collecting requests that are gone anyway.
const garbagePercent = 150

// tuneMemory lets the heap grow more, unless the operator said how much.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
}
