// Package metricdb keeps metrics in Prometheus' own time series database, in one folder, in this process.
//
// It is the only place where Prometheus' appenders are made. Receivers of metrics hand OpenTelemetry points to Points;
// scrapes, remote writes and rules get the Appendable, which is the database's own behind limits: a series with too many
// or too long labels is refused, counted and never stored.
//
// Durability: an append is in the database's write-ahead log when Commit returns; the log is not synced at each commit
// (Prometheus' own rule), so a power cut can cost the last seconds, a killed process costs nothing.
//
// Concurrency: every method may be called at any time from any number of goroutines, Close excepted.
package metricdb
