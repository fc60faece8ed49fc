package pgxrecords_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib"
	"go.opentelemetry.io/otel/codes"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/conv"
	"github.com/mindscope/mindscope/sdk/records"
	"github.com/mindscope/mindscope/sdk/records/pgxrecords"
	"github.com/mindscope/mindscope/sdk/records/recordstest"
	"github.com/mindscope/mindscope/sdk/sdktest"
	"github.com/mindscope/mindscope/sdk/servicetest"
)

const table = `CREATE TABLE task_steps (id TEXT PRIMARY KEY, task_id TEXT, trace_id TEXT, step TEXT)`

func connect(t *testing.T, url string, tracer pgx.QueryTracer) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Tracer = tracer
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server is about to end
	return conn
}

// TestPostgreSQL runs all ways to a real database, with pgx itself and through database/sql: the ids are in the rows, and
// each record is a span below the agent.
func TestPostgreSQL(t *testing.T) {
	server := servicetest.PostgreSQL(t)
	rec := sdktest.New(t)
	conn := connect(t, server.URL, pgxrecords.NewTracer(recordstest.Watch(t, "task_steps")))
	if _, err := conn.Exec(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	if len(rec.Spans()) != 0 {
		t.Errorf("a statement outside of any task has a span: %s", rec.Spans()[0].Name())
	}
	ctx, task := sdk.StartTask(t.Context(), "task-456")
	ctx, agent := sdk.StartAgent(ctx, "writer")
	taskID, traceID := records.IDs(ctx)

	const insert = `INSERT INTO task_steps (id, task_id, trace_id, step) VALUES ($1, $2, $3, 'a secret')`
	exec(t, conn, ctx, insert, "exec", taskID, traceID)
	exec(t, conn, ctx, `INSERT INTO task_steps (id, task_id, trace_id) VALUES (@id, @task, @trace)`,
		pgx.QueryExecModeExec, pgx.NamedArgs{"id": "named", "task": taskID, "trace": traceID})
	exec(t, conn, ctx, records.Comment(ctx, insert), pgx.QueryExecModeExec, "comment", taskID, traceID)
	var id string
	err := conn.QueryRow(ctx, `INSERT INTO task_steps (id, task_id, trace_id) VALUES ($1, $2, $3) RETURNING id`, "row", taskID, traceID).Scan(&id)
	if err != nil || id != "row" {
		t.Errorf("QueryRow: %q, %v", id, err)
	}
	batch := &pgx.Batch{}
	batch.Queue(insert, "batch-1", taskID, traceID)
	batch.Queue(insert, "batch-2", taskID, traceID)
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		t.Error(err)
	}
	n, err := conn.CopyFrom(ctx, pgx.Identifier{"public", "task_steps"}, []string{"id", "task_id", "trace_id"},
		pgx.CopyFromRows([][]any{{"copy-1", taskID, traceID}, {"copy-2", taskID, traceID}}))
	if err != nil || n != 2 {
		t.Errorf("CopyFrom: %d rows, %v", n, err)
	}
	throughSQL(t, ctx, server.URL, insert, taskID, traceID)
	_, err = conn.Exec(ctx, insert, "exec", taskID, traceID)
	if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "23505" {
		t.Errorf("the second insert of a key: %v", err)
	}
	agent.End(nil)
	task.End(nil)

	checkRows(t, conn, taskID, traceID)
	checkSpans(t, rec, agent.Span().SpanContext().SpanID().String())
}

func exec(t *testing.T, conn *pgx.Conn, ctx context.Context, query string, args ...any) { //nolint:revive // t first, as in all helpers
	t.Helper()
	if _, err := conn.Exec(ctx, query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// throughSQL inserts two rows through database/sql, one with a prepared statement.
func throughSQL(t *testing.T, ctx context.Context, url, insert, taskID, traceID string) { //nolint:revive // t first, as in all helpers
	t.Helper()
	db, err := records.Open("pgx", url, recordstest.Watch(t, "task_steps"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, insert, "sql", taskID, traceID); err != nil {
		t.Error(err)
	}
	err = inTx(ctx, db, func(tx *sql.Tx) error {
		stmt, err := tx.PrepareContext(ctx, insert)
		if err != nil {
			return err
		}
		defer func() { _ = stmt.Close() }() // the transaction's end closes it too
		_, err = stmt.ExecContext(ctx, "sql-prepared", taskID, traceID)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := db.ExecContext(ctx, insert, "sql", taskID, traceID); err == nil {
		t.Error("the second insert of a key through database/sql went well")
	}
}

func inTx(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// checkRows reads the rows themselves: each has both ids.
func checkRows(t *testing.T, conn *pgx.Conn, taskID, traceID string) {
	t.Helper()
	rows, err := conn.Query(t.Context(), `SELECT id FROM task_steps WHERE task_id = $1 AND trace_id = $2 ORDER BY id`, taskID, traceID)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"batch-1", "batch-2", "comment", "copy-1", "copy-2", "exec", "named", "row", "sql", "sql-prepared"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows with both ids (-want +got):\n%s", diff)
	}
}

func checkSpans(t *testing.T, rec *sdktest.Recorder, agent string) {
	t.Helper()
	var got []string
	failed := 0
	for _, s := range rec.Task("task-456") {
		if sdktest.Attr(s, conv.DBSystemName).AsString() == "" {
			continue
		}
		if s.Parent().SpanID().String() != agent || sdktest.Attr(s, conv.GenAIAgentName).AsString() != "writer" {
			t.Errorf("%s is not below the agent", s.Name())
		}
		if text := sdktest.Attr(s, conv.DBQueryText).AsString(); strings.Contains(text, "secret") || strings.Contains(text, "traceparent") {
			t.Errorf("the text of the query is %s", text)
		}
		if sdktest.Attr(s, conv.DBSystemName).AsString() != "postgresql" || sdktest.Attr(s, conv.AITeamRecordTable).AsString() != "task_steps" {
			t.Errorf("%s: %v", s.Name(), s.Attributes())
		}
		if s.Status().Code == codes.Error {
			failed++
			if class := sdktest.Attr(s, conv.ErrorType).AsString(); class != "23505" {
				t.Errorf("error.type %s, want the SQLSTATE 23505", class)
			}
			continue
		}
		if s.EndTime().Before(s.StartTime()) || s.EndTime().Sub(s.StartTime()) > time.Minute {
			t.Errorf("%s took %v", s.Name(), s.EndTime().Sub(s.StartTime()))
		}
		got = append(got, s.Name()+" "+sdktest.Attr(s, conv.AITeamRecordID).AsString())
	}
	slices.Sort(got)
	want := []string{
		"COPY task_steps ", "INSERT task_steps batch-1", "INSERT task_steps batch-2", "INSERT task_steps comment",
		"INSERT task_steps exec", "INSERT task_steps named", "INSERT task_steps row", "INSERT task_steps sql", "INSERT task_steps sql-prepared",
	}
	if diff := cmp.Diff(want, got); diff != "" || failed != 2 {
		t.Errorf("%d failed, want 2; records (-want +got):\n%s", failed, diff)
	}
}

// TestCommentReachesTheServer: the server's own list of statements names the task.
func TestCommentReachesTheServer(t *testing.T) {
	server := servicetest.PostgreSQL(t)
	sdktest.New(t)
	conn := connect(t, server.URL, nil)
	ctx, task := sdk.StartTask(t.Context(), "task '*/ 456")
	defer task.End(nil)
	var seen string
	err := conn.QueryRow(ctx, records.Comment(ctx, `SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid();`), pgx.QueryExecModeExec).Scan(&seen)
	trace := task.Span().SpanContext().TraceID().String()
	if err != nil || !strings.Contains(seen, "/*ai_team.task.id='task%20%27%2A%2F%20456',traceparent='00-"+trace) {
		t.Errorf("the server ran %s, %v", seen, err)
	}
}

// TestSpanOfTheCallerIsLeftOpen: a statement that has no span of its own must not end the caller's. pgx gives the tracer
// the context that TraceQueryStart returned.
func TestSpanOfTheCallerIsLeftOpen(t *testing.T) {
	rec := sdktest.New(t)
	var mu sync.Mutex
	var inserts []records.Insert
	tracer := pgxrecords.NewTracer(records.WithIDColumn("key"), records.WithNamespace("team"), records.WithInsertHook(func(_ context.Context, i records.Insert) {
		mu.Lock()
		defer mu.Unlock()
		inserts = append(inserts, i)
	}))
	ctx := tracer.TraceQueryStart(t.Context(), nil, pgx.TraceQueryStartData{SQL: "SELECT 1"})
	tracer.TraceQueryEnd(ctx, nil, pgx.TraceQueryEndData{})
	ctx, task := sdk.StartTask(t.Context(), "task-456")
	ctx = tracer.TraceQueryStart(ctx, nil, pgx.TraceQueryStartData{SQL: "INSERT INTO a (Key) VALUES ($1)", Args: []any{[16]byte{1, 15: 2}}})
	tracer.TraceQueryEnd(ctx, nil, pgx.TraceQueryEndData{Err: context.DeadlineExceeded})
	if n := len(rec.Spans()); n != 1 {
		t.Fatalf("%d spans ended, want 1", n)
	}
	span := rec.Spans()[0]
	if sdktest.Attr(span, conv.ErrorType).AsString() != "timeout" || sdktest.Attr(span, conv.AITeamRecordID).AsString() != "01000000-0000-0000-0000-000000000002" {
		t.Errorf("attributes %v", span.Attributes())
	}
	if len(inserts) != 1 || inserts[0].Table != "a" || inserts[0].Columns[0] != "key" {
		t.Errorf("inserts %+v", inserts)
	}
	task.End(nil)
}
