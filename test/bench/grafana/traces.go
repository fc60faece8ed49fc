package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/mindscope/mindscope/internal/api/tempo"
	"github.com/mindscope/mindscope/test/bench/fill"
)

// traceQuestions are those of the Tempo data source. end is when the store's last spans started.
func traceQuestions(end time.Time, samples []fill.Sample) []question {
	all := span{end.Add(-fill.Stretch), end}
	day := span{end.Add(-26 * time.Hour), end.Add(-2 * time.Hour)}
	hour := span{end.Add(-4 * time.Hour), end.Add(-3 * time.Hour)} // not that of the one large trace
	return []question{
		search("search_builder", `{resource.service.name="newsroom" && span.gen_ai.request.model="gpt-4o" && duration>1s}`, all, 20),
		search("search_all", `{}`, all, 20),
		search("search_slow", `{nestedSetParent<0 && duration > 24s}`, all, 0),
		search("search_one", `{trace:id = "`+samples[len(samples)/2].TraceID+`"}`, all, 1),
		search("search_errors", `{status=error}`, all, 0),
		search("structural_hour", `{name="invoke_agent writer"} >> {span.gen_ai.request.model="claude-sonnet-4-5" && duration > 1s}`, hour, 20),
		search("structural_hour_nothing", `{} >> {kind=client && span.db.system.name="postgresql" && duration > 1h}`, hour, 0),
		search("structural_hour_every", `{name="save_artifact"} > {}`, hour, 0),
		search("groups_hour", `{} | by(resource.service.name) | count() > 100`, hour, 0),
		search("groups_all", `{} | by(resource.service.name) | count() > 100000`, all, 0),
		values("tag_values_service", "resource.service.name", 1),
		values("tag_values_model", "span.gen_ai.request.model", 3),
		values("tag_values_name", "name", 10),
		{"tags", tempo.Prefix + "/api/v2/search/tags?limit=5000", counted("scopes", 3)},
		series("rate_by_service_day", `{} | rate() by(resource.service.name)`, day, 1),
		series("rate_by_model_day", `{span.gen_ai.operation.name="chat"} | rate() by(span.gen_ai.request.model)`, day, 3),
		series("rate_of_numbers_day", `{span.gen_ai.usage.input_tokens > 100} | rate() by(span.gen_ai.request.model)`, day, 3),
		series("quantile_day", `{nestedSetParent<0} | quantile_over_time(duration, 0.9) by(name)`, day, 1),
		series("histogram_day", `{nestedSetParent<0} | histogram_over_time(duration)`, day, 1),
		series("structural_rate_hour", `{name="invoke_agent writer"} >> {kind=client} | rate() by(span.gen_ai.request.model)`, hour, 1),
	}
}

// span is a time that a question is about.
type span struct{ from, to time.Time }

func (s span) params() string {
	return fmt.Sprintf("&start=%d&end=%d", s.from.Unix(), s.to.Unix())
}

func search(name, query string, at span, traces int) question {
	return question{name, tempo.Prefix + "/api/search?limit=20&spss=3&q=" + url.QueryEscape(query) + at.params(), func(body []byte) error {
		var doc struct {
			Traces []json.RawMessage `json:"traces"`
		}
		err := json.Unmarshal(body, &doc)
		if err == nil && len(doc.Traces) < traces {
			err = fmt.Errorf("%d traces, want %d", len(doc.Traces), traces)
		}
		return err
	}}
}

func values(name, tag string, atLeast int) question {
	return question{name, tempo.Prefix + "/api/v2/search/tag/" + tag + "/values?limit=5000", counted("tagValues", atLeast)}
}

func series(name, query string, at span, atLeast int) question {
	step := strconv.Itoa(int(at.to.Sub(at.from).Seconds())/288) + "s"
	return question{
		name, tempo.Prefix + "/api/metrics/query_range?step=" + step + "&exemplars=100&q=" + url.QueryEscape(query) + at.params(),
		counted("series", atLeast),
	}
}

// counted wants a list of the answer to have so many members.
func counted(list string, atLeast int) func([]byte) error {
	return func(body []byte) error {
		var doc map[string]json.RawMessage
		if err := json.Unmarshal(body, &doc); err != nil {
			return err
		}
		var members []json.RawMessage
		if err := json.Unmarshal(doc[list], &members); err != nil {
			return err
		}
		if len(members) < atLeast {
			return fmt.Errorf("%d %s, want at least %d", len(members), list, atLeast)
		}
		return nil
	}
}
