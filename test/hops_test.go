package test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mindscope/mindscope/test/harness"
)

// The demo team runs as a program of its own against the real server. The task's id must be found in all five hops, as
// the store tells it and in the things themselves (records, objects and LLM headers are checked from within the
// examples' module, which has their drivers: examples/articleteam/team).
func TestFiveHops(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	dir := t.TempDir()
	cmd := exec.Command("go", "run", "./articleteam", "--dir", dir, "--latency", "20ms")
	cmd.Dir = filepath.Join(harness.Root(t), "examples")
	cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+s.OTLPGRPC)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("run the team: %v\n%s", err, out)
	}
	var books []struct {
		TaskID  string  `json:"task_id"`
		TraceID string  `json:"trace_id"`
		Error   string  `json:"error"`
		Quality float64 `json:"quality"`
		Tokens  int64   `json:"tokens"`
	}
	raw, err := os.ReadFile(filepath.Join(dir, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &books); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, b := range books {
		want := "completed"
		if b.Error != "" {
			want = "failed"
			failed++
		}
		harness.Eventually(t, visible, "task "+b.TaskID, func() error { return sameAsBooks(s, b.TaskID, b.TraceID, want, b.Tokens) })
		harness.Eventually(t, visible, "task "+b.TaskID+" to be complete", func() error { return complete(s, b.TaskID) })
		inLog(t, dir, b.TaskID, b.TraceID)
		onBus(t, dir, b.TaskID, b.TraceID)
	}
	if len(books) != 20 || failed != 4 {
		t.Errorf("%d tasks, %d failed; want 20 and 4", len(books), failed)
	}
	out, errOut, code := s.Run(t, "tasks", "--failed")
	for _, cause := range []string{"did not answer in time", "status 429", "critic rejected", "panic"} {
		if code != 0 || !strings.Contains(out, cause) {
			t.Errorf("`mindscope tasks --failed` does not name the cause %q (exit %d):\n%s%s", cause, code, out, errOut)
		}
	}
}

func sameAsBooks(s *harness.Server, id, trace, status string, tokens int64) error {
	var task struct {
		Status string   `json:"status"`
		Traces []string `json:"traces"`
		Tokens struct {
			Total int64 `json:"total"`
		} `json:"tokens"`
		Hops map[string]int `json:"hops"`
	}
	if err := s.Get("/api/mindscope/v1/tasks/"+id, &task); err != nil {
		return err
	}
	if task.Status != status || len(task.Traces) != 1 || task.Traces[0] != trace {
		return fmt.Errorf("status %s, traces %v; the team's books say %s, %s", task.Status, task.Traces, status, trace)
	}
	if status == "completed" && task.Tokens.Total != tokens {
		return fmt.Errorf("%d tokens; the team's books say %d", task.Tokens.Total, tokens)
	}
	if status != "completed" {
		return nil
	}
	for _, hop := range []string{"messages", "llm_calls", "records", "artifacts", "log_lines"} {
		if task.Hops[hop] == 0 {
			return fmt.Errorf("the hop %q is missing: %v", hop, task.Hops)
		}
	}
	return nil
}

// complete asks the ledger whether every hop of a task, failed or not, is accounted for.
func complete(s *harness.Server, id string) error {
	var l auditAnswer
	if err := s.Get("/api/mindscope/v1/tasks/"+id+"/audit", &l); err != nil {
		return err
	}
	if !l.Complete || l.Score != 100 {
		return fmt.Errorf("its ledger is %+v", l)
	}
	return nil
}

func inLog(t *testing.T, dir, task, trace string) {
	t.Helper()
	lines := 0
	for _, line := range readLines(t, filepath.Join(dir, "team.log")) {
		var l struct {
			TaskID  string `json:"task_id"`
			TraceID string `json:"trace_id"`
		}
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("log line %s: %v", line, err)
		}
		if l.TaskID == task {
			lines++
			if l.TraceID != trace {
				t.Errorf("a log line of %s has trace %s, want %s", task, l.TraceID, trace)
			}
		}
	}
	if lines == 0 {
		t.Errorf("the log has no line of %s", task)
	}
}

func onBus(t *testing.T, dir, task, trace string) {
	t.Helper()
	messages := 0
	for _, line := range readLines(t, filepath.Join(dir, "bus.jsonl")) {
		var m struct {
			Headers map[string]string `json:"headers"`
			Body    []byte            `json:"body"`
		}
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("message %s: %v", line, err)
		}
		var event struct {
			Subject     string `json:"subject"`
			TraceParent string `json:"traceparent"`
			SpecVersion string `json:"specversion"`
		}
		if err := json.Unmarshal(m.Body, &event); err != nil {
			t.Fatalf("event %s: %v", m.Body, err)
		}
		if event.Subject != task {
			continue
		}
		messages++
		if event.SpecVersion != "1.0" || !strings.Contains(event.TraceParent, trace) ||
			!strings.Contains(m.Headers["traceparent"], trace) || !strings.Contains(m.Headers["baggage"], task) {
			t.Errorf("a message of %s has the event %+v and the headers %v", task, event, m.Headers)
		}
	}
	if messages == 0 {
		t.Errorf("no message of %s went over the bus", task)
	}
}

func readLines(t *testing.T, path string) [][]byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]byte
	sc := bufio.NewScanner(bytes.NewReader(raw))
	sc.Buffer(nil, 1<<24)
	for sc.Scan() {
		lines = append(lines, bytes.Clone(sc.Bytes()))
	}
	return lines
}
