package config

import (
	"net/url"
	"strconv"
	"time"
)

// Metrics is how metrics are kept.
type Metrics struct {
	// Enabled is false where a Prometheus of one's own keeps them; what is sent is then counted and not stored.
	Enabled bool
	// Retention is how long samples are kept, MaxMiB how much disk their blocks may take (0: as much as there is).
	Retention time.Duration
	MaxMiB    int
	// OwnInterval is how often the server's own and derived metrics are read.
	OwnInterval time.Duration
	// PrometheusFile is the path of a prometheus.yml, "" for none.
	PrometheusFile string
	// QueryURL is a Prometheus to read from in place of one's own, "" for none.
	QueryURL string
}

func metricSettings() []setting {
	return []setting{
		{
			key:   "metrics.enabled",
			set:   func(c *Config, s string) error { return setBool(&c.Metrics.Enabled, s) },
			check: func(*Config) string { return "" },
			text:  func(c *Config) string { return strconv.FormatBool(c.Metrics.Enabled) },
		},
		{
			key:   "metrics.retention",
			set:   func(c *Config, s string) error { return setDuration(&c.Metrics.Retention, s) },
			check: func(c *Config) string { return rule(inRetention(c.Metrics.Retention), "1d to 200y") },
			text:  func(c *Config) string { return FormatDuration(c.Metrics.Retention) },
		},
		{
			key:   "metrics.max_mib",
			set:   func(c *Config, s string) error { return setInt(&c.Metrics.MaxMiB, s) },
			check: func(c *Config) string { return rule(c.Metrics.MaxMiB >= 0, "0 (no bound) or a number of MiB") },
			text:  func(c *Config) string { return strconv.Itoa(c.Metrics.MaxMiB) },
		},
		period("metrics.own_interval", func(c *Config) *time.Duration { return &c.Metrics.OwnInterval }),
		{
			key:   "metrics.prometheus_file",
			set:   func(c *Config, s string) error { c.Metrics.PrometheusFile = s; return nil },
			check: func(*Config) string { return "" },
			text:  func(c *Config) string { return c.Metrics.PrometheusFile },
		},
		{
			key: "metrics.query_url",
			set: func(c *Config, s string) error { c.Metrics.QueryURL = s; return nil },
			check: func(c *Config) string {
				return rule(c.Metrics.QueryURL == "" || isURL(c.Metrics.QueryURL), "an http or https URL, as http://prometheus:9090")
			},
			text: func(c *Config) string { return redacted(c.Metrics.QueryURL) },
		},
	}
}

// redacted is a URL without its password: a problem must not print it.
func redacted(s string) string {
	if u, err := url.Parse(s); err == nil {
		return u.Redacted()
	}
	return s
}
