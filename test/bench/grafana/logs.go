package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/mindscope/mindscope/internal/api/loki"
	"github.com/mindscope/mindscope/internal/query/logql"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/test/bench/fill"
)

// fileLogsEnd holds the time of a built store's last record, so that the store can be used again.
const fileLogsEnd = "end"

// askLogs builds a store of log records beside that of the spans, opens it and asks what the Loki data source asks.
func askLogs(ctx context.Context, dir string, records int, only string, figures map[string]any) (err error) {
	end, err := logsEnd(ctx, dir, records)
	if err != nil {
		return err
	}
	figures["log_records"] = records
	if err := fill.ForgetFiles(dir); err != nil {
		return err
	}
	db, err := eventdb.Open(dir+"/store", eventdb.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return measure(loki.New(logql.New(db, logql.Config{}), loki.Config{Version: "bench"}), logQuestions(end), only, figures)
}

// logsEnd builds the store unless it is there, and returns the time of its end.
func logsEnd(ctx context.Context, dir string, records int) (time.Time, error) {
	var end time.Time
	text, err := os.ReadFile(dir + "/" + fileLogsEnd)
	if err == nil {
		return end, end.UnmarshalText(text)
	}
	end = time.Now().Truncate(time.Minute)
	if err := fill.Logs(ctx, dir+"/store", records, fill.Stretch, end); err != nil {
		return end, fmt.Errorf("build store of logs: %w", err)
	}
	if text, err = end.MarshalText(); err != nil {
		return end, err
	}
	return end, os.WriteFile(dir+"/"+fileLogsEnd, text, 0o600)
}

// logQuestions are those of the Loki data source. Volumes are what Grafana asks for above the lines.
func logQuestions(end time.Time) []question {
	all := span{end.Add(-fill.Stretch), end}
	hour := span{end.Add(-time.Hour), end}
	const volume = `sum by (level, detected_level) (count_over_time(%s | drop __error__ [%s]))`
	return []question{
		logMatrix("log_volume", fmt.Sprintf(volume, `{service_name=~".+"}`, "72m"), all, "72m", 4),
		logMatrix("log_volume_service", fmt.Sprintf(volume, `{service_name="writer"}`, "72m"), all, "72m", 4),
		logMatrix("log_volume_text", fmt.Sprintf(volume, `{service_name="writer"} |= "sent back"`, "72m"), all, "72m", 4),
		logMatrix("log_volume_hour", fmt.Sprintf(volume, `{service_name=~".+"}`, "36s"), hour, "36s", 4),
		logMatrix("log_quantile_hour", `quantile_over_time(0.9, {service_name="writer"} | json | __error__="" | unwrap duration(took) [1m]) by (model)`, hour, "1m", 1),
		logLines("log_lines", `{service_name="writer"}`, all, 1000),
		logLines("log_task", `{team="newsroom"} | task_id="task-100"`, all, 1),
		logLines("log_text_rare", `{service_name="writer"} |= "nothing says this"`, all, 0),
		{"log_stats", logTarget("index/stats", `{service_name=~".+"}`, all, ""), hasMember("entries")},
		{"log_detected_fields", logTarget("detected_fields", `{service_name=~".+"}`, all, ""), counted("fields", 5)},
	}
}

func logTarget(path, query string, at span, more string) string {
	return fmt.Sprintf("%s/%s?query=%s&start=%d&end=%d%s", loki.Prefix, path, url.QueryEscape(query), at.from.UnixNano(), at.to.UnixNano(), more)
}

func logMatrix(name, query string, at span, step string, series int) question {
	return question{name, logTarget("query_range", query, at, "&step="+step), results(series, func(lokiResult) int { return 1 })}
}

func logLines(name, query string, at span, lines int) question {
	return question{name, logTarget("query_range", query, at, "&limit=1000&direction=backward"), results(lines, func(r lokiResult) int { return len(r.Values) })}
}

type lokiResult struct {
	Values []json.RawMessage `json:"values"`
}

// results wants so many series or lines at the least; 0 wants none.
func results(want int, count func(lokiResult) int) func([]byte) error {
	return func(body []byte) error {
		var doc struct {
			Data struct{ Result []lokiResult }
		}
		if err := json.Unmarshal(body, &doc); err != nil {
			return err
		}
		n := 0
		for _, r := range doc.Data.Result {
			n += count(r)
		}
		if n < want || want == 0 && n > 0 {
			return fmt.Errorf("%d results, want %d", n, want)
		}
		return nil
	}
}

func hasMember(name string) func([]byte) error {
	return func(body []byte) error {
		var doc map[string]float64
		if err := json.Unmarshal(body, &doc); err != nil {
			return err
		}
		if doc[name] == 0 {
			return fmt.Errorf("no %s", name)
		}
		return nil
	}
}
