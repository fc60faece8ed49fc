package prometheus

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/mindscope/mindscope/test/harness"
)

// deployed copies deploy/prometheus, as it is but for the addresses in targets, and returns the folder.
func deployed(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(harness.Root(t), "deploy", "prometheus"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mindscope.yml", "alertmanager.yml"} {
		if err := os.WriteFile(filepath.Join(dir, "targets", name), []byte("[]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// promtool runs stock promtool.
func promtool(t *testing.T, binary string, args ...string) string {
	t.Helper()
	out, err := exec.Command(binary, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// rulesFile is a file of rules, as far as tests look at it.
type rulesFile struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Record      string            `yaml:"record"`
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

func readYAML(t *testing.T, path string, v any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// ruleFiles reads the rules of a folder.
func ruleFiles(t *testing.T, dir string) (paths []string, all []rulesFile) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "rules", "*.yml"))
	if err != nil || len(paths) < 3 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		var f rulesFile
		readYAML(t, path, &f)
		all = append(all, f)
	}
	return paths, all
}

// TestPromtool: stock promtool takes the configuration and the rules, and every unit test of the shipped rules passes in it
// as it does in the library.
func TestPromtool(t *testing.T) {
	t.Parallel()
	binary := Build(t, "promtool")
	promtool(t, binary, "check", "config", filepath.Join(harness.Root(t), "deploy", "prometheus", "prometheus.yml"))
	paths, files := ruleFiles(t, filepath.Join(harness.Root(t), "deploy", "prometheus"))
	promtool(t, binary, append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, paths...)...)
	// What is the same for all alerts of a name is not repeated in the tests.
	constant := map[string]map[string]string{}
	var groups []string
	for _, f := range files {
		for _, g := range f.Groups {
			groups = append(groups, g.Name)
			for _, r := range g.Rules {
				constant[r.Alert] = map[string]string{}
				for k, v := range r.Annotations {
					if k != "summary" {
						constant[r.Alert][k] = v
					}
				}
			}
		}
	}
	slices.Sort(groups) // those of recordings first: the alerts read them
	tests, err := filepath.Glob(filepath.Join(harness.Root(t), "internal", "rule", "testdata", "*.test.yml"))
	if err != nil || len(tests) < 3 {
		t.Fatal(tests, err)
	}
	for _, path := range tests {
		var test map[string]any
		readYAML(t, path, &test)
		test["rule_files"], test["group_eval_order"] = paths, groups
		for _, one := range test["tests"].([]any) {
			for _, a := range one.(map[string]any)["alert_rule_test"].([]any) {
				alert := a.(map[string]any)
				expected, _ := alert["exp_alerts"].([]any) // an alert that must not fire has none
				for _, e := range expected {
					annotations := e.(map[string]any)["exp_annotations"].(map[string]any)
					for k, v := range constant[alert["alertname"].(string)] {
						annotations[k] = v
					}
				}
			}
		}
		raw, err := yaml.Marshal(test)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), filepath.Base(path))
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		promtool(t, binary, "test", "rules", file)
	}
}

// samples writes what the rules read as OpenMetrics text: two hours of every series, up to end, of a fixed seed. recordings are
// those that other rules read.
func samples(end time.Time, recordings []string) []byte {
	rnd := rand.New(rand.NewPCG(3, 4))
	const every = 15 * time.Second
	const n = 480
	types, lines := map[string]string{}, map[string]*bytes.Buffer{}
	add := func(family, kind, series, labels string, from time.Time, count int, value func(i int) float64) {
		types[family] = kind
		if lines[family] == nil {
			lines[family] = &bytes.Buffer{}
		}
		for i := range count {
			fmt.Fprintf(lines[family], "%s{%s} %s %d\n", series, labels, strconv.FormatFloat(value(i), 'f', -1, 64), from.Add(time.Duration(i)*every).Unix())
		}
	}
	start := end.Add(-n * every)
	counter := func(series, labels string, rate float64) {
		sum := 0.0
		add(strings.TrimSuffix(series, "_total"), "counter", series, labels, start, n, func(int) float64 {
			sum += float64(rnd.IntN(3)) * rate
			return sum
		})
	}
	gauge := func(series, labels string, low, high float64) {
		add(series, "gauge", series, labels, start, n, func(int) float64 { return low + (high-low)*rnd.Float64() })
	}
	// recorded is what was recorded some time ago: two alerts compare with a week and a day before.
	recorded := func(series, labels string, ago time.Duration, value float64) {
		add(series, "gauge", series, labels, end.Add(-ago), n, func(int) float64 { return value })
	}
	histogram := func(series, labels string, top float64) {
		bounds := []float64{top / 16, top / 8, top / 4, top / 2, top}
		counts, total, sum := make([]float64, len(bounds)), make([]float64, n), make([]float64, n)
		below := make([][]float64, len(bounds))
		all, seconds := 0.0, 0.0
		for i := range n {
			for range rnd.IntN(3) {
				x := top * 1.2 * rnd.Float64()
				all++
				seconds += x
				for b, bound := range bounds {
					if x <= bound {
						counts[b]++
					}
				}
			}
			total[i], sum[i] = all, seconds
			for b := range bounds {
				below[b] = append(below[b], counts[b])
			}
		}
		if labels != "" {
			labels += ","
		}
		for b, bound := range bounds {
			add(series, "histogram", series+"_bucket", labels+fmt.Sprintf(`le="%s"`, strconv.FormatFloat(bound, 'f', -1, 64)), start, n, func(i int) float64 { return below[b][i] })
		}
		add(series, "histogram", series+"_bucket", labels+`le="+Inf"`, start, n, func(i int) float64 { return total[i] })
		add(series, "histogram", series+"_count", strings.TrimSuffix(labels, ","), start, n, func(i int) float64 { return total[i] })
		add(series, "histogram", series+"_sum", strings.TrimSuffix(labels, ","), start, n, func(i int) float64 { return sum[i] })
	}
	for _, team := range []string{"press", "lab"} {
		of := `project="default",team="` + team + `"`
		for _, status := range []string{"pending", "completed", "failed"} {
			counter("ai_team_tasks_total", of+`,status="`+status+`"`, 1)
		}
		for _, model := range []string{"gpt-4o", "sonnet"} {
			with := of + `,model="` + model + `"`
			histogram("ai_team_llm_latency_seconds", with, 8)
			counter("ai_team_llm_cost_dollars_total", with, 0.5)
			counter("ai_team_price_misses_total", with, 1)
			for _, agent := range []string{"writer", "critic"} {
				by := with + `,agent="` + agent + `"`
				counter("ai_team_llm_calls_total", by, 3)
				counter("ai_team_llm_errors_total", by+`,error_type="429"`, 1)
				for _, kind := range []string{"input", "cache_read", "output"} {
					counter("ai_team_llm_tokens_total", by+`,token_type="`+kind+`"`, 700)
				}
			}
			recorded("team_model:ai_team_llm_latency_seconds:p95_5m", with, 7*24*time.Hour+time.Hour, 0.5)
			recorded("team_model:ai_team_llm_latency_seconds:p95_5m", with, n*every, 7)
		}
		recorded("team:ai_team_quality_score:mean1h", of, 25*time.Hour, 9)
		recorded("team:ai_team_quality_score:mean1h", of, n*every, 5)
		for _, agent := range []string{"writer", "critic"} {
			by := of + `,agent="` + agent + `"`
			counter("ai_team_agent_calls_total", by+`,status="completed"`, 20)
			counter("ai_team_agent_calls_total", by+`,status="failed"`, 1)
			histogram("ai_team_agent_duration_seconds", by, 60)
			histogram("ai_team_agent_quality_score", by, 10)
			counter("ai_team_agent_cost_dollars_total", by, 0.5)
			counter("ai_team_artifacts_total", by, 1)
			counter("ai_team_records_total", by, 1)
			counter("ai_team_messages_total", of+`,from_agent="orchestrator",to_agent="`+agent+`",type="COMMAND"`, 1)
			histogram("ai_team_message_wait_seconds", of+`,to_agent="`+agent+`"`, 100)
		}
		histogram("ai_team_task_duration_seconds", of+`,task_type="article"`, 600)
		histogram("ai_team_quality_score", of, 10)
		counter("ai_team_hops_missing_total", of+`,hop="record"`, 1)
		gauge("ai_team_tasks_in_progress", of, 90, 120)
		gauge("ai_team_tasks_stuck", of, 0, 3)
		gauge("ai_team_oldest_task_seconds", of, 1000, 2500)
		gauge("ai_team_budget_used_ratio", of+`,budget="day",period="day"`, 0.4, 1.2)
	}
	for _, name := range recordings {
		gauge(name, `project="default",team="press"`, 0, 10)
	}
	for _, outcome := range []string{"accepted", "rejected", "refused"} {
		counter("mindscope_received_items_total", `signal="traces",transport="grpc",outcome="`+outcome+`"`, 5)
	}
	gauge("mindscope_disk_free_bytes", "", 1e9, 2e9)
	gauge("mindscope_disk_size_bytes", "", 1e11, 1e11)
	gauge("mindscope_wal_lag_records", "", 1, 9)
	counter("mindscope_wal_checkpoints_total", "", 0)
	gauge("mindscope_config_last_reload_successful", "", 0, 0)
	var out bytes.Buffer
	for _, family := range slices.Sorted(maps.Keys(lines)) {
		fmt.Fprintf(&out, "# TYPE %s %s\n%s", family, types[family], strings.ReplaceAll(lines[family].String(), "{}", ""))
	}
	out.WriteString("# EOF\n")
	return out.Bytes()
}

// TestDeployedRulesSideBySide: prometheus.yml and the rules of deploy, as they are, in a stock Prometheus and in MindScope,
// on the same blocks of samples: both load the same rules, each expression has the same values, and what the two evaluate
// and record by themselves is the same.
func TestDeployedRulesSideBySide(t *testing.T) {
	t.Parallel() // it waits for the next full minute
	dir := deployed(t)
	config := filepath.Join(dir, "prometheus.yml")
	end := time.Now().Truncate(15 * time.Second)
	text, blocks := filepath.Join(t.TempDir(), "samples.txt"), t.TempDir()
	_, files := ruleFiles(t, dir)
	var read []string
	for _, f := range files {
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				if m := regexp.MustCompile(`^\w+_over_time\((\S+)\[1h\]`).FindStringSubmatch(r.Expr); m != nil && m[1] != "team_model:ai_team_llm_latency_seconds:p95_5m" {
					read = append(read, m[1])
				}
			}
		}
	}
	if err := os.WriteFile(text, samples(end, read), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, Build(t, "promtool"), "tsdb", "create-blocks-from", "openmetrics", text, blocks)
	theirs, data := t.TempDir(), t.TempDir()
	for _, to := range []string{theirs, filepath.Join(data, "metrics")} {
		if err := os.CopyFS(to, os.DirFS(blocks)); err != nil {
			t.Fatal(err)
		}
	}
	// Its own metrics would be beside the samples; they are read once a month here.
	settings := filepath.Join(t.TempDir(), "mindscope.yaml")
	if err := os.WriteFile(settings, []byte("metrics: {own_interval: 30d, prometheus_file: '"+config+"'}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ours := harness.Start(t, harness.Options{Data: data, Args: []string{"--config", settings}}).HTTP
	stock := StockIn(t, config, theirs)
	if d := cmp.Diff(groupsOf(t, stock), groupsOf(t, ours)); d != "" {
		t.Errorf("rules (-stock +ours):\n%s", d)
	}
	form := url.Values{"start": {strconv.FormatInt(end.Add(-90*time.Minute).Unix(), 10)}, "end": {strconv.FormatInt(end.Unix(), 10)}, "step": {"60"}}
	asked, empty := 0, []string{}
	var recorded []string
	for _, f := range files {
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				asked++
				form.Set("query", r.Expr)
				want, got := ask(t, stock, "/api/v1/query_range", form), ask(t, ours, "/api/v1/query_range", form)
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%s%s (-stock +ours):\n%s", r.Record, r.Alert, d)
				}
				if strings.Count(want, "\n") == 0 {
					empty = append(empty, r.Record+r.Alert)
				}
				if r.Record != "" && g.Name == "mindscope-recording" {
					recorded = append(recorded, r.Record)
				}
			}
		}
	}
	// An agent that was silent for an hour would need to have worked a day ago.
	if d := cmp.Diff([]string{"AgentSilent"}, empty); d != "" {
		t.Errorf("rules without a value, so that nothing is compared (-want +got):\n%s", d)
	}
	t.Logf("%d rules have the same values", asked)
	sameRecordings(t, stock, ours, recorded, end)
}

// groupsOf are the groups of rules as the API shows them: name, interval, rules and their expressions.
func groupsOf(t *testing.T, server string) string {
	t.Helper()
	var answer struct {
		Data struct {
			Groups []struct {
				Name     string  `json:"name"`
				File     string  `json:"file"`
				Interval float64 `json:"interval"`
				Rules    []struct {
					Name     string  `json:"name"`
					Query    string  `json:"query"`
					Duration float64 `json:"duration"`
				} `json:"rules"`
			} `json:"groups"`
		} `json:"data"`
	}
	getJSON(t, server+"/api/v1/rules", &answer)
	var b strings.Builder
	for _, g := range answer.Data.Groups {
		fmt.Fprintf(&b, "%s %s %v\n", g.Name, g.File, g.Interval)
		for _, r := range g.Rules {
			fmt.Fprintf(&b, "  %s %v %s\n", r.Name, r.Duration, r.Query)
		}
	}
	return b.String()
}

// sameRecordings waits until both servers have evaluated the group of that minute, at the same times since it is the same
// file, and compares what they recorded.
func sameRecordings(t *testing.T, stock, ours string, recorded []string, end time.Time) {
	t.Helper()
	read := func(server, name string) map[string]string {
		var answer struct {
			Data struct {
				Result []struct {
					Metric map[string]string `json:"metric"`
					Values [][2]any          `json:"values"`
				} `json:"result"`
			} `json:"data"`
		}
		since := strconv.Itoa(int(time.Since(end).Seconds())) + "s"
		getJSON(t, server+"/api/v1/query?"+url.Values{"query": {name + "[" + since + "]"}}.Encode(), &answer)
		values := map[string]string{}
		for _, r := range answer.Data.Result {
			for _, v := range r.Values {
				values[fmt.Sprint(r.Metric, " ", v[0])] = fmt.Sprint(v[1])
			}
		}
		return values
	}
	for _, name := range recorded {
		harness.Eventually(t, 2*time.Minute, name+" to be recorded by both", func() error {
			want, got := read(stock, name), read(ours, name)
			both := 0
			for at, value := range want {
				other, ok := got[at]
				if ok && other != value {
					t.Fatalf("%s: %s is %s in stock Prometheus and %s here", name, at, value, other)
				}
				if ok {
					both++
				}
			}
			if both == 0 {
				return fmt.Errorf("stock has %d values, ours %d, none at the same time", len(want), len(got))
			}
			return nil
		})
	}
}

// TestDeployedFilesInMindScope: the files of deploy, untouched, are taken: their rules are in force once, the job of the
// server itself is left out, and the routes are those of the alertmanager.yml.
func TestDeployedFilesInMindScope(t *testing.T) {
	deploy := filepath.Join(harness.Root(t), "deploy")
	s := harness.Start(t, harness.Options{Args: []string{
		"--metrics.prometheus-file", filepath.Join(deploy, "prometheus", "prometheus.yml"),
		"--alertmanager.file", filepath.Join(deploy, "alertmanager", "alertmanager.yml"),
	}})
	var names []string
	for line := range strings.Lines(groupsOf(t, s.HTTP)) {
		if !strings.HasPrefix(line, " ") {
			names = append(names, strings.Fields(line)[0])
			if !strings.Contains(line, filepath.Join(deploy, "prometheus", "rules")) {
				t.Errorf("group %s is not the one of the file", line)
			}
		}
	}
	slices.Sort(names)
	if d := cmp.Diff([]string{"mindscope-dashboards", "mindscope-dashboards-1h", "mindscope-platform", "mindscope-recording", "mindscope-team"}, names); d != "" {
		t.Errorf("groups (-want +got):\n%s", d)
	}
	var pools struct {
		Data struct {
			ScrapePools []string `json:"scrapePools"`
		} `json:"data"`
	}
	getJSON(t, s.HTTP+"/api/v1/scrape_pools", &pools)
	if len(pools.Data.ScrapePools) > 0 {
		t.Errorf("the server scrapes %v", pools.Data.ScrapePools)
	}
	var status struct {
		Config struct {
			Original string `json:"original"`
		} `json:"config"`
	}
	getJSON(t, s.HTTP+"/alertmanager/api/v2/status", &status)
	if !strings.Contains(status.Config.Original, "receiver: watchdog") {
		t.Errorf("the routes are %s", status.Config.Original)
	}
}
