package due

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/store"
)

// TestDeletedIsNotDue: a task of which rows were deleted is forgotten, until more of it comes; one whose rows were
// rewritten is due as before, from then on.
func TestDeletedIsNotDue(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	tasks := New(Config{Clock: c.time})
	for _, id := range []string{"gone", "scrubbed", "kept"} {
		tasks.Committed(p, row(store.KindSpan, "press", id, "invoke_workflow"))
	}
	tasks.Deleted(p, row(store.KindSpan, "press", "gone", ""))
	c.pass(time.Second)
	tasks.Deleted(p, row(store.KindSpan, "press", "scrubbed", ""))
	tasks.Rewritten(p, row(store.KindSpan, "press", "scrubbed", ""))
	tasks.Rewritten(p, row(store.KindSpan, "press", "gone", "")) // of a deletion before the last one: no longer known
	var state bytes.Buffer
	if err := tasks.Save(&state); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(state.String(), "gone") || !strings.Contains(state.String(), "scrubbed") {
		t.Errorf("saved: %s", &state)
	}
	want := func(due ...string) {
		t.Helper()
		if diff := cmp.Diff(due, names(tasks.Due(10))); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	c.pass(59 * time.Second)
	want("press/kept")
	c.pass(time.Second)
	want("press/kept", "press/scrubbed")
	tasks.Committed(p, row(store.KindSpan, "press", "gone", "invoke_workflow"))
	c.pass(time.Minute)
	want("press/kept", "press/scrubbed", "press/gone")
}
