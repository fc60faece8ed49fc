package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/dispatch"

	"github.com/mindscope/mindscope/internal/config"
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
	checkHurried(t, string(out))
	if svg, err := os.ReadFile(picture); err != nil || !strings.Contains(string(svg), "task task-417") {
		t.Errorf("the picture: %v\n%s", err, svg)
	}
	left, err := filepath.Glob(filepath.Join(temp, "mindscope-demo-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("the demo left %v behind (%v)", left, err)
	}
}

// checkHurried: the demo says which settings it changed so that nobody has to wait, and what they are when shipped.
func checkHurried(t *testing.T, out string) {
	t.Helper()
	shipped := map[string]string{
		"route.group_wait": config.FormatDuration(dispatch.DefaultRouteOpts.GroupWait), "route.group_interval": config.FormatDuration(dispatch.DefaultRouteOpts.GroupInterval),
	}
	for _, s := range config.Describe() {
		shipped[s.Key] = s.Default
	}
	var said []string
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z_.]+) +(\d+s) +shipped: (\S+)$`).FindAllStringSubmatch(out, -1) {
		said = append(said, m[1])
		if shipped[m[1]] != m[3] {
			t.Errorf("the demo says that %s is %s when shipped; it is %q", m[1], m[3], shipped[m[1]])
		}
		if d, err := time.ParseDuration(m[2]); err != nil || d > time.Minute {
			t.Errorf("the demo sets %s to %s (%v)", m[1], m[2], err)
		}
	}
	slices.Sort(said)
	if want := "metrics.own_interval route.group_interval route.group_wait rules.every rules.for rules.window"; strings.Join(said, " ") != want {
		t.Errorf("the demo says that it changed %v, want %s\n%s", said, want, out)
	}
}
