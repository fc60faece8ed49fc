package prometheus

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/prompb"

	"github.com/mindscope/mindscope/test/harness"
)

// file writes a file of a test's own and returns its path.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serve starts a server with a configuration file, which is YAML.
func serve(t *testing.T, settings string) *harness.Server {
	t.Helper()
	return harness.Start(t, harness.Options{Args: []string{"--config", file(t, "mindscope.yaml", settings)}})
}

// target is something to scrape: counters whose values don't change.
func target(t *testing.T, name string) (addr string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = fmt.Fprintf(w, "# HELP %[1]s_total Things.\n# TYPE %[1]s_total counter\n%[1]s_total{kind=\"a\"} 7\n%[1]s_total{kind=\"b\"} 0.25\n", name)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// stored returns the raw samples of series, as time and value, by labels without the external ones of the test.
func stored(t *testing.T, server, series string) map[string]string {
	t.Helper()
	resp, err := http.Get(server + "/api/v1/query?query=" + url.QueryEscape(series+"[10m]"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
				Values [][2]any          `json:"values"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range answer.Data.Result {
		delete(r.Metric, "sender")
		key, err := json.Marshal(r.Metric)
		if err != nil {
			t.Fatal(err)
		}
		got[string(key)] = fmt.Sprint(r.Values)
	}
	return got
}

// TestRemoteWrite: what a stock Prometheus sends by remote write, in both versions, is here what it is there, and what
// we send is there what it is here.
func TestRemoteWrite(t *testing.T) {
	binary := Build(t, "prometheus")
	quiet := "rules: off\nalertmanager: off\n"
	for _, message := range []string{"prometheus.WriteRequest", "io.prometheus.write.v2.Request"} {
		send := func(to string) string {
			return "remote_write: [{url: '" + to + "/api/v1/write', protobuf_message: " + message + ", queue_config: {batch_send_deadline: 100ms}}]\n"
		}
		t.Run("in "+message, func(t *testing.T) {
			ours := serve(t, quiet)
			stock := StockOf(t, binary, file(t, "prometheus.yml", "global: {scrape_interval: 500ms, scrape_timeout: 500ms, external_labels: {sender: stock}}\n"+send(ours.HTTP)+
				"scrape_configs: [{job_name: things, static_configs: [{targets: ['"+target(t, "things")+"']}]}]\n"), t.TempDir())
			compare(t, stock, ours.HTTP, "things_total")
			if got := stored(t, ours.HTTP, `things_total{sender="stock"}`); len(got) != 2 {
				t.Errorf("external labels are lost: %v", got)
			}
		})
		t.Run("out "+message, func(t *testing.T) {
			stock := StockOf(t, binary, file(t, "prometheus.yml", ""), t.TempDir())
			config := file(t, "prometheus.yml", "global: {scrape_interval: 500ms, scrape_timeout: 500ms, external_labels: {sender: ours}}\n"+send(stock)+
				"scrape_configs: [{job_name: things, static_configs: [{targets: ['"+target(t, "things")+"']}]}]\n")
			ours := serve(t, quiet+"metrics: {prometheus_file: '"+config+"'}\n")
			compare(t, ours.HTTP, stock, "things_total")
			// What is pushed to us goes on as well.
			write(t, ours.HTTP, []prompb.TimeSeries{{
				Labels: []prompb.Label{{Name: "__name__", Value: "pushed"}}, Samples: []prompb.Sample{{Timestamp: time.Now().UnixMilli(), Value: 42}},
			}})
			compare(t, ours.HTTP, stock, "pushed")
		})
	}
}

// compare waits until what is in from is in to as well: at least three samples of a scraped series.
func compare(t *testing.T, from, to, series string) {
	t.Helper()
	harness.Eventually(t, 30*time.Second, "the samples of "+series, func() error {
		sent := stored(t, from, series)
		got := stored(t, to, series)
		if len(sent) == 0 || series != "pushed" && strings.Count(fmt.Sprint(sent), "[") < 6 {
			return fmt.Errorf("sent is %v", sent)
		}
		// The newest ones may be on their way.
		for key, values := range got {
			if !strings.HasPrefix(sent[key], strings.TrimSuffix(values, "]")) {
				return fmt.Errorf("%s: %s, sent is %s", key, values, sent[key])
			}
		}
		if d := cmp.Diff(len(sent), len(got)); d != "" {
			return fmt.Errorf("series: %s", d)
		}
		return nil
	})
}

// TestDiscovery: targets come from files, which may change, and from HTTP.
func TestDiscovery(t *testing.T) {
	list := file(t, "targets.yml", "- targets: ['"+target(t, "one")+"']\n  labels: {team: press}\n")
	three := target(t, "three")
	sd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `[{"targets":["`+three+`"],"labels":{"team":"radio"}}]`)
	}))
	defer sd.Close()
	config := file(t, "prometheus.yml", "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:\n"+
		"  - {job_name: files, file_sd_configs: [{files: ['"+list+"'], refresh_interval: 1s}]}\n"+
		"  - {job_name: web, http_sd_configs: [{url: '"+sd.URL+"', refresh_interval: 1s}]}\n")
	s := serve(t, "rules: off\nmetrics: {prometheus_file: '"+config+"'}\n")
	expect(t, s, map[string]string{`sum(one_total{job="files",team="press",project="default"})`: "7.25", `sum(three_total{job="web",team="radio"})`: "7.25", `sum(two_total)`: "none"})
	if err := os.WriteFile(list, []byte("- targets: ['"+target(t, "two")+"']\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, s, map[string]string{`sum(two_total{job="files",team="default"})`: "7.25", `sum(one_total)`: "none"})
}

// TestReadFromAPrometheus: with metrics.query_url a stock Prometheus keeps the metrics; the shipped alerts are evaluated on it
// and reach an Alertmanager outside, which is another server of ours that keeps no metrics.
func TestReadFromAPrometheus(t *testing.T) {
	h := newHook(t)
	am := file(t, "alertmanager.yml", "route: {receiver: hook, group_wait: 100ms, group_interval: 500ms}\nreceivers:\n  - name: hook\n    webhook_configs: [{url: '"+h.URL+"'}]\n")
	outside := serve(t, "metrics: off\nrules: off\nalertmanager: {file: '"+am+"'}\n")
	if err := outside.Get("/api/v1/query?query=1", nil); err == nil {
		t.Error("a server without metrics answers queries")
	}

	targets := file(t, "targets.yml", "[]\n")
	stock := Stock(t, file(t, "prometheus.yml", "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n  - {job_name: mindscope, honor_labels: true, file_sd_configs: [{files: ['"+targets+"'], refresh_interval: 1s}]}\n"))
	config := file(t, "prometheus.yml", "alerting:\n  alertmanagers: [{path_prefix: /alertmanager, static_configs: [{targets: ['"+strings.TrimPrefix(outside.HTTP, "http://")+"']}]}]\n")
	s := serve(t, "alertmanager: off\nmetrics: {query_url: '"+stock+"', prometheus_file: '"+config+"'}\nrules: {every: 1s, for: 1s, window: 15s}\n")
	if err := os.WriteFile(targets, []byte("- targets: ['"+strings.TrimPrefix(s.HTTP, "http://")+"']\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, s, map[string]string{`up{job="mindscope"}`: "1"})
	finish(t, s, 1000, false) // so that the counters are there before they rise
	expect(t, s, map[string]string{`sum(ai_team_tasks_total{status="completed"})`: "1"})
	finish(t, s, 1001, true)
	expect(t, s, map[string]string{`sum(ai_team_tasks_total{status="failed"})`: "1"})
	for n := range 10 {
		finish(t, s, n, n%2 == 0)
	}
	a := h.next(t, "TaskFailureRate", "firing")
	if a.Labels["team"] != "press" || strings.Count(a.Annotations["tasks"], "task-") != 3 {
		t.Errorf("got %+v", a)
	}
	// Questions go through to the Prometheus; rules are ours.
	query := "/api/v1/query?query=" + url.QueryEscape(`sum by (status) (ai_team_tasks_total)`) + "&time=" + fmt.Sprint(time.Now().Unix())
	for _, path := range []string{query, "/api/v1/labels", "/api/v1/label/status/values", "/api/v1/status/buildinfo"} {
		var got, want any
		if err := s.Get(path, &got); err != nil {
			t.Fatal(err)
		}
		if err := (&harness.Server{HTTP: stock}).Get(path, &want); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-stock +ours):\n%s", path, d)
		}
	}
	var rules struct {
		Data struct {
			Groups []struct{ Name string } `json:"groups"`
		} `json:"data"`
	}
	if err := s.Get("/api/v1/rules", &rules); err != nil || len(rules.Data.Groups) < 2 {
		t.Errorf("rules: %+v, %v", rules, err)
	}
	if got := s.Metric(t, "prometheus_tsdb_head_series"); got != 0 {
		t.Errorf("a database of its own has %v series", got)
	}
}

// TestQueryURLDoesNotAnswer: the error is one that Grafana shows.
func TestQueryURLDoesNotAnswer(t *testing.T) {
	s := serve(t, "metrics: {query_url: 'http://ada:secret@"+freeAddr(t)+"'}\n")
	resp, err := http.Get(s.HTTP + "/api/v1/query?query=up")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusBadGateway || !strings.Contains(string(body), `"errorType":"unavailable"`) || !strings.Contains(string(body), "metrics.query_url") || strings.Contains(string(body), "secret") {
		t.Errorf("%s %s", resp.Status, body)
	}
}
