// Package pgxrecords makes the statements of pgx, PostgreSQL's driver for Go, part of the tasks they belong to: a span for
// each Query, QueryRow, Exec and CopyFrom, and for each statement of a batch.
//
//	cfg, err := pgxpool.ParseConfig(url)
//	cfg.ConnConfig.Tracer = pgxrecords.NewTracer()
//	pool, err := pgxpool.NewWithConfig(ctx, cfg)
//	task, trace := records.IDs(ctx)
//	_, err = pool.Exec(ctx, `INSERT INTO task_steps (id, task_id, trace_id) VALUES ($1, $2, $3)`, id, task, trace)
//
// Who uses pgx through database/sql opens it with records.Open("pgx", url) instead.
package pgxrecords

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk/conv"
	"github.com/mindscope/mindscope/sdk/records"
	"github.com/mindscope/mindscope/sdk/records/internal/statement"
)

// Tracer makes the spans of connections. It may be used for many of them, concurrently. It implements pgx.QueryTracer,
// pgx.BatchTracer and pgx.CopyFromTracer.
type Tracer struct {
	describer *statement.Describer
	tracer    trace.Tracer
}

var (
	_ pgx.QueryTracer    = (*Tracer)(nil)
	_ pgx.BatchTracer    = (*Tracer)(nil)
	_ pgx.CopyFromTracer = (*Tracer)(nil)
)

// NewTracer returns a tracer for pgx.ConnConfig.Tracer. The options are those of records; system and namespace are known.
func NewTracer(opts ...records.Option) *Tracer {
	cfg := statement.Config{System: "postgresql", IDColumn: "id"}
	for _, o := range opts {
		o.Apply(&cfg)
	}
	return &Tracer{statement.New(cfg), otel.Tracer("github.com/mindscope/mindscope/sdk/records/pgxrecords")}
}

// running is the key of the span that a statement's context carries. The context's own span may be the caller's.
type running struct{}

// TraceQueryStart implements pgx.QueryTracer.
func (t *Tracer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	args := named(data.Args)
	if !t.describer.Begin(ctx, data.SQL, args) {
		return ctx
	}
	ctx, span := t.tracer.Start(ctx, t.describer.Name(data.SQL), trace.WithSpanKind(trace.SpanKindClient))
	if span.IsRecording() {
		span.SetAttributes(t.describer.Attributes(ctx, data.SQL, args)...)
		span.SetAttributes(peer(conn)...)
	}
	return context.WithValue(ctx, running{}, span)
}

// TraceQueryEnd implements pgx.QueryTracer.
func (t *Tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	end(ctx, data.Err)
}

// TraceBatchStart implements pgx.BatchTracer. Each statement of a batch has a span of its own, the batch has none.
func (t *Tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return context.WithValue(ctx, running{}, time.Now())
}

// TraceBatchQuery implements pgx.BatchTracer.
func (t *Tracer) TraceBatchQuery(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchQueryData) {
	args := named(data.Args)
	if !t.describer.Begin(ctx, data.SQL, args) {
		return
	}
	start := data.ReadStartTime
	if sent, ok := ctx.Value(running{}).(time.Time); ok && start.IsZero() {
		start = sent
	}
	ctx, span := t.tracer.Start(ctx, t.describer.Name(data.SQL), trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(start))
	if span.IsRecording() {
		span.SetAttributes(t.describer.Attributes(ctx, data.SQL, args)...)
		span.SetAttributes(peer(conn)...)
	}
	end(context.WithValue(ctx, running{}, span), data.Err)
}

// TraceBatchEnd implements pgx.BatchTracer.
func (t *Tracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// TraceCopyFromStart implements pgx.CopyFromTracer.
func (t *Tracer) TraceCopyFromStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	table := ""
	if n := len(data.TableName); n > 0 {
		table = data.TableName[n-1]
	}
	name, attrs := t.describer.Copy(ctx, table, data.ColumnNames)
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
	span.SetAttributes(peer(conn)...)
	return context.WithValue(ctx, running{}, span)
}

// TraceCopyFromEnd implements pgx.CopyFromTracer.
func (t *Tracer) TraceCopyFromEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceCopyFromEndData) {
	end(ctx, data.Err)
}

func end(ctx context.Context, err error) {
	span, ok := ctx.Value(running{}).(trace.Span)
	if !ok {
		return
	}
	if err != nil && span.IsRecording() {
		span.SetStatus(codes.Error, err.Error())
		span.SetAttributes(attribute.String(conv.ErrorType, statement.ErrorType(err)))
		span.RecordError(err)
	}
	span.End()
}

// peer returns where a connection leads.
func peer(conn *pgx.Conn) []attribute.KeyValue {
	if conn == nil {
		return nil
	}
	cfg := conn.Config()
	attrs := []attribute.KeyValue{attribute.String(conv.ServerAddress, cfg.Host)}
	if cfg.Port != 0 {
		attrs = append(attrs, attribute.Int(conv.ServerPort, int(cfg.Port)))
	}
	if cfg.Database != "" {
		attrs = append(attrs, attribute.String(conv.DBNamespace, cfg.Database))
	}
	return attrs
}

// named returns arguments as database/sql has them. pgx takes options and rewriters in front of them.
func named(args []any) []driver.NamedValue {
	var list []driver.NamedValue
	for _, a := range args {
		switch a := a.(type) {
		case pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID:
		case pgx.NamedArgs:
			for name, v := range a {
				list = append(list, driver.NamedValue{Name: name, Value: v})
			}
		case pgx.StrictNamedArgs:
			for name, v := range a {
				list = append(list, driver.NamedValue{Name: name, Value: v})
			}
		case pgx.QueryRewriter:
		default:
			list = append(list, driver.NamedValue{Ordinal: len(list) + 1, Value: a})
		}
	}
	return list
}
