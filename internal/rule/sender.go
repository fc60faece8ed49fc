package rule

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/notifier"
	"github.com/prometheus/prometheus/rules"

	"github.com/mindscope/mindscope/internal/target"
)

// SenderConfig is how alerts are sent to Alertmanagers outside.
type SenderConfig struct {
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// queued bounds the alerts that wait for an Alertmanager; Prometheus' own number. The oldest go first and are counted in
// prometheus_notifications_dropped_total.
const queued = 10_000

// Sender sends alerts to the Alertmanagers that a prometheus.yml names.
type Sender struct {
	manager *notifier.Manager
	targets *target.Finder
	running sync.WaitGroup
}

// StartSender returns a Sender that sends nowhere yet; Apply names the Alertmanagers.
func StartSender(cfg SenderConfig) (*Sender, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	// The discovery of scrapes registers the same names, so this one keeps its metrics to itself.
	targets, err := target.New(target.Config{Name: "notify", Logger: cfg.Logger, Registerer: prometheus.NewRegistry()})
	if err != nil {
		return nil, err
	}
	s := &Sender{
		manager: notifier.NewManager(&notifier.Options{QueueCapacity: queued, DrainOnShutdown: true, Registerer: cfg.Registerer}, model.UTF8Validation, cfg.Logger),
		targets: targets,
	}
	s.running.Go(func() { s.manager.Run(targets.Found()) })
	return s, nil
}

// Apply makes the alerting section of cfg the one in force.
func (s *Sender) Apply(cfg *config.Config) error {
	if err := s.manager.ApplyConfig(cfg); err != nil {
		return fmt.Errorf("apply alerting: %w", err)
	}
	found := map[string]discovery.Configs{}
	for name, c := range cfg.AlertingConfig.AlertmanagerConfigs.ToMap() {
		found[name] = c.ServiceDiscoveryConfigs
	}
	if err := s.targets.Apply(found); err != nil {
		return fmt.Errorf("apply discovery of alertmanagers: %w", err)
	}
	return nil
}

// Put queues alerts.
func (s *Sender) Put(_ context.Context, alerts []*rules.Alert, generatorURL string) error {
	out := make([]*notifier.Alert, 0, len(alerts))
	for _, r := range alerts {
		one := &notifier.Alert{StartsAt: r.FiredAt, EndsAt: r.ValidUntil, Labels: r.Labels, Annotations: r.Annotations, GeneratorURL: generatorURL}
		if !r.ResolvedAt.IsZero() {
			one.EndsAt = r.ResolvedAt
		}
		out = append(out, one)
	}
	s.manager.Send(out...)
	return nil
}

// Alertmanagers returns where alerts are sent.
func (s *Sender) Alertmanagers() []*url.URL { return s.manager.Alertmanagers() }

// Stop sends what is queued, as long as that takes no longer than Prometheus allows, and ends.
func (s *Sender) Stop() {
	s.manager.Stop()
	s.targets.Stop()
	s.running.Wait()
}
