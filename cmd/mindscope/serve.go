package main

import (
	"context"
	"errors"
	"os"
	"strconv"

	"github.com/mindscope/mindscope/internal/app"
	"github.com/mindscope/mindscope/internal/config"
)

// serveCmd runs the server. A flag that isn't given leaves its setting to the variable, the file and the default.
type serveCmd struct {
	Config           string  `help:"YAML file with settings; the variable MINDSCOPE_CONFIG does the same." placeholder:"FILE"`
	Listen           *string `help:"Address of the HTTP port: API, metrics, health, page; 127.0.0.1:9090." placeholder:"HOST:PORT"`
	OTLPGRPC         *string `name:"otlp.grpc" help:"Address that takes OTLP over gRPC; 127.0.0.1:4317." placeholder:"HOST:PORT"`
	OTLPHTTP         *string `name:"otlp.http" help:"Address that takes OTLP over HTTP; 127.0.0.1:4318." placeholder:"HOST:PORT"`
	MaxMessageMiB    *string `name:"otlp.max-message-mib" help:"Largest OTLP message in MiB, as sent and decompressed; 64." placeholder:"N"`
	Data             *string `help:"Folder of the store; mindscope in the user's data directory." placeholder:"DIR"`
	Memory           *bool   `help:"Keep everything in memory, nothing on disk."`
	Retention        *string `help:"How long spans and logs are kept; 30d." placeholder:"30d"`
	PayloadRetention *string `help:"How long prompts and other contents are kept; 7d." placeholder:"7d"`
	Metrics          *bool   `name:"metrics.enabled" negatable:"" help:"Keep metrics in the embedded Prometheus; on."`
	StoreMaxDiskMiB  *string `name:"store.max-disk-mib" help:"Disk budget of the data folder in MiB: old prompts go first, then old spans and logs; none." placeholder:"N"`
	StoreMinFreeMiB  *string `name:"store.min-free-mib" help:"Free space of the disk in MiB below which nothing more is taken; 100." placeholder:"N"`
	StoreNodes       *string `name:"store.nodes" help:"Storage nodes that hold the rows in place of the data folder (docs/storage-nodes.md)." placeholder:"HOST:PORT,…"`
	PayloadNodes     *string `name:"store.payload-nodes" help:"Storage nodes that hold the payloads; those of --store.nodes." placeholder:"HOST:PORT,…"`
	NodeAccount      *string `name:"store.node-account" help:"Number that tells servers apart which share storage nodes; 0." placeholder:"N"`
	NodeUser         *string `name:"store.node-user" help:"User that the storage nodes know this server by; the password is in --store.node-password-file or MINDSCOPE_STORE_NODE_PASSWORD." placeholder:"NAME"`
	NodePasswordFile *string `name:"store.node-password-file" help:"File with the password for the storage nodes; without a user it is a bearer token." placeholder:"FILE"`
	WALSync          *string `name:"wal.sync" help:"When telemetry is acknowledged: always (on disk) or interval (forced to disk once a second); always." placeholder:"WHEN"`
	MetricsRetention *string `name:"metrics.retention" help:"How long metrics are kept; 30d." placeholder:"30d"`
	MetricsMaxMiB    *string `name:"metrics.max-mib" help:"Disk that metrics may take in MiB; 0, no bound." placeholder:"N"`
	PrometheusFile   *string `name:"metrics.prometheus-file" help:"A prometheus.yml whose targets are scraped." placeholder:"FILE"`
	MetricsQueryURL  *string `name:"metrics.query-url" help:"A Prometheus to read from in place of the embedded one (docs/prometheus.md)." placeholder:"URL"`
	Rules            *bool   `name:"rules.enabled" negatable:"" help:"Evaluate the shipped rules and those of prometheus.yml; on."`
	Alertmanager     *bool   `name:"alertmanager.enabled" negatable:"" help:"Deliver alerts by the Alertmanager inside; on."`
	AlertmanagerFile *string `name:"alertmanager.file" help:"An alertmanager.yml." placeholder:"FILE"`
	ClusterListen    *string `name:"alertmanager.cluster-listen" help:"Address at which the Alertmanagers of other servers are heard, so that all page once; none." placeholder:"HOST:PORT"`
	ClusterTLS       *string `name:"alertmanager.cluster-tls" help:"File that encrypts what they tell each other, as Alertmanager's --cluster.tls-config; not encrypted." placeholder:"FILE"`
	ClusterPeers     *string `name:"alertmanager.peers" help:"Addresses of those; one that runs is enough." placeholder:"HOST:PORT,…"`
	ExternalURL      *string `name:"web.external-url" help:"Where people reach this server; it is in notifications." placeholder:"URL"`
	Prices           *string `help:"YAML file with prices of your own, which go before the built-in ones; read again when it changes and on SIGHUP." placeholder:"FILE"`
	Capture          *string `help:"What content (prompts, answers, arguments of tools) is kept: all, metadata or failed-only; all." placeholder:"POLICY"`
	RedactGroups     *string `name:"redact.groups" help:"Personal data to remove before storage: email, card, phone, passport, snils, inn." placeholder:"LIST"`
	MindBusURL       *string `name:"mindbus.url" help:"The team's message bus to read along on (docs/mindbus.md)." placeholder:"amqp://…"`
	LogLevel         *string `name:"log.level" help:"debug, info, warn or error; info." placeholder:"LEVEL"`
	LogFormat        *string `name:"log.format" help:"text or json; text." placeholder:"FORMAT"`
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, std stdio) error {
	file := c.Config
	if file == "" {
		file = os.Getenv("MINDSCOPE_CONFIG")
	}
	sources := config.Sources{File: file, Getenv: os.Getenv, Flags: c.flags()}
	cfg, err := config.Load(sources)
	if err != nil {
		return settingsError{err}
	}
	server, err := app.New(cfg, app.Build{Version: version, Settings: sources, Log: std.Err, Out: std.Out})
	if err != nil {
		return settingsError{err}
	}
	return server.Run(ctx)
}

// flags returns the flags that were given, by the key of their setting.
func (c *serveCmd) flags() map[string]string {
	given := map[string]string{}
	for key, value := range map[string]*string{
		"listen": c.Listen, "otlp.grpc": c.OTLPGRPC, "otlp.http": c.OTLPHTTP, "otlp.max_message_mib": c.MaxMessageMiB,
		"data": c.Data, "retention": c.Retention, "payload_retention": c.PayloadRetention,
		"store.max_disk_mib": c.StoreMaxDiskMiB, "store.min_free_mib": c.StoreMinFreeMiB,
		"store.nodes": c.StoreNodes, "store.payload_nodes": c.PayloadNodes, "store.node_account": c.NodeAccount,
		"store.node_user": c.NodeUser, "store.node_password_file": c.NodePasswordFile,
		"wal.sync":          c.WALSync,
		"metrics.retention": c.MetricsRetention, "metrics.max_mib": c.MetricsMaxMiB, "metrics.prometheus_file": c.PrometheusFile,
		"metrics.query_url": c.MetricsQueryURL,
		"alertmanager.file": c.AlertmanagerFile, "alertmanager.cluster_listen": c.ClusterListen, "alertmanager.cluster_tls": c.ClusterTLS, "alertmanager.peers": c.ClusterPeers,
		"web.external_url": c.ExternalURL,
		"prices":           c.Prices, "capture": c.Capture, "redact.groups": c.RedactGroups,
		"mindbus.url": c.MindBusURL,
		"log.level":   c.LogLevel, "log.format": c.LogFormat,
	} {
		if value != nil {
			given[key] = *value
		}
	}
	for key, value := range map[string]*bool{
		"memory": c.Memory, "metrics.enabled": c.Metrics, "rules.enabled": c.Rules, "alertmanager.enabled": c.Alertmanager,
	} {
		if value != nil {
			given[key] = strconv.FormatBool(*value)
		}
	}
	return given
}

// settingsError is a setting that can't be used, or several.
type settingsError struct{ error }

func (e settingsError) Unwrap() error { return e.error }
func (settingsError) ExitCode() int   { return exitUsage }
func (settingsError) Hint() string {
	return "mindscope serve --help lists the flags; docs/cli.md says what settings there are"
}

// Error counts several problems; Lines has them one by one.
func (e settingsError) Error() string {
	if n := len(e.Lines()); n > 0 {
		return strconv.Itoa(n) + " settings can't be used:"
	}
	return e.error.Error()
}

// Lines returns the problems when there are several.
func (e settingsError) Lines() []string {
	all, ok := errors.AsType[config.Problems](e.error)
	if !ok || len(all) < 2 {
		return nil
	}
	var lines []string
	for _, p := range all {
		lines = append(lines, p.String())
	}
	return lines
}
