package app

import (
	"maps"
	"slices"

	"github.com/mindscope/mindscope/internal/config"
	"github.com/mindscope/mindscope/internal/enrich/cost"
	"github.com/mindscope/mindscope/internal/enrich/dialect"
	"github.com/mindscope/mindscope/internal/enrich/identity"
	"github.com/mindscope/mindscope/internal/enrich/policy"
	"github.com/mindscope/mindscope/internal/enrich/redact"
	"github.com/mindscope/mindscope/internal/self"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// enrich builds the steps between the receivers and next and registers what they count. Data goes through dialect,
// identity, policy, redact and cost in this order: what redact did not see is neither stored nor counted by name, and cost
// adds nothing of the sender's.
func (a *App) enrich(next signal.Sink) (signal.Sink, error) {
	c, err := cost.New(next, cost.Config{Overrides: a.prices})
	if err != nil {
		return nil, err
	}
	leave := store.PayloadMinBytes // the event store redacts what is longer itself, once each
	if a.cfg.Memory {
		leave = 0
	}
	r := redact.Around(c, a.redactor, leave)
	a.priced = c
	a.watchPrices(c)
	content, err := policy.New(r, policies(a.cfg.Capture))
	if err != nil {
		return nil, err
	}
	a.content.Store(content)
	d, err := dialect.New(identity.New(content), dialect.Config{})
	if err != nil {
		return nil, err
	}
	m := a.metrics
	m.Counter("mindscope_forged_attributes_total",
		"Attributes with the server's own names that senders brought; they were removed.",
		func() float64 { return float64(d.Forged()) })
	m.Counter("mindscope_spans_from_logs_total",
		"Spans that were made of log records by which senders without traces tell of their calls.",
		func() float64 { return float64(d.Told()) })
	m.Counter("mindscope_priced_spans_total", "Spans that got a cost from the price table.",
		func() float64 { return float64(c.Priced()) })
	m.Counters("mindscope_price_misses_total", "Calls of models without a known price or without usage.", "model", c.Misses)
	m.Counters("mindscope_redacted_total", "Secrets that were removed before storage.", "rule", r.Redactor().Counts)
	observeContent(content, m)
	return d, nil
}

func observeContent(s *policy.Sink, m *self.Metrics) {
	m.Counter("mindscope_content_removed_total", "Spans and log records whose content was taken off by the content policy, held content included.",
		func() float64 { return float64(s.Removed()) })
	m.Gauge("mindscope_content_held_bytes", "Content that is held in memory until its task has an outcome.",
		func() float64 { return float64(s.Stats().HeldBytes) })
	m.Counters("mindscope_content_held_total",
		"Spans whose held content was released since the task failed, or dropped: the task completed, had no outcome in time, there was no room, the span was deleted.",
		"outcome", func() map[string]int64 {
			st := s.Stats()
			return map[string]int64{"released": st.Released, "completed": st.Completed, "expired": st.Expired, "full": st.Full, "deleted": st.Deleted}
		})
	m.Counter("mindscope_forged_content_total", "Log records with the server's own event name that senders brought; they were dropped.",
		func() float64 { return float64(s.Forged()) })
}

func policies(c config.Capture) policy.Config {
	named := func(in map[string]string) map[string]policy.Policy {
		out := make(map[string]policy.Policy, len(in))
		for name, p := range in {
			out[name] = policy.Policy(p)
		}
		return out
	}
	return policy.Config{Default: policy.Policy(c.Default), Teams: named(c.Teams), Agents: named(c.Agents)}
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
