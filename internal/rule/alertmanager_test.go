package rule

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/nflog/nflogpb"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hook is a webhook that refuses its first requests.
type hook struct {
	*httptest.Server

	refuse atomic.Int32
	got    chan notification
}

type notification struct {
	Status      string `json:"status"`
	ExternalURL string `json:"externalURL"`
	Alerts      []struct {
		Status      string            `json:"status"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"alerts"`
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{got: make(chan notification, 100)}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.refuse.Add(-1) >= 0 {
			http.Error(w, "not now", http.StatusInternalServerError)
			return
		}
		var n notification
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			t.Error(err)
		}
		h.got <- n
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) next(t *testing.T) notification {
	t.Helper()
	select {
	case n := <-h.got:
		return n
	case <-time.After(20 * time.Second):
		t.Fatal("no notification within 20 s")
		return notification{}
	}
}

// start starts an Alertmanager that sends everything to the hook at once.
func start(t *testing.T, dir string, h *hook) *Alertmanager {
	t.Helper()
	file := filepath.Join(dir, "alertmanager.yml")
	yml := "route:\n  receiver: hook\n  group_by: [alertname]\n  group_wait: 10ms\n  group_interval: 200ms\n  repeat_interval: 4h\nreceivers:\n  - name: hook\n    webhook_configs:\n      - url: " + h.URL + "\n"
	if err := os.WriteFile(file, []byte(yml), 0o600); err != nil {
		t.Fatal(err)
	}
	external, err := url.Parse("http://mindscope.example/alertmanager")
	if err != nil {
		t.Fatal(err)
	}
	a, err := StartAlertmanager(AlertmanagerConfig{File: file, Dir: filepath.Join(dir, "alerts"), Prefix: "/alertmanager", ExternalURL: external})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func firingAlert(name string) *rules.Alert {
	return &rules.Alert{
		Labels:      labels.FromStrings("alertname", name, "team", "press"),
		Annotations: labels.FromStrings("summary", "it burns"),
		FiredAt:     time.Now().Add(-time.Minute), ValidUntil: time.Now().Add(time.Hour),
	}
}

func (a *Alertmanager) ask(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, "/alertmanager/api/v2"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	text, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(text)
}

// waitForEntry waits until a notification is in the log: an Alertmanager that ends between sending and noting sends
// again rather than never.
func (a *Alertmanager) waitForEntry(t *testing.T, group string) {
	t.Helper()
	for range 1000 {
		entries, err := a.notifications.Query(nflog.QGroupKey(group), nflog.QReceiver(&nflogpb.Receiver{GroupName: "hook", Integration: "webhook"}))
		if err == nil && len(entries) > 0 {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatalf("group %s is not in the log of notifications", group)
}

func TestAlertReachesTheWebhookAndResolves(t *testing.T) {
	h := newHook(t)
	h.refuse.Store(2)
	a := start(t, t.TempDir(), h)
	defer a.Stop()
	alert := firingAlert("TaskFailureRate")
	if err := a.Put(t.Context(), []*rules.Alert{alert}, "http://mindscope.example/graph"); err != nil {
		t.Fatal(err)
	}
	n := h.next(t)
	if n.Status != "firing" || len(n.Alerts) != 1 || n.Alerts[0].Annotations["summary"] != "it burns" || n.ExternalURL != "http://mindscope.example/alertmanager" {
		t.Errorf("notified of %+v", n)
	}
	if code, text := a.ask(t, "GET", "/alerts", ""); code != 200 || !strings.Contains(text, `"TaskFailureRate"`) {
		t.Errorf("alerts: %d %s", code, text)
	}
	alert.ResolvedAt = time.Now()
	if err := a.Put(t.Context(), []*rules.Alert{alert}, ""); err != nil {
		t.Fatal(err)
	}
	if n := h.next(t); n.Status != "resolved" {
		t.Errorf("notified of %+v", n)
	}
}

func TestSilencesAndNotificationsSurviveARestart(t *testing.T) {
	h, dir := newHook(t), t.TempDir()
	a := start(t, dir, h)
	if err := a.Put(t.Context(), []*rules.Alert{firingAlert("Told")}, ""); err != nil {
		t.Fatal(err)
	}
	h.next(t)
	a.waitForEntry(t, `{}:{alertname="Told"}`)
	silence, err := json.Marshal(map[string]any{
		"matchers": []map[string]any{{"name": "alertname", "value": "Silenced", "isRegex": false, "isEqual": true}},
		"startsAt": time.Now().Add(-time.Second), "endsAt": time.Now().Add(time.Hour), "createdBy": "tester", "comment": "known",
	})
	if err != nil {
		t.Fatal(err)
	}
	if code, text := a.ask(t, "POST", "/silences", string(silence)); code != 200 {
		t.Fatalf("silence: %d %s", code, text)
	}
	a.Stop()

	a = start(t, dir, h)
	defer a.Stop()
	if _, text := a.ask(t, "GET", "/silences", ""); !strings.Contains(text, `"Silenced"`) {
		t.Errorf("silences after the restart: %s", text)
	}
	// Told was notified of before the restart, Silenced is silenced: only New may come.
	if err := a.Put(t.Context(), []*rules.Alert{firingAlert("Told"), firingAlert("Silenced"), firingAlert("New")}, ""); err != nil {
		t.Fatal(err)
	}
	if n := h.next(t); n.Alerts[0].Labels["alertname"] != "New" {
		t.Errorf("notified of %+v", n)
	}
	select {
	case n := <-h.got:
		t.Errorf("and then of %+v", n)
	case <-time.After(time.Second):
	}
}

func TestBrokenFileKeepsTheOldOne(t *testing.T) {
	h, dir := newHook(t), t.TempDir()
	a := start(t, dir, h)
	defer a.Stop()
	if err := os.WriteFile(a.cfg.File, []byte("route:\n  receivr: typo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Reload(); err == nil || !strings.Contains(err.Error(), "alertmanager.yml") || !strings.Contains(err.Error(), "receivr") {
		t.Errorf("reload: %v", err)
	}
	if err := a.Put(t.Context(), []*rules.Alert{firingAlert("Still")}, ""); err != nil {
		t.Fatal(err)
	}
	h.next(t)
}
