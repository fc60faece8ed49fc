package team_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"

	"github.com/mindscope/mindscope/examples/articleteam/team"
	"github.com/mindscope/mindscope/examples/scriptedllm"
	"github.com/mindscope/mindscope/sdk/mindbus"
	"github.com/mindscope/mindscope/sdk/sdktest"
)

const tasks = 20

// The tasks that fail, by what the demo's list of topics says.
var failures = map[string]string{
	"task-406": "did not answer in time", "task-410": "status 429", "task-414": "rejected every revision", "task-417": "panic",
}

// run lets a team work on the demo's tasks and returns what is left of it: its outcomes, its folder, what the model's
// server saw and the spans.
func run(t *testing.T) (outcomes map[string]team.Outcome, dir string, llm *scriptedllm.Server, rec *sdktest.Recorder) {
	t.Helper()
	rec = sdktest.New(t)
	llm = &scriptedllm.Server{Stall: time.Minute}
	srv := httptest.NewServer(llm)
	t.Cleanup(func() {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		srv.Close()
	})
	dir = t.TempDir()
	ctx := context.WithoutCancel(t.Context())
	crew, err := team.New(ctx, team.Config{Dir: dir, BaseURL: srv.URL + "/v1", APIKey: "none", CallTimeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	outcomes = map[string]team.Outcome{}
	for i := range tasks {
		id, topic := team.Assignment(i)
		out, err := crew.Do(ctx, id, topic)
		if (err != nil) != (failures[id] != "") || (err != nil && !strings.Contains(out.Error, failures[id])) {
			t.Errorf("%s (%s) ended with %v, want %q", id, topic, err, failures[id])
		}
		outcomes[id] = out
	}
	if err := crew.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	return outcomes, dir, llm, rec
}

// TestFiveHops looks for the task and the trace in the things themselves, not in what the telemetry says of them.
func TestFiveHops(t *testing.T) {
	outcomes, dir, llm, rec := run(t)
	checkSpans(t, rec, outcomes)  // first: opening the bucket below makes spans as well
	traces := map[string]string{} // by trace id
	for id, o := range outcomes {
		traces[o.TraceID] = id
	}
	if len(traces) != tasks {
		t.Fatalf("%d traces for %d tasks", len(traces), tasks)
	}
	check := &hops{T: t, traces: traces, seen: map[string]map[string]int{}}
	check.records(filepath.Join(dir, team.RecordsFile))
	check.artifacts(filepath.Join(dir, team.ArtifactsDir))
	check.log(filepath.Join(dir, team.LogFile))
	check.bus(filepath.Join(dir, team.BusFile))
	check.llm(llm)
	for id := range outcomes {
		completed := failures[id] == ""
		// A task that fails early has no record or artifact; every task has messages, calls and log lines.
		for hop, needed := range map[string]bool{
			"message": true, "llm": true, "log": true, "record": completed, "artifact": completed,
		} {
			if needed && check.seen[hop][id] == 0 {
				t.Errorf("%s: nothing of it among the hop %q", id, hop)
			}
		}
	}
	checkTokens(t, llm, outcomes)
}

// hops counts what was found of each task at each hop.
type hops struct {
	*testing.T
	traces map[string]string
	seen   map[string]map[string]int
}

// found notes a thing of a hop that says it belongs to a task and a trace.
func (h *hops) found(hop, task, traceID string) {
	h.Helper()
	if task == "" || h.traces[traceID] != task {
		h.Errorf("%s: says task %q and trace %q, which is the trace of %q", hop, task, traceID, h.traces[traceID])
		return
	}
	if h.seen[hop] == nil {
		h.seen[hop] = map[string]int{}
	}
	h.seen[hop][task]++
}

func (h *hops) records(file string) {
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		h.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(h.Context(), "SELECT task_id, trace_id FROM task_steps")
	if err != nil {
		h.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var task, traceID string
		if err := rows.Scan(&task, &traceID); err != nil {
			h.Fatal(err)
		}
		h.found("record", task, traceID)
	}
	if err := rows.Err(); err != nil {
		h.Error(err)
	}
}

func (h *hops) artifacts(dir string) {
	bucket, err := fileblob.OpenBucket(dir, nil)
	if err != nil {
		h.Fatal(err)
	}
	defer bucket.Close()
	for it := bucket.List(&blob.ListOptions{}); ; {
		object, err := it.Next(h.Context())
		if err != nil {
			break
		}
		attrs, err := bucket.Attributes(h.Context(), object.Key)
		if err != nil {
			h.Fatal(err)
		}
		h.found("artifact", attrs.Metadata["task_id"], attrs.Metadata["trace_id"])
	}
}

// lines calls f with each line of a file of JSON.
func (h *hops) lines(file string, f func([]byte)) {
	h.Helper()
	r, err := os.Open(file)
	if err != nil {
		h.Fatal(err)
	}
	defer r.Close()
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		f(s.Bytes())
	}
	if err := s.Err(); err != nil {
		h.Fatal(err)
	}
}

func (h *hops) log(file string) {
	h.lines(file, func(line []byte) {
		var l struct {
			Task  string `json:"task_id"`
			Trace string `json:"trace_id"`
			Span  string `json:"span_id"`
		}
		if err := json.Unmarshal(line, &l); err != nil || l.Span == "" {
			h.Errorf("log line %s: %v", line, err)
		}
		h.found("log", l.Task, l.Trace)
	})
}

// bus reads each message as bytes: the event's subject and creation context, and the hop's headers.
func (h *hops) bus(file string) {
	h.lines(file, func(line []byte) {
		var d team.DumpedMessage
		if err := json.Unmarshal(line, &d); err != nil {
			h.Fatal(err)
		}
		var event struct {
			SpecVersion, Type, Subject, TraceParent string
		}
		if err := json.Unmarshal(d.Body, &event); err != nil || event.SpecVersion != "1.0" || !strings.HasPrefix(event.Type, "ai.team.") {
			h.Errorf("message %s: %v", d.Body, err)
			return
		}
		h.found("message", event.Subject, traceOf(event.TraceParent))
		h.found("message", event.Subject, traceOf(d.Headers["traceparent"]))
		if !strings.Contains(d.Headers["baggage"], "ai_team.task.id="+event.Subject) {
			h.Errorf("message of %s has the baggage %q", event.Subject, d.Headers["baggage"])
		}
	})
}

// llm looks at the headers that left the team: the trace and nothing of the task.
func (h *hops) llm(s *scriptedllm.Server) {
	for _, r := range s.Requests() {
		traceID := traceOf(r.Header.Get("Traceparent"))
		h.found("llm", h.traces[traceID], traceID)
		if got := r.Header.Values("Baggage"); len(got) > 0 {
			h.Errorf("a call told the provider the baggage %q", got)
		}
		for name, values := range r.Header {
			if slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, "task-4") }) {
				h.Errorf("a call told the provider of the task in %s: %q", name, values)
			}
		}
	}
}

func traceOf(traceParent string) string {
	parts := strings.Split(traceParent, "-")
	if len(parts) != 4 {
		return ""
	}
	return parts[1]
}

// checkSpans: the telemetry tells the same story. Every span of a task's trace carries the task's id and has its
// parent in the trace, and the task ends as it ended.
func checkSpans(t *testing.T, rec *sdktest.Recorder, outcomes map[string]team.Outcome) {
	t.Helper()
	for id, out := range outcomes {
		spans := rec.Task(id)
		ids := map[string]bool{}
		for _, s := range spans {
			ids[s.SpanContext().SpanID().String()] = true
		}
		var root sdktrace.ReadOnlySpan
		for _, s := range spans {
			switch {
			case s.SpanContext().TraceID().String() != out.TraceID:
				t.Errorf("%s: %s is in another trace", id, s.Name())
			case !s.Parent().IsValid():
				root = s
			case !ids[s.Parent().SpanID().String()]:
				t.Errorf("%s: the parent of %s is missing", id, s.Name())
			}
		}
		if root == nil || root.Name() != "execute_task" {
			t.Errorf("%s: the root is %v", id, root)
			continue
		}
		want := codes.Unset
		if failures[id] != "" {
			want = codes.Error
		}
		if root.Status().Code != want {
			t.Errorf("%s: the root's status is %v", id, root.Status())
		}
	}
	for _, s := range rec.Spans() {
		if out, ok := outcomes[sdktest.Attr(s, "ai_team.task.id").AsString()]; ok && out.TraceID == s.SpanContext().TraceID().String() {
			continue
		}
		t.Errorf("span %s belongs to no task", s.Name())
	}
}

// checkTokens compares the team's books with those of the model's server.
func checkTokens(t *testing.T, llm *scriptedllm.Server, outcomes map[string]team.Outcome) {
	t.Helper()
	served := map[string]int64{}
	for _, r := range llm.Requests() {
		served[traceOf(r.Header.Get("Traceparent"))] += int64(r.Input + r.Output)
	}
	for id, out := range outcomes {
		if out.Tokens != served[out.TraceID] {
			t.Errorf("%s: the team counts %d tokens, the server %d", id, out.Tokens, served[out.TraceID])
		}
	}
}

// TestPanicInAgent: the agent's failure reaches the orchestrator as an error of the agent, not as a timeout.
func TestPanicInAgent(t *testing.T) {
	rec := sdktest.New(t)
	srv := httptest.NewServer(&scriptedllm.Server{})
	defer srv.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	ctx := context.WithoutCancel(t.Context())
	crew, err := team.New(ctx, team.Config{Dir: t.TempDir(), BaseURL: srv.URL + "/v1", APIKey: "none", CallTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	_, err = crew.Do(ctx, "t1", "Kites [panic]")
	var failure *mindbus.Error
	if !errors.As(err, &failure) || failure.Code != mindbus.CodeInternal || failure.Retryable {
		t.Errorf("error is %v", err)
	}
	if _, err := crew.Do(ctx, "t2", "Moss"); err != nil {
		t.Errorf("the next task: %v", err)
	}
	if err := crew.Close(ctx); err != nil {
		t.Error(err)
	}
	for _, s := range rec.Named("invoke_agent critic") {
		if sdktest.Attr(s, "ai_team.task.id").AsString() == "t1" && s.Status().Code != codes.Error {
			t.Errorf("the critic's status is %v", s.Status())
		}
	}
}
