package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mindscope/mindscope/test/harness"
)

// python returns the interpreter: MINDSCOPE_PYTHON, else the system's, else the one of the path. Without one the test is
// skipped, in CI it fails.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("MINDSCOPE_PYTHON"), "/usr/bin/python3", "python3"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("there is no python3: install it (Debian: apt-get install python3)")
	}
	t.Skip("there is no python3: install it (Debian: apt-get install python3)")
	return ""
}

func pythonFolder(t *testing.T) string { return filepath.Join(harness.Root(t), "examples", "python") }

// TestPythonUnits runs the tests that the one file for Python brings.
func TestPythonUnits(t *testing.T) {
	cmd := exec.Command(python(t), "-B", "-m", "unittest")
	cmd.Dir = pythonFolder(t)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Ran ") {
		t.Fatalf("run the tests of mindscope_agent.py: %v\n%s", err, out)
	}
}

// TestPythonTeam runs the draft's Orchestrator, a writer and a critic on Python's standard library alone against the real
// server. All five hops of its tasks must arrive and be complete by the ledger, and the ids must be in the message, the
// row, the object's metadata and the log file themselves, but not in what the provider got.
func TestPythonTeam(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	dir := t.TempDir()
	out := runPython(t, s, "--dir", dir)
	if !strings.Contains(out, " 0 dropped, 0 refused, 0 errors") {
		t.Errorf("the program says: %s", out)
	}
	var books []struct {
		TaskID  string `json:"task_id"`
		TraceID string `json:"trace_id"`
		Error   string
		Quality float64
	}
	readJSON(t, filepath.Join(dir, "summary.json"), &books)
	if len(books) != 2 || books[0].Quality != 8.5 || books[1].Error == "" {
		t.Fatalf("the team's books: %+v", books)
	}
	for i, b := range books {
		harness.Eventually(t, visible, b.TaskID, func() error { return pythonTask(s, b.TaskID, b.TraceID, i == 1) })
		harness.Eventually(t, visible, b.TaskID+" to be complete", func() error { return complete(s, b.TaskID) })
		inThings(t, dir, b.TaskID, b.TraceID)
	}
	for _, line := range readLines(t, filepath.Join(dir, "llm.jsonl")) {
		if !strings.Contains(string(line), "traceparent") || strings.Contains(string(line), "task-45") {
			t.Errorf("the provider got %s", line)
		}
	}
	text, errOut, code := s.Run(t, "audit", "task-456")
	if code != 0 || !strings.Contains(text, "100.0 % complete") {
		t.Errorf("`mindscope audit task-456` (exit %d):\n%s%s", code, text, errOut)
	}
}

// pythonTask checks what the server says of one of the tasks.
func pythonTask(s *harness.Server, id, trace string, failed bool) error {
	var task struct {
		Status, Type string
		Traces       []string
		Team         string
		Tokens       struct{ Total int64 }
		Hops         map[string]int
		Quality      float64
		Cause        *struct{ Agent, Error string }
	}
	if err := s.Get("/api/mindscope/v1/tasks/"+id, &task); err != nil {
		return err
	}
	want := "completed"
	if failed {
		want = "failed"
	}
	if task.Status != want || task.Type != "article" || task.Team != "newsroom" || len(task.Traces) != 1 || task.Traces[0] != trace {
		return fmt.Errorf("%+v, want %s in trace %s", task, want, trace)
	}
	for _, hop := range []string{"messages", "llm_calls", "records", "artifacts", "log_lines"} {
		if task.Hops[hop] == 0 {
			return fmt.Errorf("the hop %q is missing: %v", hop, task.Hops)
		}
	}
	if task.Tokens.Total == 0 || !failed && task.Quality != 8.5 {
		return fmt.Errorf("%d tokens, quality %v", task.Tokens.Total, task.Quality)
	}
	if failed && (task.Cause == nil || task.Cause.Agent != "critic") {
		return fmt.Errorf("the cause is %+v, want the critic", task.Cause)
	}
	return nil
}

// inThings looks for a task's ids in the message, the object's metadata, the log and the row themselves.
func inThings(t *testing.T, dir, task, trace string) {
	t.Helper()
	messages := 0
	for _, line := range readLines(t, filepath.Join(dir, "bus.jsonl")) {
		var m struct {
			Headers map[string]string
			Body    struct{ Subject, TraceParent string }
		}
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("message %s: %v", line, err)
		}
		if m.Body.Subject != task {
			continue
		}
		messages++
		if !strings.Contains(m.Body.TraceParent, trace) || !strings.Contains(m.Headers["traceparent"], trace) || !strings.Contains(m.Headers["baggage"], task) {
			t.Errorf("a message of %s: %s", task, line)
		}
	}
	var meta map[string]string
	readJSON(t, filepath.Join(dir, "artifacts", task, "draft.json"), &meta)
	if messages == 0 || meta["task_id"] != task || meta["trace_id"] != trace || meta["agent"] != "writer" {
		t.Errorf("%s: %d messages, metadata %v", task, messages, meta)
	}
	lines := 0
	for _, line := range readLines(t, filepath.Join(dir, "team.log")) {
		if strings.Contains(string(line), "task="+task+" trace="+trace) {
			lines++
		}
	}
	if rows := sqliteRows(t, filepath.Join(dir, "team.db"), task, trace); lines < 3 || rows < 1 {
		t.Errorf("%s: %d log lines and %d rows with its ids", task, lines, rows)
	}
}

// sqliteRows counts the rows with both ids, with the interpreter's own SQLite.
func sqliteRows(t *testing.T, file, task, trace string) (n int) {
	t.Helper()
	code := "import sqlite3,sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM task_steps WHERE task_id=? AND trace_id=?',sys.argv[2:]).fetchone()[0])"
	out, err := exec.Command(python(t), "-c", code, file, task, trace).CombinedOutput()
	if err != nil {
		t.Fatalf("read %s: %v\n%s", file, err, out)
	}
	if _, err := fmt.Sscan(string(out), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestPythonTaskIsSeenWhileItRuns: a task whose model never answers is shown as running, with the agents at work.
func TestPythonTaskIsSeenWhileItRuns(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	cmd := pythonCommand(t, s, "--dir", t.TempDir(), "--stall")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}()
	harness.Eventually(t, visible, "the running task", func() error {
		var task struct {
			Status string
			Agents []struct{ Name string }
		}
		if err := s.Get("/api/mindscope/v1/tasks/task-456", &task); err != nil {
			return err
		}
		names := fmt.Sprint(task.Agents)
		if task.Status != "running" || !strings.Contains(names, "writer") || !strings.Contains(names, "orchestrator") {
			return fmt.Errorf("status %s, agents %s", task.Status, names)
		}
		return nil
	})
}

func pythonCommand(t *testing.T, s *harness.Server, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(python(t), append([]string{"-B", "orchestrator.py"}, args...)...)
	cmd.Dir = pythonFolder(t)
	cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+s.OTLPHTTP)
	return cmd
}

func runPython(t *testing.T, s *harness.Server, args ...string) string {
	t.Helper()
	out, err := pythonCommand(t, s, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("run the team: %v\n%s", err, out)
	}
	return string(out)
}

func readJSON(t *testing.T, file string, into any) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
