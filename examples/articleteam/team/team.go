// Package team is the demo team: an orchestrator that gives an article to a writer, has a critic judge it, sends it back
// until the score passes and lets an editor finish it. The agents speak over MindBus, ask a model over HTTP, keep
// records in SQLite, store artifacts in a folder and log with slog: the five hops of a task's id.
//
// They work in one process, or each in one of its own over RabbitMQ and with records in PostgreSQL.
package team

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/artifact"
	"github.com/mindscope/mindscope/sdk/mindbus"
	"github.com/mindscope/mindscope/sdk/records"
	"github.com/mindscope/mindscope/sdk/tasklog"
)

// Files of the team in its folder.
const (
	RecordsFile  = "team.db"
	ArtifactsDir = "artifacts"
	LogFile      = "team.log"
	BusFile      = "bus.jsonl"
	SummaryFile  = "summary.json"
)

// Config says where the team works.
type Config struct {
	// Dir is the team's folder; it is made when it isn't there.
	Dir string
	// Process is the name of one of several processes of the team, for its files; empty when there is one process only.
	Process string
	// Agents are those who work in this process; by default the writer, the critic and the editor.
	Agents []string
	// Bus is the URL of RabbitMQ; empty lets the agents speak in memory. Database is the URL of PostgreSQL; empty keeps the
	// records in SQLite.
	Bus, Database string
	// Forgetful makes the agents of this process drop task and trace of what they work on, as careless code does.
	Forgetful bool
	// BaseURL is the model's server, up to and with /v1. APIKey may be empty for a scripted one.
	BaseURL, APIKey string
	// CallTimeout bounds one call of the model, retries included.
	CallTimeout time.Duration
}

// Team is the four agents at work. Make it with New, end it with Close.
type Team struct {
	cfg       Config
	transport mindbus.Transport
	bus       *mindbus.Bus
	dump      *os.File
	db        *sql.DB
	bucket    *blob.Bucket
	artifacts *artifact.Store
	llm       openai.Client
	log       *slog.Logger
	logFile   *os.File
	stop      context.CancelFunc
}

const schema = `CREATE TABLE IF NOT EXISTS task_steps (
	id TEXT PRIMARY KEY, task_id TEXT NOT NULL, trace_id TEXT NOT NULL, agent TEXT NOT NULL, step TEXT NOT NULL, made TEXT NOT NULL)`

// New opens what the team works with and starts its agents.
func New(ctx context.Context, cfg Config) (t *Team, err error) {
	t = &Team{cfg: cfg}
	defer func() {
		if err != nil {
			_ = t.Close(context.WithoutCancel(ctx)) // the first error says more
		}
	}()
	artifacts := filepath.Join(cfg.Dir, ArtifactsDir)
	if err := os.MkdirAll(artifacts, 0o755); err != nil {
		return nil, fmt.Errorf("make the team's folder: %w", err)
	}
	if t.logFile, err = os.Create(filepath.Join(cfg.Dir, cfg.fileName(LogFile))); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	t.log = slog.New(tasklog.NewHandler(slog.NewJSONHandler(t.logFile, nil)))
	if t.dump, err = os.Create(filepath.Join(cfg.Dir, cfg.fileName(BusFile))); err != nil {
		return nil, fmt.Errorf("open dump of the bus: %w", err)
	}
	if err = t.openRecords(ctx); err != nil {
		return nil, err
	}
	if t.bucket, err = fileblob.OpenBucket(artifacts, nil); err != nil {
		return nil, fmt.Errorf("open artifacts: %w", err)
	}
	t.artifacts = artifact.New(t.bucket, "file://"+artifacts)
	t.llm = openai.NewClient(option.WithBaseURL(cfg.BaseURL), option.WithAPIKey(cfg.APIKey), option.WithMaxRetries(2),
		option.WithHTTPClient(&http.Client{Transport: sdk.LLMTransport(nil)}))
	if t.transport, err = cfg.openTransport(ctx); err != nil {
		return nil, err
	}
	if t.bus, err = mindbus.New(dumping{t.transport, t.dump}, mindbus.Config{}); err != nil {
		return nil, err
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	t.stop = stop
	if err = t.startAgents(work); err != nil {
		return nil, err
	}
	return t, nil
}

// Close lets the agents finish and closes what New opened.
func (t *Team) Close(ctx context.Context) error {
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	if t.bus != nil {
		keep(t.bus.Close(ctx))
	}
	if t.stop != nil {
		t.stop()
	}
	if t.transport != nil {
		keep(t.transport.Close())
	}
	if t.bucket != nil {
		keep(t.bucket.Close())
	}
	if t.db != nil {
		keep(t.db.Close())
	}
	for _, f := range []*os.File{t.dump, t.logFile} {
		if f != nil {
			keep(f.Close())
		}
	}
	return first
}

// record writes a step of the task into the database.
func (t *Team) record(ctx context.Context, agent, step string) error {
	task, trace := records.IDs(ctx)
	insert := `INSERT INTO task_steps (id, task_id, trace_id, agent, step, made) VALUES (?, ?, ?, ?, ?, ?)`
	if t.cfg.Database != "" {
		insert = `INSERT INTO task_steps (id, task_id, trace_id, agent, step, made) VALUES ($1, $2, $3, $4, $5, $6)`
	}
	_, err := t.db.ExecContext(ctx, insert,
		mindbus.NewID(), task, trace, agent, step, time.Now().UTC().Format(time.RFC3339Nano))
	if err != nil {
		return fmt.Errorf("record step: %w", err)
	}
	return nil
}
