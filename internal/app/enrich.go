package app

import (
	"github.com/mindscope/mindscope/internal/enrich/cost"
	"github.com/mindscope/mindscope/internal/enrich/dialect"
	"github.com/mindscope/mindscope/internal/enrich/identity"
	"github.com/mindscope/mindscope/internal/enrich/redact"
	"github.com/mindscope/mindscope/internal/self"
	"github.com/mindscope/mindscope/internal/signal"
)

// enrich builds the steps between the receivers and next and registers what they count. Data goes through dialect,
// identity, cost and redact in this order: nothing is stored that redact did not see.
func enrich(next signal.Sink, m *self.Metrics) (signal.Sink, error) {
	r, err := redact.New(next, redact.Config{})
	if err != nil {
		return nil, err
	}
	c, err := cost.New(r, cost.Config{})
	if err != nil {
		return nil, err
	}
	d, err := dialect.New(identity.New(c), dialect.Config{})
	if err != nil {
		return nil, err
	}
	m.Counter("mindscope_forged_attributes_total",
		"Attributes with the server's own names that senders brought; they were removed.",
		func() float64 { return float64(d.Forged()) })
	m.Counter("mindscope_priced_spans_total", "Spans that got a cost from the price table.",
		func() float64 { return float64(c.Priced()) })
	m.Counter("mindscope_price_misses_total", "Calls of models without a known price or without usage.",
		func() float64 { return float64(c.Missed()) })
	m.Counter("mindscope_redacted_total", "Secrets that were removed before storage.",
		func() float64 { return float64(r.Redactor().Total()) })
	return d, nil
}
