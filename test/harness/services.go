package harness

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
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

func startService(t testing.TB, name string) *Service {
	t.Helper()
	// Not t.TempDir: a database that root starts runs as another user, who may not enter the folders above that one.
	dir := filepath.Join(os.TempDir(), "mindscope-"+name+"-"+rand.Text())
	s := &Service{name: name, script: filepath.Join(Root(t), "scripts", "services.sh"), dir: dir}
	t.Cleanup(func() { s.run(t, "remove") })
	s.Start(t)
	return s
}

// Start starts the service again with the data it had. It fails the test where the service is missing in CI; elsewhere it
// skips it and says what to run.
func (s *Service) Start(t testing.TB) {
	t.Helper()
	s.URL = s.run(t, "start")
}

// Stop ends the service as an operator does; its data stays.
func (s *Service) Stop(t testing.TB) { s.run(t, "stop") }

// Kill ends the service as a crash does; what it has written stays.
func (s *Service) Kill(t testing.TB) { s.run(t, "kill") }

// run has the script do all that there is to do.
func (s *Service) run(t testing.TB, command string) string {
	t.Helper()
	const notInstalled = 3 // the script's exit code
	cmd := exec.CommandContext(context.Background(), s.script, command, s.dir, s.name)
	// However this process ends, the script's watcher ends the service with it.
	cmd.Env = append(os.Environ(), "FORMAT=url", fmt.Sprint("OWNER=", os.Getpid()))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	switch {
	case err != nil && cmd.ProcessState.ExitCode() == notInstalled && os.Getenv("CI") == "":
		t.Skipf("%s", bytes.TrimSpace(stderr.Bytes()))
	case err != nil:
		t.Fatalf("%s %s: %v: %s", command, s.name, err, stderr.Bytes())
	}
	return string(bytes.TrimSpace(out))
}
