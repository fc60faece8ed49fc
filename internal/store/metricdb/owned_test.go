package metricdb

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// counting is what the server counts itself, as package spanmetrics tells it.
type counting map[string]time.Time

func (c counting) since(project, team string) (int64, bool) {
	for who, at := range c {
		if who == project+"/"+team || team == "" {
			return at.UnixNano(), true
		}
	}
	return 0, false
}

func openOwned(t *testing.T, c counting) *DB {
	t.Helper()
	db, err := Open(t.TempDir(), Config{Clock: func() time.Time { return now }, Counted: c.since})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// bring appends one sample as a scrape does.
func bring(t *testing.T, to storage.AppendableV2, at time.Time, v float64, pairs ...string) {
	t.Helper()
	app := to.AppenderV2(t.Context())
	if _, err := app.Append(0, labels.FromStrings(pairs...), 0, at.UnixMilli(), v, nil, nil, storage.AOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
}

func TestOneOwner(t *testing.T) {
	f := func(taken bool, pairs ...string) {
		t.Helper()
		db := openOwned(t, counting{"default/press": now})
		bring(t, db.FromSenders(), now, 1, pairs...)
		if _, ok := values(t, db)[labels.FromStrings(pairs...).String()]; ok != taken {
			t.Errorf("%v taken: %t", pairs, ok)
		}
		if n := db.Refused()[ReasonOwned]; n == 0 != taken {
			t.Errorf("%v: %d are counted as dropped", pairs, n)
		}
	}
	const name = "__name__"
	f(false, name, "ai_team_tasks_total", "project", "default", "team", "press", "status", "completed")
	f(false, name, "ai_team_task_duration_seconds_bucket", "le", "1", "project", "default", "team", "press")
	f(false, name, "ai_team_tasks_created", "project", "default", "team", "press")
	f(false, name, "ai_team_tasks_total", "status", "completed")                                              // remote write of a stranger
	f(false, name, "ai_team_tasks_total", "project", "default", "team", "default", "status", "completed")     // scraped, no team named
	f(false, name, "gen_ai_client_token_usage_sum", "project", "default", "team", "press")                    // an instrumentation's
	f(true, name, "ai_team_tasks_total", "project", "default", "team", "radio", "status", "completed")        // sends no spans
	f(true, name, "ai_team_tasks_total", "project", "other", "team", "press", "status", "completed")          // neither
	f(true, name, "ai_team_tasks_total", "project", "default", "team", "press", "ai_team_metrics", "sdk")     // counts itself
	f(false, name, "ai_team_llm_cost_dollars_total", "project", "default", "team", "press", labelMark, "sdk") // the server's always
	f(false, name, "ai_team_tasks_in_progress", "project", "default", "team", "radio")                        // the server's always
	f(true, name, "ai_team_editions_total", "project", "default", "team", "press")                            // none of the contract
	f(true, name, "traces_spanmetrics_calls_total", "project", "default", "team", "press", "service", "x")    // of an outside generator
	f(true, name, "http_requests_total", "project", "default", "team", "press", "instance", "127.0.0.1:80")   // of anything
}

// TestTheServerTakesOver: what a sender brought since the server's own first span is deleted, what is older stays.
func TestTheServerTakesOver(t *testing.T) {
	c := counting{}
	db := openOwned(t, c)
	series := []string{"__name__", "ai_team_tasks_total", "project", "default", "team", "press"}
	for i := range 4 {
		bring(t, db.FromSenders(), now.Add(time.Duration(i-4)*time.Minute), float64(i+1), series...)
	}
	c["default/press"] = now.Add(-150 * time.Second) // between the second and the third
	bring(t, db.FromSenders(), now, 5, series...)
	q, err := db.Queryable().Querier(0, now.UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	var got []string
	set := q.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", "ai_team_tasks_total"))
	for set.Next() {
		for it := set.At().Iterator(nil); it.Next() != chunkenc.ValNone; {
			at, v := it.At()
			got = append(got, fmt.Sprintf("%v %s", v, now.Sub(time.UnixMilli(at))))
		}
	}
	if d := cmp.Diff([]string{"1 4m0s", "2 3m0s", "NaN 0s"}, got); d != "" { // the last marks its end
		t.Error(d)
	}
}

// TestTakingOverLeavesOthers: a span that says to be of long ago costs no history, and series that have more labels than the
// one that ends stay.
func TestTakingOverLeavesOthers(t *testing.T) {
	c := counting{}
	db := openOwned(t, c)
	const name = "__name__"
	bare := []string{name, "ai_team_tasks_total", "team", "press"}
	own := append([]string{"project", "default", "status", "completed"}, bare...)
	other := append([]string{"replica", "b"}, bare...)
	for _, ago := range []time.Duration{90 * time.Minute, 30 * time.Minute} {
		bring(t, db.FromSenders(), now.Add(-ago), 1, bare...)
		bring(t, db.FromOldWriters(), now.Add(-ago), 2, own...)
		bring(t, db.FromOldWriters(), now.Add(-ago), 3, other...)
	}
	c["default/press"] = now.Add(-21 * 24 * time.Hour)
	bring(t, db.FromSenders(), now, 1, bare...)
	q, err := db.Queryable().Querier(0, now.UnixMilli()-1)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	got := map[string]int{}
	set := q.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchEqual, name, "ai_team_tasks_total"))
	for set.Next() {
		for it := set.At().Iterator(nil); it.Next() != chunkenc.ValNone; {
			got[set.At().Labels().String()]++
		}
	}
	want := map[string]int{labels.FromStrings(bare...).String(): 1, labels.FromStrings(own...).String(): 2, labels.FromStrings(other...).String(): 2}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestSendersThatCountThemselves(t *testing.T) {
	db := openOwned(t, counting{"default/press": now})
	md := metrics(func(ms pmetric.MetricSlice) {
		sum(ms, "ai_team.tasks", pmetric.AggregationTemporalityCumulative, now, 3)
		sum(ms, "ai_team.llm_cost_dollars", pmetric.AggregationTemporalityCumulative, now, 3)
	})
	md.ResourceMetrics().At(0).CopyTo(md.ResourceMetrics().AppendEmpty())
	other := md.ResourceMetrics().At(1)
	other.Resource().Attributes().PutStr("ai_team.metrics", "sdk")
	other.Resource().Attributes().PutStr("service.name", "counts-itself")
	rejected, err := db.Points(t.Context(), "default", md)
	if err != nil || rejected.Items != 3 { // both of the first, the cost of the second
		t.Fatalf("%+v, %v", rejected, err)
	}
	got := values(t, db)
	delete(got, `{__name__="target_info", job="counts-itself", project="default", team="press"}`)
	want := map[string]float64{`{__name__="ai_team_tasks_total", job="counts-itself", project="default", team="press"}`: 3}
	for name := range got {
		if _, ok := want[name]; !ok && name[:22] == `{__name__="target_info` {
			delete(got, name)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestOldWriters: one refused sample costs only itself, and the sender is told that it need not send again.
func TestOldWriters(t *testing.T) {
	db := openOwned(t, nil)
	app := db.FromOldWriters().AppenderV2(t.Context())
	for _, v := range []struct {
		name string
		at   time.Time
	}{{"a", now}, {"b", now.Add(-24 * time.Hour)}, {"c", now}} {
		if _, err := app.Append(0, labels.FromStrings("__name__", v.name), 0, v.at.UnixMilli(), 1, nil, nil, storage.AOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := app.Commit(); !errors.Is(err, storage.ErrOutOfBounds) {
		t.Fatalf("the refusal of the old sample is told as %v", err)
	}
	app = db.FromOldWriters().AppenderV2(t.Context())
	_, _ = app.Append(0, labels.FromStrings("__name__", "a"), 0, now.UnixMilli(), 2, nil, nil, storage.AOptions{})
	_, _ = app.Append(0, labels.FromStrings("__name__", "d"), 0, now.UnixMilli(), 2, nil, nil, storage.AOptions{})
	if err := app.Commit(); !errors.Is(err, storage.ErrOutOfBounds) || !strings.Contains(err.Error(), "duplicate sample") {
		t.Errorf("the refusal of the duplicate is told as %v", err)
	}
	got := values(t, db)
	if got[`{__name__="a"}`] != 1 || got[`{__name__="c"}`] != 1 || got[`{__name__="d"}`] != 2 {
		t.Errorf("stored: %v", got)
	}
}
