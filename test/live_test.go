package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/test/harness"
)

const liveTrace = "5b8efff798038103d269b633813fc60c"

// startRecord is a start record of the SDK as OTLP JSON.
func startRecord(task, span, parent, name, agent string) []byte {
	return []byte(fmt.Sprintf(`{"resourceLogs":[{"resource":{"attributes":[{"key":"ai_team.team","value":{"stringValue":"press"}}]},"scopeLogs":[{"logRecords":[{`+
		`"timeUnixNano":"%[1]d","eventName":"ai_team.span.started","traceId":"%[2]s","spanId":"%[3]s","attributes":[`+
		`{"key":"ai_team.task.id","value":{"stringValue":"%[4]s"}},{"key":"ai_team.span.name","value":{"stringValue":"%[5]s"}},`+
		`{"key":"ai_team.span.parent_id","value":{"stringValue":"%[6]s"}},{"key":"gen_ai.agent.name","value":{"stringValue":"%[7]s"}},`+
		`{"key":"ai_team.span.start_time_unix_nano","value":{"intValue":"%[1]d"}}]}]}]}]}`,
		time.Now().UnixNano(), liveTrace, span, task, name, parent, agent))
}

// TestRunningTaskIsSeenAtOnce: a task that has only begun is in the live stream within a second, runs in the lists, and
// goes from both when it has ended.
func TestRunningTaskIsSeenAtOnce(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.HTTP+"/api/mindscope/v1/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	events := make(chan string, 1000)
	go func() {
		defer close(events)
		for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				events <- data
			}
		}
	}()
	expect := func(what string, want func(holder string, total int) bool) time.Duration {
		t.Helper()
		begin := time.Now()
		for {
			select {
			case data, open := <-events:
				var e struct {
					Tasks []struct {
						Holder struct{ Agent string }
					}
					Total int
				}
				if err := json.Unmarshal([]byte(data), &e); !open || err != nil {
					t.Fatalf("%s: %v %s", what, err, data)
				}
				holder := ""
				if len(e.Tasks) > 0 {
					holder = e.Tasks[0].Holder.Agent
				}
				if want(holder, e.Total) {
					return time.Since(begin)
				}
			case <-time.After(visible):
				t.Fatalf("%s was not seen within %s", what, visible)
			}
		}
	}
	expect("an empty server", func(_ string, total int) bool { return total == 0 })
	post := func(path string, body []byte) {
		t.Helper()
		if status, answer := harness.Post(t, s.OTLPHTTP+path, jsonBody, body); status != http.StatusOK || string(answer) != "{}" {
			t.Fatalf("status %d, %s", status, answer)
		}
	}
	post("/v1/logs", startRecord("task-456", "0000000000000001", "", "execute_task", "orchestrator"))
	took := expect("the orchestrator", func(holder string, _ int) bool { return holder == "orchestrator" })
	post("/v1/logs", startRecord("task-456", "0000000000000002", "0000000000000001", "invoke_agent writer", "writer"))
	expect("the writer", func(holder string, _ int) bool { return holder == "writer" })
	t.Logf("an event was visible after %s", took)
	status := func(want string) {
		t.Helper()
		harness.Eventually(t, visible, "the task to be "+want, func() error {
			var task struct{ Status string }
			if err := s.Get("/api/mindscope/v1/tasks/task-456", &task); err != nil {
				return err
			}
			if task.Status != want {
				return fmt.Errorf("it is %s", task.Status)
			}
			return nil
		})
	}
	status("running")
	if n := s.Metric(t, "mindscope_live_spans"); n != 2 {
		t.Errorf("%v running spans, want 2", n)
	}
	for id, name := range map[string]string{"0000000000000001": "execute_task", "0000000000000002": "invoke_agent writer"} {
		post("/v1/traces", []byte(fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"ai_team.team","value":{"stringValue":"press"}}]},"scopeSpans":[{"spans":[{`+
			`"traceId":"%s","spanId":"%s","name":"%s","startTimeUnixNano":"%d","endTimeUnixNano":"%d","attributes":[{"key":"ai_team.task.id","value":{"stringValue":"task-456"}}]}]}]}]}`,
			liveTrace, id, name, time.Now().Add(-time.Second).UnixNano(), time.Now().UnixNano())))
	}
	expect("the end", func(_ string, total int) bool { return total == 0 })
	status("completed")
	s.Stop(t) // the open stream does not hold it up
}
