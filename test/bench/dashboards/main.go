// Command dashboards measures how long the queries of the mission's three dashboards take over a month of 50 agents and 10
// models. It fills a folder of metrics with blocks, starts the binary on it and asks over HTTP, as Grafana does.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mindscope/mindscope/test/panels"
)

type options struct {
	binary, out, data string
	days, runs        int
	verbose           bool
}

// figures is bench/dashboards.json.
type figures struct {
	Machine        string  `json:"machine"`
	Runs           int     `json:"runs"`
	Series         int     `json:"series"`
	RecordedSeries int     `json:"recorded_series"`
	MSamples       float64 `json:"million_samples"`
	Queries        int     `json:"queries"`
	MonthMS        float64 `json:"month_together_ms"`
	MonthCPUMS     float64 `json:"month_cpu_ms"`
	MonthFirstMS   float64 `json:"month_first_ms"`
	MonthSlowestMS float64 `json:"month_slowest_ms"`
	HourMS         float64 `json:"hour_together_ms"`
	SixHoursMS     float64 `json:"six_hours_together_ms"`
}

func main() {
	var o options
	flag.StringVar(&o.binary, "bin", "bin/mindscope", "the server's binary")
	flag.StringVar(&o.out, "out", "bench/dashboards.json", "file of the figures")
	flag.StringVar(&o.data, "data", "", "data folder to fill and keep; a temporary one by default")
	flag.IntVar(&o.days, "days", 30, "days of data")
	flag.IntVar(&o.runs, "runs", 5, "how often each time range is asked")
	flag.BoolVar(&o.verbose, "v", false, "print the time of each query")
	flag.Parse()
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "bench dashboards:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	boards, err := panels.Load("deploy/grafana/dashboards")
	if err != nil {
		return err
	}
	if o.data == "" {
		if o.data, err = os.MkdirTemp("", "mindscope-bench-"); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.data)) }()
	}
	end := time.Now().Truncate(time.Hour)
	began := time.Now()
	written, err := fill(ctx, o.data, o.days, end)
	if err != nil {
		return err
	}
	fmt.Printf("filled %d series, %d million samples in %s\n", written.Series, written.Samples/1e6, time.Since(began).Round(time.Second))
	server, err := start(ctx, o.binary, o.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	f := figures{
		Machine: fmt.Sprintf("%s/%s, %d CPU, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
		Runs:    o.runs, Series: written.Series, RecordedSeries: written.Recorded, MSamples: float64(written.Samples/1e5) / 10,
	}
	month := questions(boards, panels.View{From: end.AddDate(0, 0, -o.days), To: end})
	f.Queries = len(month)
	first, _, err := all(ctx, server.address, month, o.verbose)
	if err != nil {
		return err
	}
	f.MonthFirstMS = rounded(first)
	before, err := cpu(server.pid)
	if err != nil {
		return err
	}
	if f.MonthMS, f.MonthSlowestMS, err = median(ctx, server.address, month, o.runs); err != nil {
		return err
	}
	after, err := cpu(server.pid)
	if err != nil {
		return err
	}
	f.MonthCPUMS = rounded(float64((after - before).Milliseconds()) / float64(o.runs))
	for hours, figure := range map[time.Duration]*float64{1: &f.HourMS, 6: &f.SixHoursMS} {
		asked := questions(boards, panels.View{From: end.Add(-hours * time.Hour), To: end})
		if *figure, _, err = median(ctx, server.address, asked, o.runs); err != nil {
			return err
		}
	}
	raw, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encode figures: %w", err)
	}
	fmt.Println(string(raw))
	if err := os.WriteFile(o.out, append(raw, '\n'), 0o644); err != nil { //nolint:gosec // it is part of the repository
		return fmt.Errorf("write figures: %w", err)
	}
	return nil
}

// all asks all questions one after the other and returns what they took together and the slowest, milliseconds. Of each
// panel at least one question must have an answer.
func all(ctx context.Context, server string, qs []question, verbose bool) (together, slowest float64, err error) {
	answered := map[string]int{}
	for _, q := range qs {
		a, err := ask(ctx, server, q)
		if err != nil {
			return 0, 0, err
		}
		ms := float64(a.took.Microseconds()) / 1000
		together, slowest = together+ms, max(slowest, ms)
		answered[q.board+": "+q.panel] += a.series
		if verbose {
			fmt.Printf("%8.1f ms %4d series  %s: %s\n", ms, a.series, q.panel, q.form.Get("query"))
		}
	}
	for panel, n := range answered {
		if n == 0 {
			return 0, 0, fmt.Errorf("panel %s has no data", panel)
		}
	}
	return together, slowest, nil
}

func median(ctx context.Context, server string, qs []question, runs int) (together, slowest float64, err error) {
	var sums, worst []float64
	for range runs {
		t, s, err := all(ctx, server, qs, false)
		if err != nil {
			return 0, 0, err
		}
		sums, worst = append(sums, t), append(worst, s)
	}
	slices.Sort(sums)
	slices.Sort(worst)
	return rounded(sums[len(sums)/2]), rounded(worst[len(worst)/2]), nil
}

func rounded(ms float64) float64 { return math.Round(ms*10) / 10 }

// cpu is the CPU time that a process has used.
func cpu(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] { // user and system, in hundredths of a second
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// server is the running binary.
type server struct {
	address string
	pid     int
	cmd     *exec.Cmd
}

func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	return s.cmd.Wait()
}

// start starts the server on a free port.
func start(ctx context.Context, binary, data string) (*server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a port: %w", err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, fmt.Errorf("free the port: %w", err)
	}
	// Blocks that reach a little beyond the month must not be removed while they are asked.
	cmd := exec.Command(binary, "serve", "--data", data, "--listen", address, "--otlp.grpc", "127.0.0.1:0", "--otlp.http", "127.0.0.1:0", "--metrics.retention", "60d", "--log.level", "error")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s (make build): %w", filepath.Base(binary), err)
	}
	s := &server{"http://" + address, cmd.Process.Pid, cmd}
	limit := time.Now().Add(time.Minute)
	for {
		resp, err := http.Get(s.address + "/-/ready")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return s, nil
			}
		}
		if time.Now().After(limit) {
			return nil, errors.Join(errors.New("the server is not ready after a minute"), s.stop())
		}
		time.Sleep(50 * time.Millisecond)
	}
}
