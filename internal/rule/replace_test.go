package rule

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
)

// TestOwnGroupsReplaceShipped: a group of rules on disk takes the place of the shipped one of its name, and only of that one.
func TestOwnGroupsReplaceShipped(t *testing.T) {
	suite, err := promqltest.NewLazyLoader("load 1m\n", promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true})
	if err != nil {
		t.Fatal(err)
	}
	defer suite.Close()
	m := Start(Config{
		Engine: suite.QueryEngine(), Parser: parser.NewParser(parser.Options{}), Queryable: suite.Storage(), To: suite.Storage(), Shipped: shipped(t),
	})
	defer m.Stop()
	file := filepath.Join(t.TempDir(), "own.yml")
	cfg := &config.Config{RuleFiles: []string{file}, GlobalConfig: config.DefaultGlobalConfig}
	cfg.GlobalConfig.EvaluationInterval *= 60
	f := func(text string, fails bool, want ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := m.Apply(cfg); (err != nil) != fails {
			t.Errorf("%q: %v", text, err)
		}
		var got []string
		for _, g := range m.RuleGroups() {
			where := "shipped"
			if g.File() == file {
				where = "own"
			}
			got = append(got, where+" "+g.Name())
		}
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q (-want +got):\n%s", text, d)
		}
	}
	own := "groups: [{name: mindscope-platform, interval: 1h, rules: [{record: a:b, expr: vector(1)}]}]"
	replaced := []string{"own mindscope-platform", "shipped mindscope-dashboards", "shipped mindscope-dashboards-1h", "shipped mindscope-recording", "shipped mindscope-team"}
	all := []string{"shipped mindscope-dashboards", "shipped mindscope-dashboards-1h", "shipped mindscope-platform", "shipped mindscope-recording", "shipped mindscope-team"}
	f("groups: []", false, all...)
	f(own, false, replaced...)
	f("groups: [{name: mindscope-team, rules: [{record: a:b, expr: vector(}]}]", true, replaced...) // what was in force stays
	f(own+" # again", false, replaced...)
	f("groups: []", false, all...)
}
