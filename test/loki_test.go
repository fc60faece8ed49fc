package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/mindscope/mindscope/test/harness"
)

// logRecord is a record of a service as OTLP JSON.
func logRecord(service, task, line string, at time.Time, severity int) []byte {
	body, _ := json.Marshal(line)
	return fmt.Appendf(nil, `{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":%q}},{"key":"ai_team.team","value":{"stringValue":"press"}}]},`+
		`"scopeLogs":[{"logRecords":[{"timeUnixNano":"%d","severityNumber":%d,"traceId":"5b8efff798038103d269b633813fc60c","body":{"stringValue":%s},`+
		`"attributes":[{"key":"ai_team.task.id","value":{"stringValue":%q}}]}]}]}]}`, service, at.UnixNano(), severity, body, task)
}

type lokiAnswer struct {
	Data struct {
		ResultType string
		Result     []struct {
			Stream map[string]string
			Metric map[string]string
			Values [][]json.RawMessage
			Value  []json.RawMessage
		}
	}
}

// lokiLines asks as Grafana does and returns the lines in the order of the answer.
func lokiLines(t *testing.T, s *harness.Server, params ...string) (lines []string, answer lokiAnswer) {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.HTTP+"/loki/api/v1/query_range?"+form.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Loki-Response-Encoding-Flags", "categorize-labels")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v: %s", resp.StatusCode, err, raw)
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		t.Fatal(err)
	}
	for _, r := range answer.Data.Result {
		for _, v := range r.Values {
			var line string
			if err := json.Unmarshal(v[1], &line); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, line)
		}
	}
	return lines, answer
}

// TestLogsInGrafana: what is sent over OTLP is read, followed and counted over the Loki API, and a line's context is found in
// both directions to the nanosecond.
func TestLogsInGrafana(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	post := func(body []byte) {
		t.Helper()
		if status, answer := harness.Post(t, s.OTLPHTTP+"/v1/logs", jsonBody, body); status != http.StatusOK || string(answer) != "{}" {
			t.Fatalf("status %d, %s", status, answer)
		}
	}
	begin := time.Now().Add(-time.Minute).Truncate(time.Second)
	for i := range 5 {
		post(logRecord("writer", "task-456", fmt.Sprintf("line %d", i), begin.Add(time.Duration(i)), 9))
	}
	post(logRecord("critic", "task-457", "model refused", begin.Add(time.Second), 17))
	window := []string{
		"start", fmt.Sprint(begin.Add(-time.Hour).UnixNano()), "end", fmt.Sprint(time.Now().Add(time.Hour).UnixNano()), "limit", "100",
	}
	query := func(q string, more ...string) []string {
		return append(append([]string{"query", q}, window...), more...)
	}
	harness.Eventually(t, visible, "the lines to be there", func() error {
		if lines, _ := lokiLines(t, s, query(`{service_name=~"writer|critic"}`)...); len(lines) != 6 {
			return fmt.Errorf("%d lines", len(lines))
		}
		return nil
	})
	expect := func(want string, params ...string) {
		t.Helper()
		if lines, _ := lokiLines(t, s, params...); strings.Join(lines, ",") != want {
			t.Errorf("%v: %v, want %s", params, lines, want)
		}
	}
	expect("model refused", query(`{service_name="critic"} | trace_id="5b8efff798038103d269b633813fc60c"`)...)
	expect("line 4,line 3,line 2,line 1,line 0", query(`{team="press"} | task_id="task-456"`)...)
	expect("line 0,line 1", query(`{service_name="writer"}`, "direction", "forward", "limit", "2")...)
	row := begin.Add(2)
	expect("line 1,line 0", "query", `{service_name="writer"}`, "start", fmt.Sprint(row.Add(-2*time.Hour).UnixNano()), "end", fmt.Sprint(row.UnixNano()), "direction", "backward")
	expect("line 2,line 3,line 4", "query", `{service_name="writer"}`, "start", fmt.Sprint(row.UnixNano()), "end", fmt.Sprint(row.Add(2*time.Hour).UnixNano()), "direction", "forward")
	_, volume := lokiLines(t, s, query(`sum by (level, detected_level) (count_over_time({team="press"} | drop __error__ [1h]))`, "step", "1h")...)
	if volume.Data.ResultType != "matrix" || len(volume.Data.Result) != 2 || volume.Data.Result[0].Metric["level"] != "error" {
		t.Errorf("log volume: %+v", volume.Data)
	}
	var health lokiAnswer
	if err := s.Get("/loki/api/v1/query?time=4000000000&query="+url.QueryEscape("vector(1)+vector(1)"), &health); err != nil ||
		len(health.Data.Result) != 1 || string(health.Data.Result[0].Value[1]) != `"2"` {
		t.Errorf("health: %v, %+v", err, health.Data)
	}
	followLogs(t, s, post)
}

// followLogs: a connection of Explore's live view gets a line when it is stored, and the server's stop ends it.
func followLogs(t *testing.T, s *harness.Server, post func([]byte)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), visible)
	defer cancel()
	target := strings.Replace(s.HTTP, "http", "ws", 1) + "/loki/api/v1/tail?query=" + url.QueryEscape(`{service_name="writer"} |= "live"`)
	conn, _, err := websocket.Dial(ctx, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	harness.Eventually(t, visible, "the server to know of the connection", func() error {
		if n := s.Metric(t, "mindscope_log_tails"); n != 1 {
			return fmt.Errorf("it knows %v", n)
		}
		return nil
	})
	post(logRecord("writer", "task-456", "a live line", time.Now(), 9))
	_, frame, err := conn.Read(ctx)
	if err != nil || !strings.Contains(string(frame), `"a live line"]`) || !strings.Contains(string(frame), `"dropped_entries":null`) {
		t.Fatalf("%v: %s", err, frame)
	}
	s.Stop(t)
	if _, _, err := conn.Read(ctx); err == nil {
		t.Error("the connection outlived the server")
	}
}
