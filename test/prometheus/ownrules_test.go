package prometheus

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/test/harness"
)

// TestOwnRules: the rule_files of a prometheus.yml are evaluated; one that breaks is refused by name, and what was in
// force stays.
func TestOwnRules(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	config := write("prometheus.yml", "global: {evaluation_interval: 1s}\nrule_files: [own.yml]\n")
	own := "groups:\n  - name: own\n    rules:\n      - record: own:answer\n        expr: vector(%s)\n"
	write("own.yml", fmt.Sprintf(own, "42"))
	s := harness.Start(t, harness.Options{Args: []string{"--metrics.prometheus-file", config}})
	value := func(want string) {
		t.Helper()
		harness.Eventually(t, 20*time.Second, "the own rule", func() error {
			var answer struct {
				Data struct {
					Result []struct {
						Value [2]any `json:"value"`
					} `json:"result"`
				} `json:"data"`
			}
			if err := s.Get("/api/v1/query?query=own:answer", &answer); err != nil {
				return err
			}
			if len(answer.Data.Result) != 1 || answer.Data.Result[0].Value[1] != want {
				return fmt.Errorf("own:answer is %v, want %s", answer.Data.Result, want)
			}
			return nil
		})
	}
	value("42")
	write("own.yml", fmt.Sprintf(own, "42) nonsense ("))
	if code, text := harness.Post(t, s.HTTP+"/-/reload", "", nil); code != http.StatusInternalServerError || !strings.Contains(string(text), "own.yml") {
		t.Errorf("reload of a broken file: %d %s", code, text)
	}
	value("42")
	write("own.yml", fmt.Sprintf(own, "43"))
	if code, text := harness.Post(t, s.HTTP+"/-/reload", "", nil); code != http.StatusOK {
		t.Errorf("reload: %d %s", code, text)
	}
	value("43")
}

// TestOddResults: a rule whose result is infinite or no number is a value like others, for queries, alerts and their
// receivers; one that gives the same series twice is an error of that rule alone.
func TestOddResults(t *testing.T) {
	h := newHook(t)
	own := file(t, "own.yml", `groups:
  - name: odd
    interval: 1s
    rules:
      - {record: 'own:inf', expr: 'vector(1) / 0'}
      - {record: 'own:nan', expr: 'vector(0) / 0'}
      - {record: 'own:twice', expr: 'label_replace(up or (up * 2), "instance", "x", "", "") or label_replace(vector(1), "a", "b", "", "") or vector(1)', labels: {job: same, instance: same}}
      - {alert: Infinite, expr: 'vector(1) / 0 > 0', annotations: {summary: 'it is {{ $value }}, {{ $value | humanizeDuration }}'}}
      - {record: 'own:after', expr: 'vector(7)'}
`)
	config := file(t, "prometheus.yml", "rule_files: ['"+own+"']\n")
	am := file(t, "alertmanager.yml", "route: {receiver: hook, group_wait: 100ms}\nreceivers:\n  - name: hook\n    webhook_configs: [{url: '"+h.URL+"'}]\n")
	s := serve(t, "metrics: {own_interval: 1s, prometheus_file: '"+config+"'}\nalertmanager: {file: '"+am+"'}\n")
	if a := h.next(t, "Infinite", "firing"); a.Annotations["summary"] != "it is +Inf, +Inf" {
		t.Errorf("got %+v", a)
	}
	expect(t, s, map[string]string{"own:inf": "+Inf", "own:nan": "NaN", "own:after": "7"})
}
