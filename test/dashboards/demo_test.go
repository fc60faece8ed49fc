// Package dashboards lets the demo team work and asks the running binary what each panel asks; what must come back is
// computed from the spans that the store holds of the team's tasks, and from the team's own books.
package dashboards

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/test/harness"
	"github.com/mindscope/mindscope/test/panels"
)

const tasks = 20

// demo is a server that has seen the demo team.
type demo struct {
	*harness.Server

	boards []panels.Board
	spans  []span
	traces map[string]bool
	// at is the time of the last scrape: a range that ends there ends with a sample.
	at time.Time
}

// span is what the store holds of a span.
type span struct {
	Trace  string         `json:"trace_id"`
	Kind   string         `json:"kind"`
	Fields map[string]any `json:"fields"`
}

func (s span) text(name string) string  { t, _ := s.Fields[name].(string); return t }
func (s span) num(name string) float64  { n, _ := s.Fields[name].(float64); return n }
func (s span) has(name string) bool     { _, ok := s.Fields[name]; return ok }
func (s span) seconds() float64         { return s.num("duration_ns") / 1e9 }
func (s span) is(operation string) bool { return s.text("attr.gen_ai.operation.name") == operation }
func (s span) failed() bool             { return s.text("status") == "error" }

// model is the model that answered, else the one that was asked.
func (s span) model() string {
	if m := s.text("attr.gen_ai.response.model"); m != "" {
		return m
	}
	return s.text("attr.gen_ai.request.model")
}

// books are what the team itself writes down of a task.
type books struct {
	Task    string  `json:"task_id"`
	Trace   string  `json:"trace_id"`
	Error   string  `json:"error"`
	Quality float64 `json:"quality"`
	Tokens  float64 `json:"tokens"`
}

// play starts a server, lets the team work and waits until all that it did is counted and scraped.
func play(t *testing.T) *demo {
	t.Helper()
	settings := filepath.Join(t.TempDir(), "mindscope.yaml")
	if err := os.WriteFile(settings, []byte("metrics: {own_interval: 1s}\nbudgets: {press: {team: newsroom, period: month, tokens: 100000}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &demo{Server: harness.Start(t, harness.Options{Args: []string{"--config", settings}}), traces: map[string]bool{}}
	dir := filepath.Join(t.TempDir(), "team")
	cmd := exec.Command("go", "run", "./articleteam", "--dir", dir, "--tasks", strconv.Itoa(tasks), "--latency", "20ms")
	cmd.Dir = filepath.Join(harness.Root(t), "examples")
	cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+d.OTLPGRPC, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the team ended with %v\n%s", err, out)
	}
	var err error
	if d.boards, err = panels.Load(filepath.Join(harness.Root(t), "deploy", "grafana", "dashboards")); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []books
	if err := json.Unmarshal(raw, &all); err != nil || len(all) != tasks {
		t.Fatalf("%d tasks in the team's books: %v", len(all), err)
	}
	harness.Eventually(t, 30*time.Second, "all spans to be stored", func() error { return d.read(all) })
	d.checkBooks(t, all)
	harness.Eventually(t, time.Minute, "the budget", func() error {
		if got, want := d.values(t, "sum(ai_team_budget_spent_tokens)")[""], d.allTokens(); got != want {
			return fmt.Errorf("%v of %v tokens are in the budget", got, want)
		}
		return nil
	})
	// Two scrapes after the last span everything is counted: the second began when the first was stored.
	harness.Eventually(t, 30*time.Second, "all to be counted", func() error {
		got := d.values(t, "sum(ai_team_tasks_total)")
		if got[""] != 2*tasks {
			return fmt.Errorf("%v tasks are counted", got)
		}
		return nil
	})
	first := d.values(t, "max(timestamp(ai_team_tasks_total))")[""]
	harness.Eventually(t, 30*time.Second, "two more scrapes", func() error {
		last := d.values(t, "max(timestamp(ai_team_tasks_total))")[""]
		if last < first+2 {
			return fmt.Errorf("the last was %v s later", last-first)
		}
		d.at = time.UnixMilli(int64(math.Round(last * 1000)))
		return nil
	})
	return d
}

// read reads the spans of all tasks; a task's root is sent last.
func (d *demo) read(all []books) error {
	d.spans = nil
	for _, b := range all {
		var answer struct {
			Spans []span `json:"spans"`
		}
		if err := d.Get("/api/mindscope/v1/traces/"+b.Trace, &answer); err != nil {
			return err
		}
		if !slices.ContainsFunc(answer.Spans, func(s span) bool { return s.Kind == "span" && s.text("name") == "execute_task" }) {
			return fmt.Errorf("%s has no end yet", b.Task)
		}
		for _, s := range answer.Spans {
			if s.Kind == "span" {
				d.spans = append(d.spans, s)
			}
		}
		d.traces[b.Trace] = true
	}
	return nil
}

// allTokens are those of all calls.
func (d *demo) allTokens() (sum float64) {
	for _, n := range d.used(func(span, string) string { return "" }) {
		sum += n
	}
	return sum
}

// checkBooks: what the store holds is what the team says.
func (d *demo) checkBooks(t *testing.T, all []books) {
	t.Helper()
	for _, b := range all {
		var tokens float64
		for _, s := range d.spans {
			if s.Trace != b.Trace {
				continue
			}
			if s.is("chat") {
				tokens += s.num("attr.gen_ai.usage.input_tokens") + s.num("attr.gen_ai.usage.output_tokens")
			}
			if s.text("name") == "execute_task" && (s.failed() != (b.Error != "") || b.Error == "" && s.num("attr.ai_team.quality_score") != b.Quality) {
				t.Errorf("%s: the store says failed %v, quality %v; the team %+v", b.Task, s.failed(), s.num("attr.ai_team.quality_score"), b)
			}
		}
		if tokens != b.Tokens {
			t.Errorf("%s: %v tokens in the store, %v in the team's books", b.Task, tokens, b.Tokens)
		}
	}
}

// get reads an answer of a GET as JSON.
func (d *demo) get(t *testing.T, path string, form url.Values, v any) {
	t.Helper()
	if err := d.Get(path+"?"+form.Encode(), v); err != nil {
		t.Fatalf("%s %v: %v", path, form, err)
	}
}

// post asks as Grafana's Prometheus data source does and returns the body of a success.
func (d *demo) post(t *testing.T, path string, form url.Values) []byte {
	t.Helper()
	resp, err := http.PostForm(d.HTTP+path, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %v: %s %s %v", path, form, resp.Status, body, err)
	}
	return body
}

// values evaluates a query at the last scrape, or now, and returns the values by the labels' values.
func (d *demo) values(t *testing.T, query string) map[string]float64 {
	t.Helper()
	form := url.Values{"query": {query}}
	if !d.at.IsZero() {
		form.Set("time", strconv.FormatFloat(float64(d.at.UnixMilli())/1000, 'f', 3, 64))
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
				Value  [2]any            `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(d.post(t, "/api/v1/query", form), &answer); err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, r := range answer.Data.Result {
		var key []string
		for _, name := range slices.Sorted(maps.Keys(r.Metric)) {
			key = append(key, r.Metric[name])
		}
		v, err := strconv.ParseFloat(r.Value[1].(string), 64)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.Join(key, " → ")] = v
	}
	return out
}

// window is the time range of all panels: an hour that ends with the last scrape. Rates are over all of it, so that they
// are what was counted, by the second.
const window = 3600.0

func (d *demo) view(b panels.Board) panels.View {
	v := panels.View{From: d.at.Add(-time.Hour), To: d.at, Scrape: time.Second, Values: b.Everything()}
	v.Values["__rate_interval"] = "1h"
	return v
}

// near compares figures; floats are summed in another order.
func near(a, b float64) bool {
	return a == b || math.Abs(a-b) <= 1e-9*math.Max(math.Abs(a), math.Abs(b))
}

func compare(want, got map[string]float64) error {
	for key, w := range want {
		if g, ok := got[key]; !ok || !near(w, g) {
			return fmt.Errorf("%q is %v, want %v", key, got, want)
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	return nil
}

// TestDemoTeam plays the demo once and looks at it from all sides.
func TestDemoTeam(t *testing.T) {
	d := play(t)
	t.Run("panels", d.testPanels)
	t.Run("traces", d.testTraces)
	t.Run("logs", d.testLogs)
	t.Run("exemplars", d.testExemplars)
	t.Run("variables", d.testVariables)
	t.Run("platform", d.testPlatform)
	t.Run("openlit", d.testOpenLIT)
}

// testPanels: each panel that asks for metrics shows what was computed from the spans.
func (d *demo) testPanels(t *testing.T) {
	want := d.expected()
	for _, b := range d.boards {
		if b.UID == "mindscope-platform" {
			continue
		}
		view := d.view(b)
		for _, p := range b.All() {
			for _, target := range p.Targets {
				if target.Datasource.Type != "prometheus" || target.Interval != "" {
					continue // what is recorded is not there yet
				}
				name := b.Title + "/" + p.Title
				figures, ok := want[name]
				if !ok {
					name += "/" + strings.TrimSuffix(target.LegendFormat, " of {{agent}}")
					figures, ok = want[name]
				}
				if !ok {
					t.Errorf("nothing is computed for %s", name)
					continue
				}
				if err := compare(figures, d.values(t, view.Fill(target.Expr, ""))); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				delete(want, name)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("no panel shows %v", slices.Sorted(maps.Keys(want)))
	}
}
