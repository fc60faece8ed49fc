package self

import (
	"bytes"
	"errors"
	"flag"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files")

func scrape(m *Metrics) string {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	var own strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		if strings.Contains(line, "mindscope_") && !strings.Contains(line, "mindscope_build_info{") {
			own.WriteString(line)
		}
	}
	return own.String()
}

func TestMetrics(t *testing.T) {
	m := NewMetrics("v1.2.3")
	m.Received(Request{Signal: "traces", Transport: "grpc", Result: "partial", Accepted: 5, Rejected: 2, Bytes: 700, Duration: 20 * time.Millisecond})
	m.Received(Request{Signal: "logs", Transport: "http", Result: "unavailable", Refused: 3, Bytes: 90, Duration: time.Minute})
	m.PointsIgnored(4)
	m.Gauge("mindscope_test_gauge", "A gauge.", func() float64 { return 1.5 })
	m.Counter("mindscope_test_total", "A counter.", func() float64 { return 7 })
	m.Store(func() (StoreFigures, error) {
		return StoreFigures{Rows: 10, Bytes: 2000, Evicted: 7, Refused: 8, ReadOnly: true}, nil
	})
	got := scrape(m)
	const path = "testdata/metrics.golden"
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Error(d)
	}
}

func TestStoreThatHasNoFigures(t *testing.T) {
	m := NewMetrics("dev")
	m.Store(func() (StoreFigures, error) { return StoreFigures{}, errors.New("closed") })
	if got := scrape(m); strings.Contains(got, "mindscope_store_rows") || !strings.Contains(got, "mindscope_build_info") {
		t.Errorf("a figure that is not known was shown, or the others are gone:\n%s", got)
	}
}

func TestLogger(t *testing.T) {
	f := func(level slog.Level, format, want string) {
		t.Helper()
		var out bytes.Buffer
		log := NewLogger(&out, level, format)
		log.Info("quiet")
		log.Warn("loud", "n", 1)
		got := out.String()
		if !strings.Contains(got, want) || strings.Contains(got, "quiet") {
			t.Errorf("%q, want %q in it", got, want)
		}
	}
	f(slog.LevelWarn, "text", "level=WARN msg=loud n=1\n")
	f(slog.LevelWarn, "json", `"level":"WARN","msg":"loud","n":1}`)
}
