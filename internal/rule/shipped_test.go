package rule

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"go.yaml.in/yaml/v3"
)

// unitTests is a file of tests in promtool's form. Its rules are the shipped ones, with the default thresholds.
type unitTests struct {
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	Tests              []unitTest     `yaml:"tests"`
}

type unitTest struct {
	Name        string         `yaml:"name"`
	Interval    model.Duration `yaml:"interval"`
	InputSeries []struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	} `yaml:"input_series"`
	AlertRuleTest []struct {
		EvalTime  model.Duration `yaml:"eval_time"`
		Alertname string         `yaml:"alertname"`
		ExpAlerts []struct {
			ExpLabels      map[string]string `yaml:"exp_labels"`
			ExpAnnotations map[string]string `yaml:"exp_annotations"`
		} `yaml:"exp_alerts"`
	} `yaml:"alert_rule_test"`
}

func shipped(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := Shipped(DefaultThresholds())
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// groups loads the shipped rules into a manager that works on suite.
func groups(t *testing.T, suite *promqltest.LazyLoader) []*rules.Group {
	t.Helper()
	files := shipped(t)
	p := parser.NewParser(parser.Options{})
	m := rules.NewManager(&rules.ManagerOptions{
		QueryFunc:    rules.EngineQueryFunc(suite.QueryEngine(), suite.Storage()),
		AppendableV2: suite.Storage(),
		Context:      t.Context(),
		NotifyFunc:   func(context.Context, string, ...*rules.Alert) {},
		GroupLoader:  loader{shipped: files, parser: p},
		Parser:       p,
	})
	var names []string
	for name := range files {
		names = append(names, shippedPrefix+name)
	}
	loaded, errs := m.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, names...)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var all []*rules.Group
	for _, g := range loaded {
		for _, r := range g.Rules() {
			if a, ok := r.(*rules.AlertingRule); ok {
				a.SetRestored(true)
			}
		}
		all = append(all, g)
	}
	// Recording rules first: the alerts read them.
	slices.SortFunc(all, func(a, b *rules.Group) int { return strings.Compare(a.Name(), b.Name()) })
	return all
}

func TestShippedRules(t *testing.T) {
	files, err := filepath.Glob("testdata/*.test.yml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	tested := map[string]bool{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var tests unitTests
		dec := yaml.NewDecoder(strings.NewReader(string(raw)))
		dec.KnownFields(true)
		if err := dec.Decode(&tests); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, test := range tests.Tests {
			for _, a := range test.AlertRuleTest {
				if len(a.ExpAlerts) > 0 {
					tested[a.Alertname] = true
				}
			}
			t.Run(strings.ReplaceAll(test.Name, " ", "_"), func(t *testing.T) { runUnit(t, tests.EvaluationInterval, test) })
		}
	}
	suite, err := promqltest.NewLazyLoader("load 1m\n", promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true})
	if err != nil {
		t.Fatal(err)
	}
	defer suite.Close()
	for _, g := range groups(t, suite) {
		for _, r := range g.Rules() {
			a, ok := r.(*rules.AlertingRule)
			if !ok {
				continue
			}
			if !tested[a.Name()] {
				t.Errorf("no test makes %s fire", a.Name())
			}
			runbook := filepath.Join("../../docs/runbooks", strings.ToLower(a.Name())+".md")
			if _, err := os.Stat(runbook); err != nil {
				t.Errorf("alert %s has no runbook: %v", a.Name(), err)
			}
			if url := a.Annotations().Get("runbook_url"); !strings.HasSuffix(url, "/"+filepath.Base(runbook)) {
				t.Errorf("alert %s links to %q", a.Name(), url)
			}
		}
	}
}

func runUnit(t *testing.T, every model.Duration, test unitTest) {
	var load strings.Builder
	fmt.Fprintf(&load, "load %s\n", test.Interval)
	for _, s := range test.InputSeries {
		fmt.Fprintf(&load, "  %s %s\n", s.Series, s.Values)
	}
	suite, err := promqltest.NewLazyLoader(load.String(), promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true})
	if err != nil {
		t.Fatal(err)
	}
	defer suite.Close()
	all := groups(t, suite)
	var last model.Duration
	for _, a := range test.AlertRuleTest {
		last = max(last, a.EvalTime)
	}
	start := time.Unix(0, 0).UTC()
	for at := model.Duration(0); at <= last; at += every {
		ts := start.Add(time.Duration(at))
		suite.WithSamplesTill(ts, func(err error) {
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range all {
				g.Eval(suite.Context(), ts)
				for _, r := range g.Rules() {
					if err := r.LastError(); err != nil {
						t.Fatalf("%s at %s: %v", r.Name(), at, err)
					}
				}
			}
		})
		for _, want := range test.AlertRuleTest {
			if want.EvalTime != at {
				continue
			}
			var exp []string
			for _, a := range want.ExpAlerts {
				exp = append(exp, describe(labels.FromMap(a.ExpLabels), a.ExpAnnotations["summary"]))
			}
			slices.Sort(exp)
			if d := cmp.Diff(exp, firing(all, want.Alertname)); d != "" {
				t.Errorf("%s at %s (-want +got):\n%s", want.Alertname, at, d)
			}
		}
	}
}

// firing returns the firing alerts of one name as text.
func firing(all []*rules.Group, name string) []string {
	var got []string
	for _, g := range all {
		for _, r := range g.Rules() {
			a, ok := r.(*rules.AlertingRule)
			if !ok || a.Name() != name {
				continue
			}
			for _, alert := range a.ActiveAlerts() {
				if alert.State != rules.StateFiring {
					continue
				}
				b := labels.NewBuilder(alert.Labels)
				b.Del("alertname")
				got = append(got, describe(b.Labels(), alert.Annotations.Get("summary")))
			}
		}
	}
	slices.Sort(got)
	return got
}

func describe(ls labels.Labels, summary string) string { return ls.String() + " " + summary }

func TestThresholdsAreFilledIn(t *testing.T) {
	th := DefaultThresholds()
	th.TaskFailureRatio, th.Window = 0.5, time.Minute
	files, err := Shipped(th)
	if err != nil {
		t.Fatal(err)
	}
	text := string(files["team.yml"])
	for _, want := range []string{"> 0.5", `[ 1m ]`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the rules", want)
		}
	}
	if strings.Contains(text, "[[") {
		t.Error("a threshold is not filled in")
	}
}
