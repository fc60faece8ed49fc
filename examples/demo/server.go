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
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// server is a running MindScope.
type server struct {
	http, grpc string
	cmd        *exec.Cmd
	done       chan error
}

func start(ctx context.Context, binary, dir string, flags ...string) (*server, error) {
	addrs := make([]string, 3)
	for i, usual := range []int{9090, 4317, 4318} {
		addr, err := freeAddr(ctx, usual)
		if err != nil {
			return nil, err
		}
		addrs[i] = addr
	}
	s := &server{http: addrs[0], grpc: addrs[1], done: make(chan error, 1)}
	s.cmd = exec.Command(binary, append([]string{
		"serve", "--data", filepath.Join(dir, "data"), "--listen", addrs[0], "--otlp.grpc", addrs[1], "--otlp.http", addrs[2],
	}, flags...)...)
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

// stop ends the server and waits for it. Whoever presses Ctrl-C once more does not want to wait.
func (s *server) stop() error {
	again := make(chan os.Signal, 1)
	signal.Notify(again, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(again)
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the server: %w", err)
	}
	select {
	case err := <-s.done:
		if err != nil {
			return fmt.Errorf("the server ended badly: %w", err)
		}
		return nil
	case <-again:
		return errors.Join(errors.New("the server was killed before it had stopped"), s.cmd.Process.Kill(), <-s.done)
	}
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
