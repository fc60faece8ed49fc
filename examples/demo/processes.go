package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mindscope/mindscope/examples/articleteam/team"
)

// services are the broker and the database of a team whose agents are processes of their own.
type services struct {
	RabbitMQ string `json:"rabbitmq"`
	Postgres string `json:"postgres"`

	script, dir string
}

// startServices starts both in a folder of their own.
func startServices(ctx context.Context, dir string) (*services, error) {
	s := &services{script: "../scripts/services.sh", dir: filepath.Join(dir, "services")}
	// A database that root starts runs as another user, who has to get in.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open the folder to the database: %w", err)
	}
	fmt.Println("Starting RabbitMQ and PostgreSQL.")
	cmd := exec.CommandContext(ctx, s.script, "start", s.dir)
	cmd.Env = append(os.Environ(), "FORMAT=json", fmt.Sprint("OWNER=", os.Getpid()))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("start RabbitMQ and PostgreSQL: %w", err)
	}
	if err := json.Unmarshal(out, s); err != nil {
		return nil, errors.Join(fmt.Errorf("read where the services listen: %w", err), s.stop())
	}
	return s, nil
}

// flags are the server's: it reads along on the bus. None without services.
func (s *services) flags() []string {
	if s == nil {
		return nil
	}
	return []string{"--mindbus.url", s.RabbitMQ}
}

func (s *services) stop() error {
	cmd := exec.Command(s.script, "stop", s.dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("stop RabbitMQ and PostgreSQL: %w", err)
	}
	return nil
}

// processes runs each agent as a process of its own, and then the orchestrator, which ends when its tasks are done.
func processes(ctx context.Context, program string, args, env []string, s *services) (err error) {
	args = append(args, "--bus", s.RabbitMQ, "--records", s.Postgres)
	var agents []*agent
	defer func() {
		for _, a := range agents {
			err = errors.Join(err, a.stop())
		}
	}()
	for _, name := range team.Processes() {
		a, err := startAgent(ctx, name, program, append(args, "--agent", name), env)
		if err != nil {
			return err
		}
		agents = append(agents, a)
	}
	cmd := exec.CommandContext(ctx, program, append(args, "--agent", "orchestrator")...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, os.Stdout, os.Stderr
	endsWell(cmd)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run the orchestrator: %w", err)
	}
	return nil
}

// agent is a running process of the team.
type agent struct {
	name string
	cmd  *exec.Cmd
}

// startAgent starts a process and waits until it says that it is ready: a command sent before would be for nobody.
func startAgent(ctx context.Context, name, program string, args, env []string) (*agent, error) {
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Stderr = env, os.Stderr
	// Ctrl-C reaches the whole process group; agents are told to stop when the orchestrator is done.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	a := &agent{name: name, cmd: cmd}
	ready := make(chan error, 1)
	go func() {
		line, err := bufio.NewReader(out).ReadString('\n')
		if !strings.HasSuffix(line, "is ready\n") {
			err = fmt.Errorf("%s ended before it was ready: %w", name, cmp.Or(err, io.EOF))
		}
		ready <- err
	}()
	select {
	case err = <-ready:
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(time.Minute):
		err = fmt.Errorf("%s is not ready after a minute", name)
	}
	if err != nil {
		return nil, errors.Join(err, a.stop())
	}
	fmt.Printf("  %-12s process %d\n", name, cmd.Process.Pid)
	return a, nil
}

func (a *agent) stop() error {
	if err := a.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", a.name, err)
	}
	timer := time.AfterFunc(10*time.Second, func() { _ = a.cmd.Process.Kill() })
	defer timer.Stop()
	if err := a.cmd.Wait(); err != nil {
		return fmt.Errorf("%s ended badly: %w", a.name, err)
	}
	return nil
}

// endsWell lets a command end by itself when its context does.
func endsWell(cmd *exec.Cmd) {
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
}
