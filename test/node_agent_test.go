package test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mindscope/mindscope/test/harness"
)

// TestNodeAgent: an agent in Node with OpenTelemetry's own SDK goes on with the trace that came over the bus, and the tap
// leaves it to tell of its messages.
func TestNodeAgent(t *testing.T) {
	t.Parallel()
	broker := harness.RabbitMQ(t)
	server := harness.Start(t, harness.Options{Args: []string{"--mindbus.url", broker.URL}})
	bus := dialBus(t, broker.URL)
	answers, err := bus.ch.QueueDeclare("", false, true, true, false, nil)
	if err == nil {
		err = bus.ch.QueueBind(answers.Name, "res.orchestrator.*", "mindbus.main", false, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	in, err := bus.ch.Consume(answers.Name, "", true, true, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	agent := exec.Command("node", "agent.js", broker.URL)
	agent.Dir = filepath.Join(harness.Root(t), "examples", "node")
	agent.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+server.OTLPHTTP)
	agent.Stderr = os.Stderr
	out, err := agent.StdoutPipe()
	if err == nil {
		err = agent.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var exit error
	ended := make(chan struct{})
	defer func() { _ = agent.Process.Signal(syscall.SIGTERM); <-ended }()
	line, err := bufio.NewReader(out).ReadString('\n')
	go func() { exit = agent.Wait(); close(ended) }()
	if !strings.Contains(line, "is ready") {
		t.Fatalf("the agent says %q, %v (make node installs its packages)", line, err)
	}

	// What is no command does not end the agent; the broker keeps it with the dead letters.
	for _, body := range []string{"no JSON", "null", `{"id":1}`} {
		err := bus.ch.PublishWithContext(t.Context(), "mindbus.main", "cmd.translator.translator", true, false, amqp.Publishing{Body: []byte(body)})
		if err != nil {
			t.Fatal(err)
		}
	}
	harness.Eventually(t, 20*time.Second, "the dead letters", func() error {
		q, err := bus.ch.QueueDeclarePassive("mindbus.dead", true, false, false, false, nil)
		if err == nil && q.Messages != 3 {
			err = fmt.Errorf("%d dead letters, want 3", q.Messages)
		}
		return err
	})

	const trace = "0af7651916cd43dd8448eb211c80319c"
	command := []byte(`{"specversion":"1.0","id":"c1","type":"ai.team.command","source":"orchestrator","toagent":"translator","subject":"task-node","data":{"text":"bees"}}`)
	err = bus.ch.PublishWithContext(t.Context(), "mindbus.main", "cmd.translator.translator", true, false, amqp.Publishing{
		Body: command, MessageId: "c1", ReplyTo: answers.Name,
		Headers: amqp.Table{"traceparent": "00-" + trace + "-b7ad6b7169203331-01", "baggage": "ai_team.task.id=task-node"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // directly, and once more for taps
		select {
		case d := <-in:
			var event struct {
				Subject string
				Data    struct{ Text string }
			}
			parent, _ := d.Headers["traceparent"].(string)
			if err := json.Unmarshal(d.Body, &event); err != nil || event.Data.Text != "seeb" || event.Subject != "task-node" || part(parent) != trace ||
				d.CorrelationId != "c1" {
				t.Errorf("answer %s with %v: %v", d.Body, d.Headers, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("no answer came")
		}
	}
	harness.Eventually(t, 30*time.Second, "the agent's spans in the trace", func() error {
		stdout, stderr, code := server.Run(t, "trace", trace, "-o", "json")
		if code != 0 {
			return fmt.Errorf("%s", stderr)
		}
		for _, want := range []string{"invoke_agent translator", "b7ad6b7169203331", "task-node", "instrumentation-amqplib"} {
			if !strings.Contains(stdout, want) {
				return fmt.Errorf("%q is not in the trace: %s", want, stdout)
			}
		}
		return nil
	})
	harness.Eventually(t, 60*time.Second, "the tap to yield", func() error {
		// The consumer's side of the command is two spans; the answer's sender is one.
		if n := server.Metric(t, "mindscope_bus_yielded_total"); n < 3 {
			return fmt.Errorf("%v spans yielded", n)
		}
		return nil
	})

	// Without its queue it has nothing to do, and says so to whoever runs it.
	if _, err := bus.ch.QueueDelete("agent.translator", false, false, false); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
		if e, ok := errors.AsType[*exec.ExitError](exit); !ok || e.ExitCode() != 1 {
			t.Errorf("the agent without its queue: %v, want exit code 1", exit)
		}
	case <-time.After(20 * time.Second):
		t.Error("the agent without its queue does not end")
	}
}
