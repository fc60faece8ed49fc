package config

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// write puts text into a file named config.yaml in a folder of its own, which becomes the working directory.
func write(t *testing.T, text string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("config.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "config.yaml"
}

func TestDefaultIsValid(t *testing.T) {
	c := Default(env("HOME", "/home/ada"))
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	loaded, err := Load(Sources{Getenv: env("HOME", "/home/ada")})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(c, loaded); d != "" {
		t.Error(d)
	}
}

func TestDataFolder(t *testing.T) {
	f := func(getenv func(string) string, want string) {
		t.Helper()
		if got := Default(getenv).Data; got != filepath.FromSlash(want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(env("HOME", "/home/ada"), "/home/ada/.local/share/mindscope")
	f(env("HOME", "/home/ada", "XDG_DATA_HOME", "/data"), "/data/mindscope")
	f(env("HOME", "/home/ada", "XDG_DATA_HOME", "relative"), "/home/ada/.local/share/mindscope")
	f(env(), "")
}

func TestLaterSourcesWin(t *testing.T) {
	file := write(t, `
# every setting
listen: 127.0.0.1:1
otlp:
  grpc: 127.0.0.1:2
  http: "127.0.0.1:3"
  max_message_mib: 16
data: from-file
memory: true
retention: 2y
payload_retention: 36h
log:
  level: warn
  format: json
metrics:
  enabled: false
  retention: 90d
  max_mib: 512
  prometheus_file: prometheus.yml
store:
  max_disk_mib: 2048
  nodes: [node1:9428, node2:9428]
rules:
  enabled: false
  task_failure_ratio: 0.5
  window: 1m
alertmanager:
  enabled: false
  file: alertmanager.yml
web:
  external_url: https://mindscope.example
`)
	got, err := Load(Sources{
		File:   file,
		Getenv: env("HOME", "/h", "MINDSCOPE_DATA", "from-env", "MINDSCOPE_OTLP_HTTP", "127.0.0.1:33", "MINDSCOPE_SERVICE_HOST", "10.0.0.1"),
		Flags:  map[string]string{"data": "from-flag", "memory": "false"},
	})
	if err != nil {
		t.Fatal(err)
	}
	thresholds := defaultRules()
	thresholds.Enabled, thresholds.TaskFailureRatio, thresholds.Window = false, 0.5, time.Minute
	want := Config{
		Listen: "127.0.0.1:1", OTLP: OTLP{GRPC: "127.0.0.1:2", HTTP: "127.0.0.1:33", MaxMessageMiB: 16},
		Data: "from-flag", Retention: 2 * 365 * day, PayloadRetention: 36 * time.Hour,
		Redact: Redact{Mode: "mask", Credentials: true}, Capture: Capture{Default: "all"},
		Log:     Log{Level: slog.LevelWarn, Format: "json"},
		Metrics: Metrics{Retention: 90 * day, MaxMiB: 512, OwnInterval: 15 * time.Second, PrometheusFile: "prometheus.yml"},
		Store:   Store{MaxDiskMiB: 2048, MinFreeMiB: 100, Sync: "always", Nodes: []string{"node1:9428", "node2:9428"}},
		Rules:   thresholds, Alertmanager: Alertmanager{File: "alertmanager.yml", PeerTimeout: 15 * time.Second}, MindBus: defaultMindBus(), Ledger: Ledger{Settle: time.Minute}, ExternalURL: "https://mindscope.example",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestProblemsComeAtOnce(t *testing.T) {
	f := func(text string, s Sources, want ...string) {
		t.Helper()
		s.File = write(t, text)
		_, err := Load(s)
		var got []string
		if err != nil {
			got = strings.Split(err.Error(), "\n")
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
	home := Sources{Getenv: env("HOME", "/h")}
	f("", home)
	f("# nothing yet\n", home)
	f("log:\n  # level: debug\n", home)
	f("listen: nowhere\notlp:\n  grpc: 127.0.0.1:99999\n  max_message_mib: many\nmemory: perhaps\nretention: 1h\nlog: {level: loud, format: xml}\n", home,
		`otlp.max_message_mib = "many": must be a whole number (config.yaml, line 4)`,
		`memory = "perhaps": must be true or false (config.yaml, line 5)`,
		`log.level = "loud": must be debug, info, warn or error (config.yaml, line 7)`,
		`listen = "nowhere": must be host:port, as 127.0.0.1:4317 (config.yaml, line 1)`,
		`otlp.grpc = "127.0.0.1:99999": must be a port of 0 to 65535 (config.yaml, line 3)`,
		`retention = "1h": must be 1d to 200y (config.yaml, line 6)`,
		`log.format = "xml": must be text or json (config.yaml, line 7)`,
	)
	f("colour: red\nOTLP:\n  grpc: x\n", home,
		`colour = "red": there is no such setting (config.yaml, line 1)`,
		`OTLP = "": there is no such setting (config.yaml, line 2)`)
	f("otlp:\n  grcp: x\ngrpc: y\n", home,
		`otlp.grcp = "x": there is no such setting (config.yaml, line 2)`,
		`grpc = "y": there is no such setting, perhaps otlp.grpc (config.yaml, line 3)`)
	f("data: a\ndata: b\nlisten: [1]\notlp: 5\n", home,
		`data = "b": is set twice (config.yaml, line 2)`,
		`listen = "": must be a single value (config.yaml, line 3)`,
		`otlp = "5": there is no such setting (config.yaml, line 4)`)
	f("otlp: {grpc: '127.0.0.1:9090'}\n", home,
		`otlp.grpc = "127.0.0.1:9090": must be another address than listen (config.yaml, line 1)`)
	f("", Sources{}, `data = "": must be a folder; without a home directory there is no default`)
	f("alertmanager: {cluster_listen: 'localhost:9094'}\n", home,
		`alertmanager.cluster_listen = "localhost:9094": must be an IP address with a port, as 10.0.0.1:9094; the gossip takes a name for all addresses (config.yaml, line 1)`)
	f("alertmanager: {cluster_listen: ':9094'}\n", home)
	f("memory: true", Sources{})
	f("", Sources{Getenv: env("HOME", "/h", "MINDSCOPE_RETENTION", "soon"), Flags: map[string]string{"payload_retention": "60d"}},
		`retention = "soon": must be a duration, as 30d, 2y or 12h (MINDSCOPE_RETENTION)`,
		`payload_retention = "60d": must be at most retention, 30d (--payload-retention)`)
	f("", Sources{Getenv: env("HOME", "/h"), Flags: map[string]string{"retention": "300y"}},
		`retention = "300y": must be a duration, as 30d, 2y or 12h (--retention)`)
}

func TestPayloadsAreKeptNoLonger(t *testing.T) {
	f := func(flags map[string]string, want time.Duration) {
		t.Helper()
		c, err := Load(Sources{Getenv: env("HOME", "/h"), Flags: flags})
		if err != nil || c.PayloadRetention != want {
			t.Errorf("%v: %v, %v, want %v", flags, c.PayloadRetention, err, want)
		}
	}
	f(nil, 7*day)
	f(map[string]string{"retention": "3d"}, 3*day)
	f(map[string]string{"retention": "90d"}, 7*day)
	f(map[string]string{"retention": "3d", "payload_retention": "2d"}, 2*day)
}

func TestUnreadableFiles(t *testing.T) {
	if _, err := Load(Sources{File: filepath.Join(t.TempDir(), "none.yaml")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	f := func(text, want string) {
		t.Helper()
		if _, err := Load(Sources{File: write(t, text)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	f("listen: [", "line 1")
	f("- a list", "the file must hold settings")
	f("\tlisten: x", "config.yaml")
}

func TestDurations(t *testing.T) {
	f := func(in string, want time.Duration, back string) {
		t.Helper()
		got, err := ParseDuration(in)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", in, got, err, want)
		}
		if text := FormatDuration(got); text != back {
			t.Errorf("%v: %q, want %q", got, text, back)
		}
	}
	f("30d", 30*day, "30d")
	f("2y", 730*day, "2y")
	f("48h", 2*day, "2d")
	f("90m", 90*time.Minute, "1h30m")
	f("12h", 12*time.Hour, "12h")
	f("10s", 10*time.Second, "10s")
	f("0s", 0, "0s")
	for _, bad := range []string{"", "d", "-3d", "3.5d", "99999999999y", "3000y", "week"} {
		if got, err := ParseDuration(bad); err == nil {
			t.Errorf("%q: %v, want an error", bad, got)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("listen: 127.0.0.1:1\notlp: {grpc: x}\n")
	f.Add("otlp: &a [*a]\n? {}: 1\n")
	f.Add("data: !!binary aGk=\n<<: {memory: true}\n")
	path := filepath.Join(f.TempDir(), "config.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(Sources{File: path, Getenv: env("HOME", "/h")})
		if err != nil {
			return
		}
		if err := c.Validate(); err != nil {
			t.Errorf("loaded without an error, and is invalid: %v", err)
		}
	})
}
