package app

import (
	"github.com/mindscope/mindscope/internal/enrich/dialect"
	"github.com/mindscope/mindscope/internal/enrich/identity"
	"github.com/mindscope/mindscope/internal/self"
	"github.com/mindscope/mindscope/internal/signal"
)

// enrich builds the steps between the receivers and next, the first one last, and registers what they count.
func enrich(next signal.Sink, m *self.Metrics) (signal.Sink, error) {
	d, err := dialect.New(identity.New(next), dialect.Config{})
	if err != nil {
		return nil, err
	}
	m.Counter("mindscope_forged_attributes_total",
		"Attributes with the server's own names that senders brought; they were removed.",
		func() float64 { return float64(d.Forged()) })
	return d, nil
}
