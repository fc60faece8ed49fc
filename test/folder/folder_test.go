package folder

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
)

// TestEveryFormatOpens opens a folder of each format there has been, as a crash left it, and reads, searches, writes,
// deletes and opens it again.
func TestEveryFormatOpens(t *testing.T) {
	formats, err := filepath.Glob("testdata/format-*")
	if err != nil || len(formats) < 3 {
		t.Fatalf("%d formats, %v", len(formats), err)
	}
	for _, from := range formats {
		t.Run(filepath.Base(from), func(t *testing.T) {
			dir := t.TempDir()
			if err := Unpack(from, dir); err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(filepath.Join(from, FileRows))
			if err != nil {
				t.Fatal(err)
			}
			db := open(t, dir)
			readsAs(t, db, string(want))
			// In any case, in columns and in prompts; split words are in old rows and new ones.
			finds(t, db, store.Text{Field: "attr.gen_ai.input.messages", Words: "the quiet LIGHTHOUSE and", Phrase: true}, 12)
			finds(t, db, store.Text{Field: "attr.gen_ai.input.messages", Words: "turn 11: tell", Phrase: true}, 1)
			finds(t, db, store.Text{Field: "attr.gen_ai.input.messages", Words: "write iphone as", Phrase: true}, 12)
			finds(t, db, store.Text{Field: "attr.gen_ai.input.messages", Words: "CallX", Phrase: true}, 12)
			finds(t, db, store.Text{Field: "attr.list", Words: "userid", Phrase: true}, 12)
			finds(t, db, store.Text{Words: "an event SAYS", Phrase: true}, 12)
			finds(t, db, store.Text{Words: "nowhere", Phrase: true}, 0)

			again := Rows(signal.DefaultProject)[:13]
			if _, err := db.Write(t.Context(), signal.DefaultProject, again); err != nil {
				t.Fatal(err)
			}
			readsAs(t, db, string(want)) // they were there
			n, err := db.Delete(t.Context(), "other", store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldTraceID, "trace-1")})
			if err != nil || n != 4 {
				t.Errorf("deleted %d rows, %v", n, err)
			}
			now, err := Read(t.Context(), db)
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			readsAs(t, open(t, dir), now)
		})
	}
}

func open(t *testing.T, dir string) *eventdb.DB {
	t.Helper()
	db, err := eventdb.Open(dir, Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	return db
}

func readsAs(t *testing.T, db *eventdb.DB, want string) {
	t.Helper()
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	got, err := Read(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func finds(t *testing.T, db *eventdb.DB, text store.Text, want int) {
	t.Helper()
	n := 0
	for _, err := range db.Select(t.Context(), signal.DefaultProject, store.Select{Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: text}}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != want {
		t.Errorf("%q in field %q: %d rows, want %d", text.Words, text.Field, n, want)
	}
}
