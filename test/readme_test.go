package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mindscope/mindscope/test/harness"
)

// The program in the README is at most 25 lines of code, builds as it stands there and its task arrives.
func TestREADMEExample(t *testing.T) {
	root := harness.Root(t)
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "<!-- example -->\n```go\n")
	program, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("README.md has no example")
	}
	code := 0
	for line := range strings.Lines(program) {
		if strings.TrimSpace(line) != "" {
			code++
		}
	}
	if code > 25 {
		t.Errorf("the example has %d lines of code, 25 are allowed", code)
	}
	dir := t.TempDir()
	gomod := "module example\n\ngo 1.26.7\n\nrequire github.com/mindscope/mindscope/sdk v0.0.0\n\nreplace github.com/mindscope/mindscope/sdk => " + filepath.Join(root, "sdk") + "\n"
	sums, err := os.ReadFile(filepath.Join(root, "sdk", "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"main.go": program, "go.mod": gomod, "go.sum": string(sums)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := harness.Start(t, harness.Options{})
	cmd := exec.Command("go", "run", "-mod=mod", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+s.OTLPGRPC)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("run the example: %v\n%s", err, out)
	}
	harness.Eventually(t, visible, "the example's task", func() error {
		var task struct {
			Status  string
			Quality float64
		}
		err := s.Get("/api/mindscope/v1/tasks/task-456", &task)
		if err == nil && (task.Status != "completed" || task.Quality != 8.4) {
			t.Errorf("the task is %+v", task)
		}
		return err
	})
}
