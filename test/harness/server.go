// Package harness starts the real binary for the black box tests and speaks to it over its public ports only.
package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a running `mindscope serve`.
type Server struct {
	// HTTP, OTLPHTTP are base URLs; OTLPGRPC is host:port.
	HTTP, OTLPHTTP, OTLPGRPC string
	// Data is the data folder.
	Data string

	cmd    *exec.Cmd
	output *lockedBuffer
	done   chan error
}

// Options say how a server is started.
type Options struct {
	// Data is the data folder; a temporary one when empty.
	Data string
	// User is the id of the user and group that the server runs as, which takes root; 0 is the test's own.
	User uint32
	// Args are further arguments of `mindscope serve`.
	Args []string
}

// Root returns the repository's root folder.
func Root(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("no caller information")
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Binary returns the path of the binary that `make build` made, or that MINDSCOPE_BIN names.
func Binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("MINDSCOPE_BIN")
	if path == "" {
		path = filepath.Join(Root(t), "bin", "mindscope")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the black box tests need the binary: run `make build` first (%v)", err)
	}
	return path
}

// Samples returns the folder of recorded telemetry: MINDSCOPE_SAMPLES, or the one beside the checkout.
// ok is false when there is none.
func Samples(t testing.TB) (dir string, ok bool) {
	t.Helper()
	dir = os.Getenv("MINDSCOPE_SAMPLES")
	if dir == "" {
		dir = filepath.Join(Root(t), "..", "shared", "samples")
	}
	_, err := os.Stat(dir)
	return dir, err == nil
}

// NeedSamples returns the folder of recorded telemetry. Without one a test that is about the recordings is skipped, in CI
// it fails.
func NeedSamples(t testing.TB) string {
	t.Helper()
	dir, ok := Samples(t)
	switch {
	case ok:
	case os.Getenv("CI") != "":
		t.Fatalf("there is no folder of recordings at %s: set MINDSCOPE_SAMPLES", dir)
	default:
		t.Skipf("there is no folder of recordings at %s: set MINDSCOPE_SAMPLES to one", dir)
	}
	return dir
}

// Start runs the server on free ports and waits until it is ready. It is stopped when the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Data == "" {
		o.Data = t.TempDir()
	}
	ports := freePorts(t, 3)
	s := &Server{
		HTTP:     fmt.Sprintf("http://127.0.0.1:%d", ports[0]),
		OTLPGRPC: fmt.Sprintf("127.0.0.1:%d", ports[1]),
		OTLPHTTP: fmt.Sprintf("http://127.0.0.1:%d", ports[2]),
		Data:     o.Data,
		output:   &lockedBuffer{},
		done:     make(chan error, 1),
	}
	args := append([]string{
		"serve", "--data", o.Data,
		"--listen", strings.TrimPrefix(s.HTTP, "http://"),
		"--otlp.grpc", s.OTLPGRPC,
		"--otlp.http", strings.TrimPrefix(s.OTLPHTTP, "http://"),
	}, o.Args...)
	s.cmd = exec.Command(Binary(t), args...)
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	if o.User != 0 {
		s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: o.User, Gid: o.User}}
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("start server: %v", err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	t.Cleanup(func() { s.Kill(t) })
	Eventually(t, 30*time.Second, "the server to be ready", func() error {
		select {
		case err := <-s.done:
			s.done <- err
			t.Fatalf("the server ended before it was ready: %v\n%s", err, s.output)
		default:
		}
		return get(s.HTTP+"/-/ready", nil)
	})
	return s
}

// Stop ends the server as an operator does and fails the test when it doesn't end well.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("stop server: %v", err)
	}
	select {
	case err := <-s.done:
		s.done <- err
		if err != nil {
			t.Fatalf("the server ended with %v\n%s", err, s.output)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("the server did not stop within 30 s\n%s", s.output)
	}
}

// Signal sends a signal to the server.
func (s *Server) Signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("signal the server: %v", err)
	}
}

// Ended waits until the server has ended, at most for limit, and returns how: nil for exit code 0.
func (s *Server) Ended(t testing.TB, limit time.Duration) error {
	t.Helper()
	select {
	case err := <-s.done:
		s.done <- err
		return err
	case <-time.After(limit):
		t.Fatalf("the server did not end within %s\n%s", limit, s.output)
		return nil
	}
}

// Kill ends the server at once, as a crash does. A second call does nothing.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	err := s.cmd.Process.Kill()
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("kill server: %v", err)
	}
	s.done <- <-s.done
}

// Output returns what the server wrote to its terminal.
func (s *Server) Output() string { return s.output.String() }

// PID returns the process id.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Get reads a JSON answer of the server's HTTP port into v.
func (s *Server) Get(path string, v any) error { return get(s.HTTP+path, v) }

// Metric returns the sum of the samples of the server's own metric whose line begins with prefix.
func (s *Server) Metric(t testing.TB, prefix string) float64 {
	t.Helper()
	resp, err := http.Get(s.HTTP + "/metrics")
	if err != nil {
		t.Fatalf("read metrics: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read metrics: %v", err)
	}
	var sum float64
	for line := range strings.Lines(string(body)) {
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		var v float64
		if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v); err == nil {
			sum += v
		}
	}
	return sum
}

// Run runs a client command of the binary against s and returns what it printed.
func (s *Server) Run(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(Binary(t), args...)
	cmd.Env = append(os.Environ(), "MINDSCOPE_SERVER="+s.HTTP, "NO_COLOR=1")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run mindscope %v: %v", args, err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// Post sends a body and returns the status and the answer.
func Post(t testing.TB, url, contentType string, body []byte) (int, []byte) {
	t.Helper()
	resp, err := http.Post(url, contentType, bytes.NewReader(body))
	if err != nil {
		t.Fatalf("post: %v", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read answer: %v", err)
	}
	return resp.StatusCode, answer
}

// Eventually polls cond until it returns nil, and fails the test with its last error when that takes longer than limit.
func Eventually(t testing.TB, limit time.Duration, what string, cond func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %s for %s: %v", limit, what, err)
		}
	}
}

// StatusError is an answer other than 200.
type StatusError struct {
	Code int
	Body string
}

func (e *StatusError) Error() string { return fmt.Sprintf("status %d: %s", e.Code, e.Body) }

func get(url string, v any) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return &StatusError{resp.StatusCode, string(body)}
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(body, v)
}

func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("find a free port: %v", err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}
