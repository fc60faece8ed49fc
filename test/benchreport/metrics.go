package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/app"
	"github.com/mindscope/mindscope/internal/derive/spanmetrics"
	"github.com/mindscope/mindscope/internal/enrich/cost"
	"github.com/mindscope/mindscope/internal/enrich/dialect"
	"github.com/mindscope/mindscope/internal/enrich/identity"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/test/load"
)

type metricFigures struct {
	Machine   string  `json:"machine"`
	Rounds    int     `json:"rounds"`
	Ours      float64 `json:"ours_samples_s"`
	Stock     float64 `json:"stock_samples_s"`
	Ratio     float64 `json:"ingest_ratio"`
	CPURatio  float64 `json:"ingest_cpu_ratio"`
	SpanUs    float64 `json:"span_us"`
	SpanAlloc float64 `json:"span_allocs"`
}

const (
	writtenSeries = 20_000
	// perRequest is how many samples Prometheus itself sends at once.
	perRequest = 2_000
	// perRound is how often each series is written in a round.
	perRound = 25
)

// writes makes the requests of one round: every series once for each scrape, as a Prometheus with 20 000 series sends them.
func writes(first time.Time) ([][]byte, error) {
	var out [][]byte
	for n := range perRound {
		at := first.Add(time.Duration(n) * time.Second).UnixMilli()
		for begin := 0; begin < writtenSeries; begin += perRequest {
			req := prompb.WriteRequest{Timeseries: make([]prompb.TimeSeries, perRequest)}
			for i := range perRequest {
				id := begin + i
				req.Timeseries[i] = prompb.TimeSeries{
					Labels: []prompb.Label{
						{Name: "__name__", Value: "demo_requests_total"},
						{Name: "agent", Value: "agent-" + strconv.Itoa(id%50)},
						{Name: "instance", Value: "10.0.0." + strconv.Itoa(id/200) + ":9100"},
						{Name: "job", Value: "demo"},
						{Name: "model", Value: "model-" + strconv.Itoa(id%200/50)},
						{Name: "project", Value: "default"},
						{Name: "team", Value: "press"},
					},
					Samples: []prompb.Sample{{Timestamp: at, Value: float64(at%1000 + int64(id))}},
				}
			}
			raw, err := req.Marshal()
			if err != nil {
				return nil, fmt.Errorf("make remote write: %w", err)
			}
			out = append(out, snappy.Encode(nil, raw))
		}
	}
	return out, nil
}

// writer is a server that takes remote writes.
type writer struct {
	url string
	cmd *exec.Cmd
	// rates are samples a second by the clock, cpu samples a second of processor time, by round.
	rates, cpu []float64
}

func startWriter(addr string, cmd *exec.Cmd) (*writer, error) {
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	w := &writer{url: "http://" + addr, cmd: cmd}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if err := untilReady(ctx, addr); err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, nil
}

func (w *writer) stop() error {
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", w.cmd.Path, err)
	}
	return w.cmd.Wait()
}

// take sends the requests one after the other.
func (w *writer) take(requests [][]byte) error {
	before, err := processorTime(w.cmd.Process.Pid)
	if err != nil {
		return err
	}
	begin := time.Now()
	for _, body := range requests {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, w.url+"/api/v1/write", bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-protobuf")
		req.Header.Set("Content-Encoding", "snappy")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return fmt.Errorf("write to %s: %w", w.cmd.Path, err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode/100 != 2 {
			return fmt.Errorf("write to %s: %s %s: %w", w.cmd.Path, resp.Status, text, err)
		}
	}
	took := time.Since(begin)
	after, err := processorTime(w.cmd.Process.Pid)
	if err != nil {
		return err
	}
	samples := float64(len(requests) * perRequest)
	w.rates = append(w.rates, samples/took.Seconds())
	w.cpu = append(w.cpu, samples/(after-before).Seconds())
	return nil
}

// processorTime is what Linux says a process has used of all cores.
func processorTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read processor time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil // Linux counts in hundredths
}

// ingest sends the same requests to both servers in turns, and notes the medians.
func ingest(bin, stock string, f *metricFigures) (err error) {
	dir, err := os.MkdirTemp("", "mindscope-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	addrs, err := freeAddrs(4)
	if err != nil {
		return err
	}
	ours, err := startWriter(addrs[0], exec.Command(bin, "serve", "--data", filepath.Join(dir, "ours"), "--log.level", "error",
		"--listen", addrs[0], "--otlp.grpc", addrs[1], "--otlp.http", addrs[2]))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.stop()) }()
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		return err
	}
	theirs, err := startWriter(addrs[3], exec.Command(stock, "--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "stock"),
		"--web.listen-address", addrs[3], "--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage", "--log.level=error"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, theirs.stop()) }()
	first := time.Now().Add(-30 * time.Minute)
	for round := range f.Rounds + 1 {
		requests, err := writes(first.Add(time.Duration(round*perRound) * time.Second))
		if err != nil {
			return err
		}
		order := []*writer{ours, theirs}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, w := range order {
			if err := w.take(requests); err != nil {
				return err
			}
		}
	}
	// The first round made the series; what a Prometheus does all day is the rest.
	var ratios, cpu []float64
	for i := 1; i <= f.Rounds; i++ {
		ratios = append(ratios, ours.rates[i]/theirs.rates[i])
		cpu = append(cpu, ours.cpu[i]/theirs.cpu[i])
	}
	f.Ours, f.Stock = float64(int(middle(ours.rates[1:]))), float64(int(middle(theirs.rates[1:])))
	f.Ratio, f.CPURatio = hundredth(middle(ratios)), hundredth(middle(cpu))
	return nil
}

func middle(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

func hundredth(v float64) float64 {
	f, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'f', 2, 64), 64)
	return f
}

// rows keeps the rows of spans as the store's observers see them.
type rows struct{ all []store.Row }

func (r *rows) Traces(_ context.Context, _ signal.Project, td ptrace.Traces) (signal.Rejected, error) {
	r.all = store.AppendSpanRows(r.all, td)
	return signal.Rejected{}, nil
}

func (*rows) Logs(context.Context, signal.Project, plog.Logs) (signal.Rejected, error) {
	return signal.Rejected{}, nil
}

func (*rows) Metrics(context.Context, signal.Project, pmetric.Metrics) (signal.Rejected, error) {
	return signal.Rejected{}, nil
}

// derived measures the metrics made of spans: tasks of the article team, 512 spans at once, as the store commits them.
func derived(f *metricFigures) error {
	const tasks, batch = 500, 512
	generator, err := load.New(load.Article, 1)
	if err != nil {
		return err
	}
	kept := &rows{}
	priced, err := cost.New(kept, cost.Config{})
	if err != nil {
		return err
	}
	sink, err := dialect.New(identity.New(priced), dialect.Config{})
	if err != nil {
		return err
	}
	for range tasks {
		if _, err := sink.Traces(context.Background(), signal.DefaultProject, generator.Task(time.Now())); err != nil {
			return err
		}
	}
	var spent []float64
	var allocs uint64
	defer debug.SetGCPercent(debug.SetGCPercent(app.GarbagePercent)) // the server's own
	for range f.Rounds {
		m := spanmetrics.New(spanmetrics.Config{})
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := cpuTime()
		for part := range slices.Chunk(kept.all, batch) {
			m.Committed(signal.DefaultProject, part)
		}
		spent = append(spent, float64((cpuTime()-start).Microseconds())/float64(len(kept.all)))
		runtime.ReadMemStats(&after)
		allocs = after.Mallocs - before.Mallocs
	}
	f.SpanUs, f.SpanAlloc = hundredth(middle(spent)), hundredth(float64(allocs)/float64(len(kept.all)))
	return nil
}

// metrics measures the part that is Prometheus.
func metrics(bin, stock string, rounds int, out string) error {
	f := metricFigures{Machine: fmt.Sprintf("%s/%s, %d CPU, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()), Rounds: rounds}
	if err := derived(&f); err != nil {
		return fmt.Errorf("measure metrics of spans: %w", err)
	}
	if err := ingest(bin, stock, &f); err != nil {
		return fmt.Errorf("measure remote write: %w", err)
	}
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encode figures: %w", err)
	}
	if err := os.WriteFile(out, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	fmt.Printf("%s\n", text)
	return nil
}
