package care

import (
	"context"
	"fmt"
	"io"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// rowsPerLine and bytesPerLine bound the spans or records of one line of an export.
	rowsPerLine  = 200
	bytesPerLine = 4 << 20
)

// Export writes all that is known of a target, a line of OTLP JSON (TracesData or LogsData) for some spans or log
// records each, oldest first: what collectors and other tools read. It returns the number of rows, store.ErrNotFound
// when there are none.
func (c *Care) Export(ctx context.Context, p signal.Project, t Target, w io.Writer) (int, error) {
	filters, err := c.filters(ctx, p, t)
	if err != nil {
		return 0, err
	}
	total := 0
	for _, k := range []store.Kind{store.KindSpan, store.KindLog, store.KindStart} {
		n, err := c.exportKind(ctx, p, store.Scope{Kind: k, Time: signal.AllTime(), Filter: store.Or(filters)}, w)
		total += n
		if err != nil {
			return total, fmt.Errorf("export %ss of %s: %w", k, t, err)
		}
	}
	if total == 0 {
		return 0, fmt.Errorf("%s: %w", t, store.ErrNotFound)
	}
	return total, nil
}

func (c *Care) exportKind(ctx context.Context, p signal.Project, s store.Scope, w io.Writer) (int, error) {
	total, bytes := 0, 0
	var rows []store.Row
	flush := func() error {
		if len(rows) == 0 {
			return nil
		}
		line, err := otlpJSON(s.Kind, rows)
		if err != nil {
			return err
		}
		total += len(rows)
		rows, bytes = rows[:0], 0
		_, err = w.Write(append(line, '\n'))
		return err
	}
	for r, err := range c.events.Select(ctx, p, store.Select{Scope: s, Order: store.OldestFirst}) {
		if err != nil {
			return total, err
		}
		rows = append(rows, *r.Clone())
		for _, f := range r.Fields {
			bytes += len(f.Name) + len(f.Value.Text())
		}
		if len(rows) < rowsPerLine && bytes < bytesPerLine {
			continue
		}
		if err := flush(); err != nil {
			return total, err
		}
	}
	return total, flush()
}

func otlpJSON(k store.Kind, rows []store.Row) ([]byte, error) {
	if k == store.KindSpan {
		td, err := store.Traces(rows)
		if err != nil {
			return nil, err
		}
		return (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	}
	ld, err := store.Logs(rows)
	if err != nil {
		return nil, err
	}
	return (&plog.JSONMarshaler{}).MarshalLogs(ld)
}
