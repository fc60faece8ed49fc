package grafana_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/rule"
	"github.com/mindscope/mindscope/test/panels"
)

// steady is a day of steady work: each series of the contract grows evenly, each with a pace of its own.
func steady() string {
	values := map[string][]string{
		"project": {"default"}, "team": {"press", "lab"}, "agent": {"writer", "critic"}, "to_agent": {"writer", "critic"}, "from_agent": {"orchestrator"},
		"model": {"gpt-4o", "sonnet"}, "task_type": {"article"}, "token_type": {"input", "cache_read", "output"}, "error_type": {"429", "timeout"},
		"status": {"pending", "completed", "failed"}, "type": {"COMMAND", "RESULT"}, "hop": {"record"}, "budget": {"day"}, "period": {"day"},
	}
	var b strings.Builder
	b.WriteString("load 1m\n")
	pace := 0
	for _, m := range conv.Metrics() {
		if !strings.HasPrefix(m.Prom, "ai_team_") {
			continue
		}
		sets := []string{""}
		for _, name := range append([]string{"project", "team"}, m.Labels...) {
			var next []string
			for _, s := range sets {
				for _, v := range values[name] {
					next = append(next, s+name+`="`+v+`",`)
				}
			}
			sets = next
		}
		for _, set := range sets {
			pace++
			switch m.Instrument {
			case "gauge":
				fmt.Fprintf(&b, "  %s{%s} %dx1600\n", m.Prom, set, pace)
			case "counter":
				fmt.Fprintf(&b, "  %s{%s} 0+%dx1600\n", m.Prom, set, pace)
			default:
				for i, le := range m.Buckets {
					fmt.Fprintf(&b, "  %s_bucket{%sle=\"%g\"} 0+%dx1600\n", m.Prom, set, le, pace*(i+1))
				}
				all := pace * (len(m.Buckets) + 1)
				fmt.Fprintf(&b, "  %[1]s_bucket{%[2]sle=\"+Inf\"} 0+%[3]dx1600\n  %[1]s_count{%[2]s} 0+%[3]dx1600\n  %[1]s_sum{%[2]s} 0+%[4]dx1600\n", m.Prom, set, all, 3*all)
			}
		}
	}
	return b.String()
}

// record evaluates the shipped recording rules over the day, each group at its interval.
func record(t *testing.T, suite *promqltest.LazyLoader, end time.Time) {
	t.Helper()
	shipped, err := rule.Shipped(rule.DefaultThresholds())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "recording.yml")
	if err := os.WriteFile(file, shipped["recording.yml"], 0o600); err != nil {
		t.Fatal(err)
	}
	m := rules.NewManager(&rules.ManagerOptions{
		QueryFunc:    rules.EngineQueryFunc(suite.QueryEngine(), suite.Storage()),
		AppendableV2: suite.Storage(), Context: t.Context(), Parser: parser.NewParser(parser.Options{}),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
	})
	groups, errs := m.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, file)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	names := slices.Sorted(maps.Keys(groups)) // the hours after the five minutes that they are made of
	for at := time.Unix(0, 0).UTC(); !at.After(end); at = at.Add(5 * time.Minute) {
		suite.WithSamplesTill(at, func(err error) {
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				g := groups[name]
				if at.Unix()%int64(g.Interval().Seconds()) != 0 {
					continue
				}
				g.Eval(suite.Context(), at)
				for _, r := range g.Rules() {
					if err := r.LastError(); err != nil {
						t.Fatalf("%s at %s: %v", r.Name(), at, err)
					}
				}
			}
		})
	}
}

// TestReadingsAgree: of steady work a panel shows the same from the series themselves, from what is recorded every five
// minutes and from what is recorded every hour; with all agents and models, and with one chosen; and each panel has
// one answer in each case, never two.
func TestReadingsAgree(t *testing.T) {
	end := time.Unix(26*3600, 0).UTC()
	suite, err := promqltest.NewLazyLoader(steady(), promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true})
	if err != nil {
		t.Fatal(err)
	}
	defer suite.Close()
	record(t, suite, end)
	switches := []map[string]string{{"long": ".+", "week": ".+"}, {"long": ".*", "week": ".+"}, {"long": ".*", "week": ".*"}}
	for _, chosen := range []map[string]string{{}, {"agent": "writer"}, {"model": "sonnet"}, {"agent": "critic", "model": "gpt-4o", "team": "lab"}} {
		for _, b := range boards(t) {
			if b.UID == "mindscope-platform" {
				continue
			}
			for _, p := range b.All() {
				var first map[string]float64
				for i, sw := range switches {
					view := panels.View{From: end.Add(-24 * time.Hour), To: end, Values: b.Everything()}
					maps.Copy(view.Values, chosen)
					maps.Copy(view.Values, sw)
					view.Values["__interval"], view.Values["__rate_interval"] = "2h", "2h"
					got := answers(t, suite, p, view, end)
					if i == 0 {
						first = got
						if len(first) == 0 && p.Targets[0].Datasource.Type == "prometheus" && len(chosen) == 0 {
							t.Errorf("%s: %q shows nothing", b.Title, p.Title)
						}
						continue
					}
					if err := agree(first, got); err != nil {
						t.Errorf("%s: %q with %v and %v: %v", b.Title, p.Title, chosen, sw, err)
					}
				}
			}
		}
	}
}

// answers are the values of all targets of a panel. The same series from two targets is an error.
func answers(t *testing.T, suite *promqltest.LazyLoader, p panels.Panel, view panels.View, at time.Time) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for _, target := range p.Targets {
		if target.Datasource.Type != "prometheus" {
			continue
		}
		q, err := suite.QueryEngine().NewInstantQuery(suite.Context(), suite.Storage(), nil, view.Fill(target.Expr, target.Interval), at)
		if err != nil {
			t.Fatal(err)
		}
		res := q.Exec(suite.Context())
		vector, ok := res.Value.(promql.Vector)
		if res.Err != nil || !ok {
			t.Fatalf("%s: %v", p.Title, res.Err)
		}
		for _, s := range vector {
			key := target.LegendFormat + " " + s.Metric.String()
			if _, twice := out[key]; twice {
				t.Errorf("%q: %s comes from two queries", p.Title, key)
			}
			out[key] = s.F
		}
		q.Close()
	}
	return out
}

// agree compares two readings: a percent is what extrapolation costs.
func agree(want, got map[string]float64) error {
	for key, w := range want {
		g, ok := got[key]
		if !ok || math.Abs(g-w) > 0.01*math.Abs(w) {
			return fmt.Errorf("%s is %v, the series themselves say %v", key, g, w)
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d series, the series themselves give %d: %v", len(got), len(want), got)
	}
	return nil
}
