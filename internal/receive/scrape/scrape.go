// Package scrape collects metrics from targets, with Prometheus' own scrape and discovery managers and the
// scrape_configs of a prometheus.yml. Targets are found by static lists, files, DNS and HTTP; the ways that are bound to
// one cloud are not built in.
package scrape

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	_ "github.com/prometheus/prometheus/discovery/dns"  // dns_sd_configs
	_ "github.com/prometheus/prometheus/discovery/file" // file_sd_configs
	_ "github.com/prometheus/prometheus/discovery/http" // http_sd_configs
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"

	"github.com/mindscope/mindscope/internal/target"
)

// Manager scrapes targets until Stop. Its embedded manager answers which targets there are.
type Manager struct {
	*scrape.Manager

	targets *target.Finder
	running sync.WaitGroup
	failed  func(error)
}

// Config is what a Manager works with.
type Config struct {
	// To takes the samples.
	To storage.AppendableV2
	// Logger is told of targets that can't be scraped; nil is silent.
	Logger *slog.Logger
	// Registerer takes the managers' own metrics.
	Registerer prometheus.Registerer
	// StartTimes passes on when counters began.
	StartTimes bool
	// Failed is called when a manager ends by itself.
	Failed func(error)
}

// Start returns a Manager that scrapes nothing yet; Apply gives it targets.
func Start(cfg Config) (*Manager, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Registerer == nil {
		cfg.Registerer = prometheus.NewRegistry()
	}
	if cfg.Failed == nil {
		cfg.Failed = func(error) {}
	}
	targets, err := target.New(target.Config{
		Name: "scrape", Logger: cfg.Logger.With("component", "discovery"), Registerer: cfg.Registerer, Failed: cfg.Failed,
	})
	if err != nil {
		return nil, err
	}
	m := &Manager{targets: targets, failed: cfg.Failed}
	// Descriptions must come with every sample: the store keeps them for /api/v1/metadata.
	m.Manager, err = scrape.NewManager(&scrape.Options{AppendMetadata: true, ParseST: cfg.StartTimes}, cfg.Logger.With("component", "scrape"), nil, nil, cfg.To, cfg.Registerer)
	if err != nil {
		targets.Stop()
		return nil, fmt.Errorf("make scrapes: %w", err)
	}
	m.running.Go(func() {
		if err := m.Run(targets.Found()); err != nil {
			m.failed(fmt.Errorf("run scrapes: %w", err))
		}
	})
	return m, nil
}

// Check tells what is wrong with cfg's scrape_configs and the files of its scrape_config_files.
func Check(cfg *config.Config) error {
	if _, err := cfg.GetScrapeConfigs(); err != nil {
		return fmt.Errorf("read scrape_configs: %w", err)
	}
	return nil
}

// Apply makes cfg's scrape_configs the ones in force. After an error those before stay.
func (m *Manager) Apply(cfg *config.Config) error {
	scrapes, err := cfg.GetScrapeConfigs()
	if err != nil {
		return fmt.Errorf("read scrape_configs: %w", err)
	}
	whole := *cfg
	whole.ScrapeConfigs, whole.ScrapeConfigFiles = scrapes, nil
	discoveries := make(map[string]discovery.Configs, len(scrapes))
	for _, s := range scrapes {
		labelTarget(s)
		discoveries[s.JobName] = s.ServiceDiscoveryConfigs
	}
	if err := m.ApplyConfig(&whole); err != nil {
		return fmt.Errorf("apply scrape_configs: %w", err)
	}
	if err := m.targets.Apply(discoveries); err != nil {
		return fmt.Errorf("apply service discovery: %w", err)
	}
	return nil
}

// labelTarget gives the targets that have no label project or team the default one: every series carries both.
func labelTarget(s *config.ScrapeConfig) {
	for _, name := range []string{"project", "team"} {
		for _, r := range s.RelabelConfigs {
			if r.TargetLabel == name && r.Action == relabel.Replace && r.Replacement == "default" && r.Regex.String() == relabel.MustNewRegexp("").String() {
				return // a reload of the same structure
			}
		}
		s.RelabelConfigs = append(s.RelabelConfigs, &relabel.Config{
			SourceLabels: model.LabelNames{model.LabelName(name)}, Separator: ";", Regex: relabel.MustNewRegexp(""),
			TargetLabel: name, Replacement: "default", Action: relabel.Replace, NameValidationScheme: model.UTF8Validation,
		})
	}
}

// Stop ends all scrapes and waits for them.
func (m *Manager) Stop() {
	m.targets.Stop()
	m.Manager.Stop()
	m.running.Wait()
}
