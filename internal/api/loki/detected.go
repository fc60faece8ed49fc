package loki

import (
	"runtime"
	"slices"

	"github.com/mindscope/mindscope/internal/query/logql"
)

const (
	detectLines  = 1000 // lines that are looked at
	detectFields = 1000 // fields, and values of one, that are told
)

type detectedField struct {
	Label       string   `json:"label"`
	Type        string   `json:"type"`
	Cardinality int      `json:"cardinality"`
	Parsers     []string `json:"parsers"` // null for fields that need none
}

// detect looks at the newest lines of a request's query.
func (a *API) detect(q *request, limit int) ([]logql.DetectedField, error) {
	expr, at, err := q.scope()
	if err != nil {
		return nil, err
	}
	lines, err := q.count("line_limit", detectLines, a.engine.Limits().MaxLines)
	if err != nil {
		return nil, err
	}
	return a.engine.DetectedFields(q.Context(), q.project, expr, at, lines, limit)
}

func (a *API) detectedFields(q *request) error {
	limit, err := q.count("limit", detectFields, detectFields)
	if err != nil {
		return err
	}
	found, err := a.detect(q, limit)
	if err != nil {
		return err
	}
	fields := make([]detectedField, len(found))
	for i, f := range found {
		fields[i] = detectedField{f.Name, f.Type, f.Count, f.Parsers}
	}
	return q.answer(map[string]any{"fields": fields, "limit": limit})
}

func (a *API) detectedValues(q *request) error {
	limit, err := q.count("limit", detectFields, detectFields)
	if err != nil {
		return err
	}
	found, err := a.detect(q, 0)
	if err != nil {
		return err
	}
	values := []string{}
	if i := slices.IndexFunc(found, func(f logql.DetectedField) bool { return f.Name == q.PathValue("name") }); i >= 0 {
		values = found[i].Values[:min(len(found[i].Values), limit)]
	}
	return q.answer(map[string]any{"values": values, "limit": limit})
}

func (a *API) detectedLabels(q *request) error {
	selector, at, err := q.scope()
	if err != nil {
		return err
	}
	counts, err := a.engine.LabelCounts(q.Context(), q.project, selector, at)
	if err != nil {
		return err
	}
	type label struct {
		Label       string `json:"label"`
		Cardinality int    `json:"cardinality"`
	}
	labels := make([]label, len(counts))
	for i, c := range counts {
		labels[i] = label{c.Name, c.Values}
	}
	return q.answer(map[string]any{"detectedLabels": labels})
}

func (a *API) buildInfo(q *request) error {
	return q.answer(map[string]string{
		"version": a.cfg.Version, "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": runtime.Version(),
	})
}
