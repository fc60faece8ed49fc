package loki

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// One test for each row of the endpoint tables, named after it.

// TestHealth is "Save & test": vector(1)+vector(1) at 4 s is "2".
func TestHealth(t *testing.T) {
	b := newBench(t)
	answer := b.expect(t, Prefix+"/query", "query", "vector(1)+vector(1)", "time", "4000000000", "limit", "100", "direction", "backward")
	var doc struct {
		Data struct {
			ResultType string
			Result     []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal([]byte(answer), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Data.ResultType != "vector" || len(doc.Data.Result) != 1 || doc.Data.Result[0].Value[1] != "2" {
		t.Errorf("%+v", doc)
	}
}

func TestQuery(t *testing.T) {
	b := newBench(t)
	t.Run("vector", func(t *testing.T) {
		b.expect(t, Prefix+"/query", "query", `sum by (level) (count_over_time({team="press"}[10m]))`, "time", ns(0))
	})
	t.Run("scalar", func(t *testing.T) { b.expect(t, Prefix+"/query", "query", "1 + 2", "time", "1.5") })
	t.Run("lines", func(t *testing.T) {
		status, _, answer := b.ask(http.MethodGet, Prefix+"/query", nil, "query", `{team="press"}`)
		if status != http.StatusBadRequest || !strings.Contains(answer, "query_range") {
			t.Errorf("status %d: %s", status, answer)
		}
	})
}

// TestQueryRange: flags stand before the result and values are triples with the header, pairs and split streams without.
func TestQueryRange(t *testing.T) {
	b := newBench(t)
	params := window("query", `{team="press"} | logfmt | drop __error__, __error_details__`, "direction", "backward", "limit", "10", "step", "2000ms")
	t.Run("categorized", func(t *testing.T) {
		answer := b.expect(t, Prefix+"/query_range", params...)
		if i, j := strings.Index(answer, `"encodingFlags":["categorize-labels"]`), strings.Index(answer, `"result":`); i < 0 || i > j {
			t.Errorf("flags at %d, result at %d", i, j)
		}
		tuples(t, answer, 3)
	})
	t.Run("flat", func(t *testing.T) {
		status, _, answer := b.ask(http.MethodGet, Prefix+"/query_range", nil, params...)
		if status != http.StatusOK || strings.Contains(answer, "encodingFlags") {
			t.Errorf("status %d: %s", status, answer)
		}
		tuples(t, answer, 2)
		golden(t, answer)
	})
	t.Run("matrix", func(t *testing.T) {
		b.expect(t, Prefix+"/query_range", window("query", `rate({team="press"}[100s])`, "step", "100000ms")...)
	})
	t.Run("volume", func(t *testing.T) { // what Grafana asks for above the lines
		b.expect(t, Prefix+"/query_range", window("query",
			`sum by (level, detected_level) (count_over_time({team="press"} |= "" | drop __error__ [1m40s]))`, "step", "100s")...)
	})
	t.Run("post", func(t *testing.T) {
		status, _, answer := b.ask(http.MethodPost, Prefix+"/query_range", grafana(), params...)
		_, _, same := b.ask(http.MethodGet, Prefix+"/query_range", grafana(), params...)
		if status != http.StatusOK || took.ReplaceAllString(answer, "") != took.ReplaceAllString(same, "") {
			t.Errorf("status %d: %s", status, answer)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		b.expect(t, Prefix+"/query_range", window("query", `{team="nobody"}`)...)
	})
}

// tuples checks the length of every value.
func tuples(t *testing.T, answer string, size int) {
	t.Helper()
	var doc struct {
		Data struct {
			Result []struct {
				Stream map[string]string
				Values [][]json.RawMessage
			}
		}
	}
	if err := json.Unmarshal([]byte(answer), &doc); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range doc.Data.Result {
		for _, v := range s.Values {
			if n++; len(v) != size {
				t.Errorf("a value of %d parts, want %d: %s", len(v), size, v)
			}
		}
	}
	if n == 0 {
		t.Error("no values")
	}
}

// TestLogContext: the lines around one, to the nanosecond, in both directions.
func TestLogContext(t *testing.T) {
	b := newBench(t)
	row := -200 * time.Second
	t.Run("before", func(t *testing.T) {
		b.expect(t, Prefix+"/query_range", "query", `{service_name=~".+"}`, "start", ns(row-2*time.Hour), "end", ns(row), "limit", "10", "direction", "backward")
	})
	t.Run("after", func(t *testing.T) { // forward includes the row itself, as Grafana expects
		b.expect(t, Prefix+"/query_range", "query", `{service_name=~".+"}`, "start", ns(row), "end", ns(row+2*time.Hour), "limit", "2", "direction", "forward")
	})
}

func TestLabels(t *testing.T) {
	b := newBench(t)
	t.Run("all", func(t *testing.T) { b.expect(t, Prefix+"/labels", window()...) })
	t.Run("of a selector", func(t *testing.T) { b.expect(t, Prefix+"/labels", window("query", `{service_name="writer"}`)...) })
}

func TestLabelValues(t *testing.T) {
	b := newBench(t)
	t.Run("service_name", func(t *testing.T) { b.expect(t, Prefix+"/label/service_name/values", window()...) })
	t.Run("of a selector", func(t *testing.T) {
		b.expect(t, Prefix+"/label/level/values", window("query", `{service_name="writer"}`)...)
	})
	t.Run("unknown", func(t *testing.T) { b.expect(t, Prefix+"/label/nothing/values", window()...) })
	t.Run("__stream_shard__", func(t *testing.T) { b.expect(t, Prefix+"/label/__stream_shard__/values", window()...) })
}

func TestSeries(t *testing.T) {
	b := newBench(t)
	params := window("match[]", `{service_name="writer"}`, "match[]", `{service_name=~"c.*"}`)
	t.Run("get", func(t *testing.T) { b.expect(t, Prefix+"/series", params...) })
	t.Run("post", func(t *testing.T) {
		status, _, answer := b.ask(http.MethodPost, Prefix+"/series", grafana(), params...)
		if status != http.StatusOK {
			t.Errorf("status %d", status)
		}
		golden(t, answer)
	})
}

func TestIndexStats(t *testing.T) {
	b := newBench(t)
	b.expect(t, Prefix+"/index/stats", window("query", `{team="press"}`)...)
}

func TestIndexVolume(t *testing.T) {
	b := newBench(t)
	t.Run("series", func(t *testing.T) {
		b.expect(t, Prefix+"/index/volume", window("query", `{service_name=~".+"}`, "limit", "5000", "aggregateBy", "series", "targetLabels", "service_name")...)
	})
	t.Run("labels", func(t *testing.T) {
		b.expect(t, Prefix+"/index/volume", window("query", `{service_name=~".+", team="press"}`, "aggregateBy", "labels")...)
	})
}

func TestIndexVolumeRange(t *testing.T) {
	b := newBench(t)
	b.expect(t, Prefix+"/index/volume_range", window("query", `{service_name=~".+"}`, "step", "200s")...)
}

func TestDetectedFields(t *testing.T) {
	b := newBench(t)
	b.expect(t, Prefix+"/detected_fields", window("query", `{team="press"}`, "limit", "1000")...)
}

func TestDetectedFieldValues(t *testing.T) {
	b := newBench(t)
	t.Run("parsed", func(t *testing.T) {
		b.expect(t, Prefix+"/detected_field/took/values", window("query", `{team="press"}`)...)
	})
	t.Run("metadata", func(t *testing.T) {
		b.expect(t, Prefix+"/detected_field/detected_level/values", window("query", `{team="press"}`)...)
	})
	t.Run("unknown", func(t *testing.T) {
		b.expect(t, Prefix+"/detected_field/nothing/values", window("query", `{team="press"}`)...)
	})
}

func TestDetectedLabels(t *testing.T) {
	b := newBench(t)
	b.expect(t, Prefix+"/detected_labels", window("query", `{team="press"}`)...)
}

func TestPatterns(t *testing.T) {
	b := newBench(t)
	b.expect(t, Prefix+"/patterns", window("query", `{team="press"}`, "step", "1m")...)
}

func TestDrilldownLimits(t *testing.T) {
	b := newBench(t)
	b.expect(t, Prefix+"/drilldown-limits")
}

func TestBuildInfo(t *testing.T) {
	b := newBench(t)
	status, _, answer := b.ask(http.MethodGet, Prefix+"/status/buildinfo", nil)
	if status != http.StatusOK || !strings.Contains(answer, `"version":"v1.2.3"`) {
		t.Errorf("status %d: %s", status, answer)
	}
}

func TestFormatQuery(t *testing.T) {
	b := newBench(t)
	b.expect(t, Prefix+"/format_query", "query", `sum(rate({a="b"}|="c"[5m]))by(d)`)
}

// TestErrors: what is wrong is said as JSON with a message, and where.
func TestErrors(t *testing.T) {
	b := newBench(t)
	f := func(status int, message, path string, params ...string) {
		t.Helper()
		got, header, answer := b.ask(http.MethodGet, path, grafana(), params...)
		var doc struct{ Status, Message string }
		if err := json.Unmarshal([]byte(answer), &doc); err != nil {
			t.Errorf("%s: %v in %s", path, err, answer)
		}
		if got != status || !strings.Contains(doc.Message, message) || header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s %v: status %d, %s", path, params, got, answer)
		}
	}
	const ok = `{a="b"}`
	f(400, "parse error at line 1, col 8: unexpected", Prefix+"/query_range", "query", `{a="b"}}`)
	f(400, "parse error", Prefix+"/query", "query", "")
	f(400, "limit", Prefix+"/query_range", "query", ok, "limit", "100000")
	f(400, "limit", Prefix+"/query_range", "query", ok, "limit", "-1")
	f(400, "direction", Prefix+"/query_range", "query", ok, "direction", "up")
	f(400, "start is after end", Prefix+"/query_range", "query", ok, "start", "2000", "end", "1000")
	f(400, "no time", Prefix+"/query_range", "query", ok, "start", "yesterday")
	f(400, "steps", Prefix+"/query_range", "query", "vector(1)", "start", "0", "end", "9999999999", "step", "1")
	f(400, "step", Prefix+"/query_range", "query", "vector(1)", "step", "0")
	f(400, "step", Prefix+"/query_range", "query", "vector(1)", "step", "-5s")
	f(400, "step", Prefix+"/query_range", "query", "vector(1)", "step", "0.0000000001")
	f(400, "selector", Prefix+"/labels", "query", "vector(1)")
	f(400, "can't be used here", Prefix+"/index/stats", "query", ok+" | json")
	f(400, "aggregateBy", Prefix+"/index/volume", "query", ok, "aggregateBy", "x")
	f(400, "project", Prefix+"/labels", "project", "Not A Project")
	f(400, "only lines", Prefix+"/tail", "query", "vector(1)")
	f(404, "no endpoint /loki/api/v1/push", Prefix+"/push")
	f(404, "no endpoint /loki/api/prom/query", "/loki/api/prom/query")
	f(404, "no endpoint", "/prometheus/api/v1/rules")
	if status, header, _ := b.ask(http.MethodDelete, Prefix+"/series", nil); status != http.StatusMethodNotAllowed || header.Get("Allow") != "GET, POST" {
		t.Errorf("DELETE: %d", status)
	}
	// Absurd ranges are cut to what there is.
	if status, _, answer := b.ask(http.MethodGet, Prefix+"/query_range", nil, "query", `{team="press"}`, "start", "-5", "end", "9223372036854775807"); status != http.StatusOK || strings.Count(answer, `"stream"`) == 0 {
		t.Errorf("all time: %d %s", status, answer)
	}
	if status, _, answer := b.ask(http.MethodGet, Prefix+"/query_range", nil, "query", `count_over_time({team="press"}[290y] offset -290y)`, "end", "9223372036854775807", "step", "100d"); status != http.StatusBadRequest && status != http.StatusOK {
		t.Errorf("an absurd window: %d %s", status, answer)
	}
}

// TestProjects: the header and the parameter name one.
func TestProjects(t *testing.T) {
	b := newBench(t)
	for _, header := range []http.Header{nil, {"X-Mindscope-Project": {"other"}}} {
		_, _, answer := b.ask(http.MethodGet, Prefix+"/labels", header, window()...)
		if empty := strings.Contains(answer, `"data":[]`); empty != (header != nil) {
			t.Errorf("%v: %s", header, answer)
		}
	}
}
