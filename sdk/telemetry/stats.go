package telemetry

import "sync/atomic"

// Counts are the numbers of one signal since Setup.
type Counts struct {
	// Made counts the spans that ended, or the log records that were written.
	Made int64
	// Exported counts those the collector took, Failed those that a request lost for good.
	Exported, Failed int64
}

// Waiting returns how many are in the queue or were dropped because it was full: after a shutdown, the dropped ones.
func (c Counts) Waiting() int64 { return c.Made - c.Exported - c.Failed }

// Stats tells how the telemetry itself fares. The zero value is ready; give it to Setup by WithStats.
type Stats struct {
	spans, logs signalCounters
	errors      atomic.Int64
}

// Spans returns the numbers of spans.
func (s *Stats) Spans() Counts { return s.spans.counts() }

// Logs returns the numbers of log records.
func (s *Stats) Logs() Counts { return s.logs.counts() }

// Errors counts all errors of the telemetry, failed requests included.
func (s *Stats) Errors() int64 { return s.errors.Load() }

type signalCounters struct{ made, ok, failed atomic.Int64 }

func (s *signalCounters) exported(n int, err error) {
	if err != nil {
		s.failed.Add(int64(n))
		return
	}
	s.ok.Add(int64(n))
}

func (s *signalCounters) counts() Counts {
	return Counts{Made: s.made.Load(), Exported: s.ok.Load(), Failed: s.failed.Load()}
}
