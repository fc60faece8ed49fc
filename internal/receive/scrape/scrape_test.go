package scrape

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"go.uber.org/goleak"

	"github.com/mindscope/mindscope/internal/store/metricdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pool is a Manager on a database of its own.
type pool struct {
	t   *testing.T
	db  *metricdb.DB
	m   *Manager
	reg *prometheus.Registry
}

func newPool(t *testing.T) *pool {
	t.Helper()
	db, err := metricdb.Open(t.TempDir(), metricdb.Config{})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	m, err := Start(Config{To: db.FromSenders(), Registerer: reg, Failed: func(err error) { t.Errorf("scrapes ended: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.Stop()
		_ = db.Close()
	})
	return &pool{t, db, m, reg}
}

// apply puts targets in force, scraped as often as can be.
func (p *pool) apply(more string, targets ...string) {
	p.t.Helper()
	yml := fmt.Sprintf("global: {scrape_interval: 200ms, scrape_timeout: 200ms}\nscrape_configs:\n  - job_name: job\n    %s\n    static_configs: [{targets: [%s]}]\n", more, strings.Join(targets, ", "))
	cfg, err := config.Load(yml, promslog.NewNopLogger())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.m.Apply(cfg); err != nil {
		p.t.Fatal(err)
	}
}

// last returns the newest value of the series of a name, by target; "stale" for one that ended.
func (p *pool) last(name string) map[string]string {
	p.t.Helper()
	q, err := p.db.Queryable().Querier(0, time.Now().Add(time.Hour).UnixMilli())
	if err != nil {
		p.t.Fatal(err)
	}
	defer q.Close()
	got := map[string]string{}
	set := q.Select(p.t.Context(), true, nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", name))
	for set.Next() {
		it := set.At().Iterator(nil)
		for it.Next() != chunkenc.ValNone {
			_, v := it.At()
			got[set.At().Labels().Get("instance")] = fmt.Sprint(v)
			if set.At().Labels().Get("team") == "" || set.At().Labels().Get("project") == "" {
				p.t.Errorf("%s has no team or project", set.At().Labels())
			}
		}
	}
	if err := set.Err(); err != nil {
		p.t.Fatal(err)
	}
	return got
}

// wait polls until a series of a target has a value.
func (p *pool) wait(name, target, want string) {
	p.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for got := ""; ; {
		if got = p.last(name)[target]; got == want {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s of %s is %q, want %q", name, target, got, want)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// counted returns a counter of the scrapes.
func (p *pool) counted(name string) (n float64) {
	p.t.Helper()
	families, err := p.reg.Gather()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			n += f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return n
}

// page serves a page of metrics.
func page(t *testing.T, text string) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, text)
	})
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// raw answers each connection with bytes.
func raw(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, answer)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

const good = "# HELP things Things.\n# TYPE things gauge\nthings 7\n"

// TestBadTargets: one that hangs, lies or talks nonsense is down; its neighbours are scraped as ever.
func TestBadTargets(t *testing.T) {
	p := newPool(t)
	release := make(chan struct{})
	hangs := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	neighbour := page(t, good)
	bad := map[string]string{
		"hangs":         hangs,
		"says too long": raw(t, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\nthings 1\n"),
		"says negative": raw(t, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: -5\r\n\r\nthings 1\n"),
		"is no HTTP":    raw(t, "220 mail.example ESMTP\r\n"),
		"is no metrics": page(t, "<html>things</html>"),
		"is too big":    page(t, good+strings.Repeat("# filler\n", 100_000)),
		"fails":         serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", http.StatusInternalServerError) }),
		"sends a bomb": serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "no gzip at all")
		}),
	}
	targets := []string{neighbour}
	for _, addr := range bad {
		targets = append(targets, addr)
	}
	p.apply("body_size_limit: 100KB", targets...)
	p.wait("things", neighbour, "7")
	p.wait("up", neighbour, "1")
	for what, addr := range bad {
		p.wait("up", addr, "0")
		if got, ok := p.last("things")[addr]; ok {
			t.Errorf("the target that %s gives %s", what, got)
		}
	}
}

// TestBadSeries: a series that can't be kept costs only itself.
func TestBadSeries(t *testing.T) {
	f := func(what, reason, line string) {
		t.Helper()
		p := newPool(t)
		target := page(t, good+line)
		p.apply("", target)
		p.wait("things", target, "7")
		p.wait("up", target, "1")
		if reason != "" && p.db.Refused()[reason] == 0 {
			t.Errorf("%s is not counted: %v", what, p.db.Refused())
		}
		if n := p.counted("prometheus_target_scrapes_sample_duplicate_timestamp_total"); reason == "" && n == 0 {
			t.Errorf("%s is not counted", what)
		}
	}
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, "l%d=\"v\",", i)
	}
	f("a series of 10 000 labels", metricdb.ReasonLimit, "bad{"+many.String()+"} 1\n")
	f("a value of 1 MB", metricdb.ReasonLimit, "bad{l=\""+strings.Repeat("x", 1<<20)+"\"} 1\n")
	f("a duplicate", "", "bad 1\nbad 2\n") // the scrape itself counts those
	f("a sample of yesterday", metricdb.ReasonTooOld, fmt.Sprintf("bad 1 %d\n", time.Now().Add(-24*time.Hour).UnixMilli()))
	f("money, which is the server's", metricdb.ReasonOwned, "ai_team_llm_cost_dollars_total 1\n")
}

// TestTargetsComeAndGo: with a new configuration; one that can't be used leaves the old one.
func TestTargetsComeAndGo(t *testing.T) {
	p := newPool(t)
	one, two := page(t, good), page(t, good)
	p.apply("", one)
	p.wait("things", one, "7")
	p.apply("", two)
	p.wait("things", two, "7")
	p.wait("things", one, "NaN") // it ended
	if err := p.m.Apply(&config.Config{ScrapeConfigFiles: []string{"/no/such/[file"}}); err == nil {
		t.Error("a broken configuration is applied")
	}
	p.wait("up", two, "1")
	if targets := p.m.TargetsActive()["job"]; len(targets) != 1 {
		t.Errorf("targets after a broken configuration: %v", targets)
	}
}
