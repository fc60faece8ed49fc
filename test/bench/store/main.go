// Command store measures the event store and writes bench/store.json: what a request costs from the wire to the
// acknowledgement, beside the same spans as plain rows in the same engine; memory at full speed; and how fast a large
// store answers. Each figure comes from a process of its own, whose processor time and memory the system counts.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// size is how much is measured.
type size struct {
	// Workloads are those that the ratios are measured of.
	Workloads []string
	// Tasks of each workload for the ratios.
	ArticleTasks, LoopTasks int
	// Rounds is how often.
	Rounds int
	// Soak is how long the server runs at full speed.
	Soak time.Duration
	// Idle is how long it is watched doing nothing. Every two minutes the runtime collects garbage, whether there is any or not.
	Idle time.Duration
	// Spans of the large store; the small one has a tenth.
	Spans int
}

func sizes() map[string]size {
	return map[string]size{
		"small": {ArticleTasks: 600, LoopTasks: 12, Rounds: 1, Soak: 10 * time.Second, Idle: 10 * time.Second, Spans: 42_000},
		"full":  {ArticleTasks: 4000, LoopTasks: 80, Rounds: 9, Soak: 5 * time.Minute, Idle: 2 * time.Minute, Spans: 2_000_000},
	}
}

// report is bench/store.json: names with their figures, flat.
type report map[string]any

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		exit(play(role))
	}
	out := flag.String("out", "bench/store.json", "file of the figures; those of parts that are not run stay")
	which := flag.String("size", "full", "small or full")
	parts := flag.String("parts", "ratio,soak,read", "what to measure")
	workloads := flag.String("workloads", "article,loop", "of which the ratios are measured")
	rounds := flag.Int("rounds", 0, "how often the ratios are measured, in place of the size's")
	soakFor := flag.Duration("soak", 0, "how long to soak, in place of the size's")
	dir := flag.String("dir", "", "folder for data, on a real disk; a temporary one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	s, ok := sizes()[*which]
	s.Rounds, s.Soak = cmp.Or(*rounds, s.Rounds), cmp.Or(*soakFor, s.Soak)
	s.Workloads = strings.Split(*workloads, ",")
	err := fmt.Errorf("size %q is none of small, full", *which)
	if ok {
		err = run(ctx, *out, *which, s, *parts, *dir)
	}
	stop()
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-store:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, out, which string, s size, parts, dir string) (err error) {
	if dir, err = os.MkdirTemp(dir, "bench-store-*"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r, err := readReport(out)
	if err != nil {
		return err
	}
	r["size"] = which
	r["machine"] = fmt.Sprintf("%s/%s, %d CPU, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	for part := range strings.SplitSeq(parts, ",") {
		measure, ok := map[string]func(context.Context, string, size, report) error{
			"ratio": ratios, "soak": soak, "read": reads,
		}[part]
		if !ok {
			return fmt.Errorf("part %q is none of ratio, soak, read", part)
		}
		if err := measure(ctx, dir, s, r); err != nil {
			return fmt.Errorf("measure %s: %w", part, err)
		}
	}
	return writeReport(out, r)
}

func readReport(path string) (report, error) {
	r := report{}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return r, nil
}

func writeReport(path string, r report) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// set notes a figure and shows it.
func (r report) set(name string, figure float64) {
	rounded := fmt.Sprintf("%.4g", figure)
	r[name] = json.Number(rounded)
	fmt.Printf("%-44s %s\n", name, rounded)
}
