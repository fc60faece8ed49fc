package spanmetrics

import (
	"bytes"
	"testing"

	"github.com/mindscope/mindscope/internal/store"
)

// TestCountedSince: a team is counted here from its first span on that does not say that its sender counts, also after a
// restart.
func TestCountedSince(t *testing.T) {
	m := New(Config{})
	f := func(project, team string, want bool) {
		t.Helper()
		if since, counted := m.CountedSince(project, team); counted != want || counted && since != start.UnixNano() {
			t.Errorf("%s/%s: counted %t since %d", project, team, counted, since)
		}
	}
	m.Committed("default", []store.Row{chat("c", "", text(fieldMetrics, "sdk"))})
	f("default", "press", false)
	f("default", "", false)
	m.Committed("default", []store.Row{started("a")})
	m.Committed("other", []store.Row{row("b", "", text(store.FieldTeam, "radio"))})
	check := func() {
		t.Helper()
		f("default", "press", true)
		f("default", "", true)
		f("default", "radio", false)
		f("other", "radio", true)
		f("none", "", false)
	}
	check()
	var raw bytes.Buffer
	if err := m.Save(&raw); err != nil {
		t.Fatal(err)
	}
	m = New(Config{})
	if err := m.Load(raw.Bytes()); err != nil {
		t.Fatal(err)
	}
	check()
}
