package metricdb

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/goleak"

	"github.com/mindscope/mindscope/internal/signal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is the clock of the tests.
var now = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string) *DB {
	t.Helper()
	db, err := Open(dir, Config{Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !db.closed() {
			_ = db.Close()
		}
	})
	return db
}

func (d *DB) closed() bool {
	select {
	case <-d.stop:
		return true
	default:
		return false
	}
}

// values returns the last value of each series by its labels.
func values(t *testing.T, db *DB) map[string]float64 {
	t.Helper()
	q, err := db.Queryable().Querier(0, now.Add(time.Hour).UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	got := map[string]float64{}
	set := q.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, model.MetricNameLabel, ".+"))
	for set.Next() {
		it := set.At().Iterator(nil)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			if kind == chunkenc.ValFloat {
				_, got[set.At().Labels().String()] = it.At()
				continue
			}
			_, h := it.AtFloatHistogram(nil)
			got[set.At().Labels().String()] = h.Count
		}
	}
	if err := set.Err(); err != nil {
		t.Fatal(err)
	}
	return got
}

// metrics returns one request of a sender named writer in the team press.
func metrics(fill func(pmetric.MetricSlice)) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("ai_team.team", "press")
	fill(rm.ScopeMetrics().AppendEmpty().Metrics())
	return md
}

func sum(ms pmetric.MetricSlice, name string, temporality pmetric.AggregationTemporality, at time.Time, v int64) {
	m := ms.AppendEmpty()
	m.SetName(name)
	s := m.SetEmptySum()
	s.SetIsMonotonic(true)
	s.SetAggregationTemporality(temporality)
	p := s.DataPoints().AppendEmpty()
	p.SetStartTimestamp(pcommon.NewTimestampFromTime(at.Add(-time.Second)))
	p.SetTimestamp(pcommon.NewTimestampFromTime(at))
	p.SetIntValue(v)
}

func TestPointsBecomeSeries(t *testing.T) {
	db := open(t, t.TempDir())
	rejected, err := db.Points(t.Context(), "acme", metrics(func(ms pmetric.MetricSlice) {
		sum(ms, "gen_ai.calls", pmetric.AggregationTemporalityCumulative, now, 3)
		m := ms.AppendEmpty()
		m.SetName("wait")
		m.SetUnit("s")
		h := m.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := h.DataPoints().AppendEmpty()
		p.SetTimestamp(pcommon.NewTimestampFromTime(now))
		p.SetCount(2)
		p.SetSum(3)
		p.Positive().BucketCounts().FromRaw([]uint64{2})
	}))
	if err != nil || rejected.Items != 0 {
		t.Fatal(rejected, err)
	}
	want := map[string]float64{
		`{__name__="gen_ai_calls_total", project="acme", team="press"}`: 3,
		`{__name__="wait_seconds", project="acme", team="press"}`:       2,
	}
	if d := cmp.Diff(want, values(t, db)); d != "" {
		t.Error(d)
	}
}

func TestDeltasAreSummedUp(t *testing.T) {
	db := open(t, t.TempDir())
	for i, v := range []int64{3, 4} {
		at := now.Add(time.Duration(i) * time.Second)
		if _, err := db.Points(t.Context(), "default", metrics(func(ms pmetric.MetricSlice) {
			sum(ms, "tokens", pmetric.AggregationTemporalityDelta, at, v)
		})); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]float64{`{__name__="tokens_total", project="default", team="press"}`: 7}
	if d := cmp.Diff(want, values(t, db)); d != "" {
		t.Error(d)
	}
	rejected, err := db.Points(t.Context(), "default", metrics(func(ms pmetric.MetricSlice) {
		sum(ms, "tokens", pmetric.AggregationTemporalityDelta, now.Add(-time.Minute), 9)
	}))
	if err != nil || rejected.Items != 1 {
		t.Errorf("a delta before the sum: %+v, %v", rejected, err)
	}
}

// TestNoRoom: without room nothing is written and the sender is told to send again, which counts deltas once.
func TestNoRoom(t *testing.T) {
	full := signal.Retryable(errors.New("the disk is full"), time.Second)
	var why error
	db, err := Open(t.TempDir(), Config{Clock: func() time.Time { return now }, Room: func() error { return why }})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	send := func() error {
		_, err := db.Points(t.Context(), "default", metrics(func(ms pmetric.MetricSlice) {
			sum(ms, "tokens", pmetric.AggregationTemporalityDelta, now, 3)
		}))
		return err
	}
	scrape := func() error {
		app := db.FromItself().AppenderV2(t.Context())
		_, err := app.Append(0, labels.FromStrings(model.MetricNameLabel, "up"), 0, now.UnixMilli(), 1, nil, nil, storage.AOptions{})
		return errors.Join(err, app.Commit())
	}
	why = full
	if err := send(); !errors.Is(err, full) {
		t.Errorf("points without room: %v", err)
	}
	if _, again := signal.RetryAfter(send()); !again {
		t.Error("the sender of points is not told to send again")
	}
	if err := scrape(); !errors.Is(err, full) {
		t.Errorf("a sample without room: %v", err)
	}
	why = nil
	if err := errors.Join(send(), scrape()); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{`{__name__="tokens_total", project="default", team="press"}`: 3, `{__name__="up"}`: 1}
	if d := cmp.Diff(want, values(t, db)); d != "" {
		t.Error(d)
	}
}

func TestOneBadPointCostsOnlyItself(t *testing.T) {
	f := func(reason string, bad func(pmetric.MetricSlice)) {
		t.Helper()
		db := open(t, t.TempDir())
		if _, err := db.Points(t.Context(), "default", metrics(func(ms pmetric.MetricSlice) {
			sum(ms, "first", pmetric.AggregationTemporalityCumulative, now, 1)
		})); err != nil {
			t.Fatal(err)
		}
		rejected, err := db.Points(t.Context(), "default", metrics(func(ms pmetric.MetricSlice) {
			bad(ms)
			sum(ms, "good", pmetric.AggregationTemporalityCumulative, now, 1)
		}))
		if err != nil || rejected.Items != 1 {
			t.Errorf("%s: rejected %+v, %v", reason, rejected, err)
		}
		if db.Refused()[reason] == 0 {
			t.Errorf("%s is not counted: %v", reason, db.Refused())
		}
		if _, ok := values(t, db)[`{__name__="good_total", project="default", team="press"}`]; !ok {
			t.Errorf("%s: the good point is gone", reason)
		}
	}
	cumulative := pmetric.AggregationTemporalityCumulative
	f(ReasonTooNew, func(ms pmetric.MetricSlice) { sum(ms, "x", cumulative, now.Add(time.Hour), 1) })
	f(ReasonTooOld, func(ms pmetric.MetricSlice) { sum(ms, "x", cumulative, now.Add(-24*time.Hour), 1) })
	f(ReasonDuplicate, func(ms pmetric.MetricSlice) { sum(ms, "first", cumulative, now, 2) })
	f(ReasonOwned, func(ms pmetric.MetricSlice) { sum(ms, "ai_team.llm_cost_dollars", cumulative, now, 2) })
	f(ReasonLimit, func(ms pmetric.MetricSlice) {
		sum(ms, "x", cumulative, now, 1)
		ms.At(0).Sum().DataPoints().At(0).Attributes().PutStr("prompt", strings.Repeat("x", 1<<20))
	})
}

func TestLimits(t *testing.T) {
	l := Limits{}.withDefaults()
	f := func(ls labels.Labels, want string) {
		t.Helper()
		err := l.check(ls)
		if want == "" && err != nil || want != "" && (!errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), want) || len(err.Error()) > 300) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f(labels.FromStrings("__name__", "up"), "")
	b := labels.NewBuilder(labels.EmptyLabels())
	for i := range 10_000 {
		b.Set("l"+strings.Repeat("x", i%7)+string(rune('a'+i%26))+strings.Repeat("y", i/26%50), "v")
	}
	f(b.Labels(), "at most 128")
	f(labels.FromStrings(strings.Repeat("n", 257), "v"), "at most 256")
	f(labels.FromStrings("n", strings.Repeat("v", 1<<20)), "at most 4096")
}

func TestSamplesAndFamiliesSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	app := db.Appendable().AppenderV2(context.Background())
	opts := storage.AOptions{MetricFamilyName: "up", Metadata: metadata.Metadata{Type: "gauge", Help: "Whether it runs.", Unit: ""}}
	if _, err := app.Append(0, labels.FromStrings("__name__", "up"), 0, now.UnixMilli(), 1, nil, nil, opts); err != nil {
		t.Fatal(err)
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir)
	if d := cmp.Diff(map[string]float64{`{__name__="up"}`: 1}, values(t, db)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]Family{"up": {Type: "gauge", Help: "Whether it runs."}}, db.Families()); d != "" {
		t.Error(d)
	}
}

func TestFamiliesAreBounded(t *testing.T) {
	db := open(t, t.TempDir())
	for i := range maxFamilies + 5 {
		db.families.note("", "m"+strings.Repeat("i", i%100)+string(rune(i)), metadata.Metadata{Type: "gauge", Help: strings.Repeat("h", 5000)})
	}
	if n := len(db.Families()); n > maxFamilies {
		t.Errorf("%d descriptions are kept", n)
	}
}

// TestClockGoesBack: while the server's clock is behind what it has stored, samples of its time are still taken within the
// out-of-order window; older ones are refused and counted, and nothing that is stored is lost.
func TestClockGoesBack(t *testing.T) {
	db := open(t, t.TempDir())
	add := func(at time.Time, v int64) int64 {
		t.Helper()
		rejected, err := db.Points(t.Context(), "default", metrics(func(ms pmetric.MetricSlice) {
			sum(ms, "steps", pmetric.AggregationTemporalityCumulative, at, v)
		}))
		if err != nil {
			t.Fatal(err)
		}
		return rejected.Items
	}
	f := func(at time.Duration, v, want int64) {
		t.Helper()
		if got := add(now.Add(at), v); got != want {
			t.Errorf("%s: %d rejected, want %d", at, got, want)
		}
	}
	f(0, 10, 0)
	f(-20*time.Minute, 8, 0) // the clock was set back by twenty minutes
	f(-19*time.Minute, 9, 0)
	f(-2*time.Hour, 5, 1) // and by two hours
	f(time.Minute, 11, 0) // and is right again
	if got := values(t, db)[`{__name__="steps_total", project="default", team="press"}`]; got != 11 {
		t.Errorf("the newest value is %v", got)
	}
	if db.Refused()[ReasonTooOld] != 1 {
		t.Errorf("refused: %v", db.Refused())
	}
}
