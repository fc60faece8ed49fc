// Package promql is Prometheus' query engine with MindScope's limits: no question may take the memory or the time of
// all others. What goes over a limit is an error in words, which Grafana shows.
package promql

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// Config is how queries run. The zero value of a field means its default.
type Config struct {
	// MaxSamples bounds the samples a query may hold in memory, 10 million by default (about 160 MB).
	MaxSamples int
	// Timeout ends a query, two minutes by default.
	Timeout time.Duration
	// Interval returns the evaluation interval of subqueries that name none; nil means a minute.
	Interval func() time.Duration
	// Logger is told of failing queries; nil is silent.
	Logger *slog.Logger
	// Registerer takes the engine's own metrics; nil keeps them nowhere.
	Registerer prometheus.Registerer
}

// Lookback is how long a series without a new sample still has a value: Prometheus' own.
const Lookback = 5 * time.Minute

// NewEngine returns an engine that answers as a stock Prometheus does.
func NewEngine(cfg Config) *promql.Engine {
	if cfg.MaxSamples <= 0 {
		cfg.MaxSamples = 10_000_000
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 2 * time.Minute
	}
	if cfg.Interval == nil {
		cfg.Interval = func() time.Duration { return time.Minute }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return promql.NewEngine(promql.EngineOpts{
		Logger:                   cfg.Logger,
		Reg:                      cfg.Registerer,
		MaxSamples:               cfg.MaxSamples,
		Timeout:                  cfg.Timeout,
		LookbackDelta:            Lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return cfg.Interval().Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		Parser:                   NewParser(),
	})
}

// NewParser returns the parser of the engine's language: what stock Prometheus has on.
func NewParser() parser.Parser { return parser.NewParser(parser.Options{}) }
