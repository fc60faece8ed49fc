package eventdb

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// loseStreams removes what the engine's indexes have on disk: a kill in the second after a stream's first rows came to disk leaves
// it so.
func loseStreams(t *testing.T, dir string) {
	t.Helper()
	lists, err := filepath.Glob(filepath.Join(dir, "*", "partitions", "*", "indexdb", fileParts))
	if err != nil || len(lists) == 0 {
		t.Fatalf("%d indexes, %v", len(lists), err)
	}
	for _, list := range lists {
		if err := os.WriteFile(list, []byte("[]"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLostStreams: rows that came to disk before the names of their streams did are there for readers, once.
func TestLostStreams(t *testing.T) {
	f := func(name string, at int64) {
		t.Helper()
		dir := t.TempDir()
		db := unflushed(t, dir, Config{})
		prompt := field("attr.prompt", store.String(strings.Repeat("a needle in a long prompt ", 50)))
		rows := []store.Row{
			span("t", "1", at, prompt), span("t", "2", at+1), span("t", "3", at+2), span("u", "4", at+3),
		}
		for i, service := range []string{"a", "a", "b", "c"} {
			for k, x := range rows[i].Fields {
				if x.Name == store.FieldService {
					rows[i].Fields[k].Value = store.String(service)
				}
			}
		}
		add(t, db, rows...)
		for _, e := range []engine{db.events, db.payloads} {
			if err := e.Persist(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		to := crashed(t, dir)
		loseStreams(t, to)
		for _, when := range []string{"after the kill", "after one more"} {
			again := unflushed(t, to, Config{})
			sameRows(t, selectAll(t, again, store.Select{Order: store.OldestFirst}), rows)
			for service, want := range map[string]int{"a": 2, "b": 1} {
				got := selectAll(t, again, store.Select{Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldService, service)}})
				if len(got) != want {
					t.Errorf("%s, %s: %d spans of %s, want %d", name, when, len(got), service, want)
				}
			}
			found := selectAll(t, again, store.Select{Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Text{Words: "needle"}}})
			if len(found) != 1 {
				t.Errorf("%s, %s: %d spans with the word", name, when, len(found))
			}
			add(t, again, rows[0]) // a repeat
			if got := selectAll(t, again, store.Select{}); len(got) != len(rows) {
				t.Errorf("%s, %s: %d spans after a repeat", name, when, len(got))
			}
			to = crashed(t, to)
		}
	}
	f("now", time.Now().Add(-time.Minute).UnixNano())
	f("before the time that is remembered", base)
}
