package prometheus

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/test/harness"
)

// counted reads a status of ai_team_tasks_total off the server's own page of metrics.
func counted(t *testing.T, s *harness.Server, status string) int {
	t.Helper()
	return int(s.Metric(t, `ai_team_tasks_total{project="default",status="`+status+`",team="press"}`))
}

// TestCountersSurviveKills: tasks begin and end while the server is killed again and again. Whatever was acknowledged is
// counted, and counted once: pending = completed + failed + cancelled + in progress, and nothing ever goes back.
func TestCountersSurviveKills(t *testing.T) {
	data := t.TempDir()
	rnd := rand.New(rand.NewPCG(1, 2))
	n, failures, running := 0, 0, 0
	for round := range 6 {
		s := harness.Start(t, harness.Options{Data: data, Args: []string{"--no-metrics.enabled"}})
		check(t, s, n, failures, running)
		for range 20 + rnd.IntN(30) {
			switch rnd.IntN(3) {
			case 0:
				finish(t, s, n, true)
				failures++
				n++
			case 1:
				finish(t, s, n, false)
				finish(t, s, n, false) // sent again, as after a lost acknowledgement
				n++
			case 2:
				begin(t, s, 10_000+running)
				running++
			}
		}
		check(t, s, n, failures, running)
		if round%2 == 0 {
			s.Kill(t)
			continue
		}
		s.Stop(t)
	}
}

func check(t *testing.T, s *harness.Server, n, failures, running int) {
	t.Helper()
	harness.Eventually(t, 10*time.Second, "the counters", func() error {
		got := fmt.Sprint(counted(t, s, "pending"), counted(t, s, "completed"), counted(t, s, "failed"), s.Metric(t, "ai_team_tasks_in_progress"))
		want := fmt.Sprint(n+running, n-failures, failures, float64(running))
		if got != want {
			return fmt.Errorf("pending, completed, failed, in progress are %s, want %s", got, want)
		}
		return nil
	})
}

// begin sends the start record of a task that goes on.
func begin(t *testing.T, s *harness.Server, n int) {
	t.Helper()
	body := strings.NewReplacer("TRACE", fmt.Sprintf("%032x", n+1), "SPAN", fmt.Sprintf("%016x", n+1), "NOW", strconv.FormatInt(time.Now().UnixNano(), 10), "TASK", fmt.Sprint("task-", n)).Replace(
		`{"resourceLogs":[{"resource":{"attributes":[{"key":"service.namespace","value":{"stringValue":"press"}}]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"NOW","traceId":"TRACE","spanId":"SPAN","eventName":"ai_team.span.started",
"attributes":[{"key":"ai_team.span.name","value":{"stringValue":"execute_task"}},{"key":"ai_team.task.id","value":{"stringValue":"TASK"}}]}]}]}]}`)
	if code, answer := harness.Post(t, s.OTLPHTTP+"/v1/logs", "application/json", []byte(body)); code != 200 {
		t.Fatalf("send start record: %d %s", code, answer)
	}
}
