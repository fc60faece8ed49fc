package signal

import (
	"context"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Sink is the one write contract between the stages: receivers write to it, every enrich step is a Sink around a
// Sink, and the store ends the chain.
//
// Ownership: the data belongs to the Sink until it returns; the caller does nothing with it afterwards but release its
// memory for the next request. A Sink keeps no part of it for later, only texts and copies.
// Concurrency: any number of calls at once.
// Durability: a nil error means that everything but the Rejected items is stored as durably as the store promises;
// an error means that nothing may be assumed and, unless it is Permanent, that the sender should send again.
// Order: none between calls.
type Sink interface {
	Traces(ctx context.Context, p Project, td ptrace.Traces) (Rejected, error)
	Logs(ctx context.Context, p Project, ld plog.Logs) (Rejected, error)
	Metrics(ctx context.Context, p Project, md pmetric.Metrics) (Rejected, error)
}

// Rejected tells which part of a request was not taken for good, so that the sender must not send it again:
// OTLP's partial success. The zero value means that all was taken.
type Rejected struct {
	// Items counts spans, log records or data points.
	Items int64
	// Reasons holds each distinct reason once, in the order they came up.
	Reasons []string
}

// Add counts n more items rejected for reason.
func (r *Rejected) Add(n int64, reason string) {
	if n == 0 {
		return
	}
	r.Items += n
	if !slices.Contains(r.Reasons, reason) {
		r.Reasons = append(r.Reasons, reason)
	}
}

// Merge adds what o counted.
func (r *Rejected) Merge(o Rejected) {
	r.Items += o.Items
	for _, reason := range o.Reasons {
		if !slices.Contains(r.Reasons, reason) {
			r.Reasons = append(r.Reasons, reason)
		}
	}
}

// Message joins the reasons into OTLP's error_message.
func (r Rejected) Message() string { return strings.Join(r.Reasons, "; ") }
