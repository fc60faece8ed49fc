package dialect

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.yaml.in/yaml/v3"

	"github.com/mindscope/mindscope/internal/signal"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// golden is telemetry of one dialect, written down in testdata.
type golden struct {
	About     string         `yaml:"about"`
	Scope     string         `yaml:"scope"`
	SchemaURL string         `yaml:"schema_url"`
	Resource  map[string]any `yaml:"resource"`
	Spans     []goldenSpan   `yaml:"spans"`
	Logs      []goldenSpan   `yaml:"logs"`
}

type goldenSpan struct {
	Name       string         `yaml:"name"`
	Scope      string         `yaml:"scope"`
	Attributes map[string]any `yaml:"attributes"`
}

func (g *golden) traces(t *testing.T) ptrace.Traces {
	t.Helper()
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	fill(t, rs.Resource().Attributes(), g.Resource)
	for _, in := range g.Spans {
		ss := rs.ScopeSpans().AppendEmpty()
		ss.SetSchemaUrl(g.SchemaURL)
		ss.Scope().SetName(scopeOf(in.Scope, g.Scope))
		s := ss.Spans().AppendEmpty()
		s.SetName(in.Name)
		fill(t, s.Attributes(), in.Attributes)
	}
	return td
}

func (g *golden) logs(t *testing.T) plog.Logs {
	t.Helper()
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	fill(t, rl.Resource().Attributes(), g.Resource)
	for _, in := range g.Logs {
		sl := rl.ScopeLogs().AppendEmpty()
		sl.SetSchemaUrl(g.SchemaURL)
		sl.Scope().SetName(scopeOf(in.Scope, g.Scope))
		rec := sl.LogRecords().AppendEmpty()
		rec.SetEventName(in.Name)
		fill(t, rec.Attributes(), in.Attributes)
	}
	return ld
}

// scopeOf is a span's own scope, else the file's; "none" is no scope at all.
func scopeOf(own, file string) string {
	switch own {
	case "":
		return file
	case "none":
		return ""
	default:
		return own
	}
}

func fill(t *testing.T, m pcommon.Map, attrs map[string]any) {
	t.Helper()
	if err := m.FromRaw(attrs); err != nil {
		t.Fatal(err)
	}
}

// read is what the dialect's reading says of one span or record.
type goldenRead struct {
	Name    string         `json:"name"`
	Columns map[string]any `json:"columns"`
}

// TestGolden reads the telemetry of each dialect in testdata and compares the columns with the golden file beside it.
// What was sent must still be there as it was.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var g golden
			dec := yaml.NewDecoder(bytes.NewReader(raw))
			dec.KnownFields(true)
			if err := dec.Decode(&g); err != nil {
				t.Fatal(err)
			}
			compareGolden(t, strings.TrimSuffix(file, ".yaml")+".golden.json", g.readAll(t))
		})
	}
}

func (g *golden) readAll(t *testing.T) []goldenRead {
	t.Helper()
	next := &last{}
	s, err := New(next, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Traces(t.Context(), signal.DefaultProject, g.traces(t)); err != nil {
		t.Fatal(err)
	}
	spans := next.traces
	next.traces = ptrace.NewTraces()
	if _, err := s.Logs(t.Context(), signal.DefaultProject, g.logs(t)); err != nil {
		t.Fatal(err)
	}
	var out []goldenRead
	i := 0
	for _, rs := range spans.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			if ss.SchemaUrl() != g.SchemaURL {
				t.Errorf("schema URL is %q, was sent as %q", ss.SchemaUrl(), g.SchemaURL)
			}
			for _, span := range ss.Spans().All() {
				out = append(out, columnsOf(t, span.Name(), span.Attributes(), g.Spans[i].Attributes))
				i++
			}
		}
	}
	i = 0
	for _, rl := range next.logs.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				out = append(out, columnsOf(t, rec.EventName(), rec.Attributes(), g.Logs[i].Attributes))
				i++
			}
		}
	}
	for span := range spansOf(next.traces) {
		out = append(out, columnsOf(t, "span made of a record: "+span.Name(), span.Attributes(), nil))
	}
	return out
}

// columnsOf takes the columns out of attrs; the rest must equal what was sent.
func columnsOf(t *testing.T, name string, attrs pcommon.Map, sent map[string]any) goldenRead {
	t.Helper()
	columns := map[string]any{}
	attrs.RemoveIf(func(k string, v pcommon.Value) bool {
		column, ok := strings.CutPrefix(k, "mindscope.")
		if ok {
			columns[column] = v.AsRaw()
		}
		return ok
	})
	if sent == nil {
		return goldenRead{name, columns}
	}
	before := pcommon.NewMap()
	fill(t, before, sent)
	if diff := cmp.Diff(before.AsRaw(), attrs.AsRaw()); diff != "" {
		t.Errorf("%s: the sender's attributes (-sent +kept):\n%s", name, diff)
	}
	return goldenRead{name, columns}
}

func compareGolden(t *testing.T, file string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *rewrite {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: run the test with -rewrite and look at what it wrote", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("-golden +got:\n%s", diff)
	}
}

// TestEveryDialectHasAGolden holds that no table is without a test of its own, and that its file really speaks it.
func TestEveryDialectHasAGolden(t *testing.T) {
	_, list, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range list {
		raw, err := os.ReadFile(filepath.Join("testdata", table.Name+".golden.json"))
		if err != nil {
			t.Errorf("dialect %s: %v", table.Name, err)
			continue
		}
		var reads []goldenRead
		if err := json.Unmarshal(raw, &reads); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(reads, func(r goldenRead) bool { return r.Columns["dialect"] == table.Name }) {
			t.Errorf("nothing in %s.golden.json is read as %s", table.Name, table.Name)
		}
	}
}
