// Package config turns one YAML file, the environment and the command line into a checked, typed Config. It knows no
// other package of ours: the command line reads it and app builds from it.
//
// Later sources win: defaults, file, environment, flags. Every setting has one name (otlp.grpc): nested in the file, in
// capitals with underscores in the environment (MINDSCOPE_OTLP_GRPC), with dashes as a flag (--otlp.grpc).
package config

import (
	"log/slog"
	"path/filepath"
	"time"
)

// Config is what the server can be told. Default gives the values that hold without a word.
type Config struct {
	// Listen is the address of the HTTP port: API, metrics, health and the page.
	Listen string
	OTLP   OTLP
	// Data is the folder of the store. It is made when it isn't there.
	Data string
	// Memory keeps everything in memory; Data is not used then.
	Memory bool
	// Retention is how long spans and logs are kept, PayloadRetention the same for prompts and other contents.
	Retention, PayloadRetention time.Duration
	// Prices is a YAML file with prices of one's own, which go before the built-in table; "" is none.
	Prices       string
	Redact       Redact
	Capture      Capture
	Log          Log
	Metrics      Metrics
	Rules        Rules
	Store        Store
	Alertmanager Alertmanager
	Budgets      []Budget
	MindBus      MindBus
	Ledger       Ledger
	// ExternalURL is where people reach this server; it is in notifications. "" is the address it listens on.
	ExternalURL string
}

// OTLP is where telemetry is taken.
type OTLP struct {
	GRPC, HTTP string
	// MaxMessageMiB bounds one message, as sent and decompressed.
	MaxMessageMiB int
}

// Log is how the server logs.
type Log struct {
	Level slog.Level
	// Format is text or json.
	Format string
}

const day = 24 * time.Hour

// Default returns the Config of a server that is told nothing. getenv gives the variables that name the user's data
// directory.
func Default(getenv func(string) string) Config {
	return Config{
		Listen:           "127.0.0.1:9090",
		OTLP:             OTLP{GRPC: "127.0.0.1:4317", HTTP: "127.0.0.1:4318", MaxMessageMiB: 64},
		Data:             dataDir(getenv),
		Retention:        30 * day,
		PayloadRetention: 7 * day,
		Redact:           Redact{Mode: "mask", Credentials: true},
		Capture:          Capture{Default: "all"},
		Log:              Log{Level: slog.LevelInfo, Format: "text"},
		Metrics:          Metrics{Enabled: true, Retention: 30 * day, OwnInterval: 15 * time.Second},
		Rules:            defaultRules(),
		Store:            defaultStore(),
		Alertmanager:     Alertmanager{Enabled: true, PeerTimeout: 15 * time.Second},
		MindBus:          defaultMindBus(),
		Ledger:           Ledger{Settle: time.Minute},
	}
}

// dataDir is the folder that the XDG base directory specification names, "" when there is neither a data directory nor
// a home.
func dataDir(getenv func(string) string) string {
	if dir := getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) { // the specification has relative ones ignored
		return filepath.Join(dir, "mindscope")
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "share", "mindscope")
	}
	return ""
}
