// Package prom serves Prometheus' HTTP API, version 1, from Prometheus' own handlers, so that what asks a Prometheus
// (Grafana, promtool, remote writers) can ask MindScope. What Prometheus can't know of pushed series, their
// descriptions, is answered here.
//
// Source: https://prometheus.io/docs/prometheus/latest/querying/api/
package prom

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	grafanaregexp "github.com/grafana/regexp"
	"github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/features"
	"github.com/prometheus/prometheus/util/notifications"
	v1 "github.com/prometheus/prometheus/web/api/v1"
)

// Prefix is where the API lives.
const Prefix = "/api/v1"

// Admin is what the status and administration routes need of a database.
type Admin interface {
	CleanTombstones() error
	Delete(ctx context.Context, mint, maxt int64, ms ...*labels.Matcher) error
	Snapshot(dir string, withHead bool) error
	Stats(label string, limit int) (*tsdb.Stats, error)
	WALReplayStatus() (tsdb.WALReplayStatus, error)
	BlockMetas() ([]tsdb.BlockMeta, error)
}

// Family describes a metric.
type Family struct {
	Type string `json:"type"`
	Help string `json:"help"`
	Unit string `json:"unit"`
}

// Config is what the API answers from. Nil parts answer with nothing, as a Prometheus that has none configured.
type Config struct {
	Engine    promql.QueryEngine
	Parser    parser.Parser
	Queryable storage.SampleAndChunkQueryable
	Exemplars storage.ExemplarQueryable
	// Write takes what is pushed to /write in version 2, WriteV1 in version 1; Points what is pushed to /otlp/v1/metrics.
	Write   storage.AppendableV2
	WriteV1 storage.AppendableV2
	Points  Points
	Admin   Admin
	// Families returns the descriptions of the stored metrics by name.
	Families func() map[string]Family
	// Scrapes is nil where nothing is scraped.
	Scrapes Scrapes
	// Rules is nil where no rules are evaluated.
	Rules Rules
	// Alertmanagers returns where alerts go.
	Alertmanagers func() []*url.URL
	// PromConfig returns the prometheus.yml that is in force.
	PromConfig func() config.Config
	// Lookback is the engine's.
	Lookback time.Duration
	// QueryTimeout is the engine's.
	QueryTimeout time.Duration
	// Retention is shown in the status.
	Retention string
	Version   string
	Gatherer  prometheus.Gatherer
	// Registerer takes the API's own metrics.
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	// Started is the server's start.
	Started time.Time
	// Reloaded tells when the configuration was read last, and whether it could be.
	Reloaded func() (at time.Time, ok bool)
}

// Scrapes are the targets, as Prometheus' scrape manager gives them.
type Scrapes interface {
	TargetsActive() map[string][]*scrape.Target
	TargetsDropped() map[string][]*scrape.Target
	TargetsDroppedCounts() map[string]int
	ScrapePools() []string
	ScrapePoolConfig(pool string) (*config.ScrapeConfig, error)
}

// Rules are the rule groups, as Prometheus' rule manager gives them.
type Rules interface {
	RuleGroups() []*rules.Group
	AlertingRules() []*rules.AlertingRule
}

const (
	readSampleLimit  = 5e7
	readConcurrency  = 10
	readBytesInFrame = 1 << 20
)

// Handler serves the routes below Prefix.
func Handler(cfg Config) http.Handler {
	cfg = withNothing(cfg)
	api := v1.NewAPI(
		cfg.Engine, cfg.Queryable, cfg.Write, cfg.Exemplars,
		func(context.Context) v1.ScrapePoolsRetriever { return cfg.Scrapes },
		func(context.Context) v1.TargetRetriever { return cfg.Scrapes },
		func(context.Context) v1.AlertmanagerRetriever { return alertmanagers(cfg.Alertmanagers) },
		cfg.PromConfig, map[string]string{}, v1.GlobalURLOptions{},
		func(f http.HandlerFunc) http.HandlerFunc { return f },
		cfg.Admin, "", false, false, 0,
		cfg.Logger,
		func(context.Context) v1.RulesRetriever { return cfg.Rules },
		readSampleLimit, readConcurrency, readBytesInFrame, false,
		grafanaregexp.MustCompile(`^$`), // no origin but our own
		cfg.runtimeInfo,
		&v1.PrometheusVersion{Version: promVersion(), Revision: "mindscope " + cfg.Version, GoVersion: runtime.Version()},
		func() []notifications.Notification { return nil },
		func() (<-chan notifications.Notification, func(), bool) { return nil, nil, false },
		cfg.Gatherer, cfg.Registerer, nil,
		cfg.Write != nil, remote.MessageTypes{remote.WriteV2MessageType},
		false, false, false, // OTLP comes to our own route
		cfg.Lookback, false, false, nil, features.NewRegistry(), v1.OpenAPIOptions{Version: cfg.Version},
		cfg.Parser, false, cfg.QueryTimeout,
	)
	router := route.New()
	api.Register(router)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Prefix+"/metadata", cfg.metadata)
	mux.HandleFunc("POST "+Prefix+"/otlp/v1/metrics", cfg.otlp)
	if cfg.WriteV1 != nil {
		mux.Handle("POST "+Prefix+"/write", cfg.write(http.StripPrefix(Prefix, router)))
	}
	mux.Handle(Prefix+"/", http.StripPrefix(Prefix, router))
	return mux
}

// withNothing fills the parts that are not there.
func withNothing(cfg Config) Config {
	if cfg.Scrapes == nil {
		cfg.Scrapes = noScrapes{}
	}
	if cfg.Rules == nil {
		cfg.Rules = noRules{}
	}
	if cfg.Alertmanagers == nil {
		cfg.Alertmanagers = func() []*url.URL { return nil }
	}
	if cfg.Reloaded == nil {
		cfg.Reloaded = func() (time.Time, bool) { return cfg.Started, true }
	}
	if cfg.PromConfig == nil {
		cfg.PromConfig = func() config.Config { return config.DefaultConfig }
	}
	if cfg.Families == nil {
		cfg.Families = func() map[string]Family { return nil }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg
}

type noScrapes struct{}

func (noScrapes) TargetsActive() map[string][]*scrape.Target  { return nil }
func (noScrapes) TargetsDropped() map[string][]*scrape.Target { return nil }
func (noScrapes) TargetsDroppedCounts() map[string]int        { return nil }
func (noScrapes) ScrapePools() []string                       { return nil }
func (noScrapes) ScrapePoolConfig(string) (*config.ScrapeConfig, error) {
	return nil, errNoScrapes
}

type noRules struct{}

func (noRules) RuleGroups() []*rules.Group           { return nil }
func (noRules) AlertingRules() []*rules.AlertingRule { return nil }

// alertmanagers is a list of addresses as the API asks for it.
type alertmanagers func() []*url.URL

func (a alertmanagers) Alertmanagers() []*url.URL      { return a() }
func (alertmanagers) DroppedAlertmanagers() []*url.URL { return nil }

func (cfg Config) runtimeInfo() (v1.RuntimeInfo, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	at, ok := cfg.Reloaded()
	return v1.RuntimeInfo{
		StartTime: cfg.Started, ServerTime: time.Now(), Hostname: host,
		ReloadConfigSuccess: ok, LastConfigTime: at,
		GoroutineCount: runtime.NumGoroutine(), GOMAXPROCS: runtime.GOMAXPROCS(0),
		GOMEMLIMIT: debug.SetMemoryLimit(-1), GOGC: os.Getenv("GOGC"), GODEBUG: os.Getenv("GODEBUG"),
		StorageRetention: cfg.Retention,
	}, nil
}

// promVersion is the version of the Prometheus library; clients choose by it what they may ask.
func promVersion() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "3.16.0"
	}
	for _, dep := range build.Deps {
		if dep.Path == "github.com/prometheus/prometheus" {
			return release(dep.Version)
		}
	}
	return "3.16.0"
}

// release turns the module's version v0.316.0 into the release 3.16.0.
func release(module string) string {
	m := regexp.MustCompile(`^v0\.(\d)(\d\d)\.(\d+)`).FindStringSubmatch(module)
	if m == nil {
		return "3.16.0"
	}
	minor, _ := strconv.Atoi(m[2])
	return m[1] + "." + strconv.Itoa(minor) + "." + m[3]
}

// limitOf reads a limit; what is absent means no limit.
func limitOf(q url.Values, key string) (int, bool) {
	s := q.Get(key)
	if s == "" {
		return math.MaxInt, true
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, false
	}
	if n <= 0 {
		return math.MaxInt, true
	}
	return n, true
}
