package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mindscope/mindscope/test/load"
)

// soak runs the server at full speed with both workloads and watches its memory, then watches it doing nothing.
func soak(ctx context.Context, dir string, s size, r report) error {
	c, err := startChild(ctx, "server", filepath.Join(dir, "soak"))
	if err != nil {
		return err
	}
	begin := time.Now()
	var totals [2]sent
	group, sendCtx := errgroup.WithContext(ctx)
	for i, w := range []load.Workload{load.Article, load.Loop} {
		group.Go(func() (err error) {
			g, err := load.New(w, uint64(10+i))
			if err != nil {
				return err
			}
			totals[i], err = send(sendCtx, c.ready, g, w.Spans(), func(int) bool { return time.Since(begin) < s.Soak })
			return err
		})
	}
	watched := make(chan []memory, 1)
	go func() { watched <- watch(sendCtx, c.cmd.Process.Pid, begin.Add(s.Soak)) }()
	if err := group.Wait(); err != nil {
		return err
	}
	samples := <-watched
	sent := time.Now()
	if err := accounted(ctx, c.api); err != nil {
		return err
	}
	r.set("soak_ledger_seconds", time.Since(sent).Seconds())
	idle, err := idleCPU(ctx, c.cmd.Process.Pid, s.Idle)
	if err != nil {
		return err
	}
	var u usage
	if err := c.end(&u); err != nil {
		return err
	}
	seconds := s.Soak.Seconds()
	r.set("soak_seconds", seconds)
	r.set("soak_spans_per_s", float64(totals[0].spans+totals[1].spans)/seconds)
	r.set("soak_wire_mb_per_s", float64(totals[0].bytes+totals[1].bytes)/1e6/seconds)
	r.set("soak_peak_rss_mb", u.PeakMB)
	half := samples[len(samples)/2:]
	r.set("soak_first_half_mean_rss_mb", mean(samples[:len(samples)/2], memory.all))
	r.set("soak_second_half_mean_rss_mb", mean(half, memory.all))
	r.set("soak_second_half_mean_anon_mb", mean(half, memory.own))
	r.set("soak_idle_cpu_percent", idle*100)
	return nil
}

// memory is a process's resident set in MB: all of it, and without the pages of files.
type memory struct{ rss, anon float64 }

func (m memory) all() float64 { return m.rss }
func (m memory) own() float64 { return m.anon }

func mean(samples []memory, of func(memory) float64) float64 {
	sum := 0.0
	for _, s := range samples {
		sum += of(s)
	}
	return sum / float64(max(1, len(samples)))
}

// watch reads a process's memory each second until a time.
func watch(ctx context.Context, pid int, until time.Time) []memory {
	var samples []memory
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for time.Now().Before(until) {
		select {
		case <-ctx.Done():
			return samples
		case <-ticker.C:
		}
		if m, err := memoryOf(pid); err == nil {
			samples = append(samples, m)
		}
	}
	return samples
}

func memoryOf(pid int) (memory, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return memory{}, err
	}
	var m memory
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		var kb float64
		if _, err := fmt.Sscan(rest, &kb); err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			m.rss = kb / 1024
		case "RssAnon":
			m.anon = kb / 1024
		}
	}
	return m, nil
}

// ledgerPatience bounds how long the ledger may take for the tasks of a soak.
const ledgerPatience = 30 * time.Minute

// accounted waits until the server has accounted for all tasks it was sent, which it does beside everything else with a
// tenth of a processor: until then it is not idle.
func accounted(ctx context.Context, api string) error {
	ctx, cancel := context.WithTimeout(ctx, ledgerPatience)
	defer cancel()
	for {
		waiting, err := metric(ctx, api, "mindscope_ledger_waiting_tasks")
		if err != nil {
			return err
		}
		if waiting == 0 {
			break
		}
		if err := pause(ctx, 2*time.Second); err != nil {
			return fmt.Errorf("wait for the ledger, with %v tasks to go: %w", waiting, err)
		}
	}
	skipped, err := metric(ctx, api, "mindscope_ledger_skipped_tasks_total")
	if err == nil && skipped > 0 {
		err = fmt.Errorf("the ledger skipped %v tasks", skipped)
	}
	return err
}

// metric reads one of the server's own metrics.
func metric(ctx context.Context, api, name string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+api+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("read metrics of the server: no %s", name)
}

// idleCPU returns which share of one processor a process takes while nobody asks or sends, after a pause for what
// it still has to write.
func idleCPU(ctx context.Context, pid int, watched time.Duration) (float64, error) {
	if err := pause(ctx, watched/2); err != nil {
		return 0, err
	}
	before, err := cpuOf(pid)
	if err != nil {
		return 0, err
	}
	if err := pause(ctx, watched); err != nil {
		return 0, err
	}
	after, err := cpuOf(pid)
	return (after - before).Seconds() / watched.Seconds(), err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// cpuOf returns the processor time a process has had, from /proc in ticks of 10 ms.
func cpuOf(pid int) (time.Duration, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, fmt.Errorf("read the times of process %d: %q", pid, text)
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("read the times of process %d: %q", pid, text)
	}
	return time.Duration(user+system) * 10 * time.Millisecond, nil
}
