package app

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/storage"

	"github.com/mindscope/mindscope/internal/api/prom"
	"github.com/mindscope/mindscope/internal/query/promql"
	"github.com/mindscope/mindscope/internal/rule"
	"github.com/mindscope/mindscope/internal/store/metricdb"
)

// askOutside reads metrics from the Prometheus of metrics.query_url in place of a database of our own. That Prometheus
// scrapes this server's /metrics; rule_files and scrape_configs are its business, the shipped alerts ours.
func (a *App) askOutside(m *metricsPart, find rule.Find) error {
	base, err := url.Parse(a.cfg.Metrics.QueryURL)
	if err != nil {
		return fmt.Errorf("read metrics.query_url: %w", err)
	}
	outside, err := promql.NewOutside(base)
	if err != nil {
		return err
	}
	nothing := storage.QueryableFunc(func(int64, int64) (storage.Querier, error) { return storage.NoopQuerier(), nil })
	if err := a.startRules(m, rule.Config{Query: outside.Instant, Queryable: nothing, To: metricdb.Nowhere{}}, find); err != nil {
		return err
	}
	var own http.Handler
	if m.rules != nil {
		own = prom.Handler(prom.Config{
			Parser: promql.NewParser(), Rules: m.rules, Alertmanagers: m.sender.Alertmanagers,
			PromConfig: func() promconfig.Config { return *m.inForce.Load() },
			Version:    a.build.Version, Gatherer: a.metrics.Gatherer(), Registerer: a.metrics.Registerer(),
			Logger: a.log.With("component", "prometheus api"), Started: time.Now(), Reloaded: a.reloaded,
		})
	}
	m.api = prom.Outside(base, own, a.log.With("component", "prometheus api"))
	return nil
}
