package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
)

// last keeps what arrives behind the policy; fail makes it refuse log records.
type last struct {
	spans   map[string]map[string]any
	content map[string]map[string]any
	logs    []plog.LogRecord
	fail    error
}

func (l *last) Traces(_ context.Context, _ signal.Project, td ptrace.Traces) (signal.Rejected, error) {
	for s := range spans(td) {
		l.spans[s.Name()] = s.Attributes().AsRaw()
		for _, e := range s.Events().All() {
			for k, v := range e.Attributes().AsRaw() {
				l.spans[s.Name()]["event:"+e.Name()+":"+k] = v
			}
		}
	}
	return signal.Rejected{}, nil
}

func (l *last) Logs(_ context.Context, _ signal.Project, ld plog.Logs) (signal.Rejected, error) {
	if l.fail != nil {
		return signal.Rejected{}, l.fail
	}
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				if rec.EventName() == conv.EventAITeamSpanContent {
					l.content[rec.SpanID().String()] = rec.Attributes().AsRaw()
					continue
				}
				l.logs = append(l.logs, rec)
			}
		}
	}
	return signal.Rejected{}, nil
}

func (l *last) Metrics(context.Context, signal.Project, pmetric.Metrics) (signal.Rejected, error) {
	return signal.Rejected{}, nil
}

// one is a span to send.
type one struct {
	name, team, agent, task, op string
	trace, id, parent           byte
	failed                      bool
	attrs                       map[string]any
}

func request(t testing.TB, list ...one) ptrace.Traces {
	t.Helper()
	td := ptrace.NewTraces()
	to := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for _, o := range list {
		s := to.AppendEmpty()
		s.SetName(o.name)
		s.SetTraceID([16]byte{o.trace})
		s.SetSpanID([8]byte{o.id})
		if o.parent != 0 {
			s.SetParentSpanID([8]byte{o.parent})
		}
		if o.failed {
			s.Status().SetCode(ptrace.StatusCodeError)
		}
		attrs := maps.Clone(o.attrs)
		if attrs == nil {
			attrs = map[string]any{}
		}
		for k, v := range map[string]string{
			conv.MindscopeTeam: o.team, conv.MindscopeAgent: o.agent, conv.MindscopeTaskID: o.task, conv.MindscopeOperation: o.op,
		} {
			if v != "" {
				attrs[k] = v
			}
		}
		if err := s.Attributes().FromRaw(attrs); err != nil {
			t.Fatal(err)
		}
	}
	return td
}

type fixture struct {
	t    *testing.T
	sink *Sink
	last *last
	now  time.Time
}

func setup(t *testing.T, cfg Config) *fixture {
	t.Helper()
	f := &fixture{t: t, last: &last{spans: map[string]map[string]any{}, content: map[string]map[string]any{}}, now: time.Unix(1_800_000_000, 0)}
	cfg.Clock = func() time.Time { return f.now }
	var err error
	if f.sink, err = New(f.last, cfg); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) send(list ...one) {
	f.t.Helper()
	if _, err := f.sink.Traces(f.t.Context(), signal.DefaultProject, request(f.t, list...)); err != nil {
		f.t.Fatal(err)
	}
}

const asked = "gen_ai.input.messages"

// chat is a call of a model with a prompt.
func chat(name string, id byte, more func(*one)) one {
	o := one{
		name: name, team: "news", task: "t1", op: "chat", trace: 1, id: id, parent: 1,
		attrs: map[string]any{asked: "say " + name, "gen_ai.request.model": "gpt-4o"},
	}
	if more != nil {
		more(&o)
	}
	return o
}

func root(id byte, failed bool) one {
	return one{name: fmt.Sprint("root", id), team: "news", task: "t1", op: "invoke_workflow", trace: 1, id: id, failed: failed}
}

func (f *fixture) kept(name string, want bool) {
	f.t.Helper()
	attrs, ok := f.last.spans[name]
	if _, has := attrs[asked]; !ok || has != want {
		f.t.Errorf("%s: sent on %v, with content %v, want %v", name, ok, has, want)
	}
	if _, marked := attrs[conv.MindscopeCapture]; marked == want {
		f.t.Errorf("%s: marked %v", name, marked)
	}
}

func (f *fixture) stats(want Stats) {
	f.t.Helper()
	got := f.sink.Stats()
	if got.Held == 0 && got.HeldBytes != 0 {
		f.t.Errorf("nothing is held and %d bytes are", got.HeldBytes)
	}
	got.HeldBytes = 0
	if diff := cmp.Diff(want, got); diff != "" {
		f.t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPolicyByTeamAndAgent(t *testing.T) {
	f := setup(t, Config{
		Default: Metadata, Teams: map[string]Policy{"open": All},
		Agents: map[string]Policy{"open/judge": Metadata, "*/critic": All, "news/critic": Metadata},
	})
	of := func(team, agent string, want bool) {
		t.Helper()
		f.send(chat("x", 2, func(o *one) { o.team, o.agent = team, agent }))
		f.kept("x", want)
	}
	of("news", "", false)
	of("news", "writer", false)
	of("news", "critic", false)
	of("other", "critic", true)
	of("open", "", true)
	of("open", "writer", true)
	of("open", "judge", false)
}

func TestAllChangesNothing(t *testing.T) {
	f := setup(t, Config{})
	f.send(chat("x", 2, nil))
	f.kept("x", true)
}

func TestMetadataKeepsWhatIsNoContent(t *testing.T) {
	f := setup(t, Config{Default: Metadata})
	long := strings.Repeat("long ", 200)
	f.send(one{name: "x", team: "news", op: "chat", trace: 1, id: 2, attrs: map[string]any{
		"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": int64(5), "ai.prompt.tokens": int64(7),
		"exception.stacktrace": long, "db.query.text": long, "server.address": "x",
		"gen_ai.output.messages": []any{map[string]any{"role": "assistant"}}, "llm.input_messages.0.message.content": "hi",
		"input.value": "{}", "unheard.of": long, "nested": map[string]any{"a": long}, "agent.stream.argument.0": "{}",
	}})
	want := []string{
		"ai.prompt.tokens", "db.query.text", "exception.stacktrace", "gen_ai.request.model", "gen_ai.usage.input_tokens",
		"mindscope.capture", "mindscope.operation", "mindscope.team", "server.address",
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(f.last.spans["x"]))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// A span of something else than an agent keeps its texts.
	f.send(one{name: "y", team: "news", trace: 1, id: 3, attrs: map[string]any{"input": "x", "note": long, "output.value": "y"}})
	if attrs := f.last.spans["y"]; attrs["note"] != long || attrs["output.value"] != nil {
		t.Errorf("%v", attrs)
	}
}

func TestEventsOfMessages(t *testing.T) {
	f := setup(t, Config{Default: Metadata})
	td := request(t, chat("x", 2, nil))
	s := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	e := s.Events().AppendEmpty()
	e.SetName("gen_ai.user.message")
	e.Attributes().PutStr("content", "hello")
	e.Attributes().PutStr("role", "user")
	if _, err := f.sink.Traces(t.Context(), signal.DefaultProject, td); err != nil {
		t.Fatal(err)
	}
	got := f.last.spans["x"]
	if got["event:gen_ai.user.message:content"] != nil || got["event:gen_ai.user.message:role"] != "user" {
		t.Errorf("%v", got)
	}
}

func TestFailedOnly(t *testing.T) {
	f := setup(t, Config{Default: FailedOnly})
	// The content of a failed span is kept at once, that of the others is held.
	f.send(chat("good", 2, nil), chat("bad", 3, func(o *one) { o.failed = true }))
	f.kept("good", false)
	f.kept("bad", true)
	f.stats(Stats{Held: 1})
	// The same span again is held once.
	f.send(chat("good", 2, nil))
	f.stats(Stats{Held: 1})
	// The task fails: what was held is stored, and what comes late is kept.
	f.send(root(1, true), chat("beside", 4, nil))
	f.kept("beside", true)
	f.stats(Stats{Released: 1})
	content := f.last.content["0200000000000000"]
	if content[asked] != "say good" || content[conv.MindscopeTaskID] != "t1" || content["gen_ai.request.model"] != nil {
		t.Errorf("content %v", content)
	}
	f.send(chat("late", 5, nil))
	f.kept("late", true)
	// A second attempt that succeeds ends that.
	f.send(root(9, false))
	f.send(chat("after", 6, nil))
	f.kept("after", false)
}

func TestContentOfATaskThatSucceedsIsDropped(t *testing.T) {
	f := setup(t, Config{Default: FailedOnly})
	f.send(chat("a", 2, nil), chat("b", 3, func(o *one) { o.trace = 2 }))
	// The end of another trace's root says nothing about the task, only about that trace.
	f.send(one{name: "agent", team: "news", task: "t1", op: "invoke_agent", trace: 2, id: 8})
	f.stats(Stats{Held: 1, Completed: 1})
	// A workflow inside the task ended well: the task may still fail.
	f.send(one{name: "inner", team: "news", task: "t1", op: "invoke_workflow", trace: 1, id: 7, parent: 1})
	f.stats(Stats{Held: 1, Completed: 1})
	f.send(root(1, false))
	f.stats(Stats{Completed: 2})
	if len(f.last.content) != 0 {
		t.Errorf("content was stored: %v", f.last.content)
	}
}

func TestOutcomeByTheStatusAttribute(t *testing.T) {
	f := setup(t, Config{Default: FailedOnly})
	f.send(chat("a", 2, nil))
	o := root(1, false)
	o.parent, o.attrs = 77, map[string]any{conv.AITeamTaskStatus: "failed"}
	f.send(o)
	f.stats(Stats{Released: 1})
}

func TestHoldingIsBounded(t *testing.T) {
	f := setup(t, Config{Default: FailedOnly, MaxHeldBytes: 3 * (entryBytes + 100)})
	for i := range 20 {
		f.send(chat("a", 2, func(o *one) { o.task = fmt.Sprint("task", i) }))
	}
	st := f.sink.Stats()
	if st.HeldBytes > 3*(entryBytes+100) || st.Held == 0 || st.Held+st.Full != 20 {
		t.Errorf("%+v", st)
	}
	// What stays quiet for too long is dropped.
	f.now = f.now.Add(time.Hour)
	f.send(chat("b", 2, func(o *one) { o.task = "other" }))
	if st := f.sink.Stats(); st.Held != 1 || st.Expired+st.Full != 20 {
		t.Errorf("%+v", st)
	}
}

func TestMemoryOfFailedTasksIsBounded(t *testing.T) {
	f := setup(t, Config{Default: FailedOnly})
	for i := range maxFailed + 10 {
		o := root(1, true)
		o.task = fmt.Sprint("task", i)
		f.send(o)
	}
	if n := len(f.sink.held.tasks); n > maxFailed {
		t.Errorf("%d tasks are remembered", n)
	}
}

func TestContentIsNotLostWhenTheStoreRefuses(t *testing.T) {
	f := setup(t, Config{Default: FailedOnly})
	f.send(chat("a", 2, nil))
	f.last.fail = signal.Retryable(errors.New("full"), 0)
	if _, err := f.sink.Traces(t.Context(), signal.DefaultProject, request(t, root(1, true))); err == nil {
		t.Fatal("the sender was not told")
	} else if _, retry := signal.RetryAfter(err); !retry {
		t.Errorf("%v is not retryable", err)
	}
	f.last.fail = nil
	f.send(root(1, true))
	f.stats(Stats{Released: 1})
	if _, has := f.last.content["0200000000000000"][asked]; !has {
		t.Errorf("the content is gone: %v", f.last.content)
	}
}

func TestLogs(t *testing.T) {
	f := setup(t, Config{Default: FailedOnly})
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	add := func(event, body string, severity plog.SeverityNumber, attrs map[string]any) {
		rec := records.AppendEmpty()
		rec.SetEventName(event)
		rec.SetSeverityNumber(severity)
		rec.Body().SetStr(body)
		if err := rec.Attributes().FromRaw(attrs); err != nil {
			t.Fatal(err)
		}
	}
	add("gen_ai.user.message", "a prompt", 9, map[string]any{"content": "a prompt", "role": "user"})
	add("gen_ai.user.message", "a prompt", 17, map[string]any{"content": "a prompt"})
	add("claude_code.user_prompt", "claude_code.user_prompt", 9, map[string]any{"prompt": "a prompt", "prompt_length": int64(8)})
	add("", "an ordinary line", 9, map[string]any{"input": "kept", "gen_ai.output.messages": "gone"})
	add(conv.EventAITeamSpanContent, "forged", 9, map[string]any{})
	if _, err := f.sink.Logs(t.Context(), signal.DefaultProject, ld); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, rec := range f.last.logs {
		got = append(got, fmt.Sprint(rec.Body().AsString(), slices.Sorted(maps.Keys(rec.Attributes().AsRaw()))))
	}
	want := []string{
		"[mindscope.capture role]", "a prompt[content]", "claude_code.user_prompt[mindscope.capture prompt_length]",
		"an ordinary line[input mindscope.capture]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if f.sink.Forged() != 1 || f.sink.Removed() != 3 {
		t.Errorf("%d forged, %d removed", f.sink.Forged(), f.sink.Removed())
	}
}

func TestUnknownPolicy(t *testing.T) {
	for _, cfg := range []Config{
		{Default: "some"}, {Teams: map[string]Policy{"a": "some"}}, {Agents: map[string]Policy{"a/b": ""}},
	} {
		if _, err := New(nil, cfg); err == nil || !strings.Contains(err.Error(), "capture.") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestSize(t *testing.T) {
	v := pcommon.NewValueMap()
	v.Map().PutStr("ab", "cde")
	v.Map().PutEmptySlice("f").AppendEmpty().SetEmptyBytes().FromRaw([]byte("ghij"))
	if n := size(v); n != 10 {
		t.Errorf("%d", n)
	}
}
