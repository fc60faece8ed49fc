package rule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
)

// Notify delivers alerts that fire or ended.
type Notify func(ctx context.Context, alerts []*rules.Alert, expr string)

// Config is what rules are evaluated with.
type Config struct {
	// Query asks a Prometheus outside; nil asks Queryable by Engine. Only alerts are evaluated then: what a recording rule gives
	// has no place here.
	Query     rules.QueryFunc
	Engine    promql.QueryEngine
	Parser    parser.Parser
	Queryable storage.Queryable
	// To takes the results of recording rules and the ALERTS series.
	To storage.AppendableV2
	// Notify is told of alerts; nil tells nobody.
	Notify Notify
	// Shipped are the rule files of MindScope by name, as Shipped returns them.
	Shipped map[string][]byte
	// ExternalURL is where people reach this server.
	ExternalURL *url.URL
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
}

// The tolerance and waits of stock Prometheus.
const (
	outageTolerance = time.Hour
	forGracePeriod  = 10 * time.Minute
	resendDelay     = time.Minute
)

// Manager evaluates rules until Stop. The embedded manager answers which rules there are.
type Manager struct {
	*rules.Manager

	cfg     Config
	loader  loader
	running sync.WaitGroup
	cancel  context.CancelFunc
}

// Start returns a Manager that evaluates nothing yet; Apply gives it rules.
func Start(cfg Config) *Manager {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Registerer == nil {
		cfg.Registerer = prometheus.NewRegistry()
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &Manager{
		cfg: cfg, cancel: cancel,
		loader: loader{shipped: cfg.Shipped, replace: &replaced{}, parser: cfg.Parser, logger: cfg.Logger, alertsOnly: cfg.Query != nil},
	}
	query := cfg.Query
	if query == nil {
		query = rules.EngineQueryFunc(cfg.Engine, cfg.Queryable)
	}
	m.Manager = rules.NewManager(&rules.ManagerOptions{
		ExternalURL: cfg.ExternalURL,
		QueryFunc:   query,
		NotifyFunc: func(ctx context.Context, expr string, alerts ...*rules.Alert) {
			if cfg.Notify != nil && len(alerts) > 0 {
				cfg.Notify(ctx, alerts, expr)
			}
		},
		Context:         ctx,
		AppendableV2:    cfg.To,
		Queryable:       cfg.Queryable,
		Logger:          cfg.Logger,
		Registerer:      cfg.Registerer,
		OutageTolerance: outageTolerance,
		ForGracePeriod:  forGracePeriod,
		ResendDelay:     resendDelay,
		GroupLoader:     m.loader,
		Parser:          cfg.Parser,
		// Rules that come with a reload get back what they waited for, too.
		RestoreNewRuleGroups: true,
	})
	m.running.Go(m.Run)
	return m
}

// Check tells what is wrong with the rule_files of cfg, naming file and line.
func (m *Manager) Check(cfg *config.Config) error {
	files, err := ruleFiles(cfg)
	if err != nil {
		return err
	}
	var errs []error
	for _, file := range files {
		_, wrong := m.loader.Load(file, false, model.UTF8Validation)
		errs = append(errs, wrong...)
	}
	if len(errs) > 0 {
		return fmt.Errorf("read rules: %w", errors.Join(errs...))
	}
	return nil
}

// ruleFiles are the files that the patterns of rule_files find.
func ruleFiles(cfg *config.Config) ([]string, error) {
	var files []string
	for _, pattern := range cfg.RuleFiles {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("read rule_files: pattern %q: %w", pattern, err)
		}
		files = append(files, found...)
	}
	return files, nil
}

// Apply makes the shipped rules and the rule_files of cfg the ones in force; a group of a file goes before the shipped one of
// its name. A file that can't be used leaves those before in force; the error names the file and what is wrong.
func (m *Manager) Apply(cfg *config.Config) (err error) {
	files, err := ruleFiles(cfg)
	if err != nil {
		return err
	}
	before := m.loader.replace.set(m.loader.groupsIn(files))
	defer func() {
		if err != nil {
			m.loader.replace.set(before)
		}
	}()
	for name := range m.cfg.Shipped {
		files = append(files, shippedPrefix+name)
	}
	slices.Sort(files)
	files = slices.Compact(files)
	// The manager's own Update logs what is wrong and returns only that something is.
	if _, errs := m.LoadGroups(time.Duration(cfg.GlobalConfig.EvaluationInterval), cfg.GlobalConfig.ExternalLabels, m.externalURL(), nil, false, files...); len(errs) > 0 {
		return fmt.Errorf("read rules: %w", errors.Join(errs...))
	}
	if err := m.Update(time.Duration(cfg.GlobalConfig.EvaluationInterval), files, cfg.GlobalConfig.ExternalLabels, m.externalURL(), nil); err != nil {
		return fmt.Errorf("put rules in force: %w", err)
	}
	return nil
}

func (m *Manager) externalURL() string {
	if m.cfg.ExternalURL == nil {
		return ""
	}
	return m.cfg.ExternalURL.String()
}

// Stop ends all evaluations and waits for them.
func (m *Manager) Stop() {
	m.Manager.Stop()
	m.cancel()
	m.running.Wait()
}
