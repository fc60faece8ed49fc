package prometheus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/mindscope/mindscope/test/harness"
)

// testCase is one line of PromLabs' list of queries.
type testCase struct {
	Query       string   `yaml:"query"`
	VariantArgs []string `yaml:"variant_args"`
	SkipCompare bool     `yaml:"skip_comparison"`
}

// variants are the values of the list's arguments, as its compliance tester has them.
func variants() map[string][]string {
	return map[string][]string{
		"range":                {"1s", "15s", "1m", "5m", "15m", "1h"},
		"offset":               {"1m", "5m", "10m"},
		"simpleAggrOp":         {"sum", "avg", "max", "min", "count", "stddev", "stdvar"},
		"simpleTimeAggrOp":     {"sum", "avg", "max", "min", "count", "stddev", "stdvar", "absent", "last", "present"},
		"topBottomOp":          {"topk", "bottomk"},
		"quantile":             {"-0.5", "0.1", "0.5", "0.75", "0.95", "0.90", "0.99", "1", "1.5"},
		"arithBinOp":           {"+", "-", "*", "/", "%", "^"},
		"compBinOp":            {"==", "!=", "<", ">", "<=", ">="},
		"binOp":                {"+", "-", "*", "/", "%", "^", "==", "!=", "<", ">", "<=", ">="},
		"simpleMathFunc":       {"abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "round"},
		"extrapolatedRateFunc": {"delta", "rate", "increase"},
		"clampFunc":            {"clamp_min", "clamp_max"},
		"instantRateFunc":      {"idelta", "irate"},
		"dateFunc":             {"day_of_month", "day_of_week", "days_in_month", "hour", "minute", "month", "year"},
		"smoothingFactor":      {"0.1", "0.5", "0.8"},
		"trendFactor":          {"0.1", "0.5", "0.8"},
	}
}

// expand fills a query's arguments with all their values.
func expand(t *testing.T, c testCase) []string {
	t.Helper()
	args := []map[string]string{{}}
	for _, name := range c.VariantArgs {
		values, ok := variants()[name]
		if !ok {
			t.Fatalf("argument %s is unknown", name)
		}
		var next []map[string]string
		for _, a := range args {
			for _, v := range values {
				one := map[string]string{name: v}
				maps.Copy(one, a)
				next = append(next, one)
			}
		}
		args = next
	}
	tmpl, err := template.New("query").Parse(c.Query)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, a := range args {
		var b bytes.Buffer
		if err := tmpl.Execute(&b, a); err != nil {
			t.Fatal(err)
		}
		out = append(out, b.String())
	}
	return out
}

// ask posts a form and returns the answer without what may differ: notes, and the order of series, which Prometheus
// leaves open.
func ask(t *testing.T, server, path string, form url.Values) string {
	t.Helper()
	resp, err := http.PostForm(server+path, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%s %v: %s: %v", path, form, body, err)
	}
	var data struct {
		ResultType string            `json:"resultType"`
		Result     []json.RawMessage `json:"result"`
	}
	if json.Unmarshal(answer["data"], &data) != nil { // a scalar: one value, no list
		return fmt.Sprintf("%d %s %s", resp.StatusCode, answer["status"], answer["data"])
	}
	lines := []string{fmt.Sprintf("%d %s %s %s %s", resp.StatusCode, answer["status"], answer["errorType"], answer["error"], data.ResultType)}
	for _, one := range data.Result {
		lines = append(lines, string(one))
	}
	slices.Sort(lines[1:])
	return strings.Join(lines, "\n")
}

// TestSideBySide asks MindScope and a stock Prometheus the same questions about the same samples.
func TestSideBySide(t *testing.T) {
	// PromLabs' list is copied here, with its licence, so that the test runs without the recorded samples.
	file := filepath.Join("testdata", "promql-test-queries.yml")
	if samples, ok := harness.Samples(t); ok {
		file = filepath.Join(samples, "queries", "promql", "promql-test-queries.yml")
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		TestCases []testCase `yaml:"test_cases"`
	}
	if err := yaml.Unmarshal(raw, &list); err != nil || len(list.TestCases) < 100 {
		t.Fatalf("%d queries: %v", len(list.TestCases), err)
	}
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(config, []byte("global: {evaluation_interval: 1m}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ours, stock := harness.Start(t, harness.Options{Args: []string{"--no-rules.enabled"}}).HTTP, Stock(t, config)
	end := time.Now().Truncate(time.Minute)
	data := series(end)
	write(t, ours, data)
	write(t, stock, data)
	form := url.Values{
		"start": {strconv.FormatInt(end.Add(-time.Hour).Unix(), 10)}, "end": {strconv.FormatInt(end.Unix(), 10)}, "step": {"30"},
	}
	asked := 0
	for _, c := range list.TestCases {
		for _, query := range expand(t, c) {
			// Our own series are beside them; the queries that ask for all would see those as well.
			if strings.Contains(query, `{__name__=~".*"}`) {
				continue
			}
			asked++
			form.Set("query", query)
			got, want := ask(t, ours, "/api/v1/query_range", form), ask(t, stock, "/api/v1/query_range", form)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s (-stock +ours):\n%s", query, d)
			}
			instant := url.Values{"query": {query}, "time": {form.Get("end")}}
			if d := cmp.Diff(ask(t, stock, "/api/v1/query", instant), ask(t, ours, "/api/v1/query", instant)); d != "" {
				t.Errorf("%s at one time (-stock +ours):\n%s", query, d)
			}
		}
	}
	if asked < 500 {
		t.Errorf("only %d queries were asked", asked)
	}
	t.Logf("%d queries, over an hour and at one time, give the same answers", asked)
}
