package app

import (
	"log/slog"
	"slices"

	promconfig "github.com/prometheus/prometheus/config"
)

// ownJob is the job under which the server reads its own metrics.
const ownJob = "mindscope"

// withoutOwnJob leaves the job of that name out of a prometheus.yml: one that a Prometheus beside the server uses as well
// would have the server read itself twice, and count twice what it derives.
func withoutOwnJob(cfg *promconfig.Config, log *slog.Logger) {
	cfg.ScrapeConfigs = slices.DeleteFunc(cfg.ScrapeConfigs, func(s *promconfig.ScrapeConfig) bool {
		if s.JobName != ownJob {
			return false
		}
		log.Info("the job mindscope of prometheus.yml is left out: the server reads its own metrics under that name")
		return true
	})
}
