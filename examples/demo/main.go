// Command demo starts a MindScope server and the demo team, lets the team work on twenty articles and shows the history
// of one that succeeded and one that failed. `make demo` runs it. With DEMO_EXIT=1 it ends by itself.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	binary := flag.String("mindscope", "../bin/mindscope", "the server's binary")
	tasks := flag.Int("tasks", 20, "how many articles the team writes")
	dir := flag.String("dir", "", "folder for everything; a new one in the system's temporary folder by default")
	latency := flag.Duration("latency", 250*time.Millisecond, "time the scripted model takes for an answer")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *binary, *dir, *tasks, *latency)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary, dir string, tasks int, latency time.Duration) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "mindscope-demo-"); err != nil {
			return fmt.Errorf("make a folder: %w", err)
		}
		if os.Getenv("DEMO_EXIT") == "1" {
			defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		}
	}
	s, err := start(ctx, binary, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := team(ctx, s, dir, tasks, latency); err != nil {
		return err
	}
	if err := show(ctx, s, binary, "task-401", "task-417"); err != nil {
		return err
	}
	fmt.Printf(`
Look on:
  export MINDSCOPE_SERVER=http://%[1]s
  %[2]s tasks --failed          what failed, where and why
  %[2]s task task-414           a task that the critic never let pass
  %[2]s logs task-406           the log lines of one task
  http://%[1]s                  in a browser
The team's own files (records, artifacts, log, messages): %[3]s
`, s.http, binary, filepath.Join(dir, "team"))
	if os.Getenv("DEMO_EXIT") == "1" {
		return nil
	}
	fmt.Println("The server runs until Ctrl-C.")
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.done:
		s.done <- err
		return fmt.Errorf("the server ended: %w", err)
	}
}

// server is a running MindScope.
type server struct {
	http, grpc string
	cmd        *exec.Cmd
	done       chan error
}

func start(ctx context.Context, binary, dir string) (*server, error) {
	addrs := make([]string, 3)
	for i, usual := range []int{9090, 4317, 4318} {
		addr, err := freeAddr(ctx, usual)
		if err != nil {
			return nil, err
		}
		addrs[i] = addr
	}
	s := &server{http: addrs[0], grpc: addrs[1], done: make(chan error, 1)}
	s.cmd = exec.Command(binary, "serve", "--data", filepath.Join(dir, "data"),
		"--listen", addrs[0], "--otlp.grpc", addrs[1], "--otlp.http", addrs[2])
	s.cmd.Stdout, s.cmd.Stderr = os.Stdout, os.Stderr
	// Ctrl-C reaches the whole process group; the server is told to stop by us, when the team is done.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the server (build it with `make build`): %w", err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	if err := s.wait(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// freeAddr returns the usual port of this machine, or another when something listens there.
func freeAddr(ctx context.Context, usual int) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", usual))
	if err != nil {
		if l, err = lc.Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
		fmt.Printf("Port %d is taken; using %s instead.\n", usual, l.Addr())
	}
	return l.Addr().String(), l.Close()
}

func (s *server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.http+"/-/ready", nil)
		if err != nil {
			return fmt.Errorf("ask the server: %w", err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case err := <-s.done:
			s.done <- err
			return fmt.Errorf("the server ended before it was ready: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("wait for the server: %w", ctx.Err())
		}
	}
}

// stop ends the server and waits for it.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the server: %w", err)
	}
	if err := <-s.done; err != nil {
		return fmt.Errorf("the server ended badly: %w", err)
	}
	return nil
}

// team runs the articleteam as the program of its own that it is.
func team(ctx context.Context, s *server, dir string, tasks int, latency time.Duration) error {
	fmt.Printf("\nA team of four agents writes %d articles. Some of them fail.\n\n", tasks)
	cmd := exec.CommandContext(ctx, "go", "run", "./articleteam",
		"--dir", filepath.Join(dir, "team"), "--tasks", fmt.Sprint(tasks), "--latency", latency.String())
	cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+s.grpc, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run the team: %w", err)
	}
	return nil
}

// settled waits until the store shows the end of the task: written rows are visible within a second.
func (s *server) settled(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var task struct{ Status string }
		if err := s.get(ctx, "/api/mindscope/v1/tasks/"+id, &task); err == nil && task.Status != "running" {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the end of %s: %w", id, ctx.Err())
		}
	}
}

func (s *server) get(ctx context.Context, path string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.http+path, nil)
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask the server: status %d", resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(v)
}

// show prints the trees of tasks, once the store shows them.
func show(ctx context.Context, s *server, binary string, ids ...string) error {
	for _, id := range ids {
		fmt.Println()
		if err := s.settled(ctx, id); err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, binary, "--server", "http://"+s.http, "task", id)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("show %s: %w", id, err)
		}
	}
	return nil
}
