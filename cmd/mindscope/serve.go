package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/app"
)

// serveCmd runs the server.
type serveCmd struct {
	Listen           string   `help:"Address of the HTTP port: API, metrics, health, page." env:"MINDSCOPE_LISTEN" default:"127.0.0.1:9090" placeholder:"HOST:PORT"`
	OTLPGRPC         string   `name:"otlp.grpc" help:"Address that takes OTLP over gRPC." env:"MINDSCOPE_OTLP_GRPC" default:"127.0.0.1:4317" placeholder:"HOST:PORT"`
	OTLPHTTP         string   `name:"otlp.http" help:"Address that takes OTLP over HTTP." env:"MINDSCOPE_OTLP_HTTP" default:"127.0.0.1:4318" placeholder:"HOST:PORT"`
	Data             string   `help:"Folder of the store; default: mindscope in the user's data directory." env:"MINDSCOPE_DATA" placeholder:"DIR"`
	Memory           bool     `help:"Keep everything in memory, nothing on disk."`
	Retention        duration `help:"How long spans and logs are kept, e.g. 30d." env:"MINDSCOPE_RETENTION" default:"30d"`
	PayloadRetention duration `help:"How long prompts and other large contents are kept, e.g. 7d." env:"MINDSCOPE_PAYLOAD_RETENTION" default:"7d"`
	LogLevel         string   `name:"log.level" help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info"`
	LogFormat        string   `name:"log.format" help:"text or json." enum:"text,json" default:"text"`
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, std stdio) error {
	data := c.Data
	if data == "" && !c.Memory {
		var err error
		if data, err = defaultData(); err != nil {
			return err
		}
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return usageError{err}
	}
	options := &slog.HandlerOptions{Level: level}
	handler := slog.Handler(slog.NewTextHandler(std.Err, options))
	if c.LogFormat == "json" {
		handler = slog.NewJSONHandler(std.Err, options)
	}
	return app.New(app.Config{
		Listen: c.Listen, OTLPGRPC: c.OTLPGRPC, OTLPHTTP: c.OTLPHTTP, Data: data, Memory: c.Memory,
		Retention: time.Duration(c.Retention), PayloadRetention: time.Duration(c.PayloadRetention),
		Version: version, Log: slog.New(handler), Out: std.Out,
	}).Run(ctx)
}

// defaultData returns the folder for data that the XDG base directory specification names.
func defaultData() (string, error) {
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "mindscope"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the user's data directory (name a folder with --data): %w", err)
	}
	return filepath.Join(home, ".local", "share", "mindscope"), nil
}

// duration is a time.Duration that also takes whole days and years: 30d, 2y.
type duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	const day = 24 * time.Hour
	s := string(text)
	for suffix, unit := range map[string]time.Duration{"d": day, "y": 365 * day} {
		digits, ok := strings.CutSuffix(s, suffix)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(digits)
		if err != nil || n <= 0 || n > 200*365 {
			return fmt.Errorf("%q is no duration: use 30d, 2y or 12h", s)
		}
		*d = duration(time.Duration(n) * unit)
		return nil
	}
	parsed, err := time.ParseDuration(s)
	if err != nil || parsed <= 0 {
		return fmt.Errorf("%q is no duration: use 30d, 2y or 12h", s)
	}
	*d = duration(parsed)
	return nil
}
