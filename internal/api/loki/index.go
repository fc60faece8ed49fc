package loki

import (
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/query/logql"
	"github.com/mindscope/mindscope/internal/signal"
)

type timeRange = signal.TimeRange

// indexStats says how much a query will look at.
func (a *API) indexStats(q *request) error {
	selector, at, err := q.scope()
	if err != nil {
		return err
	}
	size, err := a.engine.Size(q.Context(), q.project, selector, at)
	if err != nil {
		return err
	}
	return q.answer(struct {
		Streams int64 `json:"streams"`
		Chunks  int64 `json:"chunks"`
		Bytes   int64 `json:"bytes"`
		Entries int64 `json:"entries"`
	}{size.Streams, size.Streams, size.Bytes, size.Entries})
}

// volumeQuery reads what index/volume and index/volume_range have in common.
func (q *request) volumeQuery() (logql.VolumeQuery, error) {
	selector, at, err := q.scope()
	if err != nil {
		return logql.VolumeQuery{}, err
	}
	out := logql.VolumeQuery{Selector: selector, At: at}
	if out.Limit, err = q.count("limit", 100, 10_000); err != nil {
		return out, err
	}
	for name := range strings.SplitSeq(q.Form.Get("targetLabels"), ",") {
		if name = strings.TrimSpace(name); name != "" {
			out.Labels = append(out.Labels, name)
		}
	}
	switch by := q.Form.Get("aggregateBy"); by {
	case "", "series":
	case "labels":
		out.ByName = true
	default:
		return out, bad("aggregateBy: %q: give series or labels", by)
	}
	return out, nil
}

func (a *API) volume(q *request) error {
	query, err := q.volumeQuery()
	if err != nil {
		return err
	}
	series, err := a.engine.Volume(q.Context(), q.project, query)
	if err != nil {
		return err
	}
	return newDocument(q, logql.Stats{}).vector(&logql.Matrix{Series: series})
}

func (a *API) volumeRange(q *request) error {
	query, err := q.volumeQuery()
	if err != nil {
		return err
	}
	if query.Step, err = q.step(query.At); err != nil {
		return err
	}
	series, err := a.engine.Volume(q.Context(), q.project, query)
	if err != nil {
		return err
	}
	return newDocument(q, logql.Stats{}).matrix(series)
}

// patterns are not looked for; drilldownLimits says so, and Grafana shows none.
func (a *API) patterns(q *request) error { return q.answer(success{"success", []string{}}) }

// drilldownLimits tells Grafana's Logs Drilldown what there is.
func (a *API) drilldownLimits(q *request) error {
	limits := a.engine.Limits()
	return q.answer(map[string]any{
		"limits": map[string]any{
			"discover_log_levels":         true,
			"discover_service_name":       []string{"service_name"},
			"log_level_fields":            []string{"level", "detected_level"},
			"max_entries_limit_per_query": limits.MaxLines,
			"max_query_length":            "0s",
			"max_query_series":            limits.MaxSeries,
			"query_timeout":               limits.Timeout.String(),
			"retention_period":            a.cfg.Retention.Truncate(time.Second).String(),
			"volume_enabled":              true,
			"volume_max_series":           10_000,
			"metric_aggregation_enabled":  false,
		},
		"pattern_ingester_enabled": false,
		"version":                  a.cfg.Version,
	})
}
