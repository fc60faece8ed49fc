package app

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/prometheus/config"

	"github.com/mindscope/mindscope/internal/config"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files")

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got, -rewrite writes it)\n%s", name, diff)
	}
}

// logged is a log that may be read while it is written.
type logged struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(b)
}

// take returns the lines about reloads since it was asked last, without their times.
func (l *logged) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for line := range strings.Lines(l.out.String()) {
		for _, part := range []string{"configuration changed", "files are read anew", "can't be used", "hold from the next start", "can't be restored"} {
			if _, said, ok := strings.Cut(line, "level="); ok && strings.Contains(said, part) {
				lines = append(lines, "level="+said)
				break
			}
		}
	}
	l.out.Reset()
	return strings.Join(lines, "")
}

// TestReload: all files are checked before any is put in force; the answer names file and line of what is wrong, the log what
// changed.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"mindscope.yaml":   "budgets:\n  day: {period: day, usd: 5}\n  old: {period: hour, tokens: 10}\n",
		"prices.yaml":      "prices:\n  - {model: alpha, input: 1, output: 2}\n",
		"prometheus.yml":   "rule_files: [own.yml]\nscrape_configs:\n  - job_name: press\n    scrape_interval: 1h\n    static_configs: [{targets: ['127.0.0.1:1']}]\n",
		"own.yml":          "groups:\n  - name: own\n    rules:\n      - record: own:answer\n        expr: vector(42)\n",
		"alertmanager.yml": "route: {receiver: nobody}\nreceivers:\n  - name: nobody\n",
	}
	write := func(changed map[string]string) {
		t.Helper()
		for name, text := range files {
			if other, ok := changed[name]; ok {
				text = other
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(nil)
	sources := config.Sources{File: filepath.Join(dir, "mindscope.yaml"), Flags: map[string]string{
		"listen": "127.0.0.1:0", "otlp.grpc": "127.0.0.1:0", "otlp.http": "127.0.0.1:0", "memory": "true",
		"prices": filepath.Join(dir, "prices.yaml"), "metrics.prometheus_file": filepath.Join(dir, "prometheus.yml"),
		"alertmanager.file": filepath.Join(dir, "alertmanager.yml"),
	}}
	cfg, err := config.Load(sources)
	if err != nil {
		t.Fatal(err)
	}
	log := &logged{}
	a, err := New(cfg, Build{Version: "test", Log: log, Settings: sources})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	url := "http://" + a.Addrs().HTTP
	state := func() string {
		t.Helper()
		var b strings.Builder
		for _, path := range []string{"/api/mindscope/v1/budgets", "/api/v1/rules?rule_name=own:answer&exclude_alerts=true", "/api/v1/status/config", "/alertmanager/api/v2/receivers"} {
			_, text := do(t, http.MethodGet, url+path, "", nil)
			for _, word := range []string{`"name":"day"`, `"name":"old"`, `"name":"new"`, `vector(42)`, `vector(43)`, `job_name: press`, `job_name: radio`, `"nobody"`, `"hook"`} {
				if strings.Contains(text, word) {
					b.WriteString(word + " ")
				}
			}
		}
		_, metrics := do(t, http.MethodGet, url+"/metrics", "", nil)
		for line := range strings.Lines(metrics) {
			if strings.Contains(line, "_config_last_reload_successful ") && !strings.HasPrefix(line, "#") {
				b.WriteString("\n" + strings.TrimSpace(line))
			}
		}
		return b.String() + "\n"
	}
	f := func(name string, changed map[string]string) {
		t.Helper()
		write(changed)
		resp, body := do(t, http.MethodPost, url+"/-/reload", "", nil)
		text := "POST /-/reload\n\n" + resp.Status + "\n" + body + "\n# in force\n" + state() + "\n# log\n" + log.take()
		golden(t, "reload-"+name, strings.ReplaceAll(text, dir, "DIR"))
	}
	log.take()
	f("nothing", nil)
	f("broken-rules", map[string]string{"own.yml": strings.Replace(files["own.yml"], "vector(42)", "vector(42) nonsense", 1), "mindscope.yaml": "budgets:\n  new: {period: day, usd: 5}\n"})
	f("broken-prometheus", map[string]string{"prometheus.yml": "rule_files: [own.yml]\nscrape_confgs: []\n"})
	f("broken-alertmanager", map[string]string{"alertmanager.yml": "route: {receiver: nobody}\nreceivr:\n  - name: nobody\n", "own.yml": strings.Replace(files["own.yml"], "42", "43", 1)})
	f("no-receiver", map[string]string{"alertmanager.yml": "route:\n  receiver: somebody\nreceivers:\n  - name: nobody\n"})
	f("broken-settings", map[string]string{"mindscope.yaml": "budgets:\n  day: {period: week, usd: 5}\n"})
	f("broken-prices", map[string]string{"prices.yaml": "prices:\n  - {model: alpha, inptu: 1}\n"})
	// What only shows when it is applied is undone.
	twice := "remote_write: [{url: 'http://127.0.0.1:1/a'}, {url: 'http://127.0.0.1:1/a'}]\n"
	f("undone", map[string]string{
		"prometheus.yml": twice + strings.Replace(files["prometheus.yml"], "job_name: press", "job_name: radio", 1),
		"mindscope.yaml": "budgets:\n  new: {period: day, usd: 5}\n",
	})
	f("mended", nil)
	f("all", map[string]string{
		"mindscope.yaml":   "retention: 60d\nbudgets:\n  day: {period: day, usd: 6}\n  new: {period: hour, tokens: 10}\n",
		"prices.yaml":      "prices:\n  - {model: alpha, input: 1, output: 3}\n",
		"prometheus.yml":   strings.Replace(files["prometheus.yml"], "job_name: press", "job_name: radio", 1),
		"own.yml":          strings.Replace(files["own.yml"], "42", "43", 1),
		"alertmanager.yml": "route: {receiver: hook}\nreceivers:\n  - name: hook\n    webhook_configs: [{url: 'http://127.0.0.1:1/secret'}]\n",
	})
}

// TestUndo: when a part can't take over what all could be checked for, those before it go back.
func TestUndo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(path, []byte("global: {evaluation_interval: 7s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refuse, calls := errors.New("not this one"), []string{}
	reader := func(name string, fails bool) promReader {
		return promReader{apply: func(c *promconfig.Config) error {
			calls = append(calls, fmt.Sprint(name, " ", c.GlobalConfig.EvaluationInterval))
			if fails && c.GlobalConfig.EvaluationInterval.String() == "7s" {
				return refuse
			}
			return nil
		}}
	}
	before := promconfig.DefaultConfig
	f := func(fails bool, want ...string) *metricsPart {
		t.Helper()
		m := &metricsPart{readers: []promReader{reader("a", false), reader("b", fails), reader("c", false)}}
		m.inForce.Store(&before)
		a := &App{log: slog.New(slog.DiscardHandler)}
		a.onReload(reload{name: "one", files: func() []string { return nil }, prepare: func() (change, error) { return m.prepare(path, a.log) }})
		a.onReload(reload{name: "two", files: func() []string { return nil }, prepare: func() (change, error) {
			return change{apply: func() error { return refuse }}, nil
		}})
		calls = nil
		if err := a.Reload(); !errors.Is(err, refuse) {
			t.Errorf("reload: %v", err)
		}
		if diff := cmp.Diff(want, calls); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if m.inForce.Load() != &before {
			t.Errorf("in force is %v", m.inForce.Load())
		}
		return m
	}
	f(true, "a 7s", "b 7s", "a 1m", "b 1m", "c 1m")
	f(false, "a 7s", "b 7s", "c 7s", "a 1m", "b 1m", "c 1m")
}

// hangup sends this process a SIGHUP at the first line of a log.
type hangup struct {
	*logged
	once sync.Once
	t    *testing.T
}

func (h *hangup) Write(b []byte) (int, error) {
	h.once.Do(func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			h.t.Error(err)
		}
	})
	return h.logged.Write(b)
}

// TestHangupAtStart: a SIGHUP that comes before the server is ready does not end it; it is answered when it can be.
func TestHangupAtStart(t *testing.T) {
	cfg := settings(t.TempDir())
	cfg.Log.Level = slog.LevelDebug
	log := &hangup{logged: &logged{}, t: t}
	a, err := New(cfg, Build{Version: "test", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; {
		if strings.Contains(log.take(), "files are read anew") {
			break
		}
		if time.Since(begin) > 20*time.Second {
			t.Error("the signal is not answered")
			break
		}
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
