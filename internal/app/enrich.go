package app

import (
	"github.com/mindscope/mindscope/internal/enrich/cost"
	"github.com/mindscope/mindscope/internal/enrich/dialect"
	"github.com/mindscope/mindscope/internal/enrich/identity"
	"github.com/mindscope/mindscope/internal/self"
	"github.com/mindscope/mindscope/internal/signal"
)

// enrich builds the steps between the receivers and next and registers what they count. Data goes through dialect,
// identity and cost in this order.
func enrich(next signal.Sink, m *self.Metrics) (signal.Sink, error) {
	c, err := cost.New(next, cost.Config{})
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
	return d, nil
}
