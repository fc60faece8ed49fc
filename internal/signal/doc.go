// Package signal is the vocabulary between the stages: what a stage hands to the next one (Sink), whose data it is
// (Project), which time it speaks of (TimeRange) and what kind of failure an error is (Permanent, Retryable).
//
// It is a leaf: it knows OpenTelemetry's pdata and nothing of HTTP, storage or configuration.
package signal
