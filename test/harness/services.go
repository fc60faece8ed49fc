package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Service is a broker or a database that runs for one test, on loopback, with a data folder of its own.
type Service struct {
	// URL is where it listens, for example `amqp://guest:guest@127.0.0.1:25672/`. It stays the same after Stop and Start.
	URL string

	name, script, dir string
}

// RabbitMQ starts a broker for the test and removes it at its end.
func RabbitMQ(t testing.TB) *Service { return startService(t, "rabbitmq") }

// PostgreSQL starts a database for the test and removes it at its end.
func PostgreSQL(t testing.TB) *Service { return startService(t, "postgres") }

// startService fails the test where the service is missing in CI. Elsewhere it skips it and says what to run.
func startService(t testing.TB, name string) *Service {
	t.Helper()
	// A database that root starts runs as another user, who has to get in.
	dir, err := os.MkdirTemp("", "mindscope-"+name+"-") //nolint:usetesting // the folders above t.TempDir are the user's alone
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatalf("make folder of %s: %v", name, err)
	}
	s := &Service{name: name, script: filepath.Join(Root(t), "scripts", "services.sh"), dir: dir}
	t.Cleanup(func() {
		s.Kill(t)
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove folder of %s: %v", name, err)
		}
	})
	s.Start(t)
	return s
}

// Start starts the service again with the data it had.
func (s *Service) Start(t testing.TB) {
	t.Helper()
	out, err := s.run("start")
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == notInstalled && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var urls map[string]string
	if err := json.Unmarshal(out, &urls); err != nil || urls[s.name] == "" {
		t.Fatalf("start %s: %v in %q", s.name, err, out)
	}
	s.URL = urls[s.name]
}

// Stop ends the service as an operator does; its data stays.
func (s *Service) Stop(t testing.TB) { s.end(t, "stop") }

// Kill ends the service as a crash does; what it has written stays.
func (s *Service) Kill(t testing.TB) { s.end(t, "kill") }

func (s *Service) end(t testing.TB, how string) {
	t.Helper()
	if _, err := s.run(how); err != nil {
		t.Error(err)
	}
}

// notInstalled is the script's exit code for a service that is missing.
const notInstalled = 3

func (s *Service) run(command string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.script, command, s.dir, s.name)
	// However this process ends, the script's watcher ends the service with it.
	cmd.Env = append(os.Environ(), "FORMAT=json", fmt.Sprint("OWNER=", os.Getpid()))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", command, s.name, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}
