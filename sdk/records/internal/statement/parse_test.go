package statement

import (
	"database/sql/driver"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestSummary(t *testing.T) {
	f := func(sql, want string) {
		t.Helper()
		if got := parse(sql, false).summary; got != want {
			t.Errorf("%s: summary is %q, want %q", sql, got, want)
		}
	}
	f("INSERT INTO task_steps (id) VALUES (?)", "INSERT task_steps")
	f("  insert  into\n\tteam.\"Task Steps\"(id) values(1)", "INSERT Task Steps")
	f("INSERT OR REPLACE INTO `steps` DEFAULT VALUES", "INSERT steps")
	f("REPLACE INTO [steps] (id) VALUES (1)", "REPLACE steps")
	f("-- a note\n/* another */ INSERT INTO t(id) VALUES (1)", "INSERT t")
	f("WITH x AS (SELECT 1 FROM y) INSERT INTO t SELECT * FROM x", "INSERT t")
	f("WITH x AS (INSERT INTO y VALUES (1) RETURNING id) SELECT * FROM x", "SELECT x")
	f("SELECT a, (SELECT max(b) FROM inner_table) FROM outer_table o WHERE c = 'FROM z'", "SELECT outer_table")
	f("SELECT 1", "SELECT")
	f("SELECT * FROM (SELECT 1)", "SELECT")
	f("UPDATE OR IGNORE main.t SET a = 1", "UPDATE t")
	f("DELETE FROM ONLY t WHERE id = $1", "DELETE t")
	f("CREATE TABLE IF NOT EXISTS t (id TEXT)", "CREATE TABLE t")
	f("CREATE UNIQUE INDEX i ON t (id)", "CREATE INDEX i")
	f("PRAGMA journal_mode=WAL", "PRAGMA")
	f("BEGIN; INSERT INTO a VALUES (1); INSERT INTO a VALUES (2); INSERT INTO b VALUES (';')", "BEGIN; INSERT a; INSERT b")
	f("INSERT INTO таблица (id) VALUES (1)", "INSERT таблица")
	f("", "")
	f(";;", "")
	f("(SELECT 1)", "")
	f("INSERT INTO", "INSERT")
	f("INSERT INTO "+strings.Repeat("я", 300), "INSERT "+strings.Repeat("я", 124))
}

func TestTextWithoutLiterals(t *testing.T) {
	f := func(sql, want string, doubleIsText bool) {
		t.Helper()
		if got := parse(sql, doubleIsText).text; got != want {
			t.Errorf("%s: text is %q, want %q", sql, got, want)
		}
	}
	f("INSERT INTO t (a) VALUES (?, $1, :n)", "INSERT INTO t (a) VALUES (?, $1, :n)", false)
	f("SELECT 'it''s', 12, 1.5e-3, 0xFF, t1 FROM x2", "SELECT ?, ?, ?, ?, t1 FROM x2", false)
	f(`SELECT 'back\', secret FROM t WHERE a = 'x'`, `SELECT ?, secret FROM t WHERE a = ?`, false)
	f(`SELECT E'it\'s secret' FROM t`, `SELECT E? FROM t`, false)
	f("SELECT $$secret$$, $tag$it's $$ secret$tag$, $1", "SELECT ?, ?, $1", false)
	f(`SELECT "name" FROM t`, `SELECT "name" FROM t`, false)
	f(`SELECT "it\"s secret", 'it\'s' FROM t # note's`, `SELECT ?, ? FROM t # note's`, true)
	f("SELECT 'cut off", "SELECT ?", false)
	f("SELECT $$cut off", "SELECT ?", false)
	f("SELECT a[1], b::text", "SELECT a[?], b::text", false)
	f("\xff'", "�?", false)
}

func TestInsertColumns(t *testing.T) {
	args := []driver.NamedValue{
		{Ordinal: 1, Value: "one"}, {Ordinal: 2, Value: "two"}, {Ordinal: 3, Value: "three"}, {Ordinal: 4, Name: "n", Value: "named"},
	}
	f := func(sql string, columns []string, values map[string]any) {
		t.Helper()
		s := parse(sql, false).statements[0]
		if diff := cmp.Diff(columns, s.columns); diff != "" {
			t.Errorf("%s: columns (-want +got):\n%s", sql, diff)
		}
		got := map[string]any{}
		for _, c := range s.columns {
			if v, ok := s.value(c, args); ok {
				got[c] = v
			}
		}
		if diff := cmp.Diff(values, got); diff != "" {
			t.Errorf("%s: values (-want +got):\n%s", sql, diff)
		}
	}
	f("INSERT INTO t (id, Task_ID, n) VALUES (?, ?, ?)", []string{"id", "task_id", "n"},
		map[string]any{"id": "one", "task_id": "two", "n": "three"})
	f(`INSERT INTO t (id, "task_id") VALUES ($2, $1), ($3, $4)`, []string{"id", "task_id"},
		map[string]any{"id": "two", "task_id": "one"})
	f("INSERT INTO t (a, b, c, d, e) VALUES (lower(?), 'x', ?, ? || 'y', :n)", []string{"a", "b", "c", "d", "e"},
		map[string]any{"c": "two", "e": "named"})
	f("INSERT INTO t (a, b) VALUES ($1::uuid, CAST($2 AS text))", []string{"a", "b"}, map[string]any{"a": "one"})
	f("INSERT INTO t (a) VALUES (@n)", []string{"a"}, map[string]any{"a": "named"})
	f("INSERT INTO t (a, b) SELECT x, ? FROM y", []string{"a", "b"}, map[string]any{})
	f("INSERT INTO t VALUES (?, ?)", nil, map[string]any{})
	f("INSERT INTO t AS alias (a) OVERRIDING SYSTEM VALUE VALUES (?)", []string{"a"}, map[string]any{})
	f("INSERT INTO t (a, b) VALUES (?", []string{"a", "b"}, map[string]any{"a": "one"})
	f("INSERT INTO t (", nil, map[string]any{})
	f("WITH x AS (SELECT ? AS v) INSERT INTO t (a) VALUES (?)", []string{"a"}, map[string]any{"a": "two"})
}

func TestParserIsBounded(t *testing.T) {
	p := newParser("sqlite")
	for i := range 3 * maxCached {
		p.parse(fmt.Sprintf("SELECT %d", i))
	}
	if got := len(p.cache); got > maxCached {
		t.Errorf("%d queries are remembered, want at most %d", got, maxCached)
	}
}

func FuzzParse(f *testing.F) {
	for _, sql := range []string{
		"INSERT INTO t (a, b) VALUES ($1::uuid, E'x\\'')", "WITH x AS (SELECT 1) SELECT $$a$$ FROM [b c]",
		"UPDATE `t` SET a = \"b\" -- c", "REPLACE INTO t(a) VALUES (?1, :b, @c)",
	} {
		f.Add(sql, true)
	}
	f.Fuzz(func(t *testing.T, sql string, doubleIsText bool) {
		q := parse(sql, doubleIsText)
		if !utf8.ValidString(q.text) || !utf8.ValidString(q.summary) || len(q.summary) > maxSummary {
			t.Fatalf("text %q, summary %q", q.text, q.summary)
		}
		for _, s := range q.statements {
			if !utf8.ValidString(s.table) {
				t.Fatalf("table %q", s.table)
			}
			for _, c := range s.columns {
				s.value(c, nil)
			}
		}
		// What was cleaned has no literals left to clean.
		if again := parse(q.text, doubleIsText).text; again != q.text {
			t.Fatalf("%q becomes %q", q.text, again)
		}
	})
}
