package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	prompkg "github.com/prometheus/prometheus/promql"

	"github.com/mindscope/mindscope/internal/api/prom"
	"github.com/mindscope/mindscope/internal/config"
	"github.com/mindscope/mindscope/internal/query/promql"
	"github.com/mindscope/mindscope/internal/query/team"
	"github.com/mindscope/mindscope/internal/receive/scrape"
	"github.com/mindscope/mindscope/internal/rule"
	"github.com/mindscope/mindscope/internal/self"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store/metricdb"
)

// queryTimeout ends a PromQL query.
const queryTimeout = 2 * time.Minute

// metricsPart is Prometheus inside: database, engine, scrapes and API.
type metricsPart struct {
	db  *metricdb.DB
	api http.Handler
	// rules, alerts (the API of Alertmanager) and sender are nil where they are switched off.
	rules  *rule.Manager
	alerts http.Handler
	sender *rule.Sender
	// inForce is the prometheus.yml that was read last.
	inForce atomic.Pointer[promconfig.Config]
	// readers are the parts that work by it.
	readers []promReader
	// outside: a Prometheus outside is asked, whose business rule_files are.
	outside bool
	// deliverer is the Alertmanager inside, nil for none.
	deliverer *rule.Alertmanager
}

// promReader works by a prometheus.yml. check may be nil; what apply may find wrong beyond it is undone by applying the one before.
type promReader struct {
	check, apply func(*promconfig.Config) error
}

// prepare reads and checks prometheus.yml and what it names.
func (m *metricsPart) prepare(path string, log *slog.Logger) (change, error) {
	next, err := m.read(path, log)
	if err != nil {
		return change{}, withLine(path, err)
	}
	var errs []error
	for _, r := range m.readers {
		if r.check != nil {
			errs = append(errs, r.check(next))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return change{}, err
	}
	before := m.inForce.Load()
	put := func(cfg *promconfig.Config) error {
		for _, r := range m.readers {
			if err := r.apply(cfg); err != nil {
				return err
			}
		}
		m.inForce.Store(cfg)
		return nil
	}
	undo := func() {
		if err := put(before); err != nil {
			log.Error("what was in force before can't be restored", "file", path, "error", err)
		}
	}
	return change{apply: func() error {
		if err := put(next); err != nil {
			undo()
			return withLine(path, fmt.Errorf("use %s: %w", path, err))
		}
		return nil
	}, undo: undo}, nil
}

// read reads a prometheus.yml; without a path it returns Prometheus' defaults.
func (m *metricsPart) read(path string, log *slog.Logger) (*promconfig.Config, error) {
	cfg, err := readPrometheusFile(path, log)
	if err == nil && m.outside {
		cfg.RuleFiles = nil
	}
	return cfg, err
}

// files are prometheus.yml and the files that it names.
func (m *metricsPart) files(path string) []string {
	files := []string{path}
	cfg := m.inForce.Load()
	for _, pattern := range slices.Concat(cfg.RuleFiles, cfg.ScrapeConfigFiles) {
		found, err := filepath.Glob(pattern)
		if err != nil {
			continue // it could not be in force
		}
		files = append(files, found...)
	}
	return files
}

// startMetrics starts the parts of Prometheus and Alertmanager that are wanted: the database with what fills it, or the
// way to a Prometheus outside; rules; notifications.
func (a *App) startMetrics(questions *team.Questions) (*metricsPart, error) {
	m := &metricsPart{outside: a.cfg.Metrics.QueryURL != ""}
	read, err := m.read(a.cfg.Metrics.PrometheusFile, a.log)
	if err != nil {
		return nil, err
	}
	m.inForce.Store(read)
	switch {
	case m.outside:
		return m, a.askOutside(m, findTasks(questions))
	case a.cfg.Metrics.Enabled:
		return m, a.keepMetrics(m, findTasks(questions))
	}
	if !a.cfg.Alertmanager.Enabled {
		return m, nil
	}
	external, err := a.externalURL() // a Prometheus outside sends its alerts here
	if err != nil {
		return nil, err
	}
	_, err = a.startAlertmanager(m, external)
	return m, err
}

// keepMetrics opens the database and starts what fills it.
func (a *App) keepMetrics(m *metricsPart, find rule.Find) error {
	read := m.inForce.Load()
	if err := a.openMetrics(m); err != nil {
		return err
	}
	scrapes, err := scrape.Start(scrape.Config{
		To: m.db.FromSenders(), Logger: self.Quieter(a.log), Registerer: a.metrics.Registerer(), Failed: a.fail,
	})
	if err != nil {
		return err
	}
	a.running("scrapes", func(context.Context) error { scrapes.Stop(); return nil })
	if err := scrapes.Apply(read); err != nil {
		return err
	}
	sending := m.db.Send(scrapes.Manager)
	a.running("remote write", func(context.Context) error { return sending.Stop() })
	if err := sending.Apply(read); err != nil {
		return err
	}
	m.readers = append(m.readers, promReader{scrape.Check, scrapes.Apply}, promReader{nil, sending.Apply})
	if err := a.scrapeItself(m); err != nil {
		return err
	}
	engine := promql.NewEngine(promql.Config{
		Timeout: queryTimeout, Logger: a.log.With("component", "promql"), Registerer: a.metrics.Registerer(),
		Interval: func() time.Duration { return time.Duration(m.inForce.Load().GlobalConfig.EvaluationInterval) },
	})
	if err := a.startRules(m, rule.Config{Engine: engine, Queryable: m.db.Queryable(), To: m.db.Appendable()}, find); err != nil {
		return err
	}
	m.api = a.promAPI(m, engine, scrapes)
	return nil
}

// scrapeItself puts the server's own metrics, and those it derives from spans, beside all others.
func (a *App) scrapeItself(m *metricsPart) error {
	host, port, err := net.SplitHostPort(a.httpAddr)
	if err != nil {
		return fmt.Errorf("scrape own metrics: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	own, err := promconfig.Load(fmt.Sprintf(ownScrape, model.Duration(a.cfg.Metrics.OwnInterval), net.JoinHostPort(host, port)), a.log)
	if err != nil {
		return fmt.Errorf("scrape own metrics: %w", err)
	}
	// Not FromSenders: these are the series that only the server may bring.
	scrapes, err := scrape.Start(scrape.Config{To: m.db.FromItself(), StartTimes: true, Logger: self.Quieter(a.log), Failed: a.fail})
	if err != nil {
		return err
	}
	a.running("own scrape", func(context.Context) error { scrapes.Stop(); return nil })
	return scrapes.Apply(own)
}

// ownScrape is the scrape of the server itself. Labels that are on a series stay: project and team of derived ones.
const ownScrape = `
global: {scrape_interval: %s, scrape_timeout: %[1]s, scrape_protocols: [PrometheusProto, OpenMetricsText1.0.0]}
scrape_configs:
  - job_name: mindscope
    honor_labels: true
    scrape_native_histograms: true
    always_scrape_classic_histograms: true
    enable_compression: false
    static_configs: [{targets: [%[2]q]}]
`

// openMetrics opens the database in the data folder; without one, in a folder that goes with the process.
func (a *App) openMetrics(m *metricsPart) error {
	dir, remove := filepath.Join(a.cfg.Data, "metrics"), func() error { return nil }
	if a.cfg.Memory {
		temporary, err := os.MkdirTemp("", "mindscope-metrics-")
		if err != nil {
			return fmt.Errorf("make folder of metrics: %w", err)
		}
		dir, remove = temporary, func() error { return os.RemoveAll(temporary) }
	}
	db, err := metricdb.Open(dir, metricdb.Config{
		Counted:   a.spanMetrics.CountedSince,
		Retention: a.cfg.Metrics.Retention, MaxBytes: int64(a.cfg.Metrics.MaxMiB) << 20, Room: a.room,
		Logger: self.Quieter(a.log.With("component", "metricdb")), Registerer: a.metrics.Registerer(),
	})
	if err != nil {
		return errors.Join(err, remove())
	}
	m.db = db
	a.running("metrics", func(context.Context) error { return errors.Join(db.Close(), remove()) })
	return nil
}

func (a *App) promAPI(m *metricsPart, engine *prompkg.Engine, scrapes *scrape.Manager) http.Handler {
	cfg := prom.Config{
		Engine: engine, Parser: promql.NewParser(), Lookback: promql.Lookback, QueryTimeout: queryTimeout,
		Queryable: m.db.Queryable(), Exemplars: m.db.Exemplars(), Write: m.db.FromSenders(), WriteV1: m.db.FromOldWriters(), Points: m.db.Points, Admin: m.db.Admin(),
		Families: func() map[string]prom.Family {
			families := map[string]prom.Family{}
			for name, f := range m.db.Families() {
				families[name] = prom.Family(f)
			}
			return families
		},
		Scrapes:    scrapes,
		PromConfig: func() promconfig.Config { return *m.inForce.Load() },
		Retention:  config.FormatDuration(a.cfg.Metrics.Retention),
		Version:    a.build.Version,
		Gatherer:   a.metrics.Gatherer(), Registerer: a.metrics.Registerer(),
		Logger:  a.log.With("component", "prometheus api"),
		Started: time.Now(), Reloaded: a.reloaded,
	}
	if m.rules != nil {
		cfg.Rules, cfg.Alertmanagers = m.rules, m.sender.Alertmanagers
	}
	return prom.Handler(cfg)
}

// readPrometheusFile reads a prometheus.yml; without a path it returns Prometheus' defaults.
func readPrometheusFile(path string, log *slog.Logger) (*promconfig.Config, error) {
	if path == "" {
		return promconfig.Load("", log)
	}
	cfg, err := promconfig.LoadFile(path, false, log)
	if err != nil {
		return nil, signal.WithHint(fmt.Errorf("read %s: %w", path, err),
			"the file is a normal prometheus.yml; targets can be named by static_configs, file_sd_configs, dns_sd_configs and http_sd_configs")
	}
	withoutOwnJob(cfg, log)
	return cfg, nil
}
