package loki

import (
	"time"

	"github.com/mindscope/mindscope/internal/query/logql"
	"github.com/mindscope/mindscope/internal/signal"
)

const defaultLines = 100

// query answers a metric query at one instant.
func (a *API) query(q *request) error {
	expr, err := logql.Parse(q.Form.Get("query"))
	if err != nil {
		return err
	}
	at, err := q.time("time", q.now.UnixNano())
	if err != nil {
		return err
	}
	if _, isLog := expr.(*logql.LogExpr); isLog {
		return bad("a query for lines can't be answered at an instant: ask query_range, or count the lines as in count_over_time({…}[5m])")
	}
	m, err := a.engine.Matrix(q.Context(), q.project, expr, logql.Instant(at))
	if err != nil {
		return err
	}
	return newDocument(q, m.Stats).vector(m)
}

// queryRange answers with lines, or with numbers at steps.
func (a *API) queryRange(q *request) error {
	expr, err := logql.Parse(q.Form.Get("query"))
	if err != nil {
		return err
	}
	at, err := q.timeRange()
	if err != nil {
		return err
	}
	if log, isLog := expr.(*logql.LogExpr); isLog {
		return a.lines(q, log, at)
	}
	step, err := q.step(at)
	if err != nil {
		return err
	}
	m, err := a.engine.Matrix(q.Context(), q.project, expr, logql.Steps{Start: at.Start, End: at.End, Step: step})
	if err != nil {
		return err
	}
	return newDocument(q, m.Stats).matrix(m.Series)
}

func (a *API) lines(q *request, log *logql.LogExpr, at signal.TimeRange) error {
	limit, err := q.count("limit", defaultLines, a.engine.Limits().MaxLines)
	if err != nil {
		return err
	}
	forward, err := q.forward()
	if err != nil {
		return err
	}
	lines, err := a.engine.Lines(q.Context(), q.project, log, at, limit, forward)
	if err != nil {
		return err
	}
	return newDocument(q, lines.Stats).streams(lines.Entries)
}

// formatQuery writes a query as its tree reads.
func (a *API) formatQuery(q *request) error {
	expr, err := logql.Parse(q.Form.Get("query"))
	if err != nil {
		return err
	}
	return q.answer(success{"success", expr.String()})
}

// seconds are a time as Prometheus writes it, to the millisecond.
func seconds(at int64) float64 { return float64(at/int64(time.Millisecond)) / 1000 }
