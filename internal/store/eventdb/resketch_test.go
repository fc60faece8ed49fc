package eventdb

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// told returns how many sketches there are and which groups may have a word, as whoever has the folder can find out.
func told(t *testing.T, db *DB, word string) (sketches int, groups []string) {
	t.Helper()
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	tenant, ok := db.projects.find(signal.DefaultProject)
	if !ok {
		t.Fatal("no project")
	}
	query := ofKind(kindWords) + fieldsPipe([]string{colGroup})
	err := run(t.Context(), db.payloads, tenant, query, signal.AllTime(), func(b *logstorage.DataBlock) error {
		sketches += len(texts(b, colGroup))
		return nil
	})
	groups, ok, err2 := db.groupsWith(t.Context(), tenant, signal.AllTime(), []string{word})
	if err = errors.Join(err, err2); err != nil || !ok {
		t.Fatal(ok, err)
	}
	return sketches, groups
}

// teller makes rows: one group is of a deleted and a kept prompt, one of a deleted one only.
func teller(t *testing.T, db *DB) (kept store.Row) {
	t.Helper()
	kept = span("kept", "1", base, field("attr.prompt", store.String(strings.Repeat("the albatross comes home ", 40))))
	write(t, db, kept,
		span("gone", "2", base+1, field("attr.prompt", store.String(strings.Repeat("the patient has porphyria ", 40)))))
	write(t, db, span("gone", "3", base+2, field("attr.prompt", store.String(strings.Repeat("porphyria once more ", 40)))))
	if n, groups := told(t, db, "porphyria"); n != 2 || len(groups) != 2 {
		t.Fatalf("%d sketches, %d of them have the word", n, len(groups))
	}
	return kept
}

// checkTold: of what was deleted no word can be guessed any more, and what is left is found.
func checkTold(t *testing.T, db *DB, kept store.Row) {
	t.Helper()
	if n, groups := told(t, db, "porphyria"); n != 1 || len(groups) != 0 {
		t.Errorf("%d sketches, %d of them have a deleted word", n, len(groups))
	}
	if _, groups := told(t, db, "albatross"); len(groups) != 1 {
		t.Errorf("%d groups have a word of what is left", len(groups))
	}
	f := func(words string, want ...store.Row) {
		t.Helper()
		scope := store.Scope{Filter: store.Text{Words: words, Phrase: true}}
		sameRows(t, selectAll(t, db, store.Select{Scope: scope}), want)
	}
	f("albatross comes home", kept)
	f("porphyria")
}

func TestDeletedWordsAreGone(t *testing.T) {
	dir := t.TempDir()
	db := unflushed(t, dir, Config{})
	kept := teller(t, db)
	if err := db.Checkpoint(t.Context()); err != nil { // nothing is in the log: what comes now is nowhere but in the engine
		t.Fatal(err)
	}
	scope := store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldTraceID, "gone")}
	if n, err := db.Delete(t.Context(), signal.DefaultProject, scope); n != 2 || err != nil {
		t.Fatalf("deleted %d, %v", n, err)
	}
	checkTold(t, db, kept)
	checkTold(t, unflushed(t, crashed(t, dir), Config{}), kept)
	// What is left of the group goes as well.
	scope.Filter = store.Eq(store.FieldTraceID, "kept")
	if n, err := db.Delete(t.Context(), signal.DefaultProject, scope); n != 1 || err != nil {
		t.Fatalf("deleted %d, %v", n, err)
	}
	if n, _ := told(t, db, "albatross"); n != 0 {
		t.Errorf("%d sketches of nothing are left", n)
	}
}

// TestDeletedWordsAfterCrash: a deletion that is cut short after the texts went, when nothing but its record tells any more
// of which groups they were, ends with the sketches.
func TestDeletedWordsAfterCrash(t *testing.T) {
	dir := t.TempDir()
	db := unflushed(t, dir, Config{})
	kept := teller(t, db)
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	tenant, _ := db.projects.find(signal.DefaultProject)
	pl, err := db.plan(t.Context(), signal.DefaultProject, store.Scope{
		Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldTraceID, "gone"),
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := db.findDoomed(t.Context(), pl)
	if err != nil {
		t.Fatal(err)
	}
	stone := newTombstone(signal.DefaultProject, store.KindSpan, d, time.Now())
	if err := db.deletions.add(stone); err != nil {
		t.Fatal(err)
	}
	db.doomed.mark(tenant, stone.payloads())
	defer db.doomed.clear()
	if err := errors.Join(db.deleteEvents(t.Context(), tenant, stone), db.deletePayloads(t.Context(), tenant, stone)); err != nil {
		t.Fatal(err)
	}
	if n, groups := told(t, db, "porphyria"); n != 2 || len(groups) != 2 {
		t.Fatalf("%d sketches, %d of them have the word", n, len(groups))
	}
	early := crashed(t, dir)
	if _, err := db.resketch(t.Context(), tenant, stone.groups()); err != nil {
		t.Fatal(err)
	}
	if err := db.payloads.Persist(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{early, crashed(t, dir)} {
		again := unflushed(t, at, Config{})
		checkTold(t, again, kept)
		if slices.ContainsFunc(again.deletions.all, func(s *tombstone) bool { return !s.Done }) {
			t.Error("the deletion has not ended")
		}
	}
}
