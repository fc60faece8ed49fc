package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mindscope/mindscope/test/harness"
)

// summary is a task as the API shows it.
type summary struct {
	ID, Status string
	Traces     []string
	Cause      struct{ Agent, Error string }
	Tokens     struct{ Input int64 }
	Cost       json.RawMessage
}

// debianPython returns the interpreter that Debian's packages are for, with python3-pika.
func debianPython(t *testing.T) string {
	t.Helper()
	const python = "/usr/bin/python3"
	if out, err := exec.Command(python, "-c", "import pika").CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("install python3-pika: %v: %s", err, out)
		}
		t.Skipf("install python3-pika: %v: %s", err, out)
	}
	return python
}

// TestUninstrumentedTeam: a Python team that knows nothing of telemetry is visible by one setting: its tasks, agents,
// durations, tokens, cost and failures.
func TestUninstrumentedTeam(t *testing.T) {
	t.Parallel()
	python, broker := debianPython(t), harness.RabbitMQ(t)
	server := harness.Start(t, harness.Options{Args: []string{"--mindbus.url", broker.URL}})
	harness.Eventually(t, 30*time.Second, "the tap", func() error { return connected(t, server) })
	script := filepath.Join(harness.Root(t), "examples", "python", "uninstrumented", "team.py")
	for _, name := range []string{"writer", "critic"} {
		cmd := exec.Command(python, script, broker.URL, "agent", name)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		if line, err := bufio.NewReader(out).ReadString('\n'); !strings.Contains(line, "is ready") {
			t.Fatalf("%s says %q, %v", name, line, err)
		}
	}
	if out, err := exec.Command(python, script, broker.URL, "orchestrate", "py-1", "py-2-bad").CombinedOutput(); err != nil {
		t.Fatalf("orchestrate: %v\n%s", err, out)
	}
	want := map[string]string{"py-1": "completed", "py-2-bad": "failed"}
	for id, status := range want {
		var task summary
		harness.Eventually(t, 20*time.Second, id, func() error {
			if err := server.Get("/api/mindscope/v1/tasks/"+id, &task); err != nil {
				return err
			}
			if task.Status != status || len(task.Traces) != 1 {
				return fmt.Errorf("%+v, want %s", task, status)
			}
			return nil
		})
	}
	var failed summary
	if err := server.Get("/api/mindscope/v1/tasks/py-2-bad", &failed); err != nil || failed.Cause.Agent != "critic" {
		t.Errorf("the failure is of %+v (%v), want the critic", failed.Cause, err)
	}
	stdout, stderr, code := server.Run(t, "task", "py-1")
	if code != 0 {
		t.Fatal(stderr)
	}
	for _, part := range []string{
		"execute_task", "send cmd.writer", "process agent.writer", "invoke_agent writer", "invoke_agent critic", "send res.orchestrator",
		"$0.025",
	} {
		if !strings.Contains(stdout, part) {
			t.Errorf("the task does not show %q:\n%s", part, stdout)
		}
	}
	harness.Eventually(t, 20*time.Second, "metrics of the team", func() error {
		return hasSamples(server, `ai_team_agent_calls_total{agent="critic"}`, `ai_team_tasks_total{status="failed"}`)
	})
}

func connected(t *testing.T, s *harness.Server) error {
	if s.Metric(t, "mindscope_bus_connected") != 1 {
		return fmt.Errorf("the bus is not read")
	}
	return nil
}

// hasSamples asks the embedded Prometheus whether each selector has a sample.
func hasSamples(s *harness.Server, selectors ...string) error {
	for _, sel := range selectors {
		var answer struct {
			Data struct{ Result []json.RawMessage }
		}
		if err := s.Get("/api/v1/query?query="+strings.NewReplacer("{", "%7B", "}", "%7D", `"`, "%22", "=", "%3D").Replace(sel), &answer); err != nil {
			return err
		}
		if len(answer.Data.Result) == 0 {
			return fmt.Errorf("no sample of %s", sel)
		}
	}
	return nil
}

// busClient is the bare client of the broker.
type busClient struct {
	*testing.T
	ch *amqp.Channel
}

func dialBus(t *testing.T, url string) *busClient {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err == nil {
		err = ch.ExchangeDeclare("mindbus.main", "topic", true, false, false, false, nil)
	}
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &busClient{t, ch}
}

func (b *busClient) publish(key, correlation string, body []byte) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
	defer cancel()
	sent, err := b.ch.PublishWithDeferredConfirm("mindbus.main", key, false, false,
		amqp.Publishing{Body: body, CorrelationId: correlation, DeliveryMode: amqp.Persistent})
	if err == nil {
		_, err = sent.WaitContext(ctx)
	}
	if err != nil {
		b.Fatal(err)
	}
}

func plain(id, kind, from, to, task, payload string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"type":%q,"from_agent":%q,"to_agent":%q,"trace_id":%q,"payload":%s}`, id, kind, from, to, task, payload)
}

// TestBusFaults: the broker restarts, is gone for a while and breaks off; messages come twice, are poisonous, huge or
// nonsense. The tasks in the store are those that were, each once, and the real consumer gets all that is its own.
func TestBusFaults(t *testing.T) {
	t.Parallel()
	broker := harness.RabbitMQ(t)
	server := harness.Start(t, harness.Options{Args: []string{"--mindbus.url", broker.URL}})
	harness.Eventually(t, 30*time.Second, "the tap", func() error { return connected(t, server) })
	bus := dialBus(t, broker.URL)
	q, err := bus.ch.QueueDeclare("agent.writer", true, false, false, false, nil)
	if err == nil {
		err = bus.ch.QueueBind(q.Name, "#", "mindbus.main", false, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	task := func(b *busClient, id string) {
		command := plain("c-"+id, "COMMAND", "orchestrator", "writer", id, `{}`)
		answer := plain("r-"+id, "RESULT", "writer", "orchestrator", id, `{"metrics":{"model":"m","tokens_used":10,"estimated_cost_usd":0.5}}`)
		for range 2 { // every message comes twice
			b.publish("cmd.writer.writer", "", command)
		}
		for range 2 {
			b.publish("res.orchestrator.writer", "c-"+id, answer)
		}
		b.publish("evt.task.completed", "", plain("e-"+id, "EVENT", "orchestrator", "task.completed", id, `{}`))
	}
	task(bus, "t-1")
	for _, body := range []string{
		"nonsense", `{"no":"message"}`, `{"specversion":"1.0","id":"x","type":"com.example.other","source":"shop"}`, "\xff\xfe",
	} {
		bus.publish("evt.bad.input", "", []byte(body))
	}
	bus.publish("evt.big.body", "", bytes.Repeat([]byte("x"), 20<<20))
	bus.publish("res.orchestrator.writer", "nobody asked", plain("r-0", "RESULT", "writer", "orchestrator", "", `{}`))

	// What waits in a queue without a name is gone with the broker.
	harness.Eventually(t, 30*time.Second, "the last message", func() error {
		if got := server.Metric(t, `mindscope_bus_answers_total{problem="unmatched"}`); got != 1 {
			return fmt.Errorf("%v unmatched answers", got)
		}
		return nil
	})
	broker.Kill(t)
	if out := server.Output(); strings.Contains(out, "panic") {
		t.Fatal(out)
	}
	away := 3 * time.Second
	if text := os.Getenv("MINDSCOPE_OUTAGE"); text != "" { // a minute, in the long run
		if away, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	<-time.After(away)
	broker.Start(t)
	harness.Eventually(t, 30*time.Second, "the tap after the crash", func() error { return connected(t, server) })
	task(dialBus(t, broker.URL), "t-2")
	broker.Stop(t)
	broker.Start(t)
	harness.Eventually(t, 30*time.Second, "the tap after the restart", func() error { return connected(t, server) })
	after := dialBus(t, broker.URL)
	task(after, "t-3")

	for _, id := range []string{"t-1", "t-2", "t-3"} {
		harness.Eventually(t, 20*time.Second, id, func() error {
			var got summary
			if err := server.Get("/api/mindscope/v1/tasks/"+id, &got); err != nil {
				return err
			}
			if got.Status != "completed" || len(got.Traces) != 1 || got.Tokens.Input != 10 {
				return fmt.Errorf("%+v", got)
			}
			return nil
		})
	}
	for what, want := range map[string]float64{
		"not_json": 2, "not_a_message": 1, "too_big": 1, "unknown_type": 1, "repeated": 6, "command": 3,
	} {
		if got := server.Metric(t, fmt.Sprintf(`mindscope_bus_messages_total{what=%q}`, what)); got != want {
			t.Errorf("%v messages are %s, want %v", got, what, want)
		}
	}
	if got := server.Metric(t, `mindscope_bus_answers_total{problem="unmatched"}`); got != 1 {
		t.Errorf("%v unmatched answers, want 1", got)
	}
	for n := 0; ; n++ {
		_, ok, err := after.ch.Get(q.Name, true)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			if want := 3*5 + 4 + 1 + 1; n != want {
				t.Errorf("the real consumer has %d messages, want all %d", n, want)
			}
			break
		}
	}
}
