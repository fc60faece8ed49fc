package grafana_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/rule"
)

// known returns the labels of each series that the server makes of the team's work, by name: those of the registry, and
// what the shipped rules record.
func known(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{"ALERTS": {"alertname", "alertstate", "team", "severity", "model", "agent"}}
	target := []string{"project", "team"}
	for _, m := range conv.Metrics() {
		all[m.Prom] = append(slices.Clone(target), m.Labels...)
		if m.Instrument != "histogram" {
			continue
		}
		for _, suffix := range []string{"_sum", "_count"} {
			all[m.Prom+suffix] = all[m.Prom]
		}
		all[m.Prom+"_bucket"] = append(slices.Clone(all[m.Prom]), "le")
	}
	rules := recordings(t)
	for _, r := range rules {
		if of := regexp.MustCompile(`_over_time\((\S+)\[1h\]`).FindStringSubmatch(r.Expr); of != nil {
			all[r.Record] = all[of[1]]
			continue
		}
		all[r.Record] = aggregated(t, r.Expr)
	}
	return all
}

// recordings are the shipped recording rules.
func recordings(t *testing.T) []rulefmt.Rule {
	t.Helper()
	files, err := rule.Shipped(rule.DefaultThresholds())
	if err != nil {
		t.Fatal(err)
	}
	var all []rulefmt.Rule
	for name, raw := range files {
		groups, errs := rulefmt.Parse(raw, false, model.UTF8Validation, parser.NewParser(parser.Options{}), nil)
		if len(errs) > 0 {
			t.Fatal(name, errs)
		}
		for _, g := range groups.Groups {
			for _, r := range g.Rules {
				if r.Record != "" {
					all = append(all, r)
				}
			}
		}
	}
	return all
}

// aggregated are the labels that an expression's outermost sum leaves; those of a quantile have no le.
func aggregated(t *testing.T, expr string) []string {
	t.Helper()
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		t.Fatal(err)
	}
	var by []string
	parser.Inspect(e, func(node parser.Node, _ []parser.Node) error {
		if a, ok := node.(*parser.AggregateExpr); ok && by == nil {
			by = a.Grouping
		}
		return nil
	})
	if strings.Contains(expr, "histogram_quantile") {
		by = slices.DeleteFunc(slices.Clone(by), func(l string) bool { return l == "le" })
	}
	return by
}

// platforms are series of the server about itself; test/grafana looks for them on the running binary's page.
func platforms(name string) bool {
	for _, prefix := range []string{"mindscope_", "process_", "go_", "prometheus_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// switches are labels that no series has: readings are switched by them (reading.go).
func switches() []string { return []string{"long", "week", "all_agent", "all_model"} }

// TestNamesAreInTheRegistry: every series that a panel, a variable or an annotation asks for is one that the server
// makes, and so is each label that it filters by, sums by or shows.
func TestNamesAreInTheRegistry(t *testing.T) {
	series := known(t)
	for s, ls := range series {
		for _, l := range ls {
			if slices.Contains(switches(), l) {
				t.Errorf("%s has the label %s, which the dashboards use as a switch", s, l)
			}
		}
	}
	for _, b := range boards(t) {
		for _, p := range b.All() {
			for _, target := range p.Targets {
				if target.Datasource.Type == "prometheus" {
					checkNames(t, b.UID+": "+p.Title, target.Expr, target.LegendFormat, series)
				}
			}
		}
		for _, a := range b.Annotations.List {
			checkNames(t, b.UID+": "+a.Name, a.Expr, "", series)
		}
		for _, v := range b.Templating.List {
			m := regexp.MustCompile(`^(?:label_values|query_result)\((.*?)(?:, ([a-z_]+))?\)$`).FindStringSubmatch(v.Definition)
			if m == nil {
				continue
			}
			legend := ""
			if m[2] != "" {
				legend = "{{" + m[2] + "}}"
			}
			checkNames(t, b.UID+": variable "+v.Name, m[1], legend, series)
		}
	}
}

func checkNames(t *testing.T, where, query, legend string, known map[string][]string) {
	t.Helper()
	expr, err := parse(query, "")
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	shown := map[string]bool{}
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		v, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		if platforms(v.Name) {
			shown["*"] = true
			return nil
		}
		ls, ok := known[v.Name]
		if !ok {
			t.Errorf("%s: there is no series %s", where, v.Name)
			return nil
		}
		for _, m := range v.LabelMatchers {
			if m.Name != model.MetricNameLabel && !slices.Contains(ls, m.Name) && !slices.Contains(switches(), m.Name) {
				t.Errorf("%s: %s has no label %s", where, v.Name, m.Name)
			}
		}
		left := ls
		for _, above := range path {
			if a, ok := above.(*parser.AggregateExpr); ok {
				left = a.Grouping
				for _, l := range a.Grouping {
					if !slices.Contains(ls, l) {
						t.Errorf("%s: %s has no label %s to sum by", where, v.Name, l)
					}
				}
				break
			}
		}
		for _, l := range left {
			shown[l] = true
		}
		return nil
	})
	for _, m := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(legend, -1) {
		if !shown[m[1]] && !shown["*"] {
			t.Errorf("%s: the legend shows %s, which the answer does not have", where, m[1])
		}
	}
}

// TestEveryTeamSelectorIsFiltered: on the team's dashboards each selector is filtered by project and team, and by agent and
// model where its series has them and the dashboard lets people choose.
func TestEveryTeamSelectorIsFiltered(t *testing.T) {
	series := known(t)
	for _, b := range boards(t) {
		if b.UID == "mindscope-platform" {
			continue
		}
		variables := []string{"project", "team"}
		for _, v := range b.Templating.List {
			if v.Name == "agent" || v.Name == "model" {
				variables = append(variables, v.Name)
			}
		}
		for _, p := range b.All() {
			for _, target := range p.Targets {
				if target.Datasource.Type != "prometheus" {
					continue
				}
				for _, m := range regexp.MustCompile(`([a-z_:0-9]+)\{([^}]*)\}`).FindAllStringSubmatch(target.Expr, -1) {
					for _, v := range variables {
						// A budget names an agent or model where it is one of theirs only.
						if strings.HasPrefix(m[1], "ai_team_budget") && v != "project" && v != "team" {
							continue
						}
						if slices.Contains(series[m[1]], v) && !strings.Contains(m[2], v+`=~"$`+v+`"`) {
							t.Errorf("%s: %q: %s is not filtered by %s", b.UID, p.Title, m[1], v)
						}
					}
				}
			}
		}
	}
}

// TestBothReadings: each panel of the team asks the series themselves and what the shipped rules recorded of them; every
// rule of the group for dashboards is read by one.
func TestBothReadings(t *testing.T) {
	read := map[string]bool{}
	for _, b := range boards(t) {
		if b.UID == "mindscope-platform" {
			continue
		}
		for _, p := range b.All() {
			if strings.Contains(p.Description, "not the counter") {
				continue // a gauge at one time is one sample of each series
			}
			var found [3]int
			for _, target := range p.Targets {
				if target.Datasource.Type != "prometheus" || target.LegendFormat == "exemplars" {
					continue
				}
				has := []bool{
					strings.Contains(target.Expr, `long!~"$long"`), strings.Contains(target.Expr, `long=~"$long", week!~"$week"`), strings.Contains(target.Expr, `week=~"$week"`),
				}
				least := []string{"", "5m", "2h"} // a point for two hours
				for i, h := range has {
					if h {
						found[i]++
					}
					if !target.Instant && h != (target.Interval == least[i]) {
						t.Errorf("%s: %q asks every %q: %s", b.UID, p.Title, target.Interval, target.Expr)
					}
				}
				for _, name := range regexp.MustCompile(`team[a-z_]*:[a-z_]+:\w+`).FindAllString(target.Expr, -1) {
					read[name] = true
				}
			}
			if len(p.Targets) > 0 && p.Targets[0].Datasource.Type == "prometheus" && slices.Contains(found[:], 0) {
				t.Errorf("%s: %q has %v queries of the series, of those recorded every five minutes and every hour", b.UID, p.Title, found)
			}
		}
	}
	for _, r := range recordings(t) {
		if !read[r.Record] && !strings.HasSuffix(r.Record, ":mean1h") { // that one is for an alert
			t.Errorf("no panel reads %s", r.Record)
		}
	}
}

// TestLongRange: the hidden variable gives the one or the other reading, by the length of the time range.
func TestLongRange(t *testing.T) {
	for _, b := range boards(t) {
		for _, v := range b.Templating.List {
			seconds, ok := map[string]string{"long": "21600", "week": "604800"}[v.Name]
			if ok && (!strings.Contains(v.Definition, "vector($__range_s) > "+seconds) || !strings.Contains(v.Definition, "vector($__range_s) <= "+seconds) || v.Hide != 2) {
				t.Errorf("%s: %+v", b.UID, v)
			}
		}
	}
	none := labels.MustNewMatcher(labels.MatchRegexp, "long", ".+")
	all := labels.MustNewMatcher(labels.MatchRegexp, "long", ".*")
	if none.Matches("") || !all.Matches("") {
		t.Error("the matchers don't switch")
	}
}
