package records

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/XSAM/otelsql"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/conv"
	"github.com/mindscope/mindscope/sdk/records/internal/statement"
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

// Option changes how statements are described.
type Option interface{ Apply(*statement.Config) }

type option func(*statement.Config)

// Apply implements Option.
func (f option) Apply(c *statement.Config) { f(c) }

// WithSystem names the database system as OpenTelemetry does, for example `postgresql`. Without it the name is made of
// the driver's.
func WithSystem(name string) Option { return option(func(c *statement.Config) { c.System = name }) }

// WithNamespace names the database, the attribute db.namespace.
func WithNamespace(name string) Option {
	return option(func(c *statement.Config) { c.Namespace = name })
}

// WithIDColumn names the column whose value becomes ai_team.record.id; the default is `id`.
func WithIDColumn(name string) Option { return option(func(c *statement.Config) { c.IDColumn = name }) }

// WithInsertHook calls f before each INSERT, for tests and checks. It has to be quick and safe for concurrent use.
func WithInsertHook(f func(context.Context, Insert)) Option {
	return option(func(c *statement.Config) {
		c.OnInsert = func(ctx context.Context, ins statement.Insert) { f(ctx, Insert(ins)) }
	})
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
	cfg := statement.Config{System: systemOf(driverName), IDColumn: "id"}
	for _, o := range opts {
		o.Apply(&cfg)
	}
	in := &instrument{statement.New(cfg)}
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
type instrument struct{ describer *statement.Describer }

// filter lets statements have spans, and nothing else: connections, transactions and row fetches are no records.
func (in *instrument) filter(ctx context.Context, m otelsql.Method, query string, args []driver.NamedValue) bool {
	switch m {
	case otelsql.MethodConnExec, otelsql.MethodConnQuery, otelsql.MethodStmtExec, otelsql.MethodStmtQuery:
		return in.describer.Begin(ctx, query, args)
	default:
		return false
	}
}

func (in *instrument) name(_ context.Context, _ otelsql.Method, query string) string {
	return in.describer.Name(query)
}

func (in *instrument) attributes(ctx context.Context, _ otelsql.Method, query string, args []driver.NamedValue) []attribute.KeyValue {
	return in.describer.Attributes(ctx, query, args)
}

func errorAttributes(err error) []attribute.KeyValue {
	if errors.Is(err, driver.ErrSkip) {
		return nil
	}
	return []attribute.KeyValue{attribute.String(conv.ErrorType, statement.ErrorType(err))}
}
