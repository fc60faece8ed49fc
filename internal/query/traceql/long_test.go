package traceql

import (
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
)

// TestLongTextsAreFound asks for texts that the store keeps apart from their spans.
func TestLongTextsAreFound(t *testing.T) {
	now := time.Now()
	db, err := eventdb.Open(t.TempDir(), eventdb.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	long := strings.Repeat("word ", 500)
	for i, text := range []string{`[{"role":"user","content":"` + long + `Write an article."}]`, "short", long + "poem"} {
		id := []string{"1", "2", "3"}[i]
		row := store.Row{Kind: store.KindSpan, ID: id, Time: now.UnixNano(), Fields: []store.Field{
			{Name: store.FieldTraceID, Value: store.String(strings.Repeat("0", 31) + id)},
			{Name: store.FieldSpanID, Value: store.String(strings.Repeat("0", 15) + id)},
			{Name: "attr.gen_ai.input.messages", Value: store.String(text)},
		}}
		if _, err := db.Write(t.Context(), p, []store.Row{row}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	e := New(db, Options{})
	f := func(query string, want int) {
		t.Helper()
		found, err := e.Search(t.Context(), p, SearchRequest{Query: parse(t, query), Time: signal.Between(now.Add(-time.Hour), now.Add(time.Hour))})
		if err != nil || len(found.Traces) != want {
			t.Errorf("%s: %+v, %v, want %d traces", query, found, err, want)
		}
	}
	f(`{ span.gen_ai.input.messages != nil }`, 3)
	f(`{ span.gen_ai.input.messages =~ ".*article.*" }`, 1)
	f(`{ span.gen_ai.input.messages =~ ".*poem" }`, 1)
	f(`{ span.gen_ai.input.messages !~ ".*word.*" }`, 1)
	f(`{ .gen_ai.input.messages = "short" }`, 1)
	f(`{ span.gen_ai.input.messages = "`+long+`poem" }`, 1)
}
