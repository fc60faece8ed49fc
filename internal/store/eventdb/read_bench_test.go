package eventdb

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

var benchSpans = flag.Int("spans", 100_000, "how many spans the benchmarks of reading lie among")

const (
	benchWide    = "wide" // the trace of 30 000 spans
	benchPerTask = 20
)

// benchTask returns the spans of one task: two agents with calls of models, prompts included, and tools.
func benchTask(rng *rand.Rand, n int, at int64) []store.Row {
	words := func(count int) string {
		var b strings.Builder
		for range count {
			fmt.Fprintf(&b, "Word%d ", int(rng.ExpFloat64()*500))
		}
		return b.String()
	}
	trace, topic := fmt.Sprintf("%032x", n), fmt.Sprintf("topic%d", n)
	rows := make([]store.Row, benchPerTask)
	for i := range rows {
		r := row(trace, i, at+int64(i)*int64(100*time.Millisecond), rng)
		r.Add(store.FieldTaskID, store.String(fmt.Sprint("task-", n)))
		if i%5 == 0 {
			r.Add(store.FieldOperation, store.String("chat"))
			r.Add(store.FieldModel, store.String([]string{"gpt-4o", "claude-sonnet-4-5", "gemini-2.5-pro"}[rng.IntN(3)]))
			r.Add(store.FieldTokensInput, store.Int(rng.Int64N(4000)))
			r.Add(store.FieldTokensOutput, store.Int(rng.Int64N(900)))
			r.Add(store.FieldCostMicro, store.Int(rng.Int64N(9000)))
			r.Add("attr.gen_ai.input.messages", store.String("Write about the "+topic+" of today. "+words(150)))
		}
		rows[i] = r
	}
	return rows
}

func row(trace string, i int, at int64, rng *rand.Rand) store.Row {
	id := fmt.Sprintf("%016x", i+1)
	r := store.Row{Kind: store.KindSpan, ID: trace + id, Time: at}
	for name, text := range map[string]string{
		store.FieldTraceID: trace, store.FieldSpanID: id, store.FieldName: "invoke_agent writer", store.FieldService: "article-team",
		store.FieldStatus: "ok", store.FieldSpanKind: "internal", store.FieldTeam: "engineering",
		store.FieldAgent:       []string{"writer", "critic", "editor", "orchestrator"}[i%4],
		"attr.gen_ai.agent.id": trace[:8], "resource.attr.host.name": "worker-7",
	} {
		r.Add(name, store.String(text))
	}
	duration := int64(rng.ExpFloat64() * float64(time.Second))
	r.Add(store.FieldDuration, store.Int(duration))
	r.Add(store.FieldEnd, store.Int(at+duration))
	return r
}

// benchStore returns a store with -spans spans of the last five days.
func benchStore(b *testing.B) *DB {
	b.Helper()
	db := openWith(b, b.TempDir(), Config{RecentWindow: 10 * day})
	rng := rand.New(rand.NewPCG(1, 2))
	now := time.Now().UnixNano()
	tasks := *benchSpans / benchPerTask
	put := func(rows []store.Row) {
		b.Helper()
		if rejected, err := db.Write(b.Context(), signal.DefaultProject, rows); err != nil || rejected.Items > 0 {
			b.Fatalf("write: %v, rejected %+v", err, rejected)
		}
	}
	for n := range tasks {
		put(benchTask(rng, n, now-int64(5*day)*int64(tasks-n)/int64(tasks)))
	}
	for i := range 30_000 {
		put([]store.Row{row(benchWide+strings.Repeat("0", 28), i, now-int64(time.Hour)+int64(i)*int64(50*time.Millisecond), rng)})
	}
	if err := db.Flush(); err != nil {
		b.Fatal(err)
	}
	return db
}

// BenchmarkRead asks a store with data what users ask all day. Run it with -spans=2000000 for the figures of
// docs/performance.md.
func BenchmarkRead(b *testing.B) {
	db := benchStore(b)
	spans := func(f store.Filter) store.Scope {
		return store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: f}
	}
	newest := func(f store.Filter) store.Select {
		return store.Select{Scope: spans(f), Order: store.NewestFirst, Limit: 50}
	}
	selectRows := func(q store.Select, stop int) func(*testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				n := 0
				for _, err := range db.Select(b.Context(), signal.DefaultProject, q) {
					if err != nil {
						b.Fatal(err)
					}
					if n++; n == stop {
						break
					}
				}
				if n != stop {
					b.Fatalf("%d rows, want %d", n, stop)
				}
			}
		}
	}
	trace := fmt.Sprintf("%032x", 7)
	b.Run("latest-50", selectRows(newest(nil), 50))
	b.Run("agent-and-duration", selectRows(newest(store.And{
		store.Eq(store.FieldAgent, "writer"),
		store.Compare{Field: store.FieldDuration, Op: store.OpGt, Value: store.Int(int64(3 * time.Second))},
	}), 50))
	b.Run("trace-by-id", selectRows(store.Select{Scope: spans(store.Eq(store.FieldTraceID, trace)), Order: store.OldestFirst}, benchPerTask))
	b.Run("task-by-id", selectRows(store.Select{Scope: spans(store.Eq(store.FieldTaskID, "task-7")), Order: store.OldestFirst}, benchPerTask))
	b.Run("first-screen-of-30000", selectRows(store.Select{
		Scope: spans(store.Eq(store.FieldTraceID, benchWide+strings.Repeat("0", 28))), Order: store.OldestFirst,
	}, 200))
	b.Run("phrase-in-prompts", selectRows(newest(store.Text{Field: "attr.gen_ai.input.messages", Words: "the Topic7 of today", Phrase: true}), 4))
	b.Run("phrase-anywhere", selectRows(newest(store.Text{Words: "the Topic7 of today", Phrase: true}), 4))
	b.Run("cost-by-model", func(b *testing.B) {
		for b.Loop() {
			groups, err := db.Aggregate(b.Context(), signal.DefaultProject, store.Aggregate{
				Scope: spans(store.Eq(store.FieldOperation, "chat")), By: []string{store.FieldModel},
				Columns: []store.Column{{Func: store.Sum, Field: store.FieldTokensInput}, {Func: store.Sum, Field: store.FieldTokensOutput}, {Func: store.Sum, Field: store.FieldCostMicro}},
			})
			if err != nil || len(groups) != 3 {
				b.Fatalf("%v, %v", groups, err)
			}
		}
	})
	b.Run("field-names", func(b *testing.B) {
		for b.Loop() {
			if names, err := db.FieldNames(b.Context(), signal.DefaultProject, spans(nil)); err != nil || len(names) < 15 {
				b.Fatalf("%v, %v", names, err)
			}
		}
	})
}
