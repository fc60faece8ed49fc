package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/test/harness"
)

// The program in the README is at most 25 lines of code, builds as it stands there and its task arrives.
func TestREADMEExample(t *testing.T) {
	root := harness.Root(t)
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	program := block(t, string(readme), "<!-- example -->\n```go\n")
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

// block returns the code behind a mark of the README.
func block(t *testing.T, readme, mark string) string {
	t.Helper()
	_, rest, _ := strings.Cut(readme, mark)
	code, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatalf("README.md has no %q", mark)
	}
	return code
}

// The span that the README sends with curl is a task that the command below it shows.
func TestREADMECurl(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(harness.Root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := harness.Start(t, harness.Options{})
	script := block(t, string(readme), "<!-- curl -->\n```sh\n")
	script = strings.ReplaceAll(script, "http://127.0.0.1:4318", s.OTLPHTTP)
	script = strings.ReplaceAll(script, "bin/mindscope", harness.Binary(t))
	cmd := exec.Command("bash", "-c", script)
	cmd.Env = append(os.Environ(), "MINDSCOPE_SERVER="+s.HTTP)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "task task-1 · completed · 0.5s") || !strings.Contains(string(out), "invoke_agent writer 0.5s") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Both READMEs say the same: the same sections, tables, commands and links, in the same order.
func TestREADMEsAreTheSame(t *testing.T) {
	root := harness.Root(t)
	shape := func(name string) []string {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for line := range strings.Lines(string(text)) {
			code, _, _ := strings.Cut(strings.TrimRight(line, "\n"), " #")
			switch {
			case strings.HasPrefix(line, "#"):
				lines = append(lines, line[:strings.IndexByte(line, ' ')])
			case strings.HasPrefix(line, "|"):
				lines = append(lines, "table")
			case strings.HasPrefix(line, "```"), strings.HasPrefix(line, "    "), strings.HasPrefix(line, "\t"):
				lines = append(lines, strings.TrimRight(code, " "))
			}
		}
		for _, m := range regexp.MustCompile(`\]\(([^)]*)\)`).FindAllStringSubmatch(string(text), -1) {
			if strings.HasPrefix(m[1], "http") || strings.HasPrefix(m[1], "README") {
				continue
			}
			lines = append(lines, m[1])
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s links to what is not there: %v", name, err)
			}
		}
		return lines
	}
	if diff := cmp.Diff(shape("README.md"), shape("README.ru.md")); diff != "" {
		t.Errorf("README.md and README.ru.md differ (-en +ru):\n%s", diff)
	}
}
