package records_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/records"
)

// fake is a database that remembers what it was told; a query with FAIL in it fails.
type fake struct {
	mu   sync.Mutex
	rows []string
}

func (f *fake) Connect(context.Context) (driver.Conn, error) { return &fakeConn{f}, nil }
func (f *fake) Open(string) (driver.Conn, error)             { return &fakeConn{f}, nil }
func (f *fake) Driver() driver.Driver                        { return f }

func (f *fake) exec(query string, args []driver.NamedValue) (driver.Result, error) {
	if strings.Contains(query, "FAIL") {
		return nil, errors.New("disk is full")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	row := query
	for _, a := range args {
		row += fmt.Sprint("|", a.Value)
	}
	f.rows = append(f.rows, row)
	return driver.RowsAffected(1), nil
}

type fakeConn struct{ f *fake }

func (c *fakeConn) Prepare(query string) (driver.Stmt, error) { return &fakeStmt{c.f, query}, nil }
func (c *fakeConn) Close() error                              { return nil }
func (c *fakeConn) Begin() (driver.Tx, error)                 { return fakeTx{}, nil }
func (c *fakeConn) ExecContext(_ context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.f.exec(query, args)
}

func (c *fakeConn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return noRows{}, nil
}

type fakeTx struct{}

func (fakeTx) Commit() error   { return nil }
func (fakeTx) Rollback() error { return nil }

type fakeStmt struct {
	f     *fake
	query string
}

func (s *fakeStmt) Close() error                               { return nil }
func (s *fakeStmt) NumInput() int                              { return -1 }
func (s *fakeStmt) Query([]driver.Value) (driver.Rows, error)  { return noRows{}, nil }
func (s *fakeStmt) Exec([]driver.Value) (driver.Result, error) { return s.f.exec(s.query, nil) }

type noRows struct{}

func (noRows) Columns() []string         { return []string{"a"} }
func (noRows) Close() error              { return nil }
func (noRows) Next([]driver.Value) error { return io.EOF }

func record(t *testing.T) *tracetest.SpanRecorder {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	old := otel.GetTracerProvider()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	t.Cleanup(func() { otel.SetTracerProvider(old) })
	return spans
}

const insert = `INSERT INTO team.task_steps (id, task_id, trace_id, step, note) VALUES (?, ?, ?, ?, 'it''s secret')`

func TestInsert(t *testing.T) {
	spans := record(t)
	store := &fake{}
	db := records.OpenDB(store, records.WithSystem("sqlite"), records.WithNamespace("team"))
	defer db.Close()
	ctx, task := sdk.StartTask(t.Context(), "task-456", sdk.TaskType("article"))
	ctx, agent := sdk.StartAgent(ctx, "writer")
	taskID, traceID := records.IDs(ctx)
	if _, err := db.ExecContext(ctx, insert, 7, taskID, traceID, "draft"); err != nil {
		t.Fatal(err)
	}
	agent.End(nil)
	task.End(nil)

	if want := agent.Span().SpanContext().TraceID().String(); taskID != "task-456" || traceID != want {
		t.Errorf("ids are %q and %q, want task-456 and %s", taskID, traceID, want)
	}
	if diff := cmp.Diff([]string{insert + "|7|task-456|" + traceID + "|draft"}, store.rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	s := spans.Ended()[0]
	if s.Name() != "INSERT task_steps" || s.SpanKind() != trace.SpanKindClient ||
		s.Parent().SpanID() != agent.Span().SpanContext().SpanID() {
		t.Errorf("span is %q, %v, below %v", s.Name(), s.SpanKind(), s.Parent().SpanID())
	}
	got := map[string]any{}
	for _, kv := range s.Attributes() {
		got[string(kv.Key)] = kv.Value.AsInterface()
	}
	want := map[string]any{
		"db.system.name": "sqlite", "db.namespace": "team", "db.operation.name": "INSERT", "db.collection.name": "task_steps",
		"db.query.summary":     "INSERT task_steps",
		"db.query.text":        "INSERT INTO team.task_steps (id, task_id, trace_id, step, note) VALUES (?, ?, ?, ?, ?)",
		"ai_team.record.table": "task_steps", "ai_team.record.id": "7",
		"ai_team.task.id": "task-456", "ai_team.task.type": "article", "gen_ai.agent.name": "writer",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}

// TestSpans: one span for each statement, whichever way it goes, and none for what is no statement.
func TestSpans(t *testing.T) {
	spans := record(t)
	db := records.OpenDB(&fake{})
	defer db.Close()
	ctx := t.Context()
	check := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(nil, db.PingContext(ctx))
	// What belongs to no trace is no hop of any task, unless it makes a record whose task was lost.
	check(db.ExecContext(ctx, "CREATE TABLE steps (id TEXT)"))
	check(db.ExecContext(ctx, "INSERT INTO lost (id) VALUES (1)"))
	ctx, root := otel.Tracer("test").Start(ctx, "root")
	defer root.End()
	tx, err := db.BeginTx(ctx, nil)
	check(nil, err)
	check(tx.ExecContext(ctx, "UPDATE steps SET a = 1"))
	stmt, err := tx.PrepareContext(ctx, "INSERT INTO steps (id) VALUES (1)")
	check(nil, err)
	check(stmt.ExecContext(ctx))
	check(nil, stmt.Close())
	check(nil, tx.Commit())
	var a int
	if err := db.QueryRowContext(ctx, "SELECT a FROM steps").Scan(&a); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("query: %v", err)
	}
	var names []string
	for _, s := range spans.Ended() {
		names = append(names, s.Name())
		if s.Status().Code == codes.Error {
			t.Errorf("%s failed: %s", s.Name(), s.Status().Description)
		}
	}
	if diff := cmp.Diff([]string{"INSERT lost", "UPDATE steps", "INSERT steps", "SELECT steps"}, names); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}

func TestStatementFails(t *testing.T) {
	spans := record(t)
	db := records.OpenDB(&fake{})
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "INSERT INTO steps (FAIL) VALUES (1)"); err == nil {
		t.Fatal("the statement did not fail")
	}
	s := spans.Ended()[0]
	var class string
	for _, kv := range s.Attributes() {
		if kv.Key == "error.type" {
			class = kv.Value.AsString()
		}
	}
	if s.Status().Code != codes.Error || class != "*errors.errorString" || len(s.Events()) != 1 {
		t.Errorf("status %v, error.type %q, %d events", s.Status(), class, len(s.Events()))
	}
}

func TestInsertHook(t *testing.T) {
	var got []records.Insert
	db := records.OpenDB(&fake{}, records.WithInsertHook(func(_ context.Context, ins records.Insert) { got = append(got, ins) }))
	defer db.Close()
	for _, q := range []string{"UPDATE steps SET a = 1", "INSERT INTO steps (ID, n) VALUES (?, 'x')"} {
		args := make([]any, strings.Count(q, "?"))
		for i := range args {
			args[i] = int64(i)
		}
		if _, err := db.ExecContext(t.Context(), q, args...); err != nil {
			t.Fatal(err)
		}
	}
	want := []records.Insert{{
		Table: "steps", Columns: []string{"id", "n"}, Query: "INSERT INTO steps (ID, n) VALUES (?, ?)",
		Values: map[string]any{"id": int64(0)},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hook (-want +got):\n%s", diff)
	}
}

func TestIDsWithoutTask(t *testing.T) {
	if task, traceID := records.IDs(t.Context()); task != "" || traceID != "" {
		t.Errorf("ids are %q and %q, want none", task, traceID)
	}
}

func TestOpenFailure(t *testing.T) {
	if _, err := records.Open("no such driver", ""); err == nil || !strings.Contains(err.Error(), "open no such driver database") {
		t.Errorf("error is %v", err)
	}
	if _, err := records.Register("no such driver"); err == nil || !strings.Contains(err.Error(), "register no such driver driver") {
		t.Errorf("error is %v", err)
	}
}
