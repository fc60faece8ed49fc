package prometheus

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mindscope/mindscope/test/harness"
)

// TestReload: SIGHUP and /-/reload put budgets, targets, rules and receivers in force, all or none; alerts that people have for
// Prometheus and Alertmanager see what went wrong.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	all := func(n int, receiver string) {
		write("mindscope.yaml", fmt.Sprintf("metrics: {prometheus_file: '%s/prometheus.yml'}\nalertmanager: {file: '%[1]s/alertmanager.yml'}\nbudgets:\n  day: {period: day, usd: %[2]d}\n", dir, n))
		write("prometheus.yml", fmt.Sprintf("global: {evaluation_interval: 1s}\nrule_files: [own.yml]\nscrape_configs:\n  - {job_name: job-%d, static_configs: [{targets: ['127.0.0.1:1']}]}\n", n))
		write("own.yml", fmt.Sprintf("groups:\n  - name: own\n    rules:\n      - {record: 'own:answer', expr: vector(%d)}\n", n))
		write("alertmanager.yml", fmt.Sprintf("route: {receiver: %s}\nreceivers:\n  - name: %[1]s\n", receiver))
	}
	all(1, "first")
	s := harness.Start(t, harness.Options{Args: []string{"--config", filepath.Join(dir, "mindscope.yaml")}})
	inForce := func(n int, receiver string) {
		t.Helper()
		for path, want := range map[string]string{
			"/api/mindscope/v1/budgets":      fmt.Sprintf(`"limit":"%d"`, n),
			"/api/v1/query?query=own:answer": fmt.Sprintf(`,"%d"]`, n),
			"/api/v1/targets?state=active":   fmt.Sprintf(`"job":"job-%d"`, n),
			"/alertmanager/api/v2/receivers": receiver,
			"/api/v1/status/runtimeinfo":     `"reloadConfigSuccess":true`,
		} {
			harness.Eventually(t, 30*time.Second, path, func() error {
				resp, err := http.Get(s.HTTP + path)
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				if text := body(t, resp); !strings.Contains(text, want) {
					return fmt.Errorf("no %s in %s", want, text)
				}
				return nil
			})
		}
	}
	successful := func(want float64) {
		t.Helper()
		for _, of := range []string{"mindscope", "prometheus", "alertmanager"} {
			if got := s.Metric(t, of+"_config_last_reload_successful"); got != want {
				t.Errorf("%s: successful is %v, want %v", of, got, want)
			}
		}
	}
	inForce(1, "first")
	successful(1)
	at := s.Metric(t, "prometheus_config_last_reload_success_timestamp_seconds")

	all(2, "second")
	s.Signal(t, syscall.SIGHUP)
	inForce(2, "second")
	successful(1)
	if now := s.Metric(t, "prometheus_config_last_reload_success_timestamp_seconds"); now <= at {
		t.Errorf("the last success was at %v, before it %v", now, at)
	}
	for _, want := range []string{"changed=[budgets.day]", "added=[scrape_configs.job-2] removed=[scrape_configs.job-1]", "changed=[groups.own]", "added=[receivers.second]"} {
		if !strings.Contains(s.Output(), want) {
			t.Errorf("the log does not have %q\n%s", want, s.Output())
		}
	}

	all(3, "third")
	write("alertmanager.yml", "route:\n  receiver: third\n  group_wait: soon\n")
	code, answer := harness.Post(t, s.HTTP+"/-/reload", "", nil)
	if text := string(answer); code != http.StatusInternalServerError || !strings.Contains(text, "alertmanager.yml, line 3)") {
		t.Errorf("status %d, %s", code, text)
	}
	successful(0)
	for _, path := range []string{"/api/mindscope/v1/budgets", "/api/v1/rules", "/api/v1/targets?state=active", "/alertmanager/api/v2/receivers"} {
		resp, err := http.Get(s.HTTP + path)
		if err != nil {
			t.Fatal(err)
		}
		if text := body(t, resp); strings.Contains(text, `"limit":"3"`) || strings.Contains(text, "vector(3)") || strings.Contains(text, "job-3") || strings.Contains(text, "third") {
			t.Errorf("%s: what was refused is in force: %s", path, text)
		}
		resp.Body.Close()
	}

	all(3, "third")
	if code, answer := harness.Post(t, s.HTTP+"/-/reload", "", nil); code != http.StatusOK {
		t.Errorf("status %d, %s", code, answer)
	}
	inForce(3, "third")
	successful(1)
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
