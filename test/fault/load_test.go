package fault

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/test/harness"
)

// startFails runs a server that must not start and returns what it says.
func startFails(t *testing.T, data string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, harness.Binary(t), "serve", "--data", data, "--listen", "127.0.0.1:0",
		"--otlp.grpc", "127.0.0.1:0", "--otlp.http", "127.0.0.1:0", "--no-metrics.enabled")
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil || err == nil {
		t.Errorf("the server started on a damaged folder: %v\n%.2000s", err, out)
	}
	return string(out)
}

// TestOldFutureAndHugeSpans: what can't be taken is said so, everything else is kept whole over a kill.
func TestOldFutureAndHugeSpans(t *testing.T) {
	data := t.TempDir()
	s := harness.Start(t, harness.Options{Data: data, Args: []string{"--no-metrics.enabled"}})
	a, err := send(s.OTLPHTTP, request{number: 40, spans: 2, at: time.Now().Add(-40 * 24 * time.Hour)}.body(t))
	if err != nil || a.status != http.StatusOK || !strings.Contains(a.text, "older than the retention") {
		t.Errorf("spans 40 days old: %v, %+v; want a partial success that says so", err, a)
	}
	tomorrow := request{number: 1, spans: 2, at: time.Now().Add(24 * time.Hour)}
	mustSend(t, s, tomorrow)
	prompt := strings.Repeat("a prompt of five megabytes ", 5<<20/27)
	huge := request{number: 5, spans: 1, prompt: prompt, at: time.Now()}
	mustSend(t, s, huge)
	s.Kill(t)
	again := harness.Start(t, harness.Options{Data: data, Args: []string{"--no-metrics.enabled"}})
	again.Stop(t)
	db := open(t, data)
	if d := compare(t, db, []request{tomorrow, huge}); d != (difference{}) { // the prompt of 5 MB byte for byte
		t.Errorf("spans are not as they were sent: %+v", d)
	}
}

// TestReadersUnderWriteLoad asks from 50 readers while spans come in.
func TestReadersUnderWriteLoad(t *testing.T) {
	length := 4 * time.Second
	if full() {
		length = 30 * time.Second
	}
	s := harness.Start(t, harness.Options{Args: []string{"--no-metrics.enabled"}})
	first := request{number: 1, spans: 21, at: time.Now()}
	mustSend(t, s, first)
	eventually(t, "the first trace", func() error {
		if n, err := spansOf(s, 1); err != nil || n != 21 {
			return errNotYet
		}
		return nil
	})
	end := time.Now().Add(length)
	var wg sync.WaitGroup
	var sent atomic.Int64
	for w := range 2 {
		wg.Go(func() {
			for n := uint64(w+1) << 32; time.Now().Before(end); n++ {
				a, err := send(s.OTLPHTTP, request{number: n, spans: 50, at: time.Now()}.body(t))
				if err != nil || a.status != http.StatusOK {
					t.Errorf("send: %v, %+v", err, a)
					return
				}
				sent.Add(50)
			}
		})
	}
	var mu sync.Mutex
	var took []time.Duration
	for range 50 {
		wg.Go(func() {
			for time.Now().Before(end) {
				start := time.Now()
				n, err := spansOf(s, 1)
				if err != nil || n != 21 {
					t.Errorf("a reader got %d spans, %v", n, err)
					return
				}
				mu.Lock()
				took = append(took, time.Since(start))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(took)
	if len(took) == 0 || sent.Load() == 0 {
		t.Fatalf("%d reads, %d spans sent", len(took), sent.Load())
	}
	figures(t, map[string]float64{
		"readers": 50, "readers_reads": float64(len(took)), "readers_spans_per_second": float64(sent.Load()) / length.Seconds(),
		"readers_trace_p50_ms": took[len(took)/2].Seconds() * 1000, "readers_trace_p99_ms": took[len(took)*99/100].Seconds() * 1000,
	})
}

// TestHugeTrace sends one trace of a million spans (a twentieth without `make fault`'s time) and reads it through the API: they are
// all there, once, and memory is bounded for the writer, the replay and the readers.
func TestHugeTrace(t *testing.T) {
	const each = 5000
	total := 50_000
	if full() {
		total = 1_000_000
	}
	data := t.TempDir()
	s := harness.Start(t, harness.Options{Data: data, Args: []string{"--no-metrics.enabled"}})
	start := time.Now()
	for n := range total / each {
		body := hugePart(t, n, each)
		a, err := send(s.OTLPHTTP, body)
		if err != nil || a.status != http.StatusOK || a.text != "" {
			t.Fatalf("part %d: %v, %+v", n, err, a)
		}
	}
	took := time.Since(start)
	peak := peakMiB(t, s.PID())
	s.Kill(t)
	replayStart := time.Now()
	again := harness.Start(t, harness.Options{Data: data, Args: []string{"--no-metrics.enabled"}})
	replay := time.Since(replayStart)
	replayPeak := peakMiB(t, again.PID())
	first, all := readHuge(t, again, total)
	readPeak := peakMiB(t, again.PID())
	again.Stop(t)
	db := open(t, data)
	scope := store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldTraceID, traceID(7).String())}
	groups, err := db.Aggregate(t.Context(), signal.DefaultProject, store.Aggregate{Scope: scope, Columns: []store.Column{{Func: store.CountRows}}})
	if err != nil || len(groups) != 1 || groups[0].Values[0] != float64(total) {
		t.Errorf("the trace has %+v spans, %v; want %d", groups, err, total)
	}
	if peak > 1024 || replayPeak > 1024 || readPeak > 1024 {
		t.Errorf("the server took %g MiB, after the kill %g MiB, with a reader %g MiB", peak, replayPeak, readPeak)
	}
	figures(t, map[string]float64{
		"huge_trace_spans": float64(total), "huge_trace_spans_per_second": float64(total) / took.Seconds(), "huge_trace_peak_mib": peak,
		"huge_trace_restart_seconds": replay.Seconds(), "huge_trace_restart_peak_mib": replayPeak,
		"huge_trace_read_peak_mib": readPeak, "huge_trace_first_page_ms": first.Seconds() * 1000, "huge_trace_all_pages_seconds": all.Seconds(),
	})
}

// readHuge reads the huge trace page by page and returns how long the first page and all of them took.
func readHuge(t *testing.T, s *harness.Server, total int) (first, all time.Duration) {
	t.Helper()
	seen := make([]bool, total)
	n, pages := 0, 0
	start := time.Now()
	for page := ""; ; pages++ {
		var got struct {
			Spans []struct {
				SpanID string `json:"span_id"`
			} `json:"spans"`
			Next    string `json:"next"`
			Partial bool   `json:"partial"`
		}
		path := "/api/mindscope/v1/traces/" + traceID(7).String() + "?limit=1000&page=" + url.QueryEscape(page)
		if err := s.Get(path, &got); err != nil || got.Partial {
			t.Fatalf("page %d: %v, partial: %t", pages, err, got.Partial)
		}
		if pages == 0 {
			first = time.Since(start)
		}
		for _, span := range got.Spans {
			i := spanNumber(t, span.SpanID)
			if i < 0 || i >= total || seen[i] {
				t.Fatalf("page %d has span %d, which is there already or was never sent", pages, i)
			}
			seen[i] = true
			n++
		}
		if page = got.Next; page == "" {
			break
		}
	}
	if n != total {
		t.Errorf("%d pages have %d spans, want %d", pages+1, n, total)
	}
	return first, time.Since(start)
}

// peakMiB returns the most memory that a process had.
func peakMiB(t *testing.T, pid int) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kib); n == 1 {
			return kib / 1024
		}
	}
	t.Fatal("the system does not tell the peak of memory")
	return 0
}
