package prometheus

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mindscope/mindscope/test/harness"
)

// amtool builds Alertmanager's own tool and returns a function that runs it against a server.
func amtool(t *testing.T) func(s *harness.Server, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "amtool")
	build := exec.Command("go", "build", "-o", path, "github.com/prometheus/alertmanager/cmd/amtool")
	build.Dir = filepath.Join(harness.Root(t), "test", "prometheus", "stock")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build amtool: %v\n%s", err, out)
	}
	return func(s *harness.Server, args ...string) string {
		t.Helper()
		out, err := exec.Command(path, append([]string{"--alertmanager.url", s.HTTP + "/alertmanager"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("amtool %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
}

// rulesAt are the settings of servers whose alerts reach a hook at once.
func rulesAt(t *testing.T, hook, more string) string {
	t.Helper()
	am := file(t, "alertmanager.yml", "route: {receiver: hook, group_by: [alertname], group_wait: 100ms, group_interval: 500ms, repeat_interval: 4h}\nreceivers:\n  - name: hook\n    webhook_configs: [{url: '"+hook+"'}]\n")
	return file(t, "mindscope.yaml", "alertmanager:\n  file: '"+am+"'\n"+more+"metrics: {own_interval: 1s}\nrules: {every: 1s, for: 1s, window: 1m}\n")
}

// TestAmtool: Alertmanager's own tool works on the server; a silence outlives even a crash.
func TestAmtool(t *testing.T) {
	run := amtool(t)
	data, config := t.TempDir(), rulesAt(t, newHook(t).URL, "")
	s := harness.Start(t, harness.Options{Data: data, Args: []string{"--config", config}})
	run(s, "alert", "add", "PressStopped", "team=press", "severity=critical", "--annotation=summary=no paper")
	if out := run(s, "alert", "query", "-o", "extended", "team=press"); !strings.Contains(out, "PressStopped") || !strings.Contains(out, "no paper") {
		t.Errorf("alert query:\n%s", out)
	}
	id := strings.TrimSpace(run(s, "silence", "add", "--author=tester", "--comment=known", "alertname=PressStopped"))
	if out := run(s, "silence", "query"); !strings.Contains(out, id) || !strings.Contains(out, "known") {
		t.Errorf("silence query:\n%s", out)
	}
	if out := run(s, "config", "routes", "test", "alertname=PressStopped"); !strings.Contains(out, "hook") {
		t.Errorf("config routes test:\n%s", out)
	}
	if out := run(s, "config", "show"); !strings.Contains(out, "group_interval: 500ms") {
		t.Errorf("config show:\n%s", out)
	}
	harness.Eventually(t, 10*time.Second, "the silence to be on disk", func() error {
		saved, err := filepath.Glob(filepath.Join(data, "alerts", "silences"))
		if err == nil && len(saved) == 0 {
			return &harness.StatusError{Body: "no file"}
		}
		return err
	})
	s.Kill(t)
	s = harness.Start(t, harness.Options{Data: data, Args: []string{"--config", config}})
	if out := run(s, "silence", "query"); !strings.Contains(out, id) {
		t.Errorf("after a crash:\n%s", out)
	}
	run(s, "silence", "expire", id)
	if out := run(s, "silence", "query"); strings.Contains(out, id) {
		t.Errorf("after silence expire:\n%s", out)
	}
}

// TestServersPageOnce: two servers see the same failures; whoever is on call is paged once, and told once that it is over.
func TestServersPageOnce(t *testing.T) {
	h := newHook(t)
	one, two := freeAddr(t), freeAddr(t)
	a := harness.Start(t, harness.Options{Args: []string{"--config", rulesAt(t, h.URL, "  cluster_listen: "+one+"\n  peers: ["+two+"]\n  peer_timeout: 4s\n")}})
	b := harness.Start(t, harness.Options{Args: []string{"--config", rulesAt(t, h.URL, "  cluster_listen: "+two+"\n  peers: ["+one+"]\n  peer_timeout: 4s\n")}})
	harness.Eventually(t, 30*time.Second, "the two to know each other", func() error {
		var status struct {
			Cluster struct {
				Status string     `json:"status"`
				Peers  []struct{} `json:"peers"`
			} `json:"cluster"`
		}
		for _, s := range []*harness.Server{a, b} {
			if err := s.Get("/alertmanager/api/v2/status", &status); err != nil {
				return err
			}
			if status.Cluster.Status != "ready" || len(status.Cluster.Peers) != 2 {
				return &harness.StatusError{Body: status.Cluster.Status}
			}
		}
		return nil
	})
	for n := range 10 {
		finish(t, a, n, n%2 == 0)
		finish(t, b, n, n%2 == 0)
	}
	h.next(t, "TaskFailureRate", "firing")
	firing := func(s *harness.Server) error {
		var alerts []struct {
			Labels map[string]string `json:"labels"`
		}
		if err := s.Get("/alertmanager/api/v2/alerts?filter=alertname%3DTaskFailureRate", &alerts); err != nil {
			return err
		}
		if len(alerts) != 1 {
			return &harness.StatusError{Code: len(alerts), Body: "alerts"}
		}
		return nil
	}
	for _, s := range []*harness.Server{a, b} {
		harness.Eventually(t, 20*time.Second, "both to have the alert", func() error { return firing(s) })
	}
	// The second waits 4 s for the first, so it had its turn three times over.
	second := time.After(12 * time.Second)
	for {
		select {
		case got := <-h.got:
			if got.Labels["alertname"] == "TaskFailureRate" {
				t.Fatalf("paged twice: %+v", got)
			}
			continue
		case <-second:
		}
		break
	}
}

// TestReceiverFails: a receiver that answers 500 is tried again, and what it never took is not lost when the server crashes.
func TestReceiverFails(t *testing.T) {
	var refuse atomic.Bool
	refuse.Store(true)
	refused := make(chan struct{}, 1000)
	h := newHook(t)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse.Load() {
			http.Error(w, "not now", http.StatusInternalServerError)
			refused <- struct{}{}
			return
		}
		h.Config.Handler.ServeHTTP(w, r)
	}))
	defer front.Close()
	data, config := t.TempDir(), rulesAt(t, front.URL, "")
	s := harness.Start(t, harness.Options{Data: data, Args: []string{"--config", config}})
	for n := range 10 {
		finish(t, s, n, n%2 == 0)
	}
	for range 2 {
		select {
		case <-refused:
		case <-time.After(time.Minute):
			t.Fatal("the receiver is not tried again")
		}
	}
	s.Kill(t)
	refuse.Store(false)
	harness.Start(t, harness.Options{Data: data, Args: []string{"--config", config}})
	h.next(t, "TaskFailureRate", "firing")
}
