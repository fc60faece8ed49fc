package prometheus

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/test/harness"
)

// hook collects what the Alertmanager inside sends.
type hook struct {
	*httptest.Server

	got chan alert
}

type alert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{got: make(chan alert, 1000)}
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var n struct {
			Alerts []alert `json:"alerts"`
		}
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			t.Error(err)
		}
		for _, a := range n.Alerts {
			h.got <- a
		}
	}))
	t.Cleanup(h.Close)
	return h
}

// next waits for an alert of that name and status.
func (h *hook) next(t *testing.T, name, status string) alert {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case a := <-h.got:
			if a.Labels["alertname"] == name && a.Status == status {
				return a
			}
		case <-limit:
			t.Fatalf("alert %s was not %s within a minute", name, status)
		}
	}
}

// finish sends one finished task as OTLP/JSON.
func finish(t *testing.T, s *harness.Server, n int, failed bool) {
	t.Helper()
	status := `{}`
	if failed {
		status = `{"code":2,"message":"the model timed out"}`
	}
	now := time.Now().UnixNano()
	body := fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"newsroom"}},{"key":"service.namespace","value":{"stringValue":"press"}}]},
"scopeSpans":[{"spans":[{"traceId":"%032x","spanId":"%016x","name":"execute_task","startTimeUnixNano":"%d","endTimeUnixNano":"%d","status":%s,
"attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"invoke_workflow"}},{"key":"ai_team.task.id","value":{"stringValue":"task-%d"}},{"key":"ai_team.task.type","value":{"stringValue":"article"}}]}]}]}]}`,
		n+1, n+1, now-int64(time.Second), now, status, n)
	if code, answer := harness.Post(t, s.OTLPHTTP+"/v1/traces", "application/json", []byte(body)); code != http.StatusOK {
		t.Fatalf("send task: %d %s", code, answer)
	}
}

// TestFailingTasksReachTheWebhook: the shipped rule, unmodified but for its window and pace, fires for tasks that fail,
// is delivered by an alertmanager.yml, and resolves when the team has recovered.
func TestFailingTasksReachTheWebhook(t *testing.T) {
	h := newHook(t)
	file := filepath.Join(t.TempDir(), "alertmanager.yml")
	yml := "route: {receiver: hook, group_wait: 100ms, group_interval: 500ms}\nreceivers:\n  - name: hook\n    webhook_configs: [{url: '" + h.URL + "'}]\n"
	if err := os.WriteFile(file, []byte(yml), 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "mindscope.yaml")
	settings := "alertmanager: {file: '" + file + "'}\nmetrics: {own_interval: 1s}\nrules: {every: 1s, for: 1s, window: 15s}\nweb: {external_url: 'http://mindscope.example'}\n"
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	s := harness.Start(t, harness.Options{Args: []string{"--config", config}})
	for n := range 10 {
		finish(t, s, n, n%2 == 0)
	}
	a := h.next(t, "TaskFailureRate", "firing")
	if a.Labels["team"] != "press" || a.Labels["project"] != "default" || a.Annotations["summary"] == "" || a.Annotations["runbook_url"] == "" ||
		strings.Count(a.Annotations["tasks"], "task-") != 3 || a.Annotations["cause"] != "the model timed out" ||
		!strings.HasPrefix(a.Annotations["link"], "http://mindscope.example/api/mindscope/v1/tasks?failed=true&since=") || !strings.HasSuffix(a.Annotations["link"], "&team=press") {
		t.Errorf("got %+v", a)
	}
	// The link leads to what fired.
	var list struct {
		Tasks []struct{ ID, Status string } `json:"tasks"`
	}
	if err := s.Get(strings.TrimPrefix(a.Annotations["link"], "http://mindscope.example"), &list); err != nil || len(list.Tasks) != 5 || list.Tasks[0].Status != "failed" {
		t.Errorf("the link gives %+v, %v", list, err)
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
				Value  [2]any            `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := s.Get(`/api/v1/query?query=ai_team_tasks_total`, &answer); err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	for _, r := range answer.Data.Result {
		got[r.Metric["status"]] = r.Value[1]
	}
	if got["pending"] != "10" || got["completed"] != "5" || got["failed"] != "5" {
		t.Errorf("tasks: %v", got)
	}
	for n := range 20 {
		finish(t, s, 100+n, false)
	}
	h.next(t, "TaskFailureRate", "resolved")
}
