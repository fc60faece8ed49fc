package live

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// remove deletes all of a task.
func (w *world) remove(t *testing.T, task string) {
	t.Helper()
	for _, kind := range []store.Kind{store.KindSpan, store.KindLog, store.KindStart} {
		scope := store.Scope{Kind: kind, Time: signal.AllTime(), Filter: store.Eq(store.FieldTaskID, task)}
		if _, err := w.db.Delete(t.Context(), p, scope); err != nil {
			t.Fatal(err)
		}
	}
}

// scrub puts "clean" in the place of a text in stored rows, as care does.
func (w *world) scrub(t *testing.T, text string) {
	t.Helper()
	for _, kind := range []store.Kind{store.KindSpan, store.KindStart} {
		scope := store.Scope{Kind: kind, Time: signal.AllTime()}
		var rows []store.Row
		for r, err := range w.db.Select(t.Context(), p, store.Select{Scope: scope}) {
			if err != nil {
				t.Fatal(err)
			}
			changed := false
			for i, f := range r.Fields {
				if clean := strings.ReplaceAll(f.Value.Text(), text, "clean"); clean != f.Value.Text() {
					r.Fields[i].Value, changed = store.String(clean), true
				}
			}
			if changed {
				rows = append(rows, *r.Clone())
			}
		}
		if len(rows) == 0 {
			continue
		}
		if done, err := w.db.Replace(t.Context(), p, scope.Kind, rows); err != nil || done.Rows != int64(len(rows)) {
			t.Fatal(done, err)
		}
	}
}

func (w *world) saved(t *testing.T) string {
	t.Helper()
	var raw bytes.Buffer
	if err := w.view.Save(&raw); err != nil {
		t.Fatal(err)
	}
	return raw.String()
}

// TestDeletedIsForgotten: a deleted task is neither shown nor saved, others are; who works on says so again.
func TestDeletedIsForgotten(t *testing.T) {
	w := newWorld(0)
	w.tell(t, 0, task+"\n"+writer+"\n"+`? execute_task | 0s | id=9 ai_team.task.id=other mindscope.agent=chief`)
	w.tell(t, 3*time.Second, "! beat | 0s | id=a ai_team.task.id=t mindscope.agent=unheard") // its start record was lost
	w.tell(t, 4*time.Second, "send | 1s 1ms | id=b parent=1 kind=producer ai_team.task.id=t ai_team.message.type=COMMAND messaging.message.id=m1 from=orchestrator to=writer")
	for _, text := range []string{`"t"`, "unheard", "m1", "writer"} {
		if !strings.Contains(w.saved(t), text) {
			t.Errorf("the state holds no %s before the deletion: %s", text, w.saved(t))
		}
	}
	changed := w.view.Changed()
	w.remove(t, "t")
	w.expect(t, "other at chief since 4s, 1 spans\n")
	for _, text := range []string{`"t"`, "unheard", "m1", "writer"} {
		if strings.Contains(w.saved(t), text) {
			t.Errorf("the state still holds %s: %s", text, w.saved(t))
		}
	}
	select {
	case <-changed:
	default:
		t.Error("who watches was not told")
	}
	w.tell(t, 10*time.Second, beats(2))
	w.expect(t, "other at chief since 10s, 1 spans\nt at  since 10s, 1 spans\n")
}

// TestDeletionOfAnotherTaskOfTheTrace: a trace that two tasks share loses one.
func TestDeletionOfAnotherTaskOfTheTrace(t *testing.T) {
	w := newWorld(0)
	w.tell(t, 0, task+"\n"+`? execute_task | 0s | id=9 parent=1 ai_team.task.id=sub mindscope.agent=chief`)
	w.tell(t, time.Second, "! beat | 0s | id=a ai_team.task.id=t mindscope.agent=unheard")
	w.remove(t, "sub")
	w.expect(t, "t at unheard since 1s, 2 spans\n")
}

// TestDeletionOfATraceOfTheTask: what runs of the task elsewhere is still shown, also what only heartbeats told.
func TestDeletionOfATraceOfTheTask(t *testing.T) {
	w := newWorld(0)
	w.tell(t, 0, task+"\ntrace 2\n! beat | 0s | id=9 ai_team.task.id=t mindscope.agent=chief")
	scope := store.Scope{Kind: store.KindStart, Time: signal.AllTime(), Filter: store.Eq(store.FieldTraceID, strings.Repeat("0", 31)+"1")}
	if n, err := w.db.Delete(t.Context(), p, scope); n != 1 || err != nil {
		t.Fatalf("deleted %d, %v", n, err)
	}
	w.expect(t, "t at chief since 0s, 1 spans\n")
}

// TestScrubbedRunsOn: under the texts that are left, whether they came with the start or with another row; what had
// ended before does not come back.
func TestScrubbedRunsOn(t *testing.T) {
	w := newWorld(0)
	w.tell(t, 0, `? execute_task | 0s | id=1 ai_team.task.id=t
? invoke_agent secret | 2s | id=2 parent=1 ai_team.task.id=t mindscope.agent=secret
? invoke_agent secret | 2s | id=3 parent=1 ai_team.task.id=t mindscope.agent=secret`)
	w.tell(t, 3*time.Second, "send | 1s 1ms | id=b parent=1 kind=producer ai_team.task.id=t ai_team.message.type=COMMAND messaging.message.id=m1 from=secret to=secret")
	w.tell(t, 4*time.Second, "invoke_agent secret | 2s 1s | id=3 parent=1 ai_team.task.id=t")
	before := w.saved(t)
	clear(w.view.ended) // as after a restart
	w.scrub(t, "secret")
	w.expect(t, "t at clean since 4s, 2 spans\n")
	if after := w.saved(t); strings.Contains(after, "secret") || !strings.Contains(before, "secret") {
		t.Errorf("before: %s\nafter: %s", before, after)
	}
}
