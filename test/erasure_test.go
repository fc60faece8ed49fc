package test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/test/harness"
)

// marked is a running task with a text in all of its telemetry that has room for one.
type marked struct {
	mark string // in texts and names that are no label of a metric
	// label is in names that become labels of metrics and the name of a service; empty for plain names.
	label      string
	task, user string
	trace      byte
}

func (m *marked) traceID() pcommon.TraceID { return pcommon.TraceID{0xe7, m.trace, 15: 1} }

func (m *marked) resource(r pcommon.Resource) {
	r.Attributes().PutStr("service.name", "newsroom"+m.label)
	r.Attributes().PutStr("ai_team.team", "press")
	r.Attributes().PutStr("owner", m.mark)
}

// long is a text that is kept apart from its row.
func (m *marked) long() string { return strings.Repeat("a long text ", 60) + m.mark }

// spans are what has ended: a call of a model, a tool, and a command that waits for its answer.
func (m *marked) spans() ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	m.resource(rs.Resource())
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("scope " + m.mark)
	ss.Scope().Attributes().PutStr("scope.note", m.mark)
	now := time.Now()
	span := func(id byte, name string, attrs map[string]any) ptrace.Span {
		s := ss.Spans().AppendEmpty()
		s.SetTraceID(m.traceID())
		s.SetSpanID(pcommon.SpanID{m.trace, id})
		s.SetParentSpanID(pcommon.SpanID{m.trace, 1})
		s.SetName(name)
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Second)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
		_ = s.Attributes().FromRaw(attrs)
		s.Attributes().PutStr("ai_team.task.id", m.task)
		return s
	}
	chat := span(10, "chat"+m.label, map[string]any{
		"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o" + m.label, "gen_ai.agent.name": "writer" + m.label,
		"gen_ai.provider.name": "openai", "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 7,
		"gen_ai.input.messages": `[{"role":"user","parts":[{"type":"text","content":"` + m.long() + `"}]}]`,
		"note":                  m.mark, "name " + m.mark: "x", "long": m.long(),
		"list": []any{m.mark, map[string]any{"deep": m.mark, "key " + m.mark: 1}}, "bytes": []byte(m.mark),
	})
	if m.user != "" {
		chat.Attributes().PutStr("ai_team.user.id", m.user)
	}
	chat.Status().SetCode(ptrace.StatusCodeError)
	chat.Status().SetMessage("failed for " + m.mark)
	chat.TraceState().FromRaw("vendor=" + m.mark)
	e := chat.Events().AppendEmpty()
	e.SetName("exception " + m.mark)
	e.Attributes().PutStr("exception.stacktrace", m.long())
	chat.Links().AppendEmpty().Attributes().PutStr("why", m.mark)
	span(11, "execute_tool search"+m.label, map[string]any{"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search" + m.label})
	send := span(12, "send"+m.label, map[string]any{
		"ai_team.message.type": "COMMAND", "ai_team.message.from_agent": "boss", "ai_team.message.to_agent": "writer" + m.label,
		"messaging.message.id": "message " + m.mark,
	})
	send.SetKind(ptrace.SpanKindProducer)
	return td
}

// records are what runs, the heartbeat of an agent whose start was lost, and log records.
func (m *marked) records() plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	m.resource(rl.Resource())
	sl := rl.ScopeLogs().AppendEmpty()
	now := time.Now()
	record := func(span byte, event string, attrs map[string]any) plog.LogRecord {
		r := sl.LogRecords().AppendEmpty()
		r.SetTimestamp(pcommon.NewTimestampFromTime(now))
		r.SetTraceID(m.traceID())
		r.SetSpanID(pcommon.SpanID{m.trace, span})
		r.SetEventName(event)
		_ = r.Attributes().FromRaw(attrs)
		r.Attributes().PutStr("ai_team.task.id", m.task)
		if m.user != "" {
			r.Attributes().PutStr("ai_team.user.id", m.user)
		}
		return r
	}
	record(1, "ai_team.span.started", map[string]any{"ai_team.span.name": "execute_task", "gen_ai.agent.name": "boss", "ai_team.task.type": "article" + m.label})
	record(2, "ai_team.span.started", map[string]any{
		"ai_team.span.name": "invoke_agent " + m.mark, "ai_team.span.parent_id": fmt.Sprintf("%02x01000000000000", m.trace),
		"gen_ai.agent.name": "agent " + m.mark,
	})
	record(3, "ai_team.span.heartbeat", map[string]any{"ai_team.span.name": "invoke_agent " + m.mark, "gen_ai.agent.name": "heard " + m.mark})
	line := record(10, "event "+m.mark, map[string]any{"note": m.mark, "name " + m.mark: 1})
	line.Body().SetStr("wrote for " + m.mark)
	line.SetSeverityText("severe " + m.mark)
	record(10, "", nil).Body().SetStr(m.long())
	return ld
}

func (m *marked) send(t *testing.T, s *harness.Server) {
	t.Helper()
	logs, err := (&plog.ProtoMarshaler{}).MarshalLogs(m.records())
	if err != nil {
		t.Fatal(err)
	}
	for path, body := range map[string][]byte{"/v1/logs": logs, "/v1/traces": mustProto(t, m.spans())} {
		if status, answer := harness.Post(t, s.OTLPHTTP+path, "application/x-protobuf", body); status != http.StatusOK || len(answer) > 0 {
			t.Fatalf("%s: status %d: %q", path, status, answer)
		}
	}
}

// answers are what a reader sees of it, by where: the same questions before a removal and after it.
func (m *marked) answers(t *testing.T, s *harness.Server) map[string]string {
	t.Helper()
	logs := url.Values{"query": {`{service_name=~".+"} |= "` + m.mark + `"`}}
	out := map[string]string{"live": firstLive(t, s)}
	for name, path := range map[string]string{
		"tasks": "/api/mindscope/v1/tasks", "task": "/api/mindscope/v1/tasks/" + m.task, "task's logs": "/api/mindscope/v1/tasks/" + m.task + "/logs",
		"trace": "/api/mindscope/v1/traces/" + m.traceID().String(), "users": "/api/mindscope/v1/users",
		"logs":          "/loki/api/v1/query_range?" + logs.Encode(),
		"search traces": "/tempo/api/search?" + url.Values{"q": {`{ span.note = "` + m.mark + `" }`}}.Encode(),
	} {
		resp, err := http.Get(s.HTTP + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotFound {
			t.Fatalf("%s: status %d: %s", path, resp.StatusCode, text)
		}
		if resp.StatusCode == http.StatusOK {
			out[name] = string(text)
		}
	}
	return out
}

// firstLive returns the first event of the live stream: what runs now.
func firstLive(t *testing.T, s *harness.Server) string {
	t.Helper()
	resp, err := http.Get(s.HTTP + "/api/mindscope/v1/live")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			return data
		}
	}
	t.Fatal("the live stream ended without an event")
	return ""
}

// seenIn returns which answers hold any of the texts.
func seenIn(answers map[string]string, texts ...string) []string {
	var out []string
	for name, answer := range answers {
		if slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(answer, text) }) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// TestErasedIsGone removes a running task, all of a user, and texts, from the real server, and looks for them in what it
// answers, and in every file of its folder once it has stopped, unpacked. The same looks find all of it before.
func TestErasedIsGone(t *testing.T) {
	t.Setenv("MINDSCOPE_METRICS_OWN_INTERVAL", "1s")
	task := &marked{mark: "tAskErased7q", task: "task-tAskErased7q", trace: 1}
	user := &marked{mark: "uSerErased7q", task: "task-of-user", user: "uSerErased7q", trace: 2}
	secret := &marked{mark: "sEcretErased7q", task: "task-with-secret", trace: 3}
	label := &marked{mark: "lAbelErased7q", label: " lAbelErased7q", task: "task-with-label", trace: 4}
	kept := &marked{mark: "nObodyErased7q", task: "task-kept", user: "bob", trace: 5}
	all := []*marked{task, user, secret, label, kept}

	s := harness.Start(t, harness.Options{})
	for _, m := range all {
		m.send(t, s)
	}
	// The log has them first; the rest has them when the server has stopped.
	logged := decoded(t, s.Data)
	harness.Eventually(t, 20*time.Second, "the metrics to hold a label", func() error {
		if got := kindsWith(decoded(t, s.Data), label.mark); !slices.Contains(got, "metrics") {
			return fmt.Errorf("it is in %q", got)
		}
		return nil
	})
	harness.Eventually(t, visible, "the tasks to be seen", func() error {
		for _, m := range all {
			want := []string{"live", "logs", "search traces", "task", "task's logs", "trace"}
			if got := seenIn(m.answers(t, s), m.mark); len(got) < len(want) || slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(got, w) }) {
				return fmt.Errorf("%s is seen in %q", m.mark, got)
			}
		}
		return nil
	})
	s.Stop(t)
	before := decoded(t, s.Data)
	for _, m := range all {
		want := []string{"checkpoint", "events", "payloads"}
		if m.label != "" {
			want = []string{"checkpoint", "events", "index of events", "metrics", "payloads"}
		}
		if got := kindsWith(before, m.mark); !slices.Equal(got, want) {
			t.Errorf("%s is in %q before it is removed, want %q", m.mark, got, want)
		}
		if !slices.Contains(kindsWith(logged, m.mark), "log") {
			t.Errorf("%s was not in the log", m.mark)
		}
	}

	s = harness.Start(t, harness.Options{Data: s.Data}) // what runs is known from the checkpoint now
	remain := map[string]bool{}
	remove := func(m *marked, args ...string) {
		t.Helper()
		out, stderr, code := s.Run(t, append(args, "--yes", "-o", "json")...)
		var receipt struct {
			Rows      []struct{ Kind string }
			MayRemain []string `json:"may_remain"`
		}
		if err := json.Unmarshal([]byte(out), &receipt); err != nil || code != 0 || len(receipt.Rows) < 3 {
			t.Fatalf("%v: code %d, %v\n%s%s", args, code, err, out, stderr)
		}
		for _, place := range receipt.MayRemain {
			remain[place] = true
		}
		gone := []string{m.mark}
		if m == user || m == task {
			gone = append(gone, m.task)
		}
		if got := seenIn(m.answers(t, s), gone...); len(got) > 0 {
			t.Errorf("%s is still seen in %q", m.mark, got)
		}
	}
	remove(task, "delete", "--task", task.task)
	remove(user, "delete", "--user", user.user)
	remove(secret, "scrub", "--match", "sEcret[A-Z][a-z]+7q")
	remove(label, "scrub", "--match", label.mark)
	if live := firstLive(t, s); !strings.Contains(live, secret.task) || !strings.Contains(live, "agent [scrubbed]") || !strings.Contains(live, kept.mark) {
		t.Errorf("what was only scrubbed, or not touched, no longer runs: %s", live)
	}
	s.Stop(t)
	after := decoded(t, s.Data)
	for m, want := range map[*marked][]string{
		task: nil, user: nil, secret: nil,
		label: {"checkpoint", "index of events", "metrics"}, // as the receipt says
		kept:  {"checkpoint", "events", "payloads"},
	} {
		if got := kindsWith(after, m.mark); !slices.Equal(got, want) {
			t.Errorf("%s is in %q at the end, want %q", m.mark, got, want)
		}
	}
	for _, word := range []string{"labels of metrics", "names of services", "deletions.jsonl"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(remain)), func(place string) bool { return strings.Contains(place, word) }) {
			t.Errorf("no receipt names the %s: %v", word, remain)
		}
	}

	// What the receipt says of labels is enough.
	err := errors.Join(os.Remove(filepath.Join(s.Data, "wal", "checkpoint")), os.RemoveAll(filepath.Join(s.Data, "metrics")))
	if err != nil {
		t.Fatal(err)
	}
	s = harness.Start(t, harness.Options{Data: s.Data})
	if err := s.Get("/api/mindscope/v1/tasks/"+kept.task, nil); err != nil {
		t.Errorf("the task that nobody removed: %v", err)
	}
	s.Stop(t)
	if got := kindsWith(decoded(t, s.Data), label.mark); !slices.Equal(got, []string{"index of events"}) {
		t.Errorf("without the server's counters and metrics the label is in %q", got)
	}
}

// TestHeldContentIsErased: content that is held back until its task fails goes with the trace, and a failure that comes
// later does not bring it back.
func TestHeldContentIsErased(t *testing.T) {
	config := filepath.Join(t.TempDir(), "mindscope.yaml")
	if err := os.WriteFile(config, []byte("capture: {default: failed-only}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := harness.Start(t, harness.Options{Args: []string{"--config", config}})
	send := func(id, parent byte, failed bool, attrs map[string]any) {
		t.Helper()
		td := ptrace.NewTraces()
		span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetTraceID(pcommon.TraceID{0xe8, id})
		span.SetSpanID(pcommon.SpanID{0xe8, id})
		span.SetParentSpanID(pcommon.SpanID{parent})
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		if failed {
			span.Status().SetCode(ptrace.StatusCodeError)
		}
		_ = span.Attributes().FromRaw(attrs)
		span.Attributes().PutStr("ai_team.task.id", "task-held")
		if status, answer := harness.Post(t, s.OTLPHTTP+"/v1/traces", "application/x-protobuf", mustProto(t, td)); status != http.StatusOK {
			t.Fatalf("status %d: %s", status, answer)
		}
	}
	for id, text := range map[byte]string{1: "hEldErased7q", 2: "hEldKept7q"} {
		send(id, 9, false, map[string]any{"gen_ai.operation.name": "chat", "gen_ai.input.messages": `[{"role":"user","content":"` + text + `"}]`})
	}
	harness.Eventually(t, visible, "the spans", func() error { return s.Get("/api/mindscope/v1/traces/e801"+strings.Repeat("0", 28), nil) })
	if out, stderr, code := s.Run(t, "delete", "--trace", "e801"+strings.Repeat("0", 28), "--yes"); code != 0 {
		t.Fatalf("code %d: %s%s", code, out, stderr)
	}
	send(3, 0, true, map[string]any{"gen_ai.operation.name": "invoke_workflow"})
	s.Stop(t)
	files := decoded(t, s.Data)
	if got := kindsWith(files, "hEldErased7q"); len(got) > 0 {
		t.Errorf("what was held of the deleted trace is in %q", got)
	}
	if got := kindsWith(files, "hEldKept7q"); len(got) == 0 {
		t.Error("what was held of the other trace is not there")
	}
}
