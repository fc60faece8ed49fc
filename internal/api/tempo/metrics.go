package tempo

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/mindscope/mindscope/internal/query/traceql"
)

const (
	mostExemplars = 1000
	// usualPoints is how many points a series has when no step is asked for.
	usualPoints = 100
)

type rangeSeries struct {
	Labels    []keyValue `json:"labels"`
	Samples   []sample   `json:"samples"`
	Exemplars []exemplar `json:"exemplars,omitempty"`
}

type sample struct {
	TimestampMs string  `json:"timestampMs"`
	Value       float64 `json:"value"`
}

type exemplar struct {
	Labels      []keyValue `json:"labels"`
	Value       float64    `json:"value"`
	TimestampMs string     `json:"timestampMs"`
}

type instantSeries struct {
	Labels []keyValue `json:"labels"`
	Value  float64    `json:"value"`
}

type metricsFigures struct {
	InspectedSpans string `json:"inspectedSpans,omitempty"`
}

// metricsRequest reads what both endpoints have in common. Grafana 10 named the query "query".
func (a *API) metricsRequest(r *request) (req traceql.MetricsRequest, err error) {
	text := r.params.Get("q")
	if text == "" {
		text = r.params.Get("query")
	}
	if req.Query, err = traceql.Parse(text); err != nil {
		return req, err
	}
	req.Time, _, err = r.time(a.clock())
	req.Time.End -= int64(time.Second) // the end is no second here, but the end
	return req, err
}

func (a *API) metricsRange(w http.ResponseWriter, r *request) error {
	req, err := a.metricsRequest(r)
	if err != nil {
		return err
	}
	if req.Step, err = r.step(time.Duration(req.Time.End - req.Time.Start)); err != nil {
		return err
	}
	if req.Exemplars, err = r.count("exemplars", 0, mostExemplars); err != nil {
		return err
	}
	result, err := a.engine.Metrics(r.Context(), r.project, req)
	if err != nil {
		return err
	}
	out := struct {
		Series  []rangeSeries  `json:"series"`
		Metrics metricsFigures `json:"metrics"`
		Status  string         `json:"status"`
		Message string         `json:"message"`
	}{Series: []rangeSeries{}, Metrics: metricsFigures{strconv.Itoa(result.InspectedSpans)}, Status: "COMPLETE"}
	if result.Partial {
		out.Status, out.Message = "PARTIAL", partialMessage
	}
	for _, s := range result.Series {
		series := rangeSeries{Labels: wireLabels(s.Labels), Samples: []sample{}}
		for _, p := range s.Samples {
			if finite(p.Value) {
				series.Samples = append(series.Samples, sample{wireMillis(p.Time), p.Value})
			}
		}
		for _, e := range s.Exemplars {
			labels := []keyValue{{"trace:id", wireValue(traceql.String(e.TraceID))}}
			series.Exemplars = append(series.Exemplars, exemplar{labels, e.Value, wireMillis(e.Time)})
		}
		out.Series = append(out.Series, series)
	}
	return answer(w, out)
}

func (a *API) metricsInstant(w http.ResponseWriter, r *request) error {
	req, err := a.metricsRequest(r)
	if err != nil {
		return err
	}
	result, err := a.engine.Metrics(r.Context(), r.project, req)
	if err != nil {
		return err
	}
	out := struct {
		Series  []instantSeries `json:"series"`
		Metrics metricsFigures  `json:"metrics"`
	}{Series: []instantSeries{}, Metrics: metricsFigures{strconv.Itoa(result.InspectedSpans)}}
	for _, s := range result.Series {
		if len(s.Samples) > 0 && finite(s.Samples[0].Value) {
			out.Series = append(out.Series, instantSeries{wireLabels(s.Labels), s.Samples[0].Value})
		}
	}
	return answer(w, out)
}

// step reads a duration, or a number of seconds.
func (r *request) step(length time.Duration) (time.Duration, error) {
	text := r.params.Get("step")
	if text == "" {
		return max(time.Second, (length / usualPoints).Round(time.Second)), nil
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && finite(seconds) && seconds > 0 && seconds < 1e9 {
		return time.Duration(seconds * float64(time.Second)), nil
	}
	step, err := time.ParseDuration(text)
	if err != nil || step <= 0 {
		return 0, badRequest("step %q: a duration like 15s is expected", text)
	}
	return step, nil
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

func wireMillis(ns int64) string { return strconv.FormatInt(ns/int64(time.Millisecond), 10) }

func wireLabels(labels []traceql.Pair) []keyValue {
	out := wirePairs(labels)
	if out == nil {
		out = []keyValue{}
	}
	return out
}
