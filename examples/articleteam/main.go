// Command articleteam runs the demo team on a number of articles. It is a user of the SDK like any other.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mindscope/mindscope/examples/articleteam/team"
	"github.com/mindscope/mindscope/examples/scriptedllm"
	"github.com/mindscope/mindscope/sdk/telemetry"
)

func main() {
	tasks := flag.Int("tasks", 20, "how many articles to write")
	dir := flag.String("dir", "articleteam-data", "folder for records, artifacts, log, the dump of the bus and the summary")
	latency := flag.Duration("latency", 250*time.Millisecond, "time the scripted model takes for an answer")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *tasks, *dir, *latency)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "articleteam:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, tasks int, dir string, latency time.Duration) (err error) {
	shutdown, err := telemetry.Setup(ctx, telemetry.WithServiceName("articleteam"), telemetry.WithTeam("newsroom"))
	if err != nil {
		return err
	}
	defer func() {
		if e := shutdown(context.WithoutCancel(ctx)); e != nil {
			fmt.Fprintln(os.Stderr, "articleteam: some telemetry was not sent:", e)
		}
	}()
	base := os.Getenv("OPENAI_BASE_URL")
	if base == "" {
		var stopModel func()
		if base, stopModel, err = startModel(latency); err != nil {
			return err
		}
		defer stopModel()
	}
	crew, err := team.New(ctx, team.Config{
		Dir: dir, BaseURL: base, APIKey: os.Getenv("OPENAI_API_KEY"), CallTimeout: max(8*latency, time.Second),
	})
	if err != nil {
		return err
	}
	defer func() {
		if e := crew.Close(context.WithoutCancel(ctx)); err == nil {
			err = e
		}
	}()
	var outcomes []team.Outcome
	for i := range tasks {
		if ctx.Err() != nil {
			break
		}
		id, topic := team.Assignment(i)
		out, err := crew.Do(ctx, id, topic)
		outcomes = append(outcomes, out)
		sign, text := "✓", fmt.Sprintf("quality %.1f", out.Quality)
		if err != nil {
			sign, text = "✕", err.Error()
		}
		fmt.Printf("[%2d/%d] %s %s  %s · %s\n", i+1, tasks, sign, id, topic, text)
	}
	return writeSummary(filepath.Join(dir, team.SummaryFile), outcomes)
}

func writeSummary(path string, outcomes []team.Outcome) error {
	b, err := json.MarshalIndent(outcomes, "", "  ")
	if err != nil {
		return fmt.Errorf("encode summary: %w", err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}

// startModel serves the scripted model on a free port.
func startModel(latency time.Duration) (base string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("start the scripted model: %w", err)
	}
	srv := &http.Server{Handler: &scriptedllm.Server{Latency: latency, Stall: time.Minute}, ReadHeaderTimeout: time.Second}
	go func() { _ = srv.Serve(l) }() // ends with ErrServerClosed
	return "http://" + l.Addr().String() + "/v1", func() { _ = srv.Close() }, nil
}
