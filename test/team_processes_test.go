package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mindscope/mindscope/test/harness"
)

// crew is the articleteam as one process for each agent, over a broker and a database of its own.
type crew struct {
	*testing.T
	server           *harness.Server
	broker, database *harness.Service
	program, dir     string
	args             []string
	agents           map[string]*exec.Cmd
}

func newCrew(t *testing.T, args ...string) *crew {
	t.Helper()
	c := &crew{
		T: t, broker: harness.RabbitMQ(t), database: harness.PostgreSQL(t), dir: t.TempDir(),
		program: filepath.Join(t.TempDir(), "articleteam"), agents: map[string]*exec.Cmd{},
	}
	build := exec.Command("go", "build", "-o", c.program, "./articleteam")
	build.Dir = filepath.Join(harness.Root(t), "examples")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the team: %v\n%s", err, out)
	}
	c.server = harness.Start(t, harness.Options{Args: []string{"--mindbus.url", c.broker.URL}})
	c.args = append([]string{"--dir", c.dir, "--bus", c.broker.URL, "--records", c.database.URL}, args...)
	return c
}

func (c *crew) command(agent string, args ...string) *exec.Cmd {
	cmd := exec.Command(c.program, append(append(slices.Clone(c.args), "--agent", agent), args...)...)
	cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+c.server.OTLPGRPC, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
		"OPENAI_BASE_URL=", "OTEL_BSP_SCHEDULE_DELAY=200", "OTEL_BLRP_SCHEDULE_DELAY=200")
	return cmd
}

// startAgents starts the agents, each until it says that it is ready, and ends them with the test.
func (c *crew) startAgents(names ...string) {
	c.Helper()
	for _, name := range names {
		cmd := c.command(name)
		out, err := cmd.StdoutPipe()
		if err != nil {
			c.Fatal(err)
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			c.Fatal(err)
		}
		c.agents[name] = cmd
		c.Cleanup(func() {
			_ = cmd.Process.Signal(syscall.SIGTERM) // one that was killed is gone
			_ = cmd.Wait()
		})
		if line, err := bufio.NewReader(out).ReadString('\n'); !strings.Contains(line, "is ready") {
			c.Fatalf("%s says %q, %v", name, line, err)
		}
	}
}

// orchestrate runs the orchestrator to its end.
func (c *crew) orchestrate(tasks int) {
	c.Helper()
	out, err := c.command("orchestrator", "--tasks", fmt.Sprint(tasks)).CombinedOutput()
	if err != nil {
		c.Fatalf("orchestrator: %v\n%s", err, out)
	}
}

// stopAgents ends the agents as an operator does, so that all they have to tell is sent.
func (c *crew) stopAgents() {
	c.Helper()
	for name, cmd := range c.agents {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			c.Errorf("stop %s: %v", name, err)
		}
		if err := cmd.Wait(); err != nil {
			c.Errorf("%s ended badly: %v", name, err)
		}
	}
}

// wire reads along on the exchange with the bare client of the broker.
func (c *crew) wire() (messages func() []amqp.Delivery) {
	c.Helper()
	conn, err := amqp.Dial(c.broker.URL)
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		c.Fatal(err)
	}
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err == nil {
		err = ch.QueueBind(q.Name, "#", "mindbus.main", false, nil)
	}
	if err != nil {
		c.Fatal(err)
	}
	return func() (all []amqp.Delivery) {
		for {
			d, ok, err := ch.Get(q.Name, true)
			if err != nil {
				c.Fatal(err)
			}
			if !ok {
				return all
			}
			all = append(all, d)
		}
	}
}

var teamAgents = []string{"writer", "critic", "editor", "archivist"}

// TestProcesses lets five processes write three articles and looks for task and trace in the things themselves: the AMQP
// message, the row, the object's metadata and the log file. What the server read along on the bus doubles nothing.
func TestProcesses(t *testing.T) {
	t.Parallel()
	c := newCrew(t, "--latency", "20ms")
	c.startAgents(teamAgents...)
	messages := c.wire()
	c.orchestrate(3)
	seen := messages()
	c.stopAgents()

	var outcomes []struct {
		TaskID  string `json:"task_id"`
		TraceID string `json:"trace_id"`
		Error   string `json:"error"`
	}
	raw, err := os.ReadFile(filepath.Join(c.dir, "summary.json"))
	if err == nil {
		err = json.Unmarshal(raw, &outcomes)
	}
	if err != nil || len(outcomes) != 3 {
		t.Fatalf("summary: %v, %s", err, raw)
	}
	traces := map[string]string{}
	for _, o := range outcomes {
		traces[o.TaskID] = o.TraceID
	}
	found := map[string]int{}
	note := func(hop, task, trace string) {
		t.Helper()
		if task == "" || traces[task] != trace {
			t.Errorf("%s says task %q and trace %q, want %q", hop, task, trace, traces[task])
		}
		found[hop+" "+task]++
	}
	for _, m := range seen {
		var e struct{ Subject, TraceParent string }
		if err := json.Unmarshal(m.Body, &e); err != nil {
			t.Errorf("message %s: %v", m.RoutingKey, err)
		}
		parent, _ := m.Headers["traceparent"].(string)
		note("message", e.Subject, part(e.TraceParent))
		note("message header", e.Subject, part(parent))
	}
	rows, err := exec.Command("psql", c.database.URL, "-At", "-c", "SELECT task_id, trace_id FROM task_steps").Output()
	if err != nil {
		t.Fatalf("read records: %v", err)
	}
	for line := range strings.FieldsSeq(string(rows)) {
		task, trace, _ := strings.Cut(line, "|")
		note("record", task, trace)
	}
	artifactsOf(t, filepath.Join(c.dir, "artifacts"), func(task, trace string) { note("artifact", task, trace) })
	for _, agent := range append([]string{"orchestrator"}, teamAgents...) {
		logOf(t, filepath.Join(c.dir, agent+".team.log"), func(task, trace string) { note("log of "+agent, task, trace) })
	}
	for task := range traces {
		for _, hop := range []string{
			"message", "message header", "record", "artifact", "log of orchestrator", "log of writer", "log of critic", "log of editor", "log of archivist",
		} {
			if found[hop+" "+task] == 0 {
				t.Errorf("%s: nothing of it at the hop %q", task, hop)
			}
		}
	}
	c.notDoubled(traces)
}

// notDoubled waits until the tap has let go of what it held: every task is one, in one trace, with the spans of its agents
// alone.
func (c *crew) notDoubled(traces map[string]string) {
	c.Helper()
	harness.Eventually(c, 60*time.Second, "the tap to yield", func() error {
		held, pending := c.server.Metric(c, "mindscope_bus_held_spans"), c.server.Metric(c, "mindscope_bus_pending_commands")
		if held+pending > 0 {
			return fmt.Errorf("%v spans are held, %v commands pending", held, pending)
		}
		return nil
	})
	if n := c.server.Metric(c, "mindscope_bus_yielded_total"); n == 0 {
		c.Error("the tap yielded nothing")
	}
	for task, trace := range traces {
		var detail struct {
			Status string
			Traces []string
		}
		harness.Eventually(c, 20*time.Second, task+" to be complete", func() error {
			if err := c.server.Get("/api/mindscope/v1/tasks/"+task, &detail); err != nil {
				return err
			}
			if detail.Status != "completed" || len(detail.Traces) != 1 || detail.Traces[0] != trace {
				return fmt.Errorf("%+v", detail)
			}
			return nil
		})
		stdout, stderr, code := c.server.Run(c, "trace", task, "-o", "json")
		if code != 0 {
			c.Fatalf("trace: %s", stderr)
		}
		if strings.Contains(stdout, "internal/receive/mindbus") {
			c.Errorf("%s has spans of the tap beside those of its agents", task)
		}
	}
}

func part(traceParent string) string {
	parts := strings.Split(traceParent, "-")
	if len(parts) != 4 {
		return ""
	}
	return parts[1]
}

// artifactsOf reads the metadata files beside the artifacts.
func artifactsOf(t *testing.T, dir string, note func(task, trace string)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".attrs") {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var attrs struct {
			Metadata map[string]string `json:"user.metadata"`
		}
		if err := json.Unmarshal(raw, &attrs); err != nil {
			return err
		}
		note(attrs.Metadata["task_id"], attrs.Metadata["trace_id"])
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func logOf(t *testing.T, path string, note func(task, trace string)) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(string(raw)) {
		var l struct {
			Task  string `json:"task_id"`
			Trace string `json:"trace_id"`
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		note(l.Task, l.Trace)
	}
}

// TestKilledAgent: an agent that is killed in the middle of a task is named as the one that lost it, within 40 seconds. The
// next one gets its message, and the task is completed: it is neither lost for good nor there twice.
func TestKilledAgent(t *testing.T) {
	t.Parallel()
	c := newCrew(t, "--latency", "20ms", "--call-timeout", "10m")
	quick := c.args
	c.args = append(slices.Clone(quick), "--latency", "5m")
	c.startAgents("writer")
	c.args = quick
	c.startAgents("critic", "editor", "archivist")
	orchestrator := c.command("orchestrator", "--tasks", "1")
	if err := orchestrator.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = orchestrator.Wait() }()
	defer orchestrator.Process.Kill()
	harness.Eventually(t, 30*time.Second, "the writer to work", func() error {
		stdout, stderr, _ := c.server.Run(t, "task", "task-401", "-o", "json")
		if !strings.Contains(stdout, "invoke_agent writer") {
			return fmt.Errorf("%s%s", stdout, stderr)
		}
		return nil
	})
	if err := c.agents["writer"].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	harness.Eventually(t, 45*time.Second, "the task to be lost", func() error {
		var task struct {
			Status string
			Cause  struct{ Agent string }
		}
		if err := c.server.Get("/api/mindscope/v1/tasks/task-401", &task); err != nil {
			return err
		}
		if task.Status != "lost" || task.Cause.Agent != "writer" {
			return fmt.Errorf("%+v", task)
		}
		return nil
	})
	took := time.Since(killed)
	t.Logf("lost at the writer %s after it was killed", took.Round(100*time.Millisecond))
	if took > 40*time.Second {
		t.Errorf("it took %s", took)
	}
	c.startAgents("writer")
	harness.Eventually(t, 30*time.Second, "the task to be completed", func() error {
		var task struct {
			Status string
			Traces []string
		}
		if err := c.server.Get("/api/mindscope/v1/tasks/task-401", &task); err != nil {
			return err
		}
		if task.Status != "completed" || len(task.Traces) != 1 {
			return fmt.Errorf("%+v", task)
		}
		return nil
	})
}
