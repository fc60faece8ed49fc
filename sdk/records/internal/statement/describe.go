// Package statement says of an SQL statement what its span carries, whatever driver runs it.
package statement

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/conv"
)

// Config says how statements are described.
type Config struct {
	System, Namespace, IDColumn string
	OnInsert                    func(context.Context, Insert)
}

// Insert describes an INSERT that is about to run.
type Insert struct {
	Table   string
	Columns []string
	Values  map[string]any
	Query   string
}

// Describer describes the statements of one database. It may be used concurrently.
type Describer struct {
	cfg    Config
	parser *parser
}

// New returns a Describer.
func New(cfg Config) *Describer { return &Describer{cfg, newParser(cfg.System)} }

// Begin calls the hook on each INSERT of a text, and tells whether the text is to have a span. A statement outside of every
// trace would be seen as a task of its own; only a new record is worth that, since it is one whose task was lost.
func (d *Describer) Begin(ctx context.Context, query string, args []driver.NamedValue) bool {
	if d.cfg.OnInsert != nil {
		d.report(ctx, query, args)
	}
	return trace.SpanContextFromContext(ctx).IsValid() || slices.ContainsFunc(d.parser.parse(query).statements, statement.isInsert)
}

func (d *Describer) report(ctx context.Context, query string, args []driver.NamedValue) {
	q := d.parser.parse(query)
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
		d.cfg.OnInsert(ctx, ins)
	}
}

// Name returns the name of a statement's span.
func (d *Describer) Name(query string) string {
	if s := d.parser.parse(query).summary; s != "" {
		return s
	}
	return d.cfg.System
}

// Attributes returns what a statement's span carries.
func (d *Describer) Attributes(ctx context.Context, query string, args []driver.NamedValue) []attribute.KeyValue {
	q := d.parser.parse(query)
	attrs := d.common(ctx, q.text, q.summary)
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
	if id, ok := s.value(d.cfg.IDColumn, args); ok {
		attrs = append(attrs, attribute.String(conv.AITeamRecordID, recordID(id)))
	}
	return attrs
}

// common returns what all statements have.
func (d *Describer) common(ctx context.Context, text, summary string) []attribute.KeyValue {
	attrs := make([]attribute.KeyValue, 0, 16)
	attrs = append(attrs, sdk.Attributes(ctx)...)
	attrs = append(attrs,
		attribute.String(conv.DBSystemName, d.cfg.System),
		attribute.String(conv.DBQueryText, text),
	)
	if d.cfg.Namespace != "" {
		attrs = append(attrs, attribute.String(conv.DBNamespace, d.cfg.Namespace))
	}
	if summary != "" {
		attrs = append(attrs, attribute.String(conv.DBQuerySummary, summary))
	}
	return attrs
}

// Copy describes the copying of rows into a table, which inserts them without a statement for each. It calls the hook, and
// returns the name and the attributes of the span.
func (d *Describer) Copy(ctx context.Context, table string, columns []string) (string, []attribute.KeyValue) {
	text := "COPY " + table + " (" + strings.Join(columns, ", ") + ") FROM STDIN"
	if d.cfg.OnInsert != nil {
		lower := make([]string, len(columns))
		for i, c := range columns {
			lower[i] = strings.ToLower(c)
		}
		d.cfg.OnInsert(ctx, Insert{Table: table, Columns: lower, Query: text, Values: map[string]any{}})
	}
	name := "COPY " + table
	return name, append(d.common(ctx, text, name),
		attribute.String(conv.DBOperationName, "COPY"),
		attribute.String(conv.DBCollectionName, table),
		attribute.String(conv.AITeamRecordTable, table))
}

func recordID(v any) string {
	switch v := v.(type) {
	case []byte:
		return fmt.Sprintf("%x", v)
	case [16]byte: // a UUID, as pgx takes it
		return fmt.Sprintf("%x-%x-%x-%x-%x", v[:4], v[4:6], v[6:8], v[8:10], v[10:])
	default:
		return fmt.Sprint(v)
	}
}

// ErrorType returns the class of a statement's error: what it says itself, the database's code (SQLSTATE), timeout or
// cancelled, else its Go type.
func ErrorType(err error) string {
	var typer sdk.ErrorTyper
	var coded interface{ SQLState() string }
	switch {
	case errors.As(err, &typer):
		return typer.ErrorType()
	case errors.As(err, &coded) && coded.SQLState() != "":
		return coded.SQLState()
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return fmt.Sprintf("%T", err)
}
