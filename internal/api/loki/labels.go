package loki

import (
	"github.com/mindscope/mindscope/internal/query/logql"
)

// scope returns the selector of a request, everything without one, and its range.
func (q *request) scope() (*logql.LogExpr, timeRange, error) {
	selector, err := logql.ParseSelector(q.Form.Get("query"))
	if err != nil {
		return nil, timeRange{}, err
	}
	at, err := q.timeRange()
	return selector, at, err
}

func (a *API) labels(q *request) error {
	selector, at, err := q.scope()
	if err != nil {
		return err
	}
	names, err := a.engine.LabelNames(q.Context(), q.project, selector, at)
	if err != nil {
		return err
	}
	return q.answer(success{"success", list(names)})
}

// list is never null in JSON.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

func (a *API) labelValues(q *request) error {
	selector, at, err := q.scope()
	if err != nil {
		return err
	}
	values, err := a.engine.LabelValues(q.Context(), q.project, q.PathValue("name"), selector, at)
	if err != nil {
		return err
	}
	return q.answer(success{"success", list(values)})
}

func (a *API) series(q *request) error {
	at, err := q.timeRange()
	if err != nil {
		return err
	}
	matches := q.Form["match[]"]
	if len(matches) == 0 {
		matches = q.Form["match"]
	}
	if len(matches) == 0 {
		matches = []string{""}
	}
	const maxMatches = 100
	if len(matches) > maxMatches {
		return bad("match[]: %d selectors, at most %d are allowed", len(matches), maxMatches)
	}
	selectors := make([]*logql.LogExpr, 0, len(matches))
	for _, m := range matches {
		s, err := logql.ParseSelector(m)
		if err != nil {
			return err
		}
		selectors = append(selectors, s)
	}
	streams, err := a.engine.Streams(q.Context(), q.project, selectors, at)
	if err != nil {
		return err
	}
	out := make([]map[string]string, len(streams))
	for i, labels := range streams {
		out[i] = mapOf(labels)
	}
	return q.answer(success{"success", out})
}

func mapOf(labels logql.Labels) map[string]string {
	out := make(map[string]string, len(labels))
	for _, l := range labels {
		out[l.Name] = l.Value
	}
	return out
}
