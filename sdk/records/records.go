package records

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/XSAM/otelsql"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/conv"
)

// The columns that tie a record to its task.
const (
	TaskColumn  = "task_id"
	TraceColumn = "trace_id"
)

// IDs returns the values for the columns task_id and trace_id of a record: the task that ctx works on, and the trace
// as 32 hex digits. Each is empty when ctx has none.
func IDs(ctx context.Context) (task, traceID string) {
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		traceID = sc.TraceID().String()
	}
	return sdk.TaskID(ctx), traceID
}

// Option changes how a database is opened.
type Option interface{ apply(*config) }

type config struct {
	system    string
	namespace string
	idColumn  string
	onInsert  func(context.Context, Insert)
}

type option func(*config)

func (f option) apply(c *config) { f(c) }

// WithSystem names the database system as OpenTelemetry does, for example `postgresql`. Without it the name is made of
// the driver's.
func WithSystem(name string) Option { return option(func(c *config) { c.system = name }) }

// WithNamespace names the database, the attribute db.namespace.
func WithNamespace(name string) Option { return option(func(c *config) { c.namespace = name }) }

// WithIDColumn names the column whose value becomes ai_team.record.id; the default is `id`.
func WithIDColumn(name string) Option { return option(func(c *config) { c.idColumn = name }) }

// WithInsertHook calls f before each INSERT, for tests and checks. It has to be quick and safe for concurrent use.
func WithInsertHook(f func(context.Context, Insert)) Option {
	return option(func(c *config) { c.onInsert = f })
}

// Insert describes an INSERT that is about to run.
type Insert struct {
	// Table is the table without its schema.
	Table string
	// Columns are the named columns, in lower case; nil when the statement names none.
	Columns []string
	// Values are the arguments of the first row by column, for those columns whose value is an argument.
	Values map[string]any
	// Query is the statement with its literals left out.
	Query string
}

// Open opens a database like sql.Open, with statements as spans.
func Open(driverName, dsn string, opts ...Option) (*sql.DB, error) {
	db, err := otelsql.Open(driverName, dsn, newOptions(driverName, opts)...)
	if err != nil {
		return nil, fmt.Errorf("open %s database: %w", driverName, err)
	}
	return db, nil
}

// OpenDB opens a database like sql.OpenDB, with statements as spans. The driver's name is unknown here: use WithSystem.
func OpenDB(c driver.Connector, opts ...Option) *sql.DB {
	return otelsql.OpenDB(c, newOptions("", opts)...)
}

// Register registers a driver with statements as spans under a new name, for libraries that open databases by name.
func Register(driverName string, opts ...Option) (name string, err error) {
	name, err = otelsql.Register(driverName, newOptions(driverName, opts)...)
	if err != nil {
		return "", fmt.Errorf("register %s driver: %w", driverName, err)
	}
	return name, nil
}

func newOptions(driverName string, opts []Option) []otelsql.Option {
	cfg := config{system: systemOf(driverName), idColumn: "id"}
	for _, o := range opts {
		o.apply(&cfg)
	}
	in := &instrument{cfg: cfg, parser: newParser(cfg.system)}
	return []otelsql.Option{
		otelsql.WithSpanNameFormatter(in.name),
		otelsql.WithAttributesGetter(in.attributes),
		otelsql.WithSpanErrorAttributesGetter(errorAttributes),
		// Its measurements name Go methods as operations; what records cost is in their spans.
		otelsql.WithMeterProvider(noop.NewMeterProvider()),
		otelsql.WithSpanOptions(otelsql.SpanOptions{
			DisableErrSkip: true, DisableQuery: true, OmitConnResetSession: true, OmitConnPrepare: true, OmitRows: true,
			OmitConnectorConnect: true, SpanFilter: in.filter,
		}),
	}
}

// systemOf returns OpenTelemetry's name of the database behind a driver.
func systemOf(driverName string) string {
	switch d := strings.ToLower(driverName); {
	case strings.HasPrefix(d, "sqlite"):
		return "sqlite"
	case strings.HasPrefix(d, "pgx"), strings.HasPrefix(d, "postgres"), d == "pq":
		return "postgresql"
	case d == "mysql":
		return "mysql"
	case d == "sqlserver", d == "mssql", d == "azuresql":
		return "microsoft.sql_server"
	case strings.HasPrefix(d, "oracle"), d == "godror":
		return "oracle.db"
	case strings.HasPrefix(d, "clickhouse"):
		return "clickhouse"
	default:
		return "other_sql"
	}
}

// instrument makes the spans of one database.
type instrument struct {
	cfg    config
	parser *parser
}

// filter lets statements have spans, and nothing else: connections, transactions and row fetches are no records. A
// statement outside of every trace would be seen as a task of its own; only a new record is worth that, since it is one
// whose task was lost.
func (in *instrument) filter(ctx context.Context, m otelsql.Method, query string, args []driver.NamedValue) bool {
	switch m {
	case otelsql.MethodConnExec, otelsql.MethodConnQuery, otelsql.MethodStmtExec, otelsql.MethodStmtQuery:
	default:
		return false
	}
	if in.cfg.onInsert != nil {
		in.report(ctx, query, args)
	}
	return trace.SpanContextFromContext(ctx).IsValid() ||
		slices.ContainsFunc(in.parser.parse(query).statements, statement.isInsert)
}

func (in *instrument) report(ctx context.Context, query string, args []driver.NamedValue) {
	q := in.parser.parse(query)
	for _, s := range q.statements {
		if !s.isInsert() {
			continue
		}
		ins := Insert{Table: s.table, Columns: s.columns, Query: q.text, Values: map[string]any{}}
		for _, c := range s.columns {
			if v, ok := s.value(c, args); ok {
				ins.Values[c] = v
			}
		}
		in.cfg.onInsert(ctx, ins)
	}
}

func (in *instrument) name(_ context.Context, _ otelsql.Method, query string) string {
	if s := in.parser.parse(query).summary; s != "" {
		return s
	}
	return in.cfg.system
}

func (in *instrument) attributes(ctx context.Context, _ otelsql.Method, query string, args []driver.NamedValue) []attribute.KeyValue {
	q := in.parser.parse(query)
	attrs := make([]attribute.KeyValue, 0, 14)
	attrs = append(attrs, sdk.Attributes(ctx)...)
	attrs = append(attrs,
		attribute.String(conv.DBSystemName, in.cfg.system),
		attribute.String(conv.DBQueryText, q.text),
	)
	if in.cfg.namespace != "" {
		attrs = append(attrs, attribute.String(conv.DBNamespace, in.cfg.namespace))
	}
	if q.summary != "" {
		attrs = append(attrs, attribute.String(conv.DBQuerySummary, q.summary))
	}
	if len(q.statements) != 1 {
		return attrs
	}
	s := q.statements[0]
	if s.operation != "" {
		attrs = append(attrs, attribute.String(conv.DBOperationName, s.operation))
	}
	if s.table != "" {
		attrs = append(attrs, attribute.String(conv.DBCollectionName, s.table))
	}
	if !s.isInsert() {
		return attrs
	}
	attrs = append(attrs, attribute.String(conv.AITeamRecordTable, s.table))
	if id, ok := s.value(in.cfg.idColumn, args); ok {
		attrs = append(attrs, attribute.String(conv.AITeamRecordID, recordID(id)))
	}
	return attrs
}

func recordID(v any) string {
	if b, ok := v.([]byte); ok {
		return fmt.Sprintf("%x", b)
	}
	return fmt.Sprint(v)
}

func errorAttributes(err error) []attribute.KeyValue {
	if errors.Is(err, driver.ErrSkip) {
		return nil
	}
	var typer sdk.ErrorTyper
	class := fmt.Sprintf("%T", err)
	switch {
	case errors.As(err, &typer):
		class = typer.ErrorType()
	case errors.Is(err, context.DeadlineExceeded):
		class = "timeout"
	case errors.Is(err, context.Canceled):
		class = "cancelled"
	}
	return []attribute.KeyValue{attribute.String(conv.ErrorType, class)}
}
