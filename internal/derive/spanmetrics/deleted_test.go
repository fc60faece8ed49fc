package spanmetrics

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/store"
)

// TestDeletedIsNotSaved: of deleted rows the state keeps ids and labels, what was counted and that an attempt runs.
func TestDeletedIsNotSaved(t *testing.T) {
	m := New(Config{Clock: (&clock{start}).time})
	first := started("t")
	first.Add(store.FieldTaskType, store.String("secret type"))
	agent := func(id, name string) store.Row {
		return row(id, "t", text(store.FieldOperation, "invoke_agent"), text(store.FieldAgent, name), text("attr.note", "secret note"))
	}
	m.Committed("default", []store.Row{first, agent("a", "writer"), agent("b", "critic")})
	before := counted(t, m, false)
	m.Deleted("default", []store.Row{agent("a", "writer")})
	m.Deleted("other", []store.Row{agent("b", "critic")})
	m.Rewritten("default", []store.Row{agent("a", "writer")})
	if diff := cmp.Diff(before, counted(t, m, false)); diff != "" {
		t.Errorf("figures (-before +after):\n%s", diff)
	}
	var state bytes.Buffer
	if err := m.Save(&state); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"secret type", "secret note"} {
		if strings.Contains(state.String(), secret) {
			t.Errorf("saved: %q", secret)
		}
	}
	if len(m.nested.waiting) != 1 || m.nested.n != 1 {
		t.Errorf("%d calls wait: %+v", m.nested.n, m.nested.waiting)
	}
	m.Deleted("default", []store.Row{agent("b", "critic")})
	if len(m.nested.waiting) != 0 || m.nested.n != 0 {
		t.Errorf("%d calls wait: %+v", m.nested.n, m.nested.waiting)
	}
}
