package config

import "slices"

// Setting describes one key, for the page about the command line.
type Setting struct {
	Key, Doc string
	// Default is the value without a word, as a person would write it; "" is none.
	Default string
	// Env and Flag are the variable and the flag, "" where there is none.
	Env, Flag string
}

// Describe returns all settings in their order.
func Describe() []Setting {
	cfg := Default(func(string) string { return "" })
	var all []Setting
	for _, k := range settings() {
		s := Setting{Key: k.key, Doc: docs()[k.key]}
		if k.setNamed == nil {
			s.Env, s.Default = EnvName(k.key), k.text(&cfg)
		}
		if slices.Contains(flags(), k.key) {
			s.Flag = FlagName(k.key)
		}
		all = append(all, s)
	}
	return all
}

// flags are the keys that `mindscope serve` takes as flags.
func flags() []string {
	return []string{
		"listen", "otlp.grpc", "otlp.http", "otlp.max_message_mib", "data", "memory", "retention", "payload_retention",
		"store.max_disk_mib", "store.min_free_mib", "store.nodes", "store.payload_nodes", "store.node_account",
		"store.node_user", "store.node_password_file",
		"wal.sync",
		"metrics.enabled", "metrics.retention", "metrics.max_mib", "metrics.prometheus_file", "metrics.query_url", "rules.enabled",
		"alertmanager.enabled", "alertmanager.file", "alertmanager.cluster_listen", "alertmanager.cluster_tls", "alertmanager.peers", "web.external_url", "prices", "capture", "redact.groups",
		"log.level", "log.format", "mindbus.url",
	}
}

func docs() map[string]string {
	return map[string]string{
		"listen":                      "address of the HTTP port: API, metrics, health and the page",
		"otlp.grpc":                   "address that takes OTLP over gRPC",
		"otlp.http":                   "address that takes OTLP over HTTP",
		"otlp.max_message_mib":        "largest OTLP message in MiB, as sent and decompressed: 1 to 1024",
		"mindbus.url":                 "the team's message bus to read along on, amqp://user:password@host:5672/ ([mindbus.md](mindbus.md)); empty is none",
		"mindbus.exchange":            "topic exchange of the team's messages",
		"mindbus.queue":               "name of the queue that is read, which then outlives a restart of the server for a minute's messages; empty is one of the connection's own",
		"mindbus.answer_within":       "after which time a command counts as not answered",
		"data":                        "folder of the store; without a word `mindscope` in `$XDG_DATA_HOME`, else in `~/.local/share`",
		"memory":                      "keep everything in memory, nothing on disk",
		"retention":                   "how long spans and logs are kept: 1d to 200y",
		"payload_retention":           "how long prompts and other contents are kept, at most `retention`",
		"store.max_disk_mib":          "disk that spans, logs and contents may take in MiB: the oldest days go first; 0 is no bound",
		"store.min_free_mib":          "free disk in MiB below which nothing more is taken",
		"store.nodes":                 "storage nodes, host:port each, `https://` in front of those with TLS, that hold the rows in place of the folder ([storage-nodes.md](storage-nodes.md))",
		"store.payload_nodes":         "storage nodes that hold the contents; empty is those of `store.nodes`",
		"store.node_account":          "number that tells servers apart which share storage nodes",
		"store.node_user":             "user that the storage nodes know this server by (HTTP basic authentication); without one the password is sent as a bearer token",
		"store.node_password":         "password or token for the storage nodes: a variable or the file, no flag, since flags are seen by everybody on the machine",
		"store.node_password_file":    "file with the password or token for the storage nodes, read again when it changes",
		"wal.sync":                    "when telemetry is acknowledged: `always` when it is on disk; `interval` when the operating system has it, which writes it once a second: up to a second is lost when the machine stops, nothing when only the server does",
		"prices":                      "YAML file with prices of your own, which go before the built-in ones",
		"redact.mode":                 "what becomes of a secret: mask, drop or hmac",
		"redact.key":                  "key of hmac, at least 16 bytes",
		"redact.credentials":          "remove credentials of well-known formats before storage",
		"redact.groups":               "personal data to remove before storage: email, card, phone, passport, snils, inn",
		"redact.attributes":           "attributes whose whole value is removed, a list of keys",
		"redact.patterns":             "rules of your own: name and RE2 expression; file only",
		"capture":                     "what content (prompts, answers, arguments of tools) is kept: all, metadata or failed-only",
		"capture.default":             "the same, beside policies of teams and agents",
		"capture.teams":               "policy by team; file only",
		"capture.agents":              "policy by team/agent, `*/critic` is that agent in any team; file only",
		"log.level":                   "debug, info, warn or error",
		"log.format":                  "text or json",
		"metrics.enabled":             "keep metrics in the embedded Prometheus; `metrics: off` in the file is short for `false` (so with `rules` and `alertmanager`)",
		"metrics.retention":           "how long metrics are kept: 1d to 200y",
		"metrics.max_mib":             "disk that metrics may take in MiB; 0 is no bound",
		"metrics.own_interval":        "how often the server's own and derived metrics are read",
		"metrics.prometheus_file":     "a prometheus.yml: its `scrape_configs`, `rule_files`, `remote_write` and `alerting` hold ([prometheus.md](prometheus.md))",
		"ledger.settle":               "how long nothing of an ended task has come when it is accounted for ([ledger.md](ledger.md)); spans that come later are late",
		"metrics.query_url":           "a Prometheus to read from in place of the embedded one, which is not started then ([prometheus.md](prometheus.md))",
		"rules.enabled":               "evaluate the shipped rules and those of prometheus.yml",
		"rules.task_failure_ratio":    "share of failed tasks that alerts",
		"rules.llm_error_ratio":       "share of failed calls of models that alerts",
		"rules.min_tasks":             "tasks below which their share says nothing",
		"rules.min_calls":             "calls below which their share says nothing",
		"rules.every":                 "how often rules are evaluated",
		"rules.window":                "time over which shares and rates are taken",
		"rules.for":                   "how long a condition must hold before it alerts",
		"rules.task_stuck":            "how long a task may run before it is called stuck",
		"rules.in_progress":           "tasks in progress that alert",
		"rules.latency_factor":        "slowdown against the day before that alerts",
		"rules.cost_per_hour":         "US dollars an hour that alert",
		"rules.cost_per_day":          "US dollars a day that alert",
		"rules.quality_drop":          "fall of the average quality score that alerts",
		"rules.message_wait":          "time of messages in a queue that alerts",
		"rules.agent_silent":          "time without a call of an agent that alerts",
		"rules.agent_calls_per_task":  "calls of one agent in a task that alert: a loop",
		"alertmanager.enabled":        "deliver alerts by the Alertmanager inside",
		"alertmanager.file":           "an alertmanager.yml",
		"budgets":                     "what may be spent, by name: `team`, `agent`, `model`, `type` (absent: all together), `per`, `period`, `usd` or `tokens` ([budgets.md](budgets.md)); file only",
		"alertmanager.cluster_listen": "address, TCP and UDP, at which the Alertmanagers of other servers are heard, so that all of them page once ([prometheus.md](prometheus.md)); empty is alone",
		"alertmanager.cluster_tls":    "file that encrypts what they tell each other, as Alertmanager's `--cluster.tls-config` takes it ([prometheus.md](prometheus.md)); empty is not encrypted",
		"alertmanager.peers":          "addresses of those, host:port each; one that runs is enough",
		"alertmanager.peer_timeout":   "how long each Alertmanager waits for the one before it",
		"web.external_url":            "where people reach this server; it is in notifications",
	}
}
