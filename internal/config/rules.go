package config

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Rules is how rules are evaluated.
type Rules struct {
	// Enabled is false where another Prometheus evaluates them.
	Enabled bool
	Thresholds
}

// Thresholds are the numbers in the shipped alerts; package rule says what each means.
type Thresholds struct {
	TaskFailureRatio, LLMErrorRatio float64
	MinTasks, MinCalls              int
	Every                           time.Duration
	Window                          time.Duration
	For                             time.Duration
	TaskStuck                       time.Duration
	InProgress                      int
	LatencyFactor                   float64
	CostPerHour, CostPerDay         float64
	QualityDrop                     float64
	MessageWait                     time.Duration
	AgentSilent                     time.Duration
	AgentCallsPerTask               float64
}

// Alertmanager is how alerts are delivered.
type Alertmanager struct {
	// Enabled is false where alerts go to an Alertmanager that prometheus.yml names, or nowhere.
	Enabled bool
	// File is the path of an alertmanager.yml, "" for none.
	File string
	// ClusterListen is where other servers' Alertmanagers are heard, "" for none; Peers are their addresses. ClusterTLS is
	// the path of a file that encrypts what they tell each other, "" for none. PeerTimeout is how long each waits for the one
	// before it.
	ClusterListen string
	ClusterTLS    string
	Peers         []string
	PeerTimeout   time.Duration
}

func defaultRules() Rules {
	return Rules{Enabled: true, Thresholds: Thresholds{
		TaskFailureRatio: 0.1, LLMErrorRatio: 0.1, MinTasks: 5, MinCalls: 20,
		Every: 30 * time.Second, Window: 15 * time.Minute, For: 5 * time.Minute,
		TaskStuck: 30 * time.Minute, InProgress: 100,
		LatencyFactor: 2, CostPerHour: 10, CostPerDay: 100, QualityDrop: 1,
		MessageWait: time.Minute, AgentSilent: time.Hour, AgentCallsPerTask: 10,
	}}
}

func ruleSettings() []setting {
	return []setting{
		flag("rules.enabled", func(c *Config) *bool { return &c.Rules.Enabled }),
		share("rules.task_failure_ratio", func(c *Config) *float64 { return &c.Rules.TaskFailureRatio }),
		share("rules.llm_error_ratio", func(c *Config) *float64 { return &c.Rules.LLMErrorRatio }),
		atLeastOne("rules.min_tasks", func(c *Config) *int { return &c.Rules.MinTasks }),
		atLeastOne("rules.min_calls", func(c *Config) *int { return &c.Rules.MinCalls }),
		period("rules.every", func(c *Config) *time.Duration { return &c.Rules.Every }),
		period("rules.window", func(c *Config) *time.Duration { return &c.Rules.Window }),
		period("rules.for", func(c *Config) *time.Duration { return &c.Rules.For }),
		period("rules.task_stuck", func(c *Config) *time.Duration { return &c.Rules.TaskStuck }),
		atLeastOne("rules.in_progress", func(c *Config) *int { return &c.Rules.InProgress }),
		positive("rules.latency_factor", func(c *Config) *float64 { return &c.Rules.LatencyFactor }),
		positive("rules.cost_per_hour", func(c *Config) *float64 { return &c.Rules.CostPerHour }),
		positive("rules.cost_per_day", func(c *Config) *float64 { return &c.Rules.CostPerDay }),
		positive("rules.quality_drop", func(c *Config) *float64 { return &c.Rules.QualityDrop }),
		period("rules.message_wait", func(c *Config) *time.Duration { return &c.Rules.MessageWait }),
		period("rules.agent_silent", func(c *Config) *time.Duration { return &c.Rules.AgentSilent }),
		positive("rules.agent_calls_per_task", func(c *Config) *float64 { return &c.Rules.AgentCallsPerTask }),
		flag("alertmanager.enabled", func(c *Config) *bool { return &c.Alertmanager.Enabled }),
		{
			key:   "alertmanager.file",
			set:   func(c *Config, s string) error { c.Alertmanager.File = s; return nil },
			check: func(*Config) string { return "" },
			text:  func(c *Config) string { return c.Alertmanager.File },
		},
		{
			key: "alertmanager.cluster_listen",
			set: func(c *Config, s string) error { c.Alertmanager.ClusterListen = s; return nil },
			check: func(c *Config) string {
				return rule(c.Alertmanager.ClusterListen == "" || isIPAddress(c.Alertmanager.ClusterListen), "an IP address with a port, as 10.0.0.1:9094; the gossip takes a name for all addresses")
			},
			text: func(c *Config) string { return c.Alertmanager.ClusterListen },
		},
		{
			key: "alertmanager.cluster_tls",
			set: func(c *Config, s string) error { c.Alertmanager.ClusterTLS = s; return nil },
			check: func(c *Config) string {
				return rule(c.Alertmanager.ClusterTLS == "" || c.Alertmanager.ClusterListen != "", "empty, or alertmanager.cluster_listen set")
			},
			text: func(c *Config) string { return c.Alertmanager.ClusterTLS },
		},
		{
			key: "alertmanager.peers", list: true,
			set: func(c *Config, s string) error { c.Alertmanager.Peers = splitList(s); return nil },
			check: func(c *Config) string {
				if len(c.Alertmanager.Peers) > 0 && c.Alertmanager.ClusterListen == "" {
					return "empty, or alertmanager.cluster_listen set"
				}
				for _, p := range c.Alertmanager.Peers {
					if !isAddress(p) {
						return "addresses host:port, as 10.0.0.2:9094"
					}
				}
				return ""
			},
			text: func(c *Config) string { return strings.Join(c.Alertmanager.Peers, ",") },
		},
		period("alertmanager.peer_timeout", func(c *Config) *time.Duration { return &c.Alertmanager.PeerTimeout }),
		{
			key: "web.external_url",
			set: func(c *Config, s string) error { c.ExternalURL = s; return nil },
			check: func(c *Config) string {
				return rule(c.ExternalURL == "" || isURL(c.ExternalURL), "an http or https URL")
			},
			text: func(c *Config) string { return c.ExternalURL },
		},
	}
}

// isIPAddress tells whether s is an address whose host is an IP address, or none for all of them.
func isIPAddress(s string) bool {
	host, _, err := net.SplitHostPort(s)
	return err == nil && isAddress(s) && (host == "" || net.ParseIP(host) != nil)
}

func isAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	return err == nil && port != ""
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func flag(key string, field func(*Config) *bool) setting {
	return setting{
		key:   key,
		set:   func(c *Config, s string) error { return setBool(field(c), s) },
		check: func(*Config) string { return "" },
		text:  func(c *Config) string { return strconv.FormatBool(*field(c)) },
	}
}

func number(key string, field func(*Config) *float64, ok func(float64) bool, want string) setting {
	return setting{
		key: key,
		set: func(c *Config, s string) error {
			f, err := strconv.ParseFloat(s, 64)
			if err != nil {
				return errors.New("a number")
			}
			*field(c) = f
			return nil
		},
		check: func(c *Config) string { return rule(ok(*field(c)), want) },
		text:  func(c *Config) string { return strconv.FormatFloat(*field(c), 'g', -1, 64) },
	}
}

func share(key string, field func(*Config) *float64) setting {
	return number(key, field, func(f float64) bool { return f > 0 && f <= 1 }, "a share above 0, at most 1")
}

func positive(key string, field func(*Config) *float64) setting {
	return number(key, field, func(f float64) bool { return f > 0 }, "a number above 0")
}

func atLeastOne(key string, field func(*Config) *int) setting {
	return setting{
		key:   key,
		set:   func(c *Config, s string) error { return setInt(field(c), s) },
		check: func(c *Config) string { return rule(*field(c) >= 1, "1 or more") },
		text:  func(c *Config) string { return strconv.Itoa(*field(c)) },
	}
}

func period(key string, field func(*Config) *time.Duration) setting {
	return setting{
		key:   key,
		set:   func(c *Config, s string) error { return setDuration(field(c), s) },
		check: func(c *Config) string { return rule(*field(c) >= time.Second && *field(c) <= 30*day, "1s to 30d") },
		text:  func(c *Config) string { return FormatDuration(*field(c)) },
	}
}
