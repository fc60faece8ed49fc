package prom

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"

	"github.com/mindscope/mindscope/internal/query/promql"
	"github.com/mindscope/mindscope/internal/rule"
	"github.com/mindscope/mindscope/internal/store/metricdb"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files")

// at is the time of the questions, in seconds: 2026-03-01 10:00:00 UTC.
const at = 1772359200

// handler answers from a database with two counters, a name that is not an old one's, and an exemplar.
func handler(t *testing.T, maxSamples int, timeout time.Duration) http.Handler {
	t.Helper()
	db, err := metricdb.Open(t.TempDir(), metricdb.Config{Clock: func() time.Time { return time.Unix(at, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	app := db.Appendable().AppenderV2(t.Context())
	put := func(at int64, v float64, e []exemplar.Exemplar, help string, pairs ...string) {
		t.Helper()
		ls := labels.FromStrings(pairs...)
		opts := storage.AOptions{MetricFamilyName: ls.Get(model.MetricNameLabel), Exemplars: e}
		if help != "" {
			opts.Metadata = metadata.Metadata{Type: model.MetricTypeCounter, Help: help}
		}
		if _, err := app.Append(0, ls, 0, at*1000, v, nil, nil, opts); err != nil {
			t.Fatal(err)
		}
	}
	for i := range int64(5) {
		put(at-240+60*i, float64(10*i), nil, "Tasks by status.", "__name__", "ai_team_tasks_total", "status", "completed", "team", "press")
		put(at-240+60*i, float64(i), []exemplar.Exemplar{{Labels: labels.FromStrings("span_id", "b7ad6b7169203331", "trace_id", "0af7651916cd43dd8448eb211c80319c"), Value: 1, Ts: 1000 * (at - 240 + 60*i), HasTs: true}},
			"", "__name__", "ai_team_tasks_total", "status", "failed", "team", "press")
	}
	put(at, 1, nil, "", "__name__", "büro.licht", "raum", "1")
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	engine := promql.NewEngine(promql.Config{MaxSamples: maxSamples, Timeout: timeout})
	rules := rule.Start(rule.Config{
		Engine: engine, Parser: promql.NewParser(), Queryable: db.Queryable(), To: db.Appendable(),
		Shipped: map[string][]byte{"test.yml": []byte("groups:\n  - name: tasks\n    interval: 1h\n    rules:\n      - {record: 'team:tasks:rate5m', expr: 'sum by (team) (rate(ai_team_tasks_total[5m]))'}\n      - {alert: Watchdog, expr: vector(1), labels: {severity: none}}\n")},
	})
	t.Cleanup(rules.Stop)
	if err := rules.Apply(&config.DefaultConfig); err != nil {
		t.Fatal(err)
	}
	return Handler(Config{
		Engine: engine, Parser: promql.NewParser(), Lookback: promql.Lookback, QueryTimeout: timeout,
		Queryable: db.Queryable(), Exemplars: db.Exemplars(), Write: db.FromSenders(), WriteV1: db.FromOldWriters(), Points: db.Points, Admin: db.Admin(),
		Families: func() map[string]Family {
			all := map[string]Family{}
			for name, f := range db.Families() {
				all[name] = Family(f)
			}
			return all
		},
		Rules: rules, Version: "v0.0.0", Gatherer: prometheus.NewRegistry(), Registerer: prometheus.NewRegistry(), Retention: "30d",
	})
}

// ask sends a request as Grafana does and returns the answer as text.
func ask(h http.Handler, method, path, body string) string {
	req := httptest.NewRequest(method, Prefix+path, strings.NewReader(body))
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	text := w.Body.String()
	var indented bytes.Buffer
	if json.Indent(&indented, w.Body.Bytes(), "", "  ") == nil {
		text = indented.String()
	}
	for pattern, with := range map[string]string{
		`"(goVersion|version|revision|evaluationTime|lastEvaluation|activeAt)": ("[^"]*"|[0-9.e-]+)`: `"$1": "…"`,
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, with)
	}
	return strings.TrimRight(fmt.Sprintf("%s %s\n%s\n\n%d\n%s\n\n%s", method, path, body, w.Code, w.Header().Get("Content-Type"), text), "\n") + "\n"
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got, -rewrite writes it)\n%s", name, d)
	}
}

// form is the body of a POST, or the query of a GET.
func form(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

// TestGrafana: an answer for each route that Grafana's Prometheus data source and its list of alerts call.
func TestGrafana(t *testing.T) {
	h := handler(t, 0, 0)
	tasks, now, before := "ai_team_tasks_total", fmt.Sprint(at), fmt.Sprint(at-120)
	for _, f := range []struct{ name, method, path, body string }{
		{"health", "POST", "/query", form("query", "1+1", "time", "4")},
		{"query", "POST", "/query", form("query", `sum by (status) (increase(`+tasks+`[4m]))`, "time", now)},
		{"query-get", "GET", "/query?" + form("query", tasks+`{status="failed"}`, "time", now), ""},
		{"query-range", "POST", "/query_range", form("query", tasks, "start", before, "end", now, "step", "60.5")},
		{"query-exemplars", "POST", "/query_exemplars", form("query", tasks, "start", before, "end", now)},
		{"query-exemplars-probe", "GET", "/query_exemplars?" + form("query", "test", "start", before, "end", now), ""},
		{"labels", "POST", "/labels", form("start", before, "end", now, "match[]", tasks)},
		{"labels-get", "GET", "/labels?" + form("start", before, "end", now), ""},
		{"label-values", "GET", "/label/status/values?" + form("start", before, "end", now, "match[]", `{__name__="`+tasks+`"}`, "limit", "40000"), ""},
		{"label-values-names", "GET", "/label/__name__/values?" + form("start", before, "end", now), ""},
		{"label-values-escaped", "GET", "/label/U__raum/values?" + form("start", before, "end", now), ""},
		{"series", "GET", "/series?" + form("start", before, "end", now, "match[]", tasks), ""},
		{"series-post", "POST", "/series", form("start", before, "end", now, "match[]", `{"büro.licht"}`)},
		{"metadata", "GET", "/metadata?limit=5000", ""},
		{"metadata-of-one", "GET", "/metadata?metric=" + tasks, ""},
		{"metadata-limit", "GET", "/metadata?limit=many", ""},
		{"rules", "GET", "/rules", ""},
		{"alerts", "GET", "/alerts", ""},
		{"buildinfo", "GET", "/status/buildinfo", ""},
		{"format-query", "GET", "/format_query?" + form("query", "sum(a)by(b)"), ""},
		{"targets", "GET", "/targets?state=active", ""},
		{"alertmanagers", "GET", "/alertmanagers", ""},

		{"error-syntax", "POST", "/query", form("query", "sum(", "time", now)},
		{"error-matcher", "GET", "/series?" + form("match[]", "{"), ""},
		{"error-points", "POST", "/query_range", form("query", tasks, "start", "0", "end", now, "step", "1")},
		{"error-step", "POST", "/query_range", form("query", tasks, "start", before, "end", now, "step", "0")},
		{"error-time", "POST", "/query", form("query", tasks, "time", "yesterday")},
		{"error-path", "GET", "/nothing", ""},
	} {
		golden(t, f.name, ask(h, f.method, f.path, f.body))
	}
}

// TestQueriesThatWouldLoadEverything end with an error in words, which Grafana shows.
func TestQueriesThatWouldLoadEverything(t *testing.T) {
	h := handler(t, 5, 0)
	golden(t, "limit-samples", ask(h, "POST", "/query", form("query", `{__name__=~".+"}[1h]`, "time", fmt.Sprint(at))))
	golden(t, "limit-matcher", ask(h, "POST", "/query", form("query", `{__name__=~".*"}`, "time", fmt.Sprint(at))))
	h = handler(t, 0, time.Nanosecond)
	golden(t, "limit-timeout", ask(h, "POST", "/query", form("query", `ai_team_tasks_total`, "time", fmt.Sprint(at))))
}

// push sends a remote write, version 1.
func push(t *testing.T, h http.Handler, contentType string, series ...prompb.TimeSeries) (int, string) {
	t.Helper()
	raw, err := (&prompb.WriteRequest{Timeseries: series}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequest(http.MethodPost, Prefix+"/write", bytes.NewReader(snappy.Encode(nil, raw)))
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Content-Encoding", "snappy")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Code, w.Body.String()
}

// TestRemoteWriteRefusals: bad series are answered with 400, which tells the sender not to send them again, and cost only themselves.
func TestRemoteWriteRefusals(t *testing.T) {
	const v1 = "application/x-protobuf"
	f := func(name string, want int, text string, bad prompb.TimeSeries) {
		t.Helper()
		h := handler(t, 0, 0)
		good := prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "good"}}, Samples: []prompb.Sample{{Timestamp: at * 1000, Value: 7}}}
		if code, body := push(t, h, v1, bad, good); code != want || !strings.Contains(body, text) || len(body) > 1000 {
			t.Errorf("%s: %d %.300s", name, code, body)
		}
		if got := ask(h, "GET", "/query?"+form("query", "good", "time", fmt.Sprint(at)), ""); !strings.Contains(got, `"7"`) {
			t.Errorf("%s: the good sample is gone: %s", name, got)
		}
	}
	series := func(at int64, pairs ...string) prompb.TimeSeries {
		ts := prompb.TimeSeries{Samples: []prompb.Sample{{Timestamp: at * 1000, Value: 1}}}
		for i := 0; i < len(pairs); i += 2 {
			ts.Labels = append(ts.Labels, prompb.Label{Name: pairs[i], Value: pairs[i+1]})
		}
		return ts
	}
	many := []string{"__name__", "many"}
	for i := range 10_000 {
		many = append(many, fmt.Sprintf("l%05d", i), "v")
	}
	f("duplicate", 400, "duplicate sample", series(at, "__name__", "ai_team_tasks_total", "status", "completed", "team", "press"))
	f("too old", 400, "1 samples are refused, the others are stored", series(at-86_400, "__name__", "old"))
	f("10 000 labels", 400, "at most 128 are taken", series(at, many...))
	f("a value of 1 MB", 400, "at most 4096 are taken", series(at, "__name__", "long", "l", strings.Repeat("x", 1<<20)))
	f("an empty name", 204, "", series(at, "__name__", ""))
	f("of the server", 204, "", series(at, "__name__", "ai_team_llm_cost_dollars_total"))

	h := handler(t, 0, 0)
	for body, contentType := range map[string]string{"no snappy": v1, "": "application/json"} {
		req := httptest.NewRequest(http.MethodPost, Prefix+"/write", strings.NewReader(body))
		req.Header.Set("Content-Type", contentType)
		req.Header.Set("Content-Encoding", "snappy")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code/100 != 4 {
			t.Errorf("%q of %s: %d %s", body, contentType, w.Code, w.Body)
		}
	}
}

// TestOutside: the questions go to the other Prometheus with its user, the rules stay here.
func TestOutside(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		fmt.Fprintf(w, "%s %s %s:%s", r.Method, r.URL, user, password)
	}))
	defer other.Close()
	base, err := url.Parse(other.URL + "/base")
	if err != nil {
		t.Fatal(err)
	}
	base.User = url.UserPassword("ada", "secret")
	h := Outside(base, handler(t, 0, 0), nil)
	get := func(path string) string {
		w := httptest.NewRecorder()
		req := httptest.NewRequestWithContext(context.Background(), http.MethodGet, path, nil)
		req.SetBasicAuth("ours", "ours")
		h.ServeHTTP(w, req)
		return w.Body.String()
	}
	if got := get(Prefix + "/query?query=up"); got != "GET /base/api/v1/query?query=up ada:secret" {
		t.Error(got)
	}
	if got := get(Prefix + "/rules"); !strings.Contains(got, "Watchdog") {
		t.Error(got)
	}
}
