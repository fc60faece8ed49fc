package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startLimit is when a server that does not become ready is given up.
const startLimit = 30 * time.Second

// idleFor is how long a server is left alone before its memory is read.
const idleFor = 5 * time.Second

type serverFigures struct {
	Machine  string  `json:"machine"`
	Runs     int     `json:"runs"`
	ReadyMs  float64 `json:"ready_ms"`
	ReadyMax float64 `json:"ready_max_ms"`
	RSSMB    float64 `json:"idle_rss_mb"`
	BinaryMB float64 `json:"binary_mb"`
}

// server starts the binary on empty folders and writes the medians.
func server(bin string, runs int, out string) error {
	info, err := os.Stat(bin)
	if err != nil {
		return fmt.Errorf("measure the server (make build makes it): %w", err)
	}
	var ready, rss []float64
	for range runs {
		took, memory, err := once(bin)
		if err != nil {
			return fmt.Errorf("measure %s: %w", bin, err)
		}
		ready = append(ready, took.Seconds()*1000)
		rss = append(rss, memory)
	}
	slices.Sort(ready)
	slices.Sort(rss)
	f := serverFigures{
		Machine: fmt.Sprintf("%s/%s, %d CPU, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
		Runs:    runs, ReadyMs: tenth(ready[runs/2]), ReadyMax: tenth(ready[runs-1]), RSSMB: tenth(rss[runs/2]),
		BinaryMB: tenth(float64(info.Size()) / 1e6),
	}
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encode figures: %w", err)
	}
	if err := os.WriteFile(out, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return nil
}

func tenth(v float64) float64 {
	f, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'f', 1, 64), 64)
	return f
}

// once starts the server in a new folder and returns the time from its start to the first answer that it is ready, and
// the megabytes that it holds when it was left alone.
func once(bin string) (ready time.Duration, rssMB float64, err error) {
	dir, err := os.MkdirTemp("", "mindscope-bench-")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	addrs, err := freeAddrs(3)
	if err != nil {
		return 0, 0, err
	}
	cmd := exec.Command(bin, "serve", "--data", dir, "--listen", addrs[0], "--otlp.grpc", addrs[1], "--otlp.http", addrs[2])
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	defer func() {
		if e := cmd.Process.Signal(syscall.SIGTERM); e != nil {
			err = errors.Join(err, e)
		}
		err = errors.Join(err, cmd.Wait())
	}()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if err := untilReady(ctx, addrs[0]); err != nil {
		return 0, 0, err
	}
	ready = time.Since(begin)
	idle := time.NewTimer(idleFor)
	<-idle.C
	rssMB, err = residentMB(cmd.Process.Pid)
	return ready, rssMB, err
}

func untilReady(ctx context.Context, addr string) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/-/ready", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until the server is ready: %w", ctx.Err())
		}
	}
}

func freeAddrs(n int) ([]string, error) {
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}

// residentMB reads what Linux says of a process' resident memory.
func residentMB(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of a process: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		var kib float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kib); err == nil {
			return kib * 1024 / 1e6, nil
		}
	}
	return 0, errors.New("read the memory of a process: there is no VmRSS")
}
