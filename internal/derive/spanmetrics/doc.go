// Package spanmetrics counts what spans tell: the metrics of the mission and their companions (docs/metrics.md), and the
// series that Grafana draws its service graph from. It sees rows once, when they are committed and known to be new, so a
// re-sent span is not counted twice; its state is saved beside the store's log, so neither is a replayed one.
//
// A task is counted by attempts, as the SDK counts them: pending when the attempt's start record or its first span
// comes, and completed, failed or cancelled once, when its span ends or when it shows no sign of life for LostAfter.
// At any moment pending = completed + failed + cancelled + in progress.
//
// Order: a call of a model that stands above another one (a wrapper) is recognised when the inner one came first, as it
// does where spans are sent as they end.
package spanmetrics
