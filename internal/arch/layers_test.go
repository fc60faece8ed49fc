package arch

import (
	"slices"
	"strings"
	"testing"
)

// layers says what the packages of a folder may import of internal/. It is the table of docs/architecture.md. "x/*" is
// any package directly inside x.
var layers = map[string][]string{
	"conv":      {},
	"ui":        {},
	"grafana":   {"conv"},
	"config":    {},
	"client":    {},
	"self":      {},
	"arch":      {},
	"signal":    {"conv"},
	"store":     {"signal", "conv"},
	"store/*":   {"store", "signal", "conv"},
	"target":    {},
	"receive/*": {"target", "signal", "conv"},
	"enrich/*":  {"signal", "conv"},
	"derive/*":  {"store", "signal", "conv"},
	"query":     {"store", "signal", "conv"},
	"query/*":   {"query", "store", "derive/*", "signal", "conv"},
	"rule":      {"target", "query", "query/*", "store", "signal", "conv"},
	"api/*":     {"query", "query/*", "rule", "derive/*", "store", "signal", "conv"},
	"app":       {"*", "*/*"},
	"cmd":       {"app", "config", "client"},
}

// testOnly are packages that help tests and must not get into the program.
var testOnly = []string{
	"testing", "testing/synctest", "net/http/httptest",
	"github.com/google/go-cmp/cmp", "go.uber.org/goleak", "pgregory.net/rapid", "github.com/rogpeppe/go-internal/testscript",
	module + "/internal/store/storetest", module + "/internal/query/teamtest", module + "/test/harness", module + "/test/corpus", module + "/test/panels",
	"github.com/grafana/grafana-foundation-sdk/go/cog", "github.com/grafana/grafana-foundation-sdk/go/cog/plugins",
	"github.com/grafana/grafana-foundation-sdk/go/dashboard", "github.com/grafana/grafana-foundation-sdk/go/units",
}

const (
	module = "github.com/mindscope/mindscope"
	sdk    = module + "/sdk"
)

// layerOf returns the layer of a package path inside the module, "" for one outside cmd and internal.
func layerOf(dir string) string {
	if dir == "cmd" || strings.HasPrefix(dir, "cmd/") {
		return "cmd"
	}
	rest, ok := strings.CutPrefix(dir, "internal/")
	if !ok {
		return ""
	}
	return starred(rest)
}

func starred(name string) string {
	if top, _, nested := strings.Cut(name, "/"); nested {
		return top + "/*"
	}
	return name
}

// forbidden says why the package in dir must not import path, "" when it may. Code of tests and of test helpers may use
// test-only packages; what it imports of internal/ is free, since it proves parts together.
func forbidden(dir, path string, test bool) string {
	inSDK := dir == "sdk" || strings.HasPrefix(dir, "sdk/")
	toSDK := path == sdk || strings.HasPrefix(path, sdk+"/")
	toModule := path == module || strings.HasPrefix(path, module+"/")
	switch {
	case inSDK && toModule && !toSDK:
		return "the SDK must not import the server"
	case strings.HasPrefix(dir, "examples") && strings.HasPrefix(path, module+"/internal/"):
		return "examples see of MindScope what every user sees"
	case !inSDK && toSDK && !strings.HasPrefix(dir, "examples"):
		return "the server must not import the SDK"
	case test || inSDK || strings.HasPrefix(dir, "test/") || strings.HasSuffix(dir, "test"):
		return ""
	case slices.Contains(testOnly, path):
		return "only tests may import it"
	}
	target, ok := strings.CutPrefix(path, module+"/internal/")
	layer := layerOf(dir)
	if !ok || layer == "" {
		return ""
	}
	allowed, known := layers[layer]
	if !known {
		return "layer " + layer + " is not in the table of layers"
	}
	if layer == "app" || slices.Contains(allowed, target) || strings.Contains(target, "/") && slices.Contains(allowed, starred(target)) {
		return ""
	}
	return layer + " may import of ours: " + strings.Join(allowed, ", ")
}

func TestForbidden(t *testing.T) {
	f := func(dir, path string, test, want bool) {
		t.Helper()
		if got := forbidden(dir, path, test); (got != "") != want {
			t.Errorf("%s imports %s: %q", dir, path, got)
		}
	}
	in := module + "/internal/"
	f("internal/store/eventdb", in+"store", false, false)
	f("internal/store/eventdb", in+"store/memdb", false, true)
	f("internal/store/eventdb", in+"store/memdb", true, false)
	f("internal/store", in+"store/eventdb", false, true)
	f("internal/api/team", in+"query/team", false, false)
	f("internal/api/team", in+"store/eventdb", false, true)
	f("internal/query/team", in+"api/team", false, true)
	f("internal/enrich/cost", in+"store", false, true)
	f("internal/receive/otlp", in+"self", false, true)
	f("internal/rule", in+"query/promql", false, false)
	f("internal/app", in+"store/eventdb", false, false)
	f("internal/app", in+"store/storetest", false, true)
	f("internal/config", in+"signal", false, true)
	f("internal/newthing", in+"signal", false, true)
	f("internal/newthing", "fmt", false, false)
	f("cmd/mindscope", in+"app", false, false)
	f("cmd/mindscope", in+"signal", false, true)
	f("cmd/mindscope", sdk, false, true)
	f("cmd/mindscope", sdk, true, true)
	f("internal/app", "testing", false, true)
	f("internal/grafana", in+"conv", false, false)
	f("internal/grafana", in+"rule", false, true)
	f("internal/grafana", "github.com/grafana/grafana-foundation-sdk/go/dashboard", false, true)
	f("internal/grafana", "github.com/grafana/grafana-foundation-sdk/go/dashboard", true, false)
	f("internal/store/storetest", "testing", false, false)
	f("internal/app", "testing", true, false)
	f("sdk/mindbus", in+"conv", false, true)
	f("sdk/mindbus", sdk+"/conv", false, false)
	f("sdk", module, true, true)
	f("examples/articleteam", sdk, false, false)
	f("examples/articleteam", in+"conv", false, true)
	f("examples/articleteam", in+"app", true, true)
}

// TestEveryFolderHasALayer: a package that imports nothing of ours would pass without a line in the table, and its
// place in the flow would be nowhere written down.
func TestEveryFolderHasALayer(t *testing.T) {
	files, _ := goFiles(t)
	for _, f := range files {
		if layer := layerOf(f.dir); layer != "" && layers[layer] == nil {
			t.Errorf("%s: layer %s is not in the table of layers", f.path, layer)
		}
	}
}
