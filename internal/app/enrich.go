package app

import (
	"maps"
	"slices"

	"github.com/mindscope/mindscope/internal/config"
	"github.com/mindscope/mindscope/internal/enrich/cost"
	"github.com/mindscope/mindscope/internal/enrich/dialect"
	"github.com/mindscope/mindscope/internal/enrich/identity"
	"github.com/mindscope/mindscope/internal/enrich/redact"
	"github.com/mindscope/mindscope/internal/signal"
)

// enrich builds the steps between the receivers and next and registers what they count. Data goes through dialect,
// identity, redact and cost in this order: what redact did not see is neither stored nor counted by name, and cost adds
// nothing of the sender's.
func (a *App) enrich(next signal.Sink) (signal.Sink, error) {
	c, err := cost.New(next, cost.Config{Overrides: a.prices})
	if err != nil {
		return nil, err
	}
	r, err := redact.New(c, redaction(a.cfg.Redact))
	if err != nil {
		return nil, err
	}
	a.watchPrices(c)
	d, err := dialect.New(identity.New(r), dialect.Config{})
	if err != nil {
		return nil, err
	}
	m := a.metrics
	m.Counter("mindscope_forged_attributes_total",
		"Attributes with the server's own names that senders brought; they were removed.",
		func() float64 { return float64(d.Forged()) })
	m.Counter("mindscope_priced_spans_total", "Spans that got a cost from the price table.",
		func() float64 { return float64(c.Priced()) })
	m.Counters("mindscope_price_misses_total", "Calls of models without a known price or without usage.", "model", c.Misses)
	m.Counters("mindscope_redacted_total", "Secrets that were removed before storage.", "rule", r.Redactor().Counts)
	return d, nil
}

func redaction(c config.Redact) redact.Config {
	out := redact.Config{
		KeepCredentials: !c.Credentials, Groups: c.Groups, Attributes: c.Attributes, Mode: redact.Mode(c.Mode), Key: []byte(c.Key),
	}
	for _, name := range slices.Sorted(maps.Keys(c.Patterns)) {
		out.Patterns = append(out.Patterns, redact.Pattern{Name: name, Regexp: c.Patterns[name]})
	}
	return out
}
