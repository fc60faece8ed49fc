package team

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/enrich/identity"
	"github.com/mindscope/mindscope/internal/query/teamtest"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

const p = signal.DefaultProject

// watch is a Watch that knows the last signs of spans.
type watch map[SpanID]time.Time

func (w watch) LastSign(_ signal.Project, trace, span string) (int64, bool) {
	t, ok := w[SpanID{trace, span}]
	return t.UnixNano(), ok
}

// asked returns Questions to a store that holds the scenario, sent through the identity step, at a time after `at`.
func asked(t *testing.T, after time.Duration, text string) *Questions {
	t.Helper()
	clock := func() time.Time { return at.Add(after) }
	db := memdb.New(memdb.Config{Clock: clock})
	tell(t, db, text)
	return New(db, Options{Clock: clock})
}

// tell sends each block of a scenario (blocks are parted by "---") as a request of its own.
func tell(t *testing.T, db store.Writer, text string) {
	t.Helper()
	sink := identity.New(store.NewSink(db, nil))
	for block := range strings.SplitSeq(text, "---\n") {
		traces, logs, err := teamtest.Parse(block)
		if err != nil {
			t.Fatal(err)
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

func hexTrace(n int) string { return fmt.Sprintf("%016x%016x", 0, n) }

func TestTaskByAnyOfItsIDs(t *testing.T) {
	q := asked(t, time.Minute, `trace 1
execute_task | 0s 9s | id=1 ai_team.task.id=Task-456 gen_ai.operation.name=invoke_workflow
---
trace 1
db.query | 2s 1s | id=2 parent=1                                   # came alone, and knows of no task
  "a line" | 2s
---
trace 2
execute_task | 20s 9s | ai_team.task.id=Task-456
---
trace 3
GET / | -5s 1s | id=1
  "nobody's line" | 0s
---
resource service.namespace=b
trace 3
SELECT | 0s 1s | id=2 parent=1
`)
	f := func(id, wantID string, wantSpans, wantLines int, wantTraces ...string) {
		t.Helper()
		d, err := q.Task(t.Context(), p, "", id)
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		if d.ID != wantID || d.Spans != wantSpans || d.Hops.LogLines != wantLines || !cmp.Equal(d.Traces, wantTraces) {
			t.Errorf("%s: task %s, %d spans, %d lines, traces %v", id, d.ID, d.Spans, d.Hops.LogLines, d.Traces)
		}
		trace, err := q.Trace(t.Context(), p, id, "", 0)
		if err != nil {
			t.Fatalf("trace %s: %v", id, err)
		}
		spans := wantSpans
		if id != wantID { // a trace alone
			spans = 2
			if id == hexTrace(2) {
				spans = 1
			}
		}
		if len(trace.Rows) != spans {
			t.Errorf("trace %s: %d spans, want %d", id, len(trace.Rows), spans)
		}
		logs, err := q.TaskLogs(t.Context(), p, "", id, "", 0)
		if err != nil || len(logs.Rows) != wantLines {
			t.Errorf("logs of %s: %v, %d lines, want %d", id, err, len(logs.Rows), wantLines)
		}
	}
	f("Task-456", "Task-456", 3, 1, hexTrace(1), hexTrace(2))
	f(hexTrace(1), "Task-456", 3, 1, hexTrace(1), hexTrace(2))
	f(hexTrace(2), "Task-456", 3, 1, hexTrace(1), hexTrace(2))
	// A trace without a task is one task, of however many teams its services are.
	f(hexTrace(3), hexTrace(3), 2, 1, hexTrace(3))

	page, err := q.Tasks(t.Context(), p, TaskQuery{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, s := range page.Tasks {
		ids = append(ids, fmt.Sprint(s.ID, " ", s.Provisional, " ", s.Spans))
	}
	if diff := cmp.Diff([]string{"Task-456 false 3", hexTrace(3) + " true 2"}, ids); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestUnknownAndAmbiguous(t *testing.T) {
	q := asked(t, time.Minute, `resource ai_team.team=press
trace 1
execute_task | 0s 9s | ai_team.task.id=t
---
resource ai_team.team=radio
trace 2
execute_task | 0s 9s | ai_team.task.id=t
`)
	for _, id := range []string{"nothing", hexTrace(9), "", "T"} {
		_, taskErr := q.Task(t.Context(), p, "", id)
		_, traceErr := q.Trace(t.Context(), p, id, "", 0)
		_, logErr := q.TaskLogs(t.Context(), p, "", id, "", 0)
		for _, err := range []error{taskErr, traceErr, logErr} {
			if !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), id) {
				t.Errorf("%q: %v, want not found", id, err)
			}
		}
	}
	_, err := q.Task(t.Context(), p, "", "t")
	var several *AmbiguousError
	if !errors.As(err, &several) || !cmp.Equal(several.Teams, []string{"press", "radio"}) {
		t.Errorf("%v, want the teams press and radio", err)
	}
	for team, trace := range map[string]string{"press": hexTrace(1), "radio": hexTrace(2)} {
		d, err := q.Task(t.Context(), p, team, "t")
		if err != nil || d.Team != team || !cmp.Equal(d.Traces, []string{trace}) {
			t.Errorf("%s: %v, %+v", team, err, d.Summary)
		}
		// A trace's id tells the tasks apart.
		if d, err := q.Task(t.Context(), p, "", trace); err != nil || d.Team != team {
			t.Errorf("%s: %v, team %s", trace, err, d.Team)
		}
	}
	if _, err := q.Task(t.Context(), "other", "press", "t"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("seen from another project: %v", err)
	}
}

func TestTasksFiltersAndPages(t *testing.T) {
	var text strings.Builder
	const n = 60
	for i := range n { // task i starts i·7 minutes before the first
		fmt.Fprintf(&text, "resource ai_team.team=team%d\ntrace %x\nexecute_task | %dm 2s | ai_team.task.id=t%02d ai_team.task.type=type%d gen_ai.operation.name=invoke_workflow outcome=%s\n",
			i%2, i+1, -7*i, i, i%3, []string{"completed", "failed"}[i%2])
		// The critic comes an hour later, when younger tasks have begun long ago.
		fmt.Fprintf(&text, "  invoke_agent critic | %dm 1s | ai_team.task.id=t%02d session.id=c%d user.id=u mindscope.agent=critic%d\n---\n", 60-7*i, i, i%4, i%5)
	}
	q := asked(t, 2*time.Hour, text.String())
	f := func(tq TaskQuery, keep func(i int) bool) {
		t.Helper()
		var want, got []string
		for i := range n {
			if keep(i) {
				want = append(want, fmt.Sprintf("t%02d", i))
			}
		}
		for _, limit := range []int{1, 7, 1000} {
			tq.Limit, tq.Page, got = limit, "", nil
			for range n + 1 {
				page, err := q.Tasks(t.Context(), p, tq)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range page.Tasks {
					got = append(got, s.ID)
				}
				if tq.Page = page.Next; tq.Page == "" {
					break
				}
				if len(page.Tasks) != limit {
					t.Fatalf("a page of %d tasks that is not the last, want %d", len(page.Tasks), limit)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%+v (-want +got)\n%s", tq, diff)
			}
		}
	}
	began := func(i int) time.Time { return at.Add(time.Duration(-7*i) * time.Minute) }
	f(TaskQuery{}, func(int) bool { return true })
	f(TaskQuery{Team: "team1"}, func(i int) bool { return i%2 == 1 })
	f(TaskQuery{Type: "type2"}, func(i int) bool { return i%3 == 2 })
	f(TaskQuery{Failed: true}, func(i int) bool { return i%2 == 1 })
	f(TaskQuery{Status: Completed}, func(i int) bool { return i%2 == 0 })
	f(TaskQuery{Agent: "critic4"}, func(i int) bool { return i%5 == 4 })
	f(TaskQuery{Conversation: "c3"}, func(i int) bool { return i%4 == 3 })
	f(TaskQuery{User: "u", Prefix: "t1"}, func(i int) bool { return i/10 == 1 })
	f(TaskQuery{User: "nobody"}, func(int) bool { return false })
	f(TaskQuery{MinDuration: time.Hour}, func(int) bool { return true })
	f(TaskQuery{MinDuration: 2 * time.Hour}, func(int) bool { return false })
	f(TaskQuery{Since: began(20)}, func(i int) bool { return i <= 20 })
	f(TaskQuery{Until: began(20)}, func(i int) bool { return i > 20 })
	f(TaskQuery{Since: began(30), Until: began(20), Agent: "critic0"}, func(i int) bool { return i > 20 && i <= 30 && i%5 == 0 })
	f(TaskQuery{Until: at.Add(-1000 * time.Hour)}, func(int) bool { return false })
}

// TestManyTasksAtOnce: more tasks began at once than one window takes.
func TestManyTasksAtOnce(t *testing.T) {
	var text strings.Builder
	const n = maxKeys + 7
	for i := range n {
		fmt.Fprintf(&text, "trace %x\nexecute_task | %dns 2s | ai_team.task.id=t%05d\n", i+1, -3*i, i)
	}
	q := asked(t, time.Minute, text.String())
	seen, page := 0, ""
	for {
		got, err := q.Tasks(t.Context(), p, TaskQuery{Limit: 1000, Page: page})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range got.Tasks {
			if want := fmt.Sprintf("t%05d", seen); s.ID != want {
				t.Fatalf("task %s, want %s", s.ID, want)
			}
			seen++
		}
		if page = got.Next; page == "" {
			break
		}
	}
	if seen != n {
		t.Errorf("%d tasks, want %d", seen, n)
	}
}

func TestLimitsHold(t *testing.T) {
	for asked, want := range map[int]int{-1: DefaultLimit, 0: DefaultLimit, 1: 1, 1000: 1000, 1 << 40: MaxLimit} {
		if got := limitOf(asked); got != want {
			t.Errorf("limit %d gives %d, want %d", asked, got, want)
		}
	}
}

func TestRowsPage(t *testing.T) {
	var text strings.Builder
	text.WriteString("execute_task | 0s 1s | ai_team.task.id=t\n")
	for i := range 30 { // three at a time begin at once
		fmt.Fprintf(&text, "  step | %ds 1s | ai_team.task.id=t\n    \"line %d\" | %ds\n", i/3, i, i/3)
	}
	q := asked(t, time.Minute, text.String())
	f := func(ask func(page string) (RowPage, error), want int) {
		t.Helper()
		seen := map[string]bool{}
		for page, last := "", int64(0); ; {
			got, err := ask(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range got.Rows {
				if seen[r.ID] || r.Time < last {
					t.Fatalf("row %s at %d again or out of order", r.ID, r.Time)
				}
				seen[r.ID], last = true, r.Time
			}
			if page = got.Next; page == "" {
				break
			}
			if len(got.Rows) != 4 {
				t.Fatalf("%d rows on a page that is not the last", len(got.Rows))
			}
		}
		if len(seen) != want {
			t.Errorf("%d rows, want %d", len(seen), want)
		}
	}
	f(func(page string) (RowPage, error) { return q.Trace(t.Context(), p, hexTrace(1), page, 4) }, 31)
	f(func(page string) (RowPage, error) { return q.TaskLogs(t.Context(), p, "", "t", page, 4) }, 30)
}

func TestParties(t *testing.T) {
	q := asked(t, time.Hour, `trace 1
execute_task | 0s 9s | ai_team.task.id=t1 session.id=c1 user.id=ann mindscope.tokens_input=999
  chat | 1s 1s | ai_team.task.id=t1 session.id=c1 user.id=ann mindscope.operation=chat mindscope.tokens_input=5 mindscope.tokens_output=1
---
trace 2
execute_task | 20m 9s | ai_team.task.id=t2 session.id=c1 user.id=bob
  chat | 20m 1s | ai_team.task.id=t2 session.id=c1 user.id=bob mindscope.operation=chat mindscope.tokens_cache_read=7
---
trace 3
execute_task | 20m 9s | ai_team.task.id=t3 session.id=c2
`)
	f := func(list func(page string, limit int) (PartyPage, error), want ...string) {
		t.Helper()
		for _, limit := range []int{1, 50} {
			var got []string
			for page := ""; ; {
				answer, err := list(page, limit)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range answer.Parties {
					got = append(got, fmt.Sprintf("%s tasks %d spans %d tokens %d", p.ID, p.Tasks, p.Spans, p.Tokens.Total()))
				}
				if page = answer.Next; page == "" {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("limit %d (-want +got)\n%s", limit, diff)
			}
		}
	}
	f(func(page string, limit int) (PartyPage, error) {
		return q.Conversations(t.Context(), p, time.Time{}, page, limit)
	}, "c1 tasks 2 spans 4 tokens 13", "c2 tasks 1 spans 1 tokens 0")
	f(func(page string, limit int) (PartyPage, error) {
		return q.Users(t.Context(), p, time.Time{}, page, limit)
	}, "ann tasks 1 spans 2 tokens 6", "bob tasks 1 spans 2 tokens 7")
	f(func(page string, limit int) (PartyPage, error) {
		return q.Users(t.Context(), p, at.Add(time.Minute), page, limit)
	}, "bob tasks 1 spans 2 tokens 7")
}

func TestScoresFromLogRecords(t *testing.T) {
	q := asked(t, time.Hour, `execute_task | 0s 9s | id=1 ai_team.task.id=t gen_ai.operation.name=invoke_workflow
  "good" | 5s | ai_team.task.id=t event=gen_ai.evaluation.result gen_ai.evaluation.score.value=8.5
`)
	d, err := q.Task(t.Context(), p, "", "t")
	if err != nil || d.Quality == nil || *d.Quality != 8.5 {
		t.Errorf("%v, quality %v", err, d.Quality)
	}
	page, err := q.Tasks(t.Context(), p, TaskQuery{})
	if err != nil || len(page.Tasks) != 1 || page.Tasks[0].Quality == nil || *page.Tasks[0].Quality != 8.5 {
		t.Errorf("%v, %+v", err, page)
	}
}

// TestWatchedTask: what runs is judged by its signs of life, not by its start alone.
func TestWatchedTask(t *testing.T) {
	const text = `trace 1
? execute_task | 0s | id=1 ai_team.task.id=t mindscope.operation=invoke_workflow mindscope.agent=orchestrator
  ? invoke_agent writer | 1s | id=2 ai_team.task.id=t mindscope.operation=invoke_agent mindscope.agent=writer
  ? invoke_agent critic | 2s | id=3 ai_team.task.id=t mindscope.operation=invoke_agent mindscope.agent=critic
`
	id := func(n int) SpanID { return SpanID{hexTrace(1), fmt.Sprintf("%016x", n)} }
	f := func(after time.Duration, w Watch, wantStatus, wantAgent string) {
		t.Helper()
		q := asked(t, after, text)
		q.watch = w
		d, err := q.Task(t.Context(), p, "", "t")
		if err != nil {
			t.Fatal(err)
		}
		agent := ""
		if d.Cause != nil {
			agent = d.Cause.Agent
		}
		if d.Status != wantStatus || agent != wantAgent {
			t.Errorf("after %v: %s at %q, want %s at %q", after, d.Status, agent, wantStatus, wantAgent)
		}
	}
	all := func(signs ...time.Duration) watch {
		w := watch{}
		for i, s := range signs {
			w[id(i+1)] = at.Add(s)
		}
		return w
	}
	q := asked(t, time.Hour, text)
	q.watch = all(30*time.Minute, 20*time.Minute, 10*time.Minute)
	if d, err := q.Task(t.Context(), p, "", "t"); err != nil || d.Duration != int64(30*time.Minute) {
		t.Errorf("%v, took %v: want the time until the last sign of life", err, time.Duration(d.Duration))
	}
	f(9*time.Minute, nil, Running, "")
	f(11*time.Minute, nil, Failed, "critic") // nobody keeps watch: the rows alone tell
	f(time.Hour, all(time.Hour, time.Hour, time.Hour-30*time.Second), Running, "")
	f(time.Hour, all(time.Hour, time.Hour-36*time.Second, time.Hour), Lost, "writer")
	f(time.Hour, all(time.Hour-36*time.Second, time.Hour, time.Hour), Running, "") // who waits may be silent
	f(time.Hour, all(49*time.Minute, 49*time.Minute, 49*time.Minute), Failed, "critic")
	f(time.Hour, watch{}, Failed, "critic")
}

func TestLargeTaskIsCutAndSaysSo(t *testing.T) {
	db := memdb.New(memdb.Config{Clock: func() time.Time { return at }})
	rows := make([]store.Row, MaxSpans+5)
	for i := range rows {
		rows[i] = store.Row{Kind: store.KindSpan, ID: fmt.Sprint(i), Time: at.UnixNano() - int64(len(rows)) + int64(i), Fields: []store.Field{
			{Name: store.FieldTraceID, Value: store.String("a")},
			{Name: store.FieldSpanID, Value: store.String(fmt.Sprint(i))},
			{Name: store.FieldTaskID, Value: store.String("t")},
			{Name: store.FieldTeam, Value: store.String("x")},
		}}
	}
	if _, err := db.Write(t.Context(), p, rows); err != nil {
		t.Fatal(err)
	}
	q := New(db, Options{Clock: func() time.Time { return at }})
	d, err := q.Task(t.Context(), p, "", "t")
	if err != nil || !d.Cut || d.Spans != MaxSpans || len(d.Tree) != MaxSpans {
		t.Errorf("%v, cut %v, %d spans, tree of %d", err, d.Cut, d.Spans, len(d.Tree))
	}
	page, err := q.Tasks(t.Context(), p, TaskQuery{})
	if err != nil || len(page.Tasks) != 1 || !page.Tasks[0].Cut {
		t.Errorf("%v, %d tasks", err, len(page.Tasks))
	}
}
