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
