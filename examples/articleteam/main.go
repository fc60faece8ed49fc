// Command articleteam runs the demo team on a number of articles. It is a user of the SDK like any other.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mindscope/mindscope/examples/articleteam/team"
	"github.com/mindscope/mindscope/examples/scriptedllm"
	"github.com/mindscope/mindscope/sdk/telemetry"
)

// options are the program's flags.
type options struct {
	first, tasks             int
	dir, agent, bus, records string
	latency, callTimeout     time.Duration
	forgetful                bool
}

func main() {
	var o options
	flag.IntVar(&o.tasks, "tasks", 20, "how many articles to write")
	flag.IntVar(&o.first, "first", 0, "number of the first article; the same number is the same article")
	flag.StringVar(&o.dir, "dir", "articleteam-data", "folder for records, artifacts, log, the dump of the bus and the summary")
	flag.DurationVar(&o.latency, "latency", 250*time.Millisecond, "time the scripted model takes for an answer")
	flag.DurationVar(&o.callTimeout, "call-timeout", 0, "how long a call of the model may take; by default eight times the latency, at least 1s")
	flag.StringVar(&o.bus, "bus", "", "URL of RabbitMQ (amqp://…) for agents in processes of their own; empty for one process")
	flag.StringVar(&o.records, "records", "", "URL of PostgreSQL (postgres://…) for the records; empty for SQLite in the folder")
	flag.StringVar(&o.agent, "agent", "", "with --bus: the one agent of this process (orchestrator, writer, critic, editor, archivist)")
	flag.BoolVar(&o.forgetful, "drop-context", false, "let the agents of this process drop task and trace, as careless code does")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "articleteam:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	if (o.bus == "") != (o.agent == "") {
		return errors.New("--bus and --agent belong together: an agent in a process of its own needs a broker")
	}
	shutdown, err := telemetry.Setup(ctx, telemetry.WithServiceName(cmp.Or(o.agent, "articleteam")), telemetry.WithTeam("newsroom"))
	if err != nil {
		return err
	}
	defer func() {
		if e := shutdown(context.WithoutCancel(ctx)); e != nil {
			fmt.Fprintln(os.Stderr, "articleteam: some telemetry was not sent:", e)
		}
	}()
	base := os.Getenv("OPENAI_BASE_URL")
	if base == "" {
		var stopModel func()
		if base, stopModel, err = startModel(o.latency); err != nil {
			return err
		}
		defer stopModel()
	}
	crew, err := team.New(ctx, team.Config{
		Dir: o.dir, BaseURL: base, APIKey: os.Getenv("OPENAI_API_KEY"), CallTimeout: cmp.Or(o.callTimeout, max(8*o.latency, time.Second)),
		Process: o.agent, Agents: o.agents(), Bus: o.bus, Database: o.records, Forgetful: o.forgetful,
	})
	if err != nil {
		return err
	}
	defer func() {
		if e := crew.Close(context.WithoutCancel(ctx)); err == nil {
			err = e
		}
	}()
	if o.agent != "" && o.agent != "orchestrator" {
		fmt.Println(o.agent, "is ready")
		<-ctx.Done()
		return nil
	}
	return work(ctx, crew, o)
}

// agents are those of this process; nil are those of a team in one process.
func (o options) agents() []string {
	switch o.agent {
	case "":
		return nil
	case "orchestrator":
		return []string{}
	}
	return []string{o.agent}
}

// work gives the articles to the team, one after the other.
func work(ctx context.Context, crew *team.Team, o options) error {
	var outcomes []team.Outcome
	for i := range o.tasks {
		if ctx.Err() != nil {
			break
		}
		id, topic := team.Assignment(o.first + i)
		out, err := crew.Do(ctx, id, topic)
		outcomes = append(outcomes, out)
		sign, text := "✓", fmt.Sprintf("quality %.1f", out.Quality)
		if err != nil {
			sign, text = "✕", err.Error()
		}
		fmt.Printf("[%2d/%d] %s %s  %s · %s\n", i+1, o.tasks, sign, id, topic, text)
	}
	return writeSummary(filepath.Join(o.dir, team.SummaryFile), outcomes)
}

func writeSummary(path string, outcomes []team.Outcome) error {
	b, err := json.MarshalIndent(outcomes, "", "  ")
	if err != nil {
		return fmt.Errorf("encode summary: %w", err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}

// startModel serves the scripted model on a free port.
func startModel(latency time.Duration) (base string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("start the scripted model: %w", err)
	}
	srv := &http.Server{Handler: &scriptedllm.Server{Latency: latency, Stall: time.Minute}, ReadHeaderTimeout: time.Second}
	go func() { _ = srv.Serve(l) }() // ends with ErrServerClosed
	return "http://" + l.Addr().String() + "/v1", func() { _ = srv.Close() }, nil
}
