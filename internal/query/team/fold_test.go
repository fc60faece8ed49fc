package team

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/query/teamtest"
	"github.com/mindscope/mindscope/internal/store"
)

// at is the time `at` of the scenarios in this file.
var at = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

// foldOf folds the spans of a scenario as they are, without the enrich steps: the columns are written as attributes.
func foldOf(t *testing.T, text string) *Fold {
	t.Helper()
	traces, logs, err := teamtest.Parse("at 2026-03-01T10:00:00Z\ntrace 1\n" + text)
	if err != nil {
		t.Fatal(err)
	}
	rows := store.AppendLogRows(store.AppendSpanRows(nil, traces), logs)
	f := &Fold{}
	for i := range rows {
		if rows[i].Kind == store.KindSpan || rows[i].Kind == store.KindStart {
			f.Add(spanOf(&rows[i]))
		}
	}
	return f
}

func TestOutcome(t *testing.T) {
	type want struct {
		Status, Agent, Error, ErrorType string
		Attempts                        int
		Duration, Idle                  time.Duration
	}
	now := at.Add(time.Minute)
	f := func(text string, w want) {
		t.Helper()
		s := foldOf(t, text).Summary(now.UnixNano())
		got := want{Status: s.Status, Attempts: s.Attempts, Duration: time.Duration(s.Duration), Idle: time.Duration(s.Idle)}
		if s.Cause != nil {
			got.Agent, got.Error, got.ErrorType = s.Cause.Agent, s.Cause.Error, s.Cause.ErrorType
		}
		if diff := cmp.Diff(w, got); diff != "" {
			t.Errorf("%s\n(-want +got)\n%s", text, diff)
		}
	}
	task := "| mindscope.operation=invoke_workflow mindscope.task_id=t "
	// A root that ended without status and error is completed.
	f(`root | 0s 2s`, want{Status: Completed, Attempts: 1, Duration: 2 * time.Second})
	f(`root | 0s 2s | error=boom error.type=timeout`,
		want{Status: Failed, Error: "boom", ErrorType: "timeout", Attempts: 1, Duration: 2 * time.Second})
	// The outcome that the sender tells wins over the span's status; what is no outcome does not.
	f(`execute_task | 0s 2s `+task+`outcome=completed error=late`, want{Status: Completed, Attempts: 1, Duration: 2 * time.Second})
	f(`execute_task | 0s 2s `+task+`outcome=fine`, want{Status: Completed, Attempts: 1, Duration: 2 * time.Second})
	f(`execute_task | 0s 2s `+task+`outcome=cancelled error="context canceled" error.type=cancelled`,
		want{Status: Cancelled, Error: "context canceled", ErrorType: "cancelled", Attempts: 1, Duration: 2 * time.Second})
	f(`execute_task | 0s 2s `+task+`error.type=cancelled error=stop`,
		want{Status: Cancelled, Error: "stop", ErrorType: "cancelled", Attempts: 1, Duration: 2 * time.Second})
	// The task span decides, not the request that it was part of, nor a workflow inside.
	f(`POST /article | 0s 3s | kind=server
  execute_task | 1s 2s `+task+`outcome=failed error=no
    inner | 1s 1s | mindscope.operation=invoke_workflow`,
		want{Status: Failed, Error: "no", Attempts: 1, Duration: 3 * time.Second})
	// The newest attempt has the say; between the attempts the task was idle.
	f(`execute_task | 0s 2s `+task+`outcome=failed error=boom
trace 2
execute_task | 10s 5s `+task+`outcome=completed`,
		want{Status: Completed, Attempts: 2, Duration: 15 * time.Second, Idle: 8 * time.Second})
	f(`execute_task | 10s 5s `+task+`outcome=failed error=boom
trace 2
execute_task | 0s 2s `+task+`outcome=completed`,
		want{Status: Failed, Error: "boom", Attempts: 2, Duration: 15 * time.Second, Idle: 8 * time.Second})
	// The cause is where the failure began: through the message to the agent that failed.
	f(`execute_task | 0s 9s `+task+`mindscope.agent=orchestrator outcome=failed error="writer failed"
  send cmd.writer | 1s 1ms | kind=producer messaging.destination.name=cmd.writer
    process agent.writer | 2s 4s | kind=consumer messaging.destination.name=agent.writer to=writer error="no answer"
      chat gpt | 2s 1s | mindscope.operation=chat error="429, will try again"
      chat gpt | 3s 3s | mindscope.operation=chat error="429 again" error.type=429
  send cmd.critic | 5s 1ms | kind=producer messaging.destination.name=cmd.critic
    process agent.critic | 6s 1s | kind=consumer to=critic`,
		want{Status: Failed, Agent: "writer", Error: "429 again", ErrorType: "429", Attempts: 1, Duration: 9 * time.Second})
	// A failure that was mended on the way is none.
	f(`execute_task | 0s 9s `+task+`outcome=completed
  chat gpt | 2s 1s | mindscope.operation=chat error=429`, want{Status: Completed, Attempts: 1, Duration: 9 * time.Second})
	// What has only begun runs until now, as long as it shows signs of life.
	f(`? execute_task | 0s `+task+`
  chat gpt | 2s 1s | mindscope.operation=chat`, want{Status: Running, Attempts: 1, Duration: time.Minute})
	now = at.Add(time.Hour)
	f(`? execute_task | 0s `+task+`mindscope.agent=orchestrator
  ? invoke_agent writer | 1s | mindscope.agent=writer
    chat gpt | 2s 1s | mindscope.operation=chat`, want{
		Status: Failed, Agent: "writer", Error: "no sign of life for 10 minutes", ErrorType: "lost", Attempts: 1, Duration: 3 * time.Second,
	})
	// A span supersedes its start record, whichever came first.
	f(`? execute_task | 0s `+task+`id=1
execute_task | 0s 2s `+task+`id=1 outcome=completed`, want{Status: Completed, Attempts: 1, Duration: 2 * time.Second})
	f(`execute_task | 0s 2s `+task+`id=1 outcome=completed
? execute_task | 0s `+task+`id=1`, want{Status: Completed, Attempts: 1, Duration: 2 * time.Second})
	// Clocks: a span that ends before it starts, a child before its parent.
	f(`root | 5s -3s
  child | 1s 1s`, want{Status: Completed, Attempts: 1, Duration: 4 * time.Second})
	// Nobody is without a parent.
	f(`a | 0s 1s | id=a parent=b
b | 1s 1s | id=b parent=a error=boom`, want{Status: Completed, Attempts: 1, Duration: 2 * time.Second})
}

func TestUsage(t *testing.T) {
	type agent struct {
		Calls, LLMCalls int
		Tokens          int64
		Cost            string
	}
	type want struct {
		LLMCalls, Unpriced, Tokens int
		Cost                       string
		Models                     []string
		Agents                     map[string]agent
	}
	f := func(text string, w want) {
		t.Helper()
		s := foldOf(t, text).Summary(at.UnixNano())
		got := want{
			LLMCalls: s.LLMCalls, Unpriced: s.Unpriced, Tokens: int(s.Tokens.Total()), Cost: s.Cost.String(), Models: s.Models,
			Agents: map[string]agent{},
		}
		for _, a := range s.Agents {
			got.Agents[a.Name] = agent{a.Calls, a.LLMCalls, a.Tokens.Total(), a.Cost.String()}
		}
		if s.Hops.LLMCalls != s.LLMCalls {
			t.Errorf("%d calls, but %d hops to models", s.LLMCalls, s.Hops.LLMCalls)
		}
		if diff := cmp.Diff(w, got); diff != "" {
			t.Errorf("%s\n(-want +got)\n%s", text, diff)
		}
	}
	// The agent's sum repeats its calls; the wrapper repeats the call.
	f(`invoke_agent writer | 0s 9s | mindscope.operation=invoke_agent mindscope.agent=writer mindscope.tokens_input=300 mindscope.tokens_output=60
  chat gpt | 0s 2s | mindscope.operation=chat mindscope.model=wrapper mindscope.tokens_input=100 mindscope.cost_micro_usd=5
    POST | 0s 2s
      chat gpt | 0s 2s | mindscope.operation=chat mindscope.model=gpt mindscope.tokens_input=100 mindscope.tokens_output=20 mindscope.cost_micro_usd=5 mindscope.cost_rest_pico_usd=250000
  chat gpt | 3s 2s | mindscope.operation=chat mindscope.model=gpt mindscope.tokens_input=150 mindscope.tokens_cache_read=50 mindscope.tokens_reasoning=40 mindscope.cost_micro_usd=1`,
		want{
			LLMCalls: 2, Tokens: 360, Cost: "0.00000625", Models: []string{"wrapper", "gpt"},
			Agents: map[string]agent{"writer": {1, 2, 360, "0.00000625"}},
		})
	// An agent whose calls nobody sees counts itself; a call without usage is a call and unpriced.
	f(`execute_task | 0s 9s | mindscope.operation=invoke_workflow mindscope.tokens_input=99
  invoke_agent a | 0s 2s | mindscope.operation=invoke_agent mindscope.agent=a mindscope.tokens_input=7 mindscope.cost_micro_usd=2000000
  invoke_agent b | 2s 2s | mindscope.operation=invoke_agent mindscope.agent=b
    chat gpt | 2s 1s | mindscope.operation=chat`,
		want{
			LLMCalls: 1, Unpriced: 1, Tokens: 7, Cost: "2",
			Agents: map[string]agent{"a": {1, 0, 7, "2"}, "b": {1, 1, 0, "0"}},
		})
	// All attempts count.
	f(`chat | 0s 1s | mindscope.operation=chat mindscope.tokens_input=1 error=429
trace 2
chat | 5s 1s | mindscope.operation=embeddings mindscope.tokens_input=2`,
		want{LLMCalls: 2, Unpriced: 2, Tokens: 3, Cost: "0", Agents: map[string]agent{}})
	// A cost beyond all prices is none; calls in a cycle end.
	f(`a | 0s 1s | id=a parent=b mindscope.operation=chat mindscope.tokens_input=1 mindscope.cost_micro_usd=9223372036854775807
b | 1s 1s | id=b parent=a mindscope.operation=chat mindscope.tokens_input=2`,
		want{LLMCalls: 1, Unpriced: 1, Tokens: 2, Cost: "0", Agents: map[string]agent{}})
}

func TestQuality(t *testing.T) {
	judged := func(f *Fold) string {
		s := f.Summary(at.UnixNano())
		if s.Quality == nil {
			return "none"
		}
		return fmt.Sprint(*s.Quality)
	}
	f := func(fold *Fold, want string) {
		t.Helper()
		if got := judged(fold); got != want {
			t.Errorf("quality %s, want %s", got, want)
		}
	}
	const task = `execute_task | 0s 2s | mindscope.operation=invoke_workflow`
	f(foldOf(t, task), "none")
	f(foldOf(t, task+" mindscope.quality=8.4"), "8.4")
	// The newest attempt that was judged.
	both := task + " mindscope.quality=3\ntrace 2\nexecute_task | 5s 1s | mindscope.operation=invoke_workflow"
	f(foldOf(t, both), "3")
	f(foldOf(t, both+" mindscope.quality=7"), "7")
	// An agent's score is not the task's.
	f(foldOf(t, task+"\n  invoke_agent a | 0s 1s | mindscope.operation=invoke_agent mindscope.quality=3"), "none")
	// Verdicts that came as log records: the newest, and only where the span has none.
	fold := foldOf(t, task)
	trace, span := fold.spans[0].TraceID, fold.spans[0].SpanID
	fold.Judge(trace, span, 2, 9)
	fold.Judge(trace, span, 1, 1)
	f(fold, "9")
	fold = foldOf(t, task+" mindscope.quality=8.4")
	fold.Judge(trace, span, 2, 9)
	f(fold, "8.4")
	fold = foldOf(t, task)
	fold.Judge("", "", 2, 5)
	f(fold, "5")
}

// TestFoldOrder: whatever the order in which rows arrive, the summary is the same.
func TestFoldOrder(t *testing.T) {
	base := foldOf(t, `? execute_task | 0s | id=1 mindscope.operation=invoke_workflow mindscope.task_id=t mindscope.team=x
  invoke_agent a | 1s 3s | mindscope.operation=invoke_agent mindscope.agent=a
    chat gpt | 1s 2s | mindscope.operation=chat mindscope.tokens_input=4 mindscope.model=m
  invoke_agent b | 1s 3s | mindscope.operation=invoke_agent mindscope.agent=b error=boom
execute_task | 0s 9s | id=1 mindscope.operation=invoke_workflow mindscope.task_id=t mindscope.team=x outcome=failed error=boom`)
	want := base.Summary(at.UnixNano())
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		f := &Fold{}
		for _, i := range random.Perm(len(base.spans)) {
			f.Add(base.spans[i])
			f.Summary(at.UnixNano()) // asking in between changes nothing
		}
		if diff := cmp.Diff(want, f.Summary(at.UnixNano())); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
	}
}

func TestPicoUSD(t *testing.T) {
	f := func(p PicoUSD, want string) {
		t.Helper()
		if got := p.String(); got != want {
			t.Errorf("%d: %s, want %s", p, got, want)
		}
	}
	f(0, "0")
	f(1, "0.000000000001")
	f(23_100_000_000, "0.0231")
	f(12_400_000_000_000, "12.4")
	f(-1_500_000_000_000, "-1.5")
}

// TestMoneyIsExact: the sum of many small costs has no rounding in it.
func TestMoneyIsExact(t *testing.T) {
	f := &Fold{}
	for i := range 10_000 {
		f.Add(Span{TraceID: "t", SpanID: fmt.Sprint(i), Operation: "chat", HasCost: true, Cost: 1_000_001})
	}
	if got := f.Summary(0).Cost.String(); got != "0.01000001" {
		t.Errorf("ten thousand times 0.000001000001 is %s", got)
	}
}

func TestSumsHaveNoBounds(t *testing.T) {
	f := &Fold{}
	huge := Tokens{Input: 1 << 62, Output: 1 << 62}
	for i := range 3 {
		f.Add(Span{TraceID: "t", SpanID: fmt.Sprint(i), Operation: "chat", HasTokens: true, Tokens: huge, HasCost: true, Cost: 1 << 62})
	}
	if s := f.Summary(0); s.Tokens.Total() != 1<<63-1 || s.Cost != 1<<63-1 {
		t.Errorf("%d tokens, cost %d: want the largest numbers there are", s.Tokens.Total(), s.Cost)
	}
}
