package team

import (
	"context"
	"fmt"
	"path/filepath"

	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/mindbus"
	"github.com/mindscope/mindscope/sdk/mindbus/rabbitmq"
	"github.com/mindscope/mindscope/sdk/records"
)

// Processes are the agents that have a process each when the team works over RabbitMQ, beside the orchestrator. The
// archivist is there only then.
func Processes() []string { return []string{"writer", "critic", "editor", "archivist"} }

// fileName is the name of a file that each process has one of.
func (c Config) fileName(name string) string {
	if c.Process == "" {
		return name
	}
	return c.Process + "." + name
}

func (c Config) openTransport(ctx context.Context) (mindbus.Transport, error) {
	if c.Bus == "" {
		return mindbus.NewMemory(), nil
	}
	tr, err := rabbitmq.Open(ctx, c.Bus, rabbitmq.Config{Name: c.Process})
	if err != nil {
		return nil, err // not a transport that is a nil pointer
	}
	return tr, nil
}

// openRecords opens the database and makes the table. Processes that make it at once would disturb each other: the lock
// lets one go after the other.
func (t *Team) openRecords(ctx context.Context) (err error) {
	if t.cfg.Database != "" {
		t.db, err = records.Open("pgx", t.cfg.Database, records.WithSystem("postgresql"))
	} else {
		t.db, err = records.Open("sqlite", "file:"+filepath.Join(t.cfg.Dir, RecordsFile)+"?_pragma=busy_timeout(5000)")
	}
	if err != nil {
		return err
	}
	t.db.SetMaxOpenConns(1)
	statement := schema
	if t.cfg.Database != "" {
		statement = `SELECT pg_advisory_lock(456); ` + schema + `; SELECT pg_advisory_unlock(456)`
	}
	if _, err = t.db.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("make tables: %w", err)
	}
	return nil
}

func (t *Team) startAgents(ctx context.Context) error {
	agents := t.cfg.Agents
	if agents == nil {
		agents = []string{"writer", "critic", "editor"}
	}
	handlers := map[string]mindbus.Handler{"writer": t.writer, "critic": t.critic, "editor": t.editor, "archivist": t.archivist}
	for _, name := range agents {
		handle := handlers[name]
		if handle == nil {
			return fmt.Errorf("there is no agent %q in the team", name)
		}
		if t.cfg.Forgetful {
			handle = forgetful(handle)
		}
		options := []mindbus.HandleOption{mindbus.WithConcurrency(4)}
		if name == "archivist" {
			options = append(options, mindbus.WithPatterns("evt.article.finished"))
		}
		if err := t.bus.Handle(ctx, name, handle, options...); err != nil {
			return err
		}
	}
	return nil
}

// forgetful lets a handler work outside of the trace and the task, as code does that makes a context of its own.
func forgetful(h mindbus.Handler) mindbus.Handler {
	return func(ctx context.Context, m mindbus.Message) (any, error) {
		return h(sdk.WithoutBaggage(trace.ContextWithSpanContext(ctx, trace.SpanContext{})), m)
	}
}

// announce tells whoever listens that an article is finished. In one process nobody does.
func (t *Team) announce(ctx context.Context, topic string) error {
	if t.cfg.Bus == "" {
		return nil
	}
	m, err := mindbus.NewMessage(mindbus.Event, "orchestrator", "article.finished", Order{Topic: topic})
	if err != nil {
		return err
	}
	return t.bus.Publish(ctx, m)
}

// archivist keeps a record of each finished article.
func (t *Team) archivist(ctx context.Context, m mindbus.Message) (payload any, err error) {
	ctx, agent := sdk.StartAgent(ctx, "archivist")
	defer agent.End(&err)
	var finished Order
	if err := m.Decode(&finished); err != nil {
		return nil, err
	}
	if err := t.record(ctx, "archivist", "archived"); err != nil {
		return nil, err
	}
	t.log.InfoContext(ctx, "article archived", "topic", finished.Topic)
	return nil, nil
}
