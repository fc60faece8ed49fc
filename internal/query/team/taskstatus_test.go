package team

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/store/memdb"
)

// TestFewOfAStatus lists the few tasks of many that did not end well: the others are not summed up for it.
func TestFewOfAStatus(t *testing.T) {
	const tasks = 500
	clock := func() time.Time { return at.Add(time.Minute) }
	db := memdb.New(memdb.Config{Clock: clock})
	var text strings.Builder
	for i := range tasks {
		start := -time.Duration(tasks-i) * 30 * time.Second
		outcome, ended := "completed", true
		switch i {
		case 100:
			outcome = "failed"
		case 200:
			outcome = "cancelled"
		case 50, tasks - 1: // lost long ago, and running
			ended = false
		}
		fmt.Fprintf(&text, "trace %x\n? execute_task | %s | id=1 ai_team.task.id=t%04d mindscope.operation=invoke_workflow\n", i+1, start, i)
		if ended {
			fmt.Fprintf(&text, "execute_task | %s 20s | id=1 ai_team.task.id=t%04d mindscope.operation=invoke_workflow outcome=%s\n", start, i, outcome)
		}
		fmt.Fprintf(&text, "  chat gpt-4o | %s 2s | id=2 parent=1 ai_team.task.id=t%04d\n", start+time.Second, i)
	}
	tell(t, db, text.String())
	read := &spansRead{Events: db}
	q := New(read, Options{Clock: clock})
	f := func(query TaskQuery, want ...string) {
		t.Helper()
		read.n = 0
		page, err := q.Tasks(t.Context(), p, query)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want, taskIDs(page.Tasks)); diff != "" {
			t.Errorf("%+v: %s", query, diff)
		}
		if read.n > 20 {
			t.Errorf("%+v: %d spans were read for %d tasks", query, read.n, len(want))
		}
	}
	f(TaskQuery{Failed: true}, "t0100", "t0050")
	f(TaskQuery{Status: Failed}, "t0100", "t0050")
	f(TaskQuery{Status: Cancelled}, "t0200")
	f(TaskQuery{Status: Running}, "t0499")
	f(TaskQuery{Status: Lost})
}

// TestAnyStatus compares lists by status with the list of all tasks, of scenarios in which anything may end, fail or be lost
// anywhere.
func TestAnyStatus(t *testing.T) {
	clock := func() time.Time { return at.Add(time.Minute) }
	for seed := range uint64(40) {
		text := anyTasks(rand.New(rand.NewPCG(seed, 7)))
		db := memdb.New(memdb.Config{Clock: clock})
		tell(t, db, text)
		q := New(db, Options{Clock: clock})
		all, err := q.Tasks(t.Context(), p, TaskQuery{Limit: 500})
		if err != nil {
			t.Fatal(err)
		}
		f := func(query TaskQuery, statuses ...string) {
			t.Helper()
			want := slices.DeleteFunc(slices.Clone(all.Tasks), func(s Summary) bool { return !slices.Contains(statuses, s.Status) })
			var got []string
			for query.Limit = 3; ; {
				page, err := q.Tasks(t.Context(), p, query)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, taskIDs(page.Tasks)...)
				if query.Page = page.Next; query.Page == "" {
					break
				}
			}
			if diff := gocmp.Diff(taskIDs(want), got); diff != "" {
				t.Errorf("seed %d, %+v: %s\n%s", seed, query, diff, text)
			}
		}
		f(TaskQuery{Failed: true}, Failed, Lost)
		for _, status := range []string{Failed, Lost, Cancelled, Running, Completed} {
			f(TaskQuery{Status: status}, status)
		}
	}
}

// anyTasks tells of some tasks with attempts, agents and calls. Some spans know of no task, some have begun and not ended.
func anyTasks(random *rand.Rand) string {
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	var b strings.Builder
	trace := 0
	for task := range 12 {
		start := -time.Duration(random.IntN(3600)) * time.Second
		for range 1 + random.IntN(2) {
			trace++
			fmt.Fprintf(&b, "trace %x\n", trace)
			named := pick(fmt.Sprintf(" ai_team.task.id=t%d", task), fmt.Sprintf(" ai_team.task.id=t%d", task), "")
			for i, name := range []string{"execute_task", "invoke_agent writer", "chat gpt-4o"} {
				id := fmt.Sprintf("id=%d", i+1)
				if i > 0 {
					id += fmt.Sprintf(" parent=%d", i)
				}
				if i == 0 {
					id += pick("", " mindscope.operation=invoke_workflow")
				}
				begun := random.IntN(2) == 0
				if begun {
					fmt.Fprintf(&b, "? %s | %s | %s%s\n", name, start, id, named)
				}
				if !begun || random.IntN(4) > 0 {
					fmt.Fprintf(&b, "%s | %s 5s | %s%s%s\n", name, start, id, named,
						pick("", "", " outcome=completed", " outcome=failed", " outcome=cancelled", " error=boom", " error=stop error.type=cancelled"))
				}
				start += time.Second
			}
			start += time.Minute
		}
	}
	return b.String()
}
