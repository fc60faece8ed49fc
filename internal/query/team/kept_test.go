package team

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/query/overlay"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

// reads counts the questions for rows of spans.
type reads struct {
	store.Events
	spans int
}

func (r *reads) Select(ctx context.Context, p signal.Project, q store.Select) iter.Seq2[*store.Row, error] {
	if q.Kind == store.KindSpan {
		r.spans++
	}
	return r.Events.Select(ctx, p, q)
}

// keeper asks the same Questions again and again.
type keeper struct {
	t    *testing.T
	now  atomic.Int64 // nanoseconds; the store looks at the clock, too
	db   store.Events
	seen *reads
	q    *Questions
}

func newKeeper(t *testing.T, open func(*testing.T, func() time.Time) store.Events) *keeper {
	k := &keeper{t: t}
	k.now.Store(at.Add(time.Hour).UnixNano())
	k.db = open(t, k.clock)
	k.seen = &reads{Events: k.db}
	k.q = New(overlay.New(k.seen, k.clock), Options{Clock: k.clock})
	k.q.keepFrom = 3
	return k
}

func (k *keeper) clock() time.Time { return time.Unix(0, k.now.Load()).UTC() }

func inMemory(_ *testing.T, clock func() time.Time) store.Events {
	return memdb.New(memdb.Config{Clock: clock})
}

func onDisk(t *testing.T, clock func() time.Time) store.Events {
	t.Helper()
	db, err := eventdb.Open(t.TempDir(), eventdb.Config{Clock: clock, Retention: 50 * 365 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// ask lists the tasks, and compares them with what is summed up anew. It returns whether spans were read for it.
func (k *keeper) ask() bool {
	k.t.Helper()
	k.now.Add(int64(20 * time.Second))
	k.seen.spans = 0
	if f, ok := k.db.(interface{ Flush() error }); ok {
		if err := f.Flush(); err != nil {
			k.t.Fatal(err)
		}
	}
	got, err := k.q.Tasks(k.t.Context(), p, TaskQuery{})
	if err != nil {
		k.t.Fatal(err)
	}
	read := k.seen.spans > 0
	want, err := New(overlay.New(k.db, k.clock), Options{Clock: k.clock}).Tasks(k.t.Context(), p, TaskQuery{})
	if err != nil {
		k.t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		k.t.Errorf("anew, and as kept:\n%s", d)
	}
	return read
}

// settled asks until what is kept is used.
func (k *keeper) settled() {
	k.t.Helper()
	for range 3 {
		k.ask()
	}
	if k.ask() {
		k.t.Error("spans were read of a task that had not changed")
	}
}

// row returns the span of a name.
func (k *keeper) row(name string) store.Row {
	k.t.Helper()
	scope := store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldName, name)}
	for r, err := range k.db.Select(k.t.Context(), p, store.Select{Scope: scope}) {
		if err != nil {
			k.t.Fatal(err)
		}
		return *r.Clone()
	}
	k.t.Fatal("no such span")
	return store.Row{}
}

// set replaces a field of a row, or adds it.
func set(r *store.Row, name string, v store.Value) {
	r.Fields = slices.DeleteFunc(r.Fields, func(f store.Field) bool { return f.Name == name })
	r.Add(name, v)
}

const keptTask = `trace 1
execute_task | 0s 9s | id=1 ai_team.task.id=t1 gen_ai.operation.name=invoke_workflow
  invoke_agent writer | 1s 5s | id=2 ai_team.task.id=t1 gen_ai.operation.name=invoke_agent gen_ai.agent.name=writer
    chat gpt | 2s 3s | id=3 ai_team.task.id=t1 kind=client gen_ai.operation.name=chat gen_ai.request.model=gpt-4o gen_ai.usage.input_tokens=1204
`

// TestKeptSumsHoldUntilSomethingChanges: every kind of row that a task's sums are made of makes them anew.
func TestKeptSumsHoldUntilSomethingChanges(t *testing.T) {
	team := func(k *keeper) string {
		page, err := k.q.Tasks(t.Context(), p, TaskQuery{})
		if err != nil || len(page.Tasks) == 0 {
			t.Fatal(err)
		}
		return page.Tasks[len(page.Tasks)-1].Team
	}
	write := func(kind store.Kind, id string, fields ...store.Field) func(*keeper) {
		return func(k *keeper) {
			r := store.Row{Kind: kind, ID: id, Time: at.Add(2 * time.Second).UnixNano(), Fields: fields}
			if _, err := k.db.Write(t.Context(), p, []store.Row{r}); err != nil {
				t.Fatal(err)
			}
		}
	}
	text := func(name, value string) store.Field { return store.Field{Name: name, Value: store.String(value)} }
	number := func(name string, n int64) store.Field { return store.Field{Name: name, Value: store.Int(n)} }
	chat := func(k *keeper) store.Row { return k.row("chat gpt") }
	for name, change := range map[string]func(*keeper){
		"a late span": func(k *keeper) {
			tell(t, k.db, "trace 1\nchat gpt | 12s 3s | id=4 parent=2 ai_team.task.id=t1 gen_ai.operation.name=chat gen_ai.usage.input_tokens=5\n")
		},
		"a late span in another trace": func(k *keeper) {
			tell(t, k.db, "trace 2\nexecute_task | 20s 9s | id=1 ai_team.task.id=t1 gen_ai.operation.name=invoke_workflow\n")
		},
		"a late span that names no task": func(k *keeper) { tell(t, k.db, "trace 1\ndb.query | 2s 30s | id=5 parent=1 error=late\n") },
		"another task in the trace": func(k *keeper) {
			tell(t, k.db, "trace 1\nexecute_task | 3s 1s | id=6 ai_team.task.id=t2\n")
			tell(t, k.db, "trace 1\ndb.query | 2s 30s | id=5 parent=1\n")
		},
		"a new attempt that runs": func(k *keeper) {
			r := chat(k)
			r.Kind, r.ID, r.Time = store.KindStart, "start", at.Add(40*time.Second).UnixNano()
			set(&r, store.FieldSpanID, store.String("00000000000000aa"))
			if _, err := k.db.Write(t.Context(), p, []store.Row{r}); err != nil {
				t.Fatal(err)
			}
		},
		"a cost computed anew": func(k *keeper) {
			r := chat(k)
			write(store.KindCost, r.ID, text(store.FieldTraceID, r.Text(store.FieldTraceID)), number(store.FieldRevision, 1), number(store.FieldCostMicro, 77), number(store.FieldCostRest, 0))(k)
			k.ask() // the correction is seen within seconds
		},
		"a span corrected": func(k *keeper) {
			r := chat(k)
			set(&r, store.FieldTokensInput, store.Int(1))
			set(&r, store.FieldRevision, store.Int(1))
			if _, err := k.db.Write(t.Context(), p, []store.Row{r}); err != nil {
				t.Fatal(err)
			}
		},
		"a judge's score": func(k *keeper) {
			write(store.KindLog, "score", text(store.FieldTaskID, "t1"), text(store.FieldTeam, team(k)), store.Field{Name: store.FieldQuality, Value: store.Double(7.5)})(k)
		},
		"a trace joined": func(k *keeper) {
			tell(t, k.db, "trace 7\nwork | 4s 1s | id=1 error=joined\n")
			write(store.KindJoin, hexTrace(7), text(store.FieldTraceID, hexTrace(7)), text(store.FieldTaskID, "t1"), text(store.FieldTeam, team(k)),
				text(store.FieldJoinedBy, ByLink), text(store.FieldJoinedTo, hexTrace(1)+"/0000000000000003"))(k)
		},
		"a span deleted": func(k *keeper) {
			if _, err := k.db.Delete(t.Context(), p, store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldName, "chat gpt")}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		check := func(t *testing.T, k *keeper) {
			t.Helper()
			tell(t, k.db, keptTask)
			k.settled()
			change(k)
			if !k.ask() {
				t.Error("no span was read")
			}
			k.ask()
			k.ask()
			k.ask()
		}
		t.Run("memdb/"+name, func(t *testing.T) { check(t, newKeeper(t, inMemory)) })
		t.Run("eventdb/"+name, func(t *testing.T) { check(t, newKeeper(t, onDisk)) })
	}
}

func TestWhatIsNotKept(t *testing.T) {
	k := newKeeper(t, inMemory)
	tell(t, k.db, keptTask)
	r := k.row("invoke_agent writer")
	r.Kind, r.ID = store.KindStart, "start"
	set(&r, store.FieldSpanID, store.String("00000000000000aa"))
	if _, err := k.db.Write(t.Context(), p, []store.Row{r}); err != nil {
		t.Fatal(err)
	}
	tell(t, k.db, "trace 3\nsmall | 0s 1s | id=1 ai_team.task.id=small\n")
	for range 5 {
		if !k.ask() {
			t.Error("the sums of a running task, or of a small one, were kept")
		}
	}
	if len(k.q.kept.tasks) > 0 {
		t.Errorf("%d tasks are kept", len(k.q.kept.tasks))
	}
	var kept keptTasks
	for i := range 3 * maxKept {
		kept.put(keptKey{p, taskKey{"team", fmt.Sprint(i)}}, kept1(i))
	}
	if len(kept.tasks) != maxKept {
		t.Errorf("%d tasks are kept, want %d", len(kept.tasks), maxKept)
	}
	if _, ok := kept.get(keptKey{p, taskKey{"team", fmt.Sprint(3*maxKept - 1)}}); !ok {
		t.Error("the newest was dropped")
	}
}

func kept1(i int) kept { return kept{since: int64(i)} }
