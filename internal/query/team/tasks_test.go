package team

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

// spansRead counts the spans that are read one by one.
type spansRead struct {
	store.Events
	n int
}

func (s *spansRead) Select(ctx context.Context, p signal.Project, q store.Select) iter.Seq2[*store.Row, error] {
	return func(yield func(*store.Row, error) bool) {
		for r, err := range s.Events.Select(ctx, p, q) {
			if q.Kind == store.KindSpan {
				s.n++
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// crowded tells of tasks that begin within minutes of each other and go on beside each other for a long time, and returns their ids,
// the newest first.
func crowded(t *testing.T, db store.Writer, tasks, spans int) []string {
	t.Helper()
	type task struct {
		id    string
		start time.Duration
	}
	random := rand.New(rand.NewPCG(1, 2))
	var all []task
	var text strings.Builder
	for i := range tasks {
		one := task{fmt.Sprintf("t%04d", i), -40*time.Minute + time.Duration(random.IntN(240))*time.Second}
		all = append(all, one)
		fmt.Fprintf(&text, "trace %x\nexecute_task | %s 30m | ai_team.task.id=%s outcome=%s\n", i+1, one.start, one.id, []string{"completed", "failed"}[i%2])
		for k := 1; k < spans; k++ { // a call a minute
			fmt.Fprintf(&text, "  chat gpt-4o | %s 2s | ai_team.task.id=%s\n", one.start+time.Duration(k*60+random.IntN(20))*time.Second, one.id)
		}
	}
	tell(t, db, text.String())
	slices.SortFunc(all, func(a, b task) int { return cmp.Or(cmp.Compare(b.start, a.start), strings.Compare(a.id, b.id)) })
	ids := make([]string, len(all))
	for i, one := range all {
		ids[i] = one.id
	}
	return ids
}

// TestLatestTasksOfACrowd lists a few of many tasks that run beside each other: most are not summed up for it.
func TestLatestTasksOfACrowd(t *testing.T) {
	const tasks, spans, limit = 1000, 30, 3
	clock := func() time.Time { return at.Add(time.Minute) }
	db := memdb.New(memdb.Config{Clock: clock})
	want := crowded(t, db, tasks, spans)
	read := &spansRead{Events: db}
	page, err := New(read, Options{Clock: clock}).Tasks(t.Context(), p, TaskQuery{Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want[:limit], taskIDs(page.Tasks)); diff != "" {
		t.Error(diff)
	}
	if most := tasks * spans / 4; read.n > most {
		t.Errorf("%d spans were read for %d tasks of %d spans, want at most %d", read.n, limit, spans, most)
	}
}

// TestPagesOfACrowd pages through all of them: none is missing or there twice, whatever the page's size and the filter.
func TestPagesOfACrowd(t *testing.T) {
	clock := func() time.Time { return at.Add(time.Minute) }
	db := memdb.New(memdb.Config{Clock: clock})
	all := crowded(t, db, 400, 5)
	q := New(db, Options{Clock: clock})
	failed := slices.DeleteFunc(slices.Clone(all), func(id string) bool { return (id[4]-'0')%2 == 0 })
	for _, c := range []struct {
		query TaskQuery
		want  []string
	}{{TaskQuery{Limit: 7}, all}, {TaskQuery{Limit: 150}, all}, {TaskQuery{Limit: 20, Failed: true}, failed}, {TaskQuery{Limit: 9, Status: Running}, nil}} {
		var got []string
		for {
			page, err := q.Tasks(t.Context(), p, c.query)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, taskIDs(page.Tasks)...)
			if c.query.Page = page.Next; c.query.Page == "" {
				break
			}
		}
		if diff := gocmp.Diff(c.want, got); diff != "" {
			t.Errorf("%+v: %s", c.query, diff)
		}
	}
}

func taskIDs(tasks []Summary) []string {
	var ids []string
	for _, s := range tasks {
		ids = append(ids, s.ID)
	}
	return ids
}

// TestPagesOfOneTrace: what a task's spans are, and so where it stands, does not depend on which tasks are summed up with it.
func TestPagesOfOneTrace(t *testing.T) {
	var shared strings.Builder
	shared.WriteString("trace 1\ndb.query | -61m 1s | id=9 parent=77\n---\n") // nobody's: two tasks have the trace
	for i, one := range []struct {
		id      string
		minutes int
	}{{"old", 60}, {"young", 20}} {
		fmt.Fprintf(&shared, "---\ntrace 1\nexecute_task | -%dm %[1]dm | id=%d ai_team.task.id=%s\n", one.minutes, i+1, one.id)
		for k := 1; k < one.minutes; k++ {
			fmt.Fprintf(&shared, "  chat gpt-4o | -%dm 2s | id=%d ai_team.task.id=%s\n", k, 1000*(i+1)+k, one.id)
		}
	}
	const adopted = `trace 1
db.query | -10s 1s | id=9 parent=77
---
trace 1
execute_task | 0s 9s | id=1 ai_team.task.id=early
---
trace 2
execute_task | -5s 9s | id=1 ai_team.task.id=late
`
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"shared", shared.String(), []string{"young 20 -20m0s", "old 60 -1h0m0s"}},
		{"adopted", adopted, []string{"late 1 -5s", "early 2 -10s"}},
	} {
		q := asked(t, time.Minute, c.text)
		for _, limit := range []int{20, 1} {
			var got []string
			for query := (TaskQuery{Limit: limit}); ; {
				page, err := q.Tasks(t.Context(), p, query)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range page.Tasks {
					got = append(got, fmt.Sprintf("%s %d %s", s.ID, s.Spans, time.Unix(0, s.Start).Sub(at)))
				}
				if query.Page = page.Next; query.Page == "" {
					break
				}
			}
			if diff := gocmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s, %d a page: %s", c.name, limit, diff)
			}
		}
	}
}

// TestTraceOfManyTasks: a trace has more tasks than are looked at once, and a span that knows of none.
func TestTraceOfManyTasks(t *testing.T) {
	var text strings.Builder
	text.WriteString("trace 1\ndb.query | -1s 1s | id=1 parent=77\n")
	for i := range maxOwners + 1 {
		fmt.Fprintf(&text, "---\ntrace 1\nexecute_task | %dms 1s | id=%d ai_team.task.id=t%d\n", i, i+2, i)
	}
	q := asked(t, time.Minute, text.String())
	page, err := q.Tasks(t.Context(), p, TaskQuery{Limit: MaxLimit, Until: at.Add(3 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]string{"t2", "t1", "t0"}, taskIDs(page.Tasks)); diff != "" {
		t.Error(diff)
	}
}
