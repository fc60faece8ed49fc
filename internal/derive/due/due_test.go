package due

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const p = signal.DefaultProject

type clock struct{ now time.Time }

func (c *clock) time() time.Time { return c.now }

func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }

// row is a span of a task; an operation of "provisional" makes it one of a trace that names no task.
func row(kind store.Kind, team, task, operation string) []store.Row {
	r := store.Row{Kind: kind, ID: "x"}
	r.Add(store.FieldTeam, store.String(team))
	r.Add(store.FieldTaskID, store.String(task))
	if operation == "provisional" {
		r.Add(store.FieldTaskProvisional, store.Bool(true))
	}
	r.Add(store.FieldOperation, store.String(operation))
	return []store.Row{r}
}

func names(tasks []Task) []string {
	var out []string
	for _, t := range tasks {
		out = append(out, t.Team+"/"+t.ID)
	}
	return out
}

func TestDue(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	tasks := New(Config{Clock: c.time})
	want := func(due ...string) {
		t.Helper()
		if diff := cmp.Diff(due, names(tasks.Due(10))); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	tasks.Committed(p, row(store.KindStart, "press", "a", "invoke_workflow"))
	tasks.Committed(p, row(store.KindSpan, "press", "b", "invoke_workflow"))
	tasks.Committed(p, row(store.KindSpan, "press", "trace", "provisional"))
	tasks.Committed(p, row(store.KindLog, "press", "c", "invoke_workflow"))
	tasks.Committed(p, row(store.KindSpan, "press", "", "invoke_workflow"))
	want()
	c.pass(59 * time.Second)
	tasks.Committed(p, row(store.KindHeartbeat, "press", "a", ""))
	want()
	c.pass(time.Second)
	want("press/b")                                           // ended, and at rest for a minute
	tasks.Committed(p, row(store.KindSpan, "press", "b", "")) // a late span
	want()
	c.pass(time.Minute)
	want("press/b")
	tasks.Done(tasks.Due(10))
	want()
	// One whose end never came; and something of a task that was looked at comes much later.
	c.pass(9 * time.Minute)
	tasks.Committed(p, row(store.KindSpan, "press", "b", ""))
	want()
	c.pass(time.Minute)
	want("press/a")
	c.pass(11 * time.Minute)
	want("press/a", "press/b")
	// What came between Due and Done keeps the task.
	due := tasks.Due(10)
	tasks.Committed(p, row(store.KindSpan, "press", "b", ""))
	tasks.Done(due)
	c.pass(11 * time.Minute)
	want("press/b")
	// Of one team at a time.
	tasks.Committed(p, row(store.KindSpan, "radio", "d", "invoke_workflow"))
	tasks.Committed(p, row(store.KindSpan, "press", "e", "invoke_workflow"))
	c.pass(time.Minute)
	want("press/b", "press/e")
	tasks.Done(tasks.Due(1))
	want("radio/d")
}

// TestFailures: a task that can't be looked at doesn't keep others waiting, and is given up in the end.
func TestFailures(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	tasks := New(Config{Clock: c.time})
	want := func(due ...string) {
		t.Helper()
		if diff := cmp.Diff(due, names(tasks.Due(1))); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	tasks.Committed(p, row(store.KindSpan, "press", "bad", "invoke_workflow"))
	tasks.Committed(p, row(store.KindSpan, "press", "good", "invoke_workflow"))
	c.pass(time.Minute)
	want("press/bad")
	tasks.Failed(Task{p, "press", "bad"})
	want("press/good")
	tasks.Postpone(tasks.Due(1))
	want()
	c.pass(time.Minute)
	want("press/bad")
	for range 100 {
		tasks.Postpone(tasks.Due(1)) // is no failure of the task
	}
	for range maxTries - 1 {
		if n, dropped := tasks.Count(); n != 2 || dropped != 0 {
			t.Fatalf("%d tasks, %d dropped", n, dropped)
		}
		c.pass(time.Minute)
		tasks.Failed(Task{p, "press", "bad"})
	}
	if n, dropped := tasks.Count(); n != 1 || dropped != 1 {
		t.Errorf("%d tasks, %d dropped", n, dropped)
	}
	want("press/good")
	// What came while a look took long keeps the task as well.
	due := tasks.Due(1)
	tasks.Committed(p, row(store.KindSpan, "press", "good", ""))
	c.pass(time.Hour)
	tasks.Done(due)
	want("press/good")
	tasks.Done(tasks.Due(1))
	want()
}

func TestBoundAndState(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	tasks := New(Config{Clock: c.time, Tasks: 3})
	for i := range 5 {
		tasks.Committed(p, row(store.KindSpan, "press", fmt.Sprint(i), "invoke_workflow"))
	}
	if n, dropped := tasks.Count(); n != 3 || dropped != 2 {
		t.Errorf("%d tasks, %d dropped", n, dropped)
	}
	var raw bytes.Buffer
	if err := tasks.Save(&raw); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Hour)
	again := New(Config{Clock: c.time})
	if err := again.Load(raw.Bytes()); err != nil {
		t.Fatal(err)
	}
	if due := again.Due(10); len(due) != 0 {
		t.Errorf("due at once: %v", due) // while nobody listened, something may have come
	}
	c.pass(time.Minute)
	if diff := cmp.Diff([]string{"press/2", "press/3", "press/4"}, names(again.Due(10))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, bad := range []string{"", "{", `{"Version":9}`} {
		if err := again.Load([]byte(bad)); err == nil {
			t.Errorf("%q was loaded", bad)
		}
	}
}
