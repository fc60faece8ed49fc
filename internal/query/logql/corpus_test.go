package logql

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.yaml.in/yaml/v3"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/test/harness"
)

// corpusCase is a case of the recorded queries.
type corpusCase struct {
	Query         string `yaml:"query"`
	ShouldBeEmpty bool   `yaml:"should_be_empty"`
}

// variants are the values of the templates' variables. Each is tried with the others at their first.
var variants = map[string][]string{
	"range": {"5s", "1m"}, "offset": {"5s", "30s"},
	"simpleRangeAggOp":  {"count_over_time", "rate", "bytes_over_time", "bytes_rate"},
	"unwrapRangeAggOp":  {"sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "stddev_over_time", "stdvar_over_time", "first_over_time", "last_over_time", "rate", "rate_counter"},
	"groupRangeAggOp":   {"avg_over_time", "min_over_time", "max_over_time", "stddev_over_time", "stdvar_over_time", "first_over_time", "last_over_time"},
	"unwrapExpr":        {"unwrap status", "unwrap bytes(size)", "unwrap duration(took)", "unwrap duration_seconds(took)"},
	"unwrapLabels":      {"status, size, took, method"},
	"quantile":          {"0.99", "0.5"},
	"simpleVecAggOp":    {"sum", "avg", "min", "max", "count", "stddev", "stdvar"},
	"topBottomVecAggOp": {"topk", "bottomk"}, "sortVecAggOp": {"sort", "sort_desc"}, "topN": {"1", "2", "5"},
	"cmpBinOp": {"==", "!=", ">", ">=", "<", "<="},
}

// expand returns the queries that a case stands for.
func expand(t *testing.T, text string) []string {
	tmpl, err := template.New("case").Funcs(template.FuncMap{"quote": strconv.Quote}).Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	seen := map[string]bool{}
	execute := func(name, value string) {
		vars := map[string]string{}
		for k, v := range variants {
			vars[k] = v[0]
		}
		if name != "" {
			vars[name] = value
		}
		var b bytes.Buffer
		if err := tmpl.Option("missingkey=error").Execute(&b, vars); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		seen[b.String()] = true
	}
	execute("", "")
	for name, values := range variants {
		for _, v := range values {
			execute(name, v)
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// corpusLogs are access logs as the corpus expects them, of a service whose job is varlogs.
func corpusLogs(t *testing.T) plog.Logs {
	ld := plog.NewLogs()
	methods := []string{"HEAD", "GET", "POST", "PUT"}
	for i := range 600 {
		line := fmt.Sprintf(`{"remote_ip":"127.0.0.1","method":"%s","status":%d,"took":"%dms","size":"%dKB","path":"/a/%d"}`,
			methods[i%4], 200+i%3*100, i%50+1, i%20+1, i%7)
		if err := appendRecord(ld, fmt.Sprintf("%dms INFO r:service.name=varlogs filename=/var/log/%d.log | %s", i*500, i%3, line)); err != nil {
			t.Fatal(err)
		}
	}
	return ld
}

// TestCorpus: every recorded query parses, its tree's text parses back to the same, and it answers something or, where
// the corpus says so, nothing.
func TestCorpus(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(harness.NeedSamples(t), "queries", "logql", "logql-test-queries.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var corpus struct {
		Cases []corpusCase `yaml:"test_cases"`
	}
	if err := yaml.Unmarshal(raw, &corpus); err != nil {
		t.Fatal(err)
	}
	if len(corpus.Cases) < 80 {
		t.Fatalf("%d cases", len(corpus.Cases))
	}
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			events := open(t)
			if msg := writeLogs(t, events, corpusLogs(t)); msg != "" {
				t.Fatal(msg)
			}
			engine, ran := New(events, Config{}), 0
			for _, c := range corpus.Cases {
				for _, query := range expand(t, c.Query) {
					ran++
					checkCorpus(t, engine, query, c.ShouldBeEmpty)
				}
			}
			t.Logf("%d cases, %d queries", len(corpus.Cases), ran)
		})
	}
}

func checkCorpus(t *testing.T, engine *Engine, query string, empty bool) {
	t.Helper()
	expr, err := Parse(query)
	if err != nil {
		t.Errorf("%s: %v", query, err)
		return
	}
	again, err := Parse(expr.String())
	if err != nil || again.String() != expr.String() {
		t.Errorf("%s: its text %s parses to %v, %v", query, expr, again, err)
	}
	n := 0
	if log, ok := expr.(*LogExpr); ok {
		lines, lerr := engine.Lines(t.Context(), signal.DefaultProject, log,
			signal.Between(base, base.Add(5*time.Minute)), 1000, false)
		if err = lerr; err == nil {
			n = len(lines.Entries)
		}
	} else {
		m, merr := engine.Matrix(t.Context(), signal.DefaultProject, expr,
			Steps{Start: base.Add(time.Minute).UnixNano(), End: base.Add(4 * time.Minute).UnixNano(), Step: 10 * time.Second})
		if err = merr; err == nil {
			n = len(m.Series)
		}
	}
	if err != nil {
		t.Errorf("%s: %v", strings.Join(strings.Fields(query), " "), err)
	} else if (n == 0) != empty {
		t.Errorf("%s: %d results, empty wanted: %v", strings.Join(strings.Fields(query), " "), n, empty)
	}
}

// TestBenchCorpus: the queries and selectors of the other recording parse.
func TestBenchCorpus(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(harness.NeedSamples(t), "queries", "logql", "logql-bench.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var corpus struct {
		Range  []corpusCase `yaml:"range"`
		Series []struct {
			Match []string `yaml:"match"`
		} `yaml:"series"`
	}
	if err := yaml.Unmarshal(raw, &corpus); err != nil {
		t.Fatal(err)
	}
	var queries []string
	for _, c := range corpus.Range {
		queries = append(queries, c.Query)
	}
	for _, s := range corpus.Series {
		queries = append(queries, s.Match...)
	}
	if len(queries) < 4 {
		t.Fatalf("%d queries", len(queries))
	}
	for _, q := range queries {
		if _, err := ParseSelector(q); err != nil {
			t.Errorf("%s: %v", q, err)
		}
	}
}
