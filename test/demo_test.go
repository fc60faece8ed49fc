package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mindscope/mindscope/test/harness"
)

// What `make demo` starts ends by itself when told so, shows a finished and a failed task with all five hops, draws them,
// and leaves nothing behind.
func TestDemo(t *testing.T) {
	temp, picture := t.TempDir(), filepath.Join(t.TempDir(), "task.svg")
	cmd := exec.Command("go", "run", "./demo", "--mindscope", harness.Binary(t), "--latency", "30ms", "--picture", picture)
	cmd.Dir = filepath.Join(harness.Root(t), "examples")
	cmd.Env = append(os.Environ(), "DEMO_EXIT=1", "NO_COLOR=1", "TMPDIR="+temp)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the demo ended with %v\n%s", err, out)
	}
	for _, want := range []string{
		"[20/20] ✓ task-420", "task task-401 · article · completed", "task task-417 · article · failed",
		"send cmd.writer", "chat gpt-4o", "INSERT task_steps", "save_artifact draft-0.md", "log lines",
		"critic: panic: critic: index out of range",
		"Alert TaskFailureRate reached the webhook: ", "tasks    task-417, task-414, task-410", "runbook  https://", "Alert TaskFailureRate is resolved.",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the demo does not show %q:\n%s", want, out)
		}
	}
	if svg, err := os.ReadFile(picture); err != nil || !strings.Contains(string(svg), "task task-417") {
		t.Errorf("the picture: %v\n%s", err, svg)
	}
	left, err := filepath.Glob(filepath.Join(temp, "mindscope-demo-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("the demo left %v behind (%v)", left, err)
	}
}
