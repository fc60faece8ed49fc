package target

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/file"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) *Finder {
	t.Helper()
	f, err := New(Config{Name: "test", Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Failed: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	return f
}

func apply(t *testing.T, f *Finder, ways map[string]discovery.Configs) {
	t.Helper()
	if err := f.Apply(ways); err != nil {
		t.Fatal(err)
	}
}

func list(addresses ...string) discovery.StaticConfig {
	g := &targetgroup.Group{}
	for _, a := range addresses {
		g.Targets = append(g.Targets, model.LabelSet{model.AddressLabel: model.LabelValue(a)})
	}
	return discovery.StaticConfig{g}
}

func addresses(groups Groups) map[string][]string {
	out := map[string][]string{}
	for name, gs := range groups {
		out[name] = nil
		for _, g := range gs {
			for _, one := range g.Targets {
				out[name] = append(out[name], string(one[model.AddressLabel]))
			}
		}
	}
	return out
}

// await reads what is found until it is want.
func await(t *testing.T, f *Finder, want map[string][]string) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	var got map[string][]string
	for {
		select {
		case groups := <-f.Found():
			if got = addresses(groups); cmp.Equal(want, got) {
				return
			}
		case <-timeout:
			t.Fatal(cmp.Diff(want, got))
		}
	}
}

// TestListsNeedNoSearch: targets that are listed are there at once, the newest list is the one that counts, and nothing runs.
func TestListsNeedNoSearch(t *testing.T) {
	f := start(t)
	apply(t, f, map[string]discovery.Configs{"a": {list("old:1")}, "gone": {list("old:2")}})
	apply(t, f, map[string]discovery.Configs{"a": {list("new:1", "new:2"), list("new:3")}, "b": nil})
	want := map[string][]string{"a": {"new:1", "new:2", "new:3"}, "b": nil}
	if diff := cmp.Diff(want, addresses(<-f.Found())); diff != "" {
		t.Error(diff)
	}
	if f.looking {
		t.Error("a list started the search")
	}
}

// TestSearchAfterLists: a reload brings a file of targets, and the next one takes it away.
func TestSearchAfterLists(t *testing.T) {
	name := filepath.Join(t.TempDir(), "targets.json")
	if err := os.WriteFile(name, []byte(`[{"targets": ["found:1"]}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	f := start(t)
	apply(t, f, map[string]discovery.Configs{"a": {list("listed:1")}})
	apply(t, f, map[string]discovery.Configs{
		"a": {list("listed:1")},
		"b": {&file.SDConfig{Files: []string{name}, RefreshInterval: model.Duration(time.Second)}},
	})
	await(t, f, map[string][]string{"a": {"listed:1"}, "b": {"found:1"}})
	apply(t, f, map[string]discovery.Configs{"a": {list("listed:2")}})
	await(t, f, map[string][]string{"a": {"listed:2"}})
}
