// Command demo starts a MindScope server and the demo team, lets the team work on twenty articles and shows the history
// of one that succeeded and one that failed. `make demo` runs it. With DEMO_EXIT=1 it ends by itself.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// options are the program's flags.
type options struct {
	binary, dir, picture, bus string
	tasks                     int
	latency                   time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.binary, "mindscope", "../bin/mindscope", "the server's binary")
	flag.IntVar(&o.tasks, "tasks", 20, "how many articles the team writes")
	flag.StringVar(&o.dir, "dir", "", "folder for everything; a new one in the system's temporary folder by default")
	flag.DurationVar(&o.latency, "latency", 250*time.Millisecond, "time the scripted model takes for an answer")
	flag.StringVar(&o.bus, "bus", "memory", "memory: one process; amqp: each agent in its own, over RabbitMQ and with records in PostgreSQL")
	flag.StringVar(&o.picture, "picture", "", "SVG file for a picture of what is shown")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	once := os.Getenv("DEMO_EXIT") == "1"
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "mindscope-demo-"); err != nil {
			return fmt.Errorf("make a folder: %w", err)
		}
		if once {
			defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
		}
	}
	var extra *services
	switch o.bus {
	case "memory":
	case "amqp":
		if extra, err = startServices(ctx, o.dir); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, extra.stop()) }()
	default:
		return fmt.Errorf("the bus is memory or amqp, not %q", o.bus)
	}
	hook, config, err := listenForAlerts(ctx, o.dir)
	if err != nil {
		return err
	}
	defer hook.stop()
	s, err := start(ctx, o.binary, o.dir, append(extra.flags(), "--config", config)...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := work(ctx, s, o, extra, hook); err != nil || ctx.Err() != nil {
		return err
	}
	if once {
		return nil
	}
	fmt.Printf(lookOn, s.http, strings.TrimPrefix(o.binary, "../"), filepath.Join(o.dir, "team"))
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.done:
		s.done <- err
		return fmt.Errorf("the server ended: %w", err)
	}
}

const lookOn = `
Look on, in another terminal:
  export MINDSCOPE_SERVER=http://%[1]s
  %[2]s tasks --failed     what failed, where and why
  %[2]s task task-414      a task that the critic never let pass
  %[2]s logs task-406      the log lines of one task
  http://%[1]s        in a browser
The team's own files (records, artifacts, log, messages) are in %[3]s
The server runs until Ctrl-C.
`

// work lets the team work, shows two of its tasks and what was alerted of. To be interrupted is no error.
func work(ctx context.Context, s *server, o options, extra *services, hook *webhook) error {
	fmt.Printf("\nA team of agents writes %d articles. Some of them fail.\n\n", o.tasks)
	if err := runTeam(ctx, s, o, extra, "team", 0, o.tasks); err != nil || ctx.Err() != nil {
		return ignoreEnd(ctx, err)
	}
	var shown bytes.Buffer
	if err := show(ctx, s, o.binary, io.MultiWriter(os.Stdout, &shown), "task-401", "task-417"); err != nil {
		return ignoreEnd(ctx, err)
	}
	if err := alerted(ctx, s, o, hook); err != nil {
		return ignoreEnd(ctx, err)
	}
	if o.picture == "" {
		return nil
	}
	if err := os.WriteFile(o.picture, draw(shown.String()), 0o644); err != nil {
		return fmt.Errorf("write picture: %w", err)
	}
	return nil
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// runTeam runs the articleteam as the program of its own that it is, or as one for each agent, in a folder of that name. It
// writes tasks articles from the first on.
func runTeam(ctx context.Context, s *server, o options, extra *services, name string, first, tasks int) error {
	program := filepath.Join(o.dir, "articleteam")
	defer func() { _ = os.Remove(program) }() // it is in the folder of the demo, if anything is left
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./articleteam")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the team: %w", err)
	}
	args := []string{"--dir", filepath.Join(o.dir, name), "--first", fmt.Sprint(first), "--tasks", fmt.Sprint(tasks), "--latency", o.latency.String()}
	env := append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+s.grpc, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
	if extra != nil {
		return processes(ctx, program, args, env, extra)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, os.Stdout, os.Stderr
	endsWell(cmd)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run the team: %w", err)
	}
	return nil
}

// show prints the trees of tasks, once the store shows them.
func show(ctx context.Context, s *server, binary string, out io.Writer, ids ...string) error {
	for _, id := range ids {
		fmt.Fprintln(out)
		if err := s.settled(ctx, id); err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, binary, "--server", "http://"+s.http, "task", id)
		cmd.Stdout, cmd.Stderr = out, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("show %s: %w", id, err)
		}
	}
	return nil
}
