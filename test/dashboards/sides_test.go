package dashboards

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/test/harness"
	"github.com/mindscope/mindscope/test/panels"
)

// testTraces: the tables of traces list the traces that the spans say.
func (d *demo) testTraces(t *testing.T) {
	slow := d.values(t, d.variable(t, "mindscope-tasks", "slow"))[""]
	want := map[string]func(span) bool{
		"Task Overview/Slowest tasks":            func(s span) bool { return s.text("parent_span_id") == "" && s.seconds() > slow },
		"Task Overview/Failed tasks":             func(s span) bool { return s.text("parent_span_id") == "" && s.failed() },
		"LLM Metrics/Slow calls":                 func(s span) bool { return s.is("chat") && s.seconds() > 10 },
		"Agent Performance/Slow calls of agents": func(s span) bool { return s.is("invoke_agent") && s.seconds() > 10 },
	}
	for _, b := range d.boards {
		view := d.view(b)
		view.Values["slow"] = strconv.FormatFloat(slow, 'f', -1, 64)
		for _, p := range b.All() {
			for _, target := range p.Targets {
				if target.QueryType != "traceql" {
					continue
				}
				which, ok := want[b.Title+"/"+p.Title]
				if !ok {
					t.Errorf("nothing is computed for %s/%s", b.Title, p.Title)
					continue
				}
				expected := map[string]bool{}
				for _, s := range d.spans {
					if which(s) {
						expected[s.Trace] = true
					}
				}
				for team, want := range map[string]map[string]bool{".*": expected, "newsroom|lab": expected, "lab": {}} {
					view.Values["team"] = team
					if diff := cmp.Diff(want, d.search(t, view.Fill(target.Query, ""))); diff != "" {
						t.Errorf("%s: %s (-want +got):\n%s", p.Title, view.Fill(target.Query, ""), diff)
					}
				}
			}
		}
	}
	if n := len(d.search(t, "{ nestedSetParent < 0 && status = error }")); n != 4 {
		t.Errorf("%d tasks failed; the demo lets 4 fail", n)
	}
}

// search asks as Grafana's Tempo data source does.
func (d *demo) search(t *testing.T, traceQL string) map[string]bool {
	t.Helper()
	var answer struct {
		Traces []struct {
			TraceID string `json:"traceID"`
		} `json:"traces"`
	}
	d.get(t, "/tempo/api/search", url.Values{
		"q": {traceQL}, "limit": {"100"}, "spss": {"3"},
		"start": {strconv.FormatInt(d.at.Add(-time.Hour).Unix(), 10)}, "end": {strconv.FormatInt(d.at.Unix()+1, 10)},
	}, &answer)
	got := map[string]bool{}
	for _, tr := range answer.Traces {
		got[strings.Repeat("0", 32-len(tr.TraceID))+tr.TraceID] = true
	}
	return got
}

// testLogs: the panel of error lines shows those of the tasks that failed.
func (d *demo) testLogs(t *testing.T) {
	asked := 0
	for _, b := range d.boards {
		for _, p := range b.All() {
			for _, target := range p.Targets {
				if target.Datasource.Type != "loki" {
					continue
				}
				asked++
				var answer struct {
					Data struct {
						Result []struct {
							Values [][]any `json:"values"`
						} `json:"result"`
					} `json:"data"`
				}
				d.get(t, "/loki/api/v1/query_range", url.Values{
					"query": {d.view(b).Fill(target.Expr, "")}, "direction": {"backward"}, "limit": {"100"},
					"start": {strconv.FormatInt(d.at.Add(-time.Hour).UnixNano(), 10)}, "end": {strconv.FormatInt(d.at.UnixNano(), 10)}, "step": {"30000ms"},
				}, &answer)
				failed := 0
				for _, r := range answer.Data.Result {
					for _, v := range r.Values {
						if v[1] == "task failed" {
							failed++
						}
					}
				}
				if failed != 4 {
					t.Errorf("%s shows %d failed tasks, 4 failed: %v", p.Title, failed, answer)
				}
			}
		}
	}
	if asked == 0 {
		t.Error("no panel asks for logs")
	}
}

// testExemplars: panels with exemplars lead to traces of the team.
func (d *demo) testExemplars(t *testing.T) {
	asked := 0
	for _, b := range d.boards {
		for _, p := range b.All() {
			for _, target := range p.Targets {
				if !target.Exemplar {
					continue
				}
				asked++
				var answer struct {
					Data []struct {
						Exemplars []struct {
							Labels map[string]string `json:"labels"`
						} `json:"exemplars"`
					} `json:"data"`
				}
				form := url.Values{"query": {d.view(b).Fill(target.Expr, "")}, "start": {unix(d.at.Add(-time.Hour))}, "end": {unix(d.at.Add(time.Minute))}}
				if err := json.Unmarshal(d.post(t, "/api/v1/query_exemplars", form), &answer); err != nil {
					t.Fatal(err)
				}
				n := 0
				for _, s := range answer.Data {
					for _, e := range s.Exemplars {
						n++
						if !d.traces[e.Labels["trace_id"]] || e.Labels["span_id"] == "" {
							t.Errorf("%s: an exemplar leads to %v", p.Title, e.Labels)
						}
					}
				}
				if n == 0 {
					t.Errorf("%s: %s has no exemplars", p.Title, target.Expr)
				}
			}
		}
	}
	if asked < 10 {
		t.Errorf("only %d queries ask for exemplars", asked)
	}
}

func unix(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

// variable is the query of a hidden variable, filled in.
func (d *demo) variable(t *testing.T, uid, name string) string {
	t.Helper()
	for _, b := range d.boards {
		for _, v := range b.Templating.List {
			if b.UID == uid && v.Name == name {
				query, _ := strings.CutPrefix(d.view(b).Fill(v.Definition, ""), "query_result(")
				return strings.TrimSuffix(query, ")")
			}
		}
	}
	t.Fatalf("%s has no variable %s", uid, name)
	return ""
}

// testVariables: what can be chosen is what there is, and the hidden variables have the values that Grafana reads of them.
func (d *demo) testVariables(t *testing.T) {
	want := map[string][]string{
		"project": {"default"}, "team": {"newsroom"}, "agent": {"critic", "editor", "writer"},
		"model": {"claude-sonnet-4-5", "gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-mini"},
	}
	for _, b := range d.boards {
		for _, v := range b.Templating.List {
			m := regexp.MustCompile(`^label_values\((.*), ([a-z]+)\)$`).FindStringSubmatch(v.Definition)
			if m == nil || b.UID == "mindscope-platform" {
				continue
			}
			var answer struct {
				Data []string `json:"data"`
			}
			d.get(t, "/api/v1/label/"+m[2]+"/values", url.Values{"match[]": {d.view(b).Fill(m[1], "")}, "start": {unix(d.at.Add(-time.Hour))}, "end": {unix(d.at)}}, &answer)
			if diff := cmp.Diff(want[v.Name], answer.Data); diff != "" {
				t.Errorf("%s: variable %s (-want +got):\n%s", b.Title, v.Name, diff)
			}
		}
	}
	for hours, values := range map[time.Duration][2]string{1: {".+", ".+"}, 6: {".+", ".+"}, 7: {".*", ".+"}, 24 * 7: {".*", ".+"}, 24 * 30: {".*", ".*"}} {
		view := panels.View{From: d.at.Add(-hours * time.Hour), To: d.at}
		for i, name := range []string{"long", "week"} {
			for _, v := range d.boards[1].Templating.List {
				if v.Name != name {
					continue
				}
				query, _ := strings.CutPrefix(view.Fill(v.Definition, ""), "query_result(")
				got := d.values(t, strings.TrimSuffix(query, ")"))
				// Grafana shows a result as {label="value"} and takes what the expression of the variable finds in it.
				text := ""
				for value := range got {
					text += "{" + name + `="` + value + `"} 1 1`
				}
				found := regexp.MustCompile(strings.Trim(v.Regex, "/")).FindStringSubmatch(text)
				if len(got) != 1 || found == nil || found[1] != values[i] {
					t.Errorf("%d hours: $%s is %v, want %q", hours, name, found, values[i])
				}
			}
		}
	}
}

// testPlatform: each series that the dashboard about MindScope asks for is one that the server has, and its queries run.
func (d *demo) testPlatform(t *testing.T) {
	// Some series begin with what they count: a sample of long ago is refused.
	harness.Post(t, d.OTLPHTTP+"/v1/metrics", "application/json", []byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"old","gauge":{"dataPoints":[{"timeUnixNano":"1000000000000000000","asDouble":1}]}}]}]}]}`))
	resp, err := http.Get(d.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range d.boards {
		if b.UID != "mindscope-platform" {
			continue
		}
		view := d.view(b)
		for _, p := range b.All() {
			for _, target := range p.Targets {
				for _, m := range regexp.MustCompile(`([a-z_]+)\{job="mindscope"`).FindAllStringSubmatch(target.Expr, -1) {
					if !regexp.MustCompile(`(?m)^` + m[1] + `[ {]`).Match(page) {
						t.Errorf("%s: the server has no series %s", p.Title, m[1])
					}
				}
				d.values(t, view.Fill(target.Expr, target.Interval))
			}
		}
	}
}

// testOpenLIT: a dashboard that others made for OpenTelemetry's metrics of generative AI is answered without an error.
func (d *demo) testOpenLIT(t *testing.T) {
	dir, ok := harness.Samples(t)
	if !ok {
		dir = harness.NeedSamples(t)
	}
	boards, err := panels.Load(filepath.Join(dir, "dashboards", "openlit"))
	if err != nil || len(boards) != 1 {
		t.Fatal(boards, err)
	}
	view := panels.View{From: d.at.Add(-time.Hour), To: d.at, Values: map[string]string{"service_name": ".*", "deployment_environment": ".*"}}
	asked := 0
	for _, p := range boards[0].All() {
		for _, target := range p.Targets {
			asked++
			form := url.Values{"query": {view.Fill(target.Expr, target.Interval)}, "time": {unix(d.at)}}
			d.post(t, "/api/v1/query", form)
			step := view.Step(target.Interval)
			form.Set("start", unix(view.From))
			form.Set("end", unix(view.To))
			form.Set("step", strconv.Itoa(int(step.Seconds())))
			d.post(t, "/api/v1/query_range", form)
		}
	}
	if asked != 29 {
		t.Errorf("%d queries, the samples say 29", asked)
	}
}
