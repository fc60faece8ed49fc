package grafana_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	sdk "github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/units"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/mindscope/mindscope/internal/grafana"
	"github.com/mindscope/mindscope/internal/query/logql"
	"github.com/mindscope/mindscope/internal/query/traceql"
	"github.com/mindscope/mindscope/test/panels"
)

const deployed = "../../deploy/grafana"

func boards(t *testing.T) []panels.Board {
	t.Helper()
	all, err := panels.Load(filepath.Join(deployed, "dashboards"))
	if err != nil || len(all) != 4 {
		t.Fatalf("%d dashboards: %v", len(all), err)
	}
	return all
}

// TestFilesAreCurrent: deploy/grafana holds what the description gives, no less and no more.
func TestFilesAreCurrent(t *testing.T) {
	dashboards, err := grafana.Dashboards("http://localhost:9090")
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(deployed, "dashboards", "*"))
	if err != nil || len(found) != len(dashboards) {
		t.Errorf("deploy has %d dashboards, the description %d: %v", len(found), len(dashboards), err)
	}
	for name, want := range dashboards {
		got, err := os.ReadFile(filepath.Join(deployed, "dashboards", name))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s is not current: run `make dashboards` (%v)", name, err)
		}
	}
}

// strict decodes a dashboard with Grafana's own types. The library returns an empty list of errors for none.
func strict(raw []byte) error {
	var d sdk.Dashboard //nolint:staticcheck // the classic form is what files of Grafana 10 to 13 hold
	for _, err := range []error{d.UnmarshalJSONStrict(raw), d.Validate()} {
		list, isList := errors.AsType[cog.BuildErrors](err)
		if err != nil && (!isList || len(list) > 0) {
			return err
		}
	}
	return nil
}

// TestStrictDecode: Grafana's own types know every field that is written, and miss none that they need.
func TestStrictDecode(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	files, err := grafana.Dashboards("http://localhost:9090")
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range files {
		if err := strict(raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, wrong := range []string{`"legendFormt"`, `"legend"`} { // a name that is unknown, one that is not there
			broken := strings.Replace(string(raw), `"legendFormat"`, wrong, 1)
			if strict([]byte(broken)) == nil {
				t.Errorf("%s with %s for legendFormat is taken", name, wrong)
			}
		}
	}
}

// TestMissionsPanels: the mission's three dashboards begin with its panels, under its names.
func TestMissionsPanels(t *testing.T) {
	want := map[string][]string{
		"Task Overview":     {"Total tasks by status", "Tasks in progress", "Average task duration", "Quality score distribution"},
		"LLM Metrics":       {"LLM calls by model", "Average latency by model", "Total cost (by model)", "Token usage"},
		"Agent Performance": {"Calls of each agent", "Success rate", "Average quality score"},
	}
	for _, b := range boards(t) {
		names := want[b.Title]
		delete(want, b.Title)
		var got []string
		for _, p := range b.Panels[:len(names)] {
			got = append(got, p.Title)
		}
		if d := cmp.Diff(names, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", b.Title, d)
		}
	}
	if len(want) > 0 {
		t.Errorf("there is no %v", want)
	}
}

// TestOperatorsPanels: what somebody on call looks for is there.
func TestOperatorsPanels(t *testing.T) {
	var titles []string
	for _, b := range boards(t) {
		for _, p := range b.All() {
			titles = append(titles, p.Title)
		}
	}
	for _, want := range []string{"Cost burn", "Error classes", "Tokens by kind", "Cache hit ratio", "Latency heat map", "Queue wait, 95th percentile", "Slowest tasks", "Hops missing"} {
		if !slices.Contains(titles, want) {
			t.Errorf("there is no panel %q", want)
		}
	}
}

// TestLint holds the rules of grafana's dashboard-linter, and some of our own. Two of its rules are left out: that each
// selector has a matcher of job and of instance (target-job-rule, target-instance-rule and their template variables).
// The team's series are derived from telemetry that is pushed; their target labels are project and team, which
// TestEveryTeamSelectorIsFiltered asks for. The platform's series have both.
func TestLint(t *testing.T) {
	for _, b := range boards(t) {
		if b.SchemaVersion != 39 || b.Editable == nil || *b.Editable { // uneditable-dashboard-rule
			t.Errorf("%s: schema version %d, editable %v", b.UID, b.SchemaVersion, b.Editable)
		}
		ids, titles := map[int]bool{}, map[string]bool{}
		for i, p := range b.Panels {
			if ids[p.ID] || titles[p.Title] || p.Title == "" {
				t.Errorf("%s: id %d or title %q is there twice, or missing", b.UID, p.ID, p.Title)
			}
			ids[p.ID], titles[p.Title] = true, true
			for _, o := range b.Panels[:i] {
				if p.GridPos.X < o.GridPos.X+o.GridPos.W && o.GridPos.X < p.GridPos.X+p.GridPos.W && p.GridPos.Y < o.GridPos.Y+o.GridPos.H && o.GridPos.Y < p.GridPos.Y+p.GridPos.H {
					t.Errorf("%s: %q lies over %q", b.UID, p.Title, o.Title)
				}
			}
			if p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W == 0 || p.GridPos.H == 0 {
				t.Errorf("%s: %q is at %+v", b.UID, p.Title, p.GridPos)
			}
		}
		for _, p := range b.All() {
			for _, problem := range lintPanel(p) {
				t.Errorf("%s: %q: %s", b.UID, p.Title, problem)
			}
		}
		for _, problem := range lintVariables(b) {
			t.Errorf("%s: %s", b.UID, problem)
		}
	}
}

// commonTypes are the panel types that Grafana 10 to 13 have in common.
func commonTypes() []string {
	return []string{"timeseries", "stat", "gauge", "bargauge", "barchart", "piechart", "table", "heatmap", "histogram", "logs", "traces", "nodeGraph", "state-timeline", "status-history", "text"}
}

func lintPanel(p panels.Panel) (problems []string) {
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if !slices.Contains(commonTypes(), p.Type) {
		add("type %s is not in all of Grafana 10 to 13", p.Type)
	}
	if len(p.Description) < 20 || !strings.HasSuffix(p.Description, ".") { // panel-title-description-rule
		add("description %q", p.Description)
	}
	known := []string{units.Short, units.Seconds, units.CountsPerMinute, units.CountsPerSecond, units.PercentUnit, units.Dollars, units.BytesIEC, units.BytesPerSecondSI}
	if unit := p.FieldConfig.Defaults.Unit; !slices.Contains(known, unit) && p.Type != "table" && p.Type != "logs" && p.Type != "nodeGraph" { // panel-units-rule
		add("unit %q", unit)
	}
	if len(p.Targets) == 0 { // panel-no-targets-rule
		add("no queries")
	}
	refs := map[string]bool{}
	for _, target := range p.Targets {
		if refs[target.RefID] {
			add("query %s is there twice", target.RefID)
		}
		refs[target.RefID] = true
		want := map[string]string{"prometheus": "${datasource}", "tempo": "${traces}", "loki": "${logs}"}
		for _, r := range []*panels.Ref{p.Datasource, target.Datasource} { // panel-datasource-rule
			if r == nil || want[r.Type] != r.UID {
				add("data source %+v is not the variable", r)
			}
		}
		switch target.Datasource.Type {
		case "prometheus":
			problems = append(problems, lintPromQL(target)...)
		case "loki":
			if _, err := logql.Parse(fill(target.Expr, "")); err != nil {
				add("%v", err)
			}
		case "tempo":
			if _, err := traceql.Parse(fill(target.Query, "")); err != nil && target.QueryType == "traceql" {
				add("%v", err)
			}
		}
	}
	return problems
}

// fill fills in what Grafana would.
func fill(query, least string) string {
	view := panels.View{From: time.Unix(0, 0), To: time.Unix(3600, 0), Values: map[string]string{
		"project": ".*", "team": ".*", "agent": ".*", "model": ".*", "instance": ".*", "slow": "0.25",
		"__field.labels.model": "gpt-4o", "__field.labels.agent": "writer", "__field.labels.to_agent": "writer",
		"__field.labels.error_type": "429", "__field.labels.task_type": "article",
	}}
	return view.Fill(query, least)
}

// parse fills in and parses PromQL.
func parse(query, least string) (parser.Expr, error) {
	return parser.NewParser(parser.Options{}).ParseExpr(fill(query, least))
}

// lintPromQL: target-promql-rule, target-rate-interval-rule, target-counter-agg-rule.
func lintPromQL(target panels.Target) (problems []string) {
	expr, err := parse(target.Expr, target.Interval)
	if err != nil {
		return []string{err.Error()}
	}
	if regexp.MustCompile(`\$[^_{a-z]`).MatchString(target.Expr) {
		problems = append(problems, "a variable is not one: "+target.Expr)
	}
	rates := regexp.MustCompile(`(rate|increase)\([^\[]*\[([^\]]*)\]`)
	for _, m := range rates.FindAllStringSubmatch(target.Expr, -1) {
		if m[2] != "$__rate_interval" && (m[1] != "increase" || m[2] != "$__range") {
			problems = append(problems, m[1]+" over "+m[2])
		}
	}
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		v, ok := node.(*parser.VectorSelector)
		if !ok || !strings.HasSuffix(v.Name, "_total") {
			return nil
		}
		for _, above := range path {
			if call, isCall := above.(*parser.Call); isCall && slices.Contains([]string{"rate", "irate", "increase"}, call.Func.Name) {
				return nil
			}
		}
		problems = append(problems, "counter "+v.Name+" without a rate")
		return nil
	})
	if target.Exemplar && target.Instant {
		problems = append(problems, "exemplars of one value")
	}
	return problems
}

// lintVariables: template-datasource-rule, template-label-promql-rule, template-on-time-change-reload-rule, and that
// none is unused.
func lintVariables(b panels.Board) (problems []string) {
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	all, err := json.Marshal(b)
	if err != nil {
		return []string{err.Error()}
	}
	first := b.Templating.List[0]
	if first.Type != "datasource" || first.Name != "datasource" || first.Label == "" {
		add("the first variable is %q of type %s", first.Name, first.Type)
	}
	for _, v := range b.Templating.List {
		if v.Hide == 0 && v.Label == "" {
			add("variable %s has no label", v.Name)
		}
		uses := strings.Count(string(all), "$"+v.Name) + strings.Count(string(all), "${"+v.Name)
		if uses == 0 && v.Type != "datasource" {
			add("variable %s is used nowhere", v.Name)
		}
		if v.Type != "query" {
			continue
		}
		if v.Refresh != 2 || v.Datasource == nil || v.Datasource.UID != "${datasource}" {
			add("variable %s does not follow the time range", v.Name)
		}
		var q struct {
			Query string `json:"query"`
		}
		if err := json.Unmarshal(v.Query, &q); err != nil || q.Query != v.Definition {
			add("variable %s: query %s: %v", v.Name, v.Query, err)
		}
		m := regexp.MustCompile(`^(label_values|query_result)\((.*?)(?:, [a-z_]+)?\)$`).FindStringSubmatch(q.Query)
		if m == nil {
			add("variable %s: query %q", v.Name, q.Query)
			continue
		}
		if _, err := parse(m[2], ""); err != nil {
			add("variable %s: %v", v.Name, err)
		}
	}
	return problems
}

// TestLinks: each link leads to something that is there, and each of the mission's panels has a way to its traces.
func TestLinks(t *testing.T) {
	api, err := os.ReadFile("../../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	paths := regexp.MustCompile(`(?m)^  (/api/\S+):$`).FindAllStringSubmatch(string(api), -1)
	all := boards(t)
	view := panels.View{From: time.Unix(0, 0), To: time.Unix(3600, 0)}
	for _, b := range all {
		view.Values = b.Everything()
		for i, p := range b.All() {
			links, err := p.AllLinks()
			if err != nil {
				t.Fatal(err)
			}
			toTraces := len(p.Targets) > 0 && p.Targets[0].Exemplar
			for _, l := range links {
				if err := checkLink(strings.ReplaceAll(view.Fill(l.URL, ""), ":percentencode}", "}"), paths, all); err != nil {
					t.Errorf("%s: %q: %q: %v", b.UID, p.Title, l.Title, err)
				}
				toTraces = toTraces || strings.Contains(l.URL, "/explore") || strings.HasSuffix(l.URL, "/tasks?status=running")
			}
			if i < 4 && b.UID != "mindscope-platform" && !toTraces {
				t.Errorf("%s: no way from %q to the traces behind it", b.UID, p.Title)
			}
			if strings.Contains(p.Title, "ost") && p.FieldConfig.Defaults.Unit == "currencyUSD" {
				exact := slices.ContainsFunc(links, func(l panels.Link) bool { return strings.Contains(l.URL, "/api/mindscope/v1/costs?by=") })
				if !exact || !strings.Contains(p.Description, "trend") {
					t.Errorf("%s: %q does not say that it is a trend, or has no link to the exact figures", b.UID, p.Title)
				}
			}
		}
	}
}

func checkLink(link string, paths [][]string, all []panels.Board) error {
	u, err := url.Parse(link)
	if err != nil {
		return err
	}
	switch {
	case strings.HasPrefix(u.Path, "/d/"):
		if !slices.ContainsFunc(all, func(b panels.Board) bool { return "/d/"+b.UID == u.Path }) {
			return errors.New("there is no such dashboard")
		}
		return nil
	case u.Path == "/explore":
		return checkExplore(u.Query().Get("panes"))
	case u.Host == "localhost:9090":
		for _, p := range paths {
			if regexp.MustCompile(`^` + regexp.MustCompile(`\\\{[^}]*\\\}`).ReplaceAllString(regexp.QuoteMeta(p[1]), `[^/]+`) + `$`).MatchString(u.Path) {
				return nil
			}
		}
		return errors.New("the API has no such path")
	}
	return errors.New("it leads nowhere that is known")
}

func checkExplore(panes string) error {
	var all map[string]struct {
		Datasource string `json:"datasource"`
		Queries    []struct {
			RefID      string     `json:"refId"`
			Datasource panels.Ref `json:"datasource"`
			QueryType  string     `json:"queryType"`
			Query      string     `json:"query"`
		} `json:"queries"`
		Range struct{ From, To string } `json:"range"`
	}
	if err := json.Unmarshal([]byte(panes), &all); err != nil || len(all) != 1 {
		return fmt.Errorf("panes %s: %w", panes, err)
	}
	for _, pane := range all {
		q := pane.Queries[0]
		if pane.Datasource != grafana.TracesUID || q.Datasource != (panels.Ref{Type: "tempo", UID: grafana.TracesUID}) || pane.Range.From != "0" || pane.Range.To != "3600000" {
			return fmt.Errorf("pane %+v", pane)
		}
		if q.QueryType != "traceql" {
			return fmt.Errorf("query %+v", q)
		}
		if _, err := traceql.Parse(fill(q.Query, "")); err != nil && q.Query != "${__value.raw}" { // that one is a trace's id
			return err
		}
	}
	return nil
}
