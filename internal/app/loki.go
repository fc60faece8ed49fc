package app

import (
	"net/http"

	"github.com/mindscope/mindscope/internal/api/loki"
	"github.com/mindscope/mindscope/internal/derive/tail"
	"github.com/mindscope/mindscope/internal/query/logql"
	"github.com/mindscope/mindscope/internal/store"
)

// followLogs makes the feed of new log records and counts what slow readers miss.
func (a *App) followLogs() *tail.Feed {
	a.logs = tail.New()
	a.metrics.Gauge("mindscope_log_tails", "Connections that follow log records.", func() float64 {
		n, _ := a.logs.Watched()
		return float64(n)
	})
	a.metrics.Counter("mindscope_log_tail_dropped_total", "Log records that were not shown to who follows them, since they read too slowly.", func() float64 {
		_, n := a.logs.Watched()
		return float64(n)
	})
	return a.logs
}

// mountLoki serves logs as Grafana's Loki data source asks for them.
func (a *App) mountLoki(mux *http.ServeMux, events store.Events) {
	log := a.log.With("component", "loki")
	mux.Handle("/loki/", loki.New(logql.New(events, logql.Config{}), loki.Config{
		Version: a.build.Version, Retention: a.cfg.Retention, Feed: a.logs,
		Failed: func(err error) { log.Error("answer a question about logs", "error", err) },
	}))
	// Grafana's list of alerts asks every Loki data source for rules; there are none of logs.
	mux.HandleFunc("/prometheus/api/v1/rules", loki.NotFound)
	mux.HandleFunc("/prometheus/api/v1/alerts", loki.NotFound)
}
