package team

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/enrich/dialect"
	"github.com/mindscope/mindscope/internal/enrich/identity"
	"github.com/mindscope/mindscope/internal/query/teamtest"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

// piped sends scenarios, a request each, the way that telemetry takes in the server.
func piped(t *testing.T, db store.Writer, requests ...string) {
	t.Helper()
	sink, err := dialect.New(identity.New(store.NewSink(db, nil)), dialect.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range requests {
		traces, logs, err := teamtest.Parse(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		for _, send := range []func() (signal.Rejected, error){
			func() (signal.Rejected, error) { return sink.Traces(t.Context(), p, traces) },
			func() (signal.Rejected, error) { return sink.Logs(t.Context(), p, logs) },
		} {
			if rejected, err := send(); err != nil || rejected.Items > 0 {
				t.Fatal(err, rejected)
			}
		}
	}
}

// told is a ledger as text: the score, the hops that are not complete or not known of all, and the findings.
func told(l Ledger) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.1f %%\n", l.Score)
	for _, a := range l.Accounts {
		fmt.Fprintf(&b, "%s %d/%d", a.Hop, a.Found, a.Expected)
		if len(a.Unknown) > 0 {
			fmt.Fprintf(&b, " unknown of %s", strings.Join(a.Unknown, ", "))
		}
		b.WriteString("\n")
	}
	for _, f := range l.Findings {
		fmt.Fprintf(&b, "%s at %s's %s, %d: %s\n", f.Kind, f.Agent, f.Hop, f.Count, f.Text)
	}
	return b.String()
}

// TestLedger breaks a healthy task in each of twelve ways. It must find that, and nothing else, whether the task's spans
// come in one request or each in one of its own.
func TestLedger(t *testing.T) {
	all := teamtest.Breakages()
	if len(all) != 13 {
		t.Fatalf("%d scenarios, want the healthy one and twelve", len(all))
	}
	for _, together := range []bool{true, false} {
		clock := func() time.Time { return at.Add(3 * time.Hour) }
		db := memdb.New(memdb.Config{Clock: clock})
		for _, b := range all {
			if together {
				piped(t, db, strings.Join(b.Lines, ""))
				continue
			}
			piped(t, db, b.Lines...)
		}
		q := New(db, Options{Clock: clock})
		for n, b := range all {
			l, err := q.Audit(t.Context(), p, "", teamtest.TaskOf(n))
			if err != nil {
				t.Fatal(b.Name, err)
			}
			var got []Breakage
			for _, f := range l.Findings {
				got = append(got, Breakage{string(f.Hop), f.Agent, f.Kind, f.Text})
			}
			var want []Breakage
			if b.Kind != "" {
				want = append(want, Breakage{b.Hop, b.Agent, b.Kind, b.Text})
			}
			if diff := cmp.Diff(want, got); diff != "" || l.Score != b.Score || l.Complete() != (b.Kind == "") {
				t.Errorf("%s (together %v): score %v, want %v (-want +got)\n%s%s", b.Name, together, l.Score, b.Score, diff, told(l))
			}
			if kept, err := q.AuditAll(t.Context(), p, "press", []string{teamtest.TaskOf(n), "unknown"}); err != nil || len(kept) != 1 ||
				told(*kept[teamtest.TaskOf(n)]) != told(l) {
				t.Errorf("%s: audited with others it is another: %v", b.Name, err)
			}
		}
		ids := make([]string, len(all))
		for n := range all {
			ids[n] = teamtest.TaskOf(n)
		}
		batch, err := q.AuditAll(t.Context(), p, "press", ids)
		if err != nil || len(batch) != len(all) {
			t.Fatal(len(batch), err)
		}
		for n, b := range all {
			if l := batch[ids[n]]; l.Score != b.Score || l.Complete() != (b.Kind == "") {
				t.Errorf("%s in a batch: %s", b.Name, told(*l))
			}
		}
	}
}

// Breakage is a finding as far as the table tells it.
type Breakage struct{ Hop, Agent, Kind, Text string }

// audited sends a scenario (requests are parted by "---") and returns what the ledger tells of task t.
func audited(t *testing.T, text string) string {
	t.Helper()
	clock := func() time.Time { return at.Add(3 * time.Hour) }
	db := memdb.New(memdb.Config{Clock: clock})
	piped(t, db, slices.Collect(strings.SplitSeq(text, "---\n"))...)
	l, err := New(db, Options{Clock: clock}).Audit(t.Context(), p, "", "t")
	if err != nil {
		t.Fatal(err)
	}
	return told(l)
}

// Short words for the scenarios below.
const (
	taskSpan = "execute_task | 0s 20s | id=1 ai_team.task.id=t gen_ai.operation.name=invoke_workflow gen_ai.agent.name=boss outcome=completed\n"
	toAgent  = "kind=producer ai_team.task.id=t ai_team.message.type=COMMAND from=boss to=writer messaging.message.id="
	atAgent  = "kind=consumer ai_team.task.id=t ai_team.message.type=COMMAND from=boss to=writer messaging.message.id="
)

// TestUnknownIsNotMissing: what an agent never reports is not expected of it, until it has reported it once.
func TestUnknownIsNotMissing(t *testing.T) {
	f := func(want, text string) {
		t.Helper()
		if diff := cmp.Diff(want, audited(t, text)); diff != "" {
			t.Errorf("%s\n(-want +got)\n%s", text, diff)
		}
	}
	sent := "resource ai_team.team=press\ntrace 1\n" + taskSpan + "  send cmd.writer | 1s 1ms | id=2 " + toAgent + "m1\n"
	// The writer says nothing at all.
	f(`100.0 %
message 0/0 unknown of writer
llm 0/0 unknown of boss, writer
record 0/0 unknown of boss, writer
artifact 0/0 unknown of boss, writer
log 0/0 unknown of boss, writer
span 1/1 unknown of writer
`, sent)
	// It took messages of other tasks, so that it would have said so of this one.
	f(`50.0 %
message 0/1
llm 0/0 unknown of boss, writer
record 0/0 unknown of boss, writer
artifact 0/0 unknown of boss, writer
log 0/0 unknown of boss, writer
span 1/1 unknown of writer
not_consumed at writer's message, 1: boss's COMMAND to writer was sent and never consumed
`, sent+"---\nresource ai_team.team=press\ntrace 2\nprocess agent.writer | -1h 1s | id=9 "+strings.ReplaceAll(atAgent, "id=t", "id=other")+"m0\n")
	// It takes messages and nobody ever reports an answer.
	f(`100.0 %
message 1/1 unknown of writer
llm 0/0 unknown of boss, writer
record 0/0 unknown of boss, writer
artifact 0/0 unknown of boss, writer
log 0/0 unknown of boss, writer
span 1/1 unknown of writer
`, sent+"    process agent.writer | 2s 1s | id=3 "+atAgent+"m1\n")
	// The boss hears answers of others.
	f(`83.3 %
message 2/3 unknown of critic
llm 0/0 unknown of boss, critic, writer
record 0/0 unknown of boss, critic, writer
artifact 0/0 unknown of boss, critic, writer
log 0/0 unknown of boss, critic, writer
span 1/1 unknown of critic, writer
not_answered at writer's message, 1: writer consumed boss's COMMAND and never answered
`, sent+"    process agent.writer | 2s 1s | id=3 "+atAgent+"m1\n"+
		"  process reply.boss | 5s 1s | id=5 kind=consumer ai_team.task.id=t ai_team.message.type=RESULT from=critic to=boss messaging.message.id=m9\n")
	// Whoever reads along on the bus sees commands taken, since they are answered, and no answer taken: also where an
	// agent takes commands and asks others.
	f(`100.0 %
message 2/2 unknown of boss, writer
llm 0/0 unknown of boss, critic, writer
record 0/0 unknown of boss, critic, writer
artifact 0/0 unknown of boss, critic, writer
log 0/0 unknown of boss, critic, writer
span 1/1 unknown of critic, writer
`, sent+"    process agent.writer | 2s 5s | id=3 "+atAgent+"m1\n"+
		"      send cmd.critic | 3s 1ms | id=4 kind=producer ai_team.task.id=t ai_team.message.type=COMMAND from=writer to=critic messaging.message.id=m2\n"+
		"        process agent.critic | 3s 1s | id=5 kind=consumer ai_team.task.id=t ai_team.message.type=COMMAND from=writer to=critic messaging.message.id=m2\n"+
		"          send res.writer | 4s 1ms | id=6 kind=producer ai_team.task.id=t ai_team.message.type=RESULT from=critic to=writer messaging.message.id=m3 messaging.message.conversation_id=m2\n"+
		"      send res.boss | 7s 1ms | id=7 kind=producer ai_team.task.id=t ai_team.message.type=RESULT from=writer to=boss messaging.message.id=m4 messaging.message.conversation_id=m1\n")
	// Nobody has to listen to an event, and a message that could not be sent was not sent.
	f(`100.0 %
message 2/2
llm 0/0 unknown of boss
record 0/0 unknown of boss
artifact 0/0 unknown of boss
log 0/0 unknown of boss
span 1/1
`, "resource ai_team.team=press\ntrace 1\n"+taskSpan+
		"  send evt.article | 1s 1ms | id=2 kind=producer ai_team.task.id=t ai_team.message.type=EVENT from=boss messaging.message.id=m1\n"+
		"  send cmd.boss | 1s 1ms | id=3 kind=producer ai_team.task.id=t ai_team.message.type=COMMAND from=boss to=boss messaging.message.id=m2 error=\"no queue\"\n")
}

// TestLostTraces: a trace that names no task is found by what it says, and by time when it says nothing.
func TestLostTraces(t *testing.T) {
	f := func(text, by, finding string) {
		t.Helper()
		clock := func() time.Time { return at.Add(3 * time.Hour) }
		db := memdb.New(memdb.Config{Clock: clock})
		piped(t, db, slices.Collect(strings.SplitSeq(text, "---\n"))...)
		l, err := New(db, Options{Clock: clock}).Audit(t.Context(), p, "", "t")
		if err != nil {
			t.Fatal(err)
		}
		got, joined := "", ""
		for _, one := range l.Findings {
			got += one.Text + "\n"
		}
		for _, j := range l.Joined {
			joined += " " + j.By + " " + strings.TrimLeft(j.Trace, "0")
		}
		if got != finding || strings.TrimPrefix(joined, " ") != by {
			t.Errorf("%s\njoined %q, want %q\n%s", text, joined, by, told(l))
		}
	}
	one := "resource ai_team.team=press\ntrace 1\n" + taskSpan + "  send cmd.writer | 1s 1ms | id=2 " + toAgent + "m1\n"
	taken := one + "    process agent.writer | 2s 5s | id=3 " + atAgent + "m1\n"
	began := "writer took boss's COMMAND and began trace " + hexTrace(2) + " instead of continuing " + hexTrace(1) + "\n"
	lone := "---\nresource ai_team.team=press\ntrace 2\n"
	// The handler forgot the context: its work is a trace of its own.
	f(taken+lone+"invoke_agent writer | 2001ms 4s | id=7 gen_ai.operation.name=invoke_agent gen_ai.agent.name=writer\n", "time 2", began)
	// What another agent did, or the same one at another time, is not this task's.
	f(taken+lone+"invoke_agent critic | 2001ms 4s | id=7 gen_ai.operation.name=invoke_agent gen_ai.agent.name=critic\n", "", "")
	f(taken+lone+"invoke_agent writer | 2001ms 14s | id=7 gen_ai.operation.name=invoke_agent gen_ai.agent.name=writer\n"+
		lone+"trace 4\nprocess agent.writer | 2001ms 16s | id=8 "+strings.Replace(atAgent, "id=t", "id=u", 1)+"m7\n", "", "")
	// Two tasks at once: the work belongs to the message that was taken last before it.
	f(taken+lone+"invoke_agent writer | 2001ms 4s | id=7 gen_ai.operation.name=invoke_agent gen_ai.agent.name=writer\n"+
		lone+"trace 3\ninvoke_agent writer | 2501ms 4s | id=7 gen_ai.operation.name=invoke_agent gen_ai.agent.name=writer\n"+
		lone+"trace 4\nprocess agent.writer | 2500ms 5s | id=8 "+strings.Replace(atAgent, "id=t", "id=u", 1)+"m7\n", "time 2", began)
	// It answers from a trace of its own, and never reports what it takes.
	f(one+lone+"send res.boss.writer | 9s 1ms | id=7 kind=producer ai_team.message.type=RESULT from=writer to=boss messaging.message.conversation_id=m1 messaging.message.id=m2\n"+
		"  process reply.boss | 9s 1ms | id=8 kind=consumer ai_team.message.type=RESULT from=writer to=boss messaging.message.conversation_id=m1 messaging.message.id=m2\n",
		"conversation 2", began)
	// A link continues the task, but the id did not come along.
	f(taken+lone+"process agent.writer | 3s 1ms | id=7 kind=consumer from=boss to=writer link=1/2\n", "link 2",
		"writer dropped the task's id: 1 span from process agent.writer on does not carry it\n")
	// With the task's id on everything a trace of one's own is still one.
	f(one+lone+"process agent.writer | 3s 1ms | id=7 "+atAgent+"m1\n", "", began)
	f(one+lone+"process agent.writer | 3s 1ms | id=7 "+atAgent+"m1 link=1/2\n", "", "")
}

// TestUnfinished: what a running task has not done yet is not missing; who died in the middle is named.
func TestUnfinished(t *testing.T) {
	f := func(want, text string) {
		t.Helper()
		got := audited(t, "resource ai_team.team=press\ntrace 1\n"+text)
		findings := strings.Join(slices.DeleteFunc(strings.SplitAfter(got, "\n"), func(l string) bool { return !strings.Contains(l, "'s ") }), "")
		if findings != want {
			t.Errorf("%s\n%s", text, got)
		}
	}
	// The writer was killed: its start record is there, and nothing that ends.
	f("not_ended at writer's span, 1: writer began invoke_agent writer and never ended it\n", taskSpan+
		"  send cmd.writer | 1s 1ms | id=2 "+toAgent+"m1\n"+
		"? invoke_agent writer | 2s | id=4 parent=3 ai_team.task.id=t gen_ai.operation.name=invoke_agent gen_ai.agent.name=writer\n"+
		"chat gpt | 3s 1s | id=5 parent=4 kind=client ai_team.task.id=t gen_ai.operation.name=chat gen_ai.usage.input_tokens=1 gen_ai.usage.output_tokens=1\n")
	// Its own span of the message got lost on the way: that is the one thing missing.
	f("orphan at writer's span, 1: 1 span of writer (invoke_agent writer) hangs under a span that never arrived\n", taskSpan+
		"  send cmd.writer | 1s 1ms | id=2 "+toAgent+"m1\n"+
		"invoke_agent writer | 2s 1s | id=4 parent=3 ai_team.task.id=t gen_ai.operation.name=invoke_agent gen_ai.agent.name=writer\n")
	// A call that failed used no tokens.
	f("", taskSpan+"  chat gpt | 1s 1s | kind=client ai_team.task.id=t gen_ai.operation.name=chat error.type=429 error=slow\n")
	// Spans that are each other's parents, and one that is its own.
	f("cycle at a's span, 1: 1 span of a (invoke_agent a) is its own ancestor\ncycle at c's span, 1: 1 span of c (invoke_agent c) is its own ancestor\n",
		taskSpan+"invoke_agent a | 1s 1s | id=a parent=b ai_team.task.id=t gen_ai.operation.name=invoke_agent gen_ai.agent.name=a\n"+
			"invoke_agent b | 2s 1s | id=b parent=a ai_team.task.id=t gen_ai.operation.name=invoke_agent gen_ai.agent.name=b\n"+
			"invoke_agent c | 2s 1s | id=c parent=c ai_team.task.id=t gen_ai.operation.name=invoke_agent gen_ai.agent.name=c\n")
	// An answer to nothing.
	f("answers_none at writer's message, 1: writer sent 1 answer to boss that answers no command of the task\n", taskSpan+
		"  send cmd.writer | 1s 1ms | id=2 "+toAgent+"m1\n    process agent.writer | 2s 1s | id=3 "+atAgent+"m1\n"+
		"      send res | 2s 1ms | id=4 kind=producer ai_team.task.id=t ai_team.message.type=RESULT from=writer to=boss messaging.message.id=m2 messaging.message.conversation_id=m1\n"+
		"        process reply.boss | 2s 1ms | id=5 kind=consumer ai_team.task.id=t ai_team.message.type=RESULT from=writer to=boss messaging.message.id=m2 messaging.message.conversation_id=m1\n"+
		"      send res | 3s 1ms | id=6 kind=producer ai_team.task.id=t ai_team.message.type=RESULT from=writer to=boss messaging.message.id=m3 messaging.message.conversation_id=nothing\n"+
		"        process reply.boss | 3s 1ms | id=7 kind=consumer ai_team.task.id=t ai_team.message.type=RESULT from=writer to=boss messaging.message.id=m3 messaging.message.conversation_id=nothing\n")
}

func TestRunningTaskIsNotIncomplete(t *testing.T) {
	clock := func() time.Time { return at.Add(30 * time.Second) }
	db := memdb.New(memdb.Config{Clock: clock})
	piped(t, db, "resource ai_team.team=press\ntrace 1\n? execute_task | 0s | id=1 ai_team.task.id=t gen_ai.operation.name=invoke_workflow gen_ai.agent.name=boss\n"+
		"  send cmd.writer | 1s 1ms | id=2 "+toAgent+"m1\n"+
		"chat gpt | 3s 1s | id=5 parent=4 kind=client ai_team.task.id=t gen_ai.operation.name=chat gen_ai.agent.name=writer gen_ai.usage.input_tokens=1\n"+
		"process agent.writer | -1h 1s | id=9 "+atAgent+"m0\n")
	l, err := New(db, Options{Clock: clock}).Audit(t.Context(), p, "", "t")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range l.Findings {
		if f.Kind != ClockOff { // the line that teaches that the writer reports what it takes is an hour old
			t.Errorf("%+v", f)
		}
	}
	if !l.Open {
		t.Error("the task runs")
	}
}

// FuzzLedger accounts for tasks of random spans: it ends, nothing is found that was not expected, and the score is a share.
func FuzzLedger(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 0, 3, 2, 2, 9, 200, 41})
	f.Add([]byte{255, 0, 0, 1, 2, 3, 9, 4, 17, 18, 19, 20, 21, 22})
	f.Fuzz(func(t *testing.T, bytes []byte) {
		pick := func(b byte, from ...string) string { return from[int(b)%len(from)] }
		fold, joined := &Fold{}, map[string]Join{}
		var lines []lineGroup
		for i, b := range bytes {
			s := Span{
				TraceID: fmt.Sprint(b % 3), SpanID: fmt.Sprint(i), Start: int64(b) * int64(time.Minute), Duration: int64(b%7) - 2,
				Kind: pick(b, "producer", "consumer", "client", "internal", "server"), Name: pick(b/5, "a", "INSERT x", "load_artifact", "save_artifact"),
				Operation: pick(b/3, "", "chat", "invoke_workflow", "invoke_agent"), Status: pick(b/2, "unset", "error"),
				Agent: pick(b/7, "", "x", "y"), Task: "t", Provisional: b%5 == 0, Inherited: b%11 == 0, Running: b%6 == 0, Collection: pick(b, "", "c"),
				MessageID: pick(b/4, "", "m", "n"), CorrelationID: pick(b/6, "", "m", "n", "o"), HasTokens: b%2 == 0,
			}
			if b%4 != 3 {
				s.ParentID = fmt.Sprint(int(b) % (len(bytes) + 1))
			}
			if b%2 == 0 {
				s.Message = &Message{Type: pick(b/8, "", "COMMAND", "RESULT", "ERROR", "EVENT"), From: pick(b/9, "", "x", "y"), To: pick(b/10, "", "x", "y")}
				s.Links = []SpanID{{fmt.Sprint(b % 3), fmt.Sprint(b % 9)}}
			}
			fold.Add(s)
			lines = append(lines, lineGroup{trace: s.TraceID, span: s.SpanID, unnamed: b%3 == 0, n: int(b)})
			if b%13 == 0 {
				joined[s.TraceID] = Join{Trace: s.TraceID, By: pick(b, ByTime, ByLink, ByMessage), To: SpanID{s.TraceID, fmt.Sprint(b % 9)}}
			}
		}
		if fold.Len() == 0 {
			return
		}
		for _, now := range []int64{0, int64(1000 * time.Hour)} {
			var l Ledger
			a := examine(fold, lines, joined, habits{}, now)
			a.wants("t")
			a.into(&l)
			for _, acc := range l.Accounts {
				if acc.Found > acc.Expected || acc.Found < 0 {
					t.Fatalf("%s: %d of %d", acc.Hop, acc.Found, acc.Expected)
				}
			}
			if l.Score < 0 || l.Score > 100 {
				t.Fatalf("score %v", l.Score)
			}
			for _, one := range l.Findings {
				if one.Text == "" || one.Count < 1 {
					t.Fatalf("%+v", one)
				}
			}
		}
	})
}

// TestLedgerOfALargeTask: the effort grows with the spans, not with their square.
func TestLedgerOfALargeTask(t *testing.T) {
	fold := &Fold{}
	for i := range MaxSpans {
		s := Span{TraceID: "1", SpanID: fmt.Sprint(i), Start: int64(i), Task: "t", Kind: []string{"producer", "consumer", "client"}[i%3], Agent: "x", Operation: "chat"}
		s.ParentID = fmt.Sprint("gone", i)
		s.Message = &Message{Type: typeCommand, From: "x", To: fmt.Sprint("y", i%100)}
		s.MessageID = fmt.Sprint("m", i)
		fold.Add(s)
	}
	begin := time.Now()
	var l Ledger
	examine(fold, nil, nil, habits{}, int64(time.Hour)).into(&l)
	if took := time.Since(begin); took > 20*time.Second || len(l.Findings) == 0 {
		t.Errorf("%d findings after %s", len(l.Findings), took)
	} else {
		t.Logf("%d findings after %s", len(l.Findings), took)
	}
}
