package records

import (
	"context"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk/records/internal/statement"
)

// Comment returns a query with the ids of ctx's task and trace as a comment in the form of sqlcommenter, so that the
// database's own log and list of running statements name them. Without a trace the query stays as it is.
//
// Every task makes another text of it. Where statements are prepared by their text (pgx does so unless told otherwise) a
// comment on each fills that cache; use it for the few statements that take long, or with pgx.QueryExecModeExec.
func Comment(ctx context.Context, query string) string {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() || strings.HasSuffix(strings.TrimRight(query, " \n\t;"), "*/") {
		return query
	}
	task, _ := IDs(ctx)
	// A comment at the end belongs to the statement only when no semicolon ends it before.
	query = strings.TrimRight(query, "; \n\t")
	return query + statement.CommentStart + escape(task) +
		"',traceparent='00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-" + sc.TraceFlags().String() + "'*/"
}

// escape makes a value fit for a comment: what is left can end neither the text nor the comment.
func escape(v string) string { return strings.ReplaceAll(url.QueryEscape(v), "+", "%20") }
