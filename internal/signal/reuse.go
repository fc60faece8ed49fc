package signal

import (
	"fmt"

	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
)

// ReuseMemory makes pdata use the memory of released requests for the next ones. It holds for the whole process from the
// call on, and saves an allocation for each attribute that a request brings or an enrich step adds.
func ReuseMemory() error {
	if err := featuregate.GlobalRegistry().Set(pref.UseProtoPooling.ID(), true); err != nil {
		return fmt.Errorf("reuse memory of requests: %w", err)
	}
	return nil
}

// ReleaseTraces gives td's memory back, once, by the one who called the first Sink and after it returned. What points into
// td (a map, a value, a span) is another request's from then on. Texts taken from td stay: they are never written again.
func ReleaseTraces(td ptrace.Traces) { pref.UnrefTraces(td) }

// ReleaseLogs is ReleaseTraces for log records.
func ReleaseLogs(ld plog.Logs) { pref.UnrefLogs(ld) }
