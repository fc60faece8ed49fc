package eventdb

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

func TestPieces(t *testing.T) {
	var pool sync.Pool
	p := pieces{pool: &pool}
	a, b := p.room(3), p.room(pieceLen-3)
	if len(p.used) != 1 {
		t.Errorf("%d pieces for what fits into one", len(p.used))
	}
	a = append(a, logstorage.Field{Name: "a1"}, logstorage.Field{Name: "a2"}, logstorage.Field{Name: "a3"})
	b = append(b, logstorage.Field{Name: "b1"})
	if a[2].Name != "a3" || b[0].Name != "b1" {
		t.Error("two rows share memory")
	}
	inPiece := a
	if a = append(a, logstorage.Field{Name: "a4"}); b[0].Name != "b1" || a[3].Name != "a4" {
		t.Error("a row that grows takes the next one's memory")
	}
	p.room(1)
	if len(p.used) != 2 {
		t.Errorf("%d pieces, want another one", len(p.used))
	}
	if large := p.room(pieceLen + 1); cap(large) != pieceLen+1 || len(p.used) != 2 {
		t.Errorf("room of %d columns for %d, %d pieces", cap(large), pieceLen+1, len(p.used))
	}
	p.free()
	if inPiece[0].Name != "" || b[0].Name != "" || len(p.used) != 0 {
		t.Error("what was freed keeps texts alive")
	}
}

// Batches use each other's memory again: what the store has of them may not change.
func TestMemoryIsUsedAgain(t *testing.T) {
	db := openTest(t, t.TempDir())
	const writers, batches, rows = 4, 20, 10
	text := func(w, b, r int) string { return fmt.Sprintf("%d-%d-%d", w, b, r) }
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for b := range batches {
				var out []store.Row
				for r := range rows {
					id := text(w, b, r)
					out = append(out, store.Row{Kind: store.KindLog, ID: id, Time: base, Fields: []store.Field{
						{Name: "short", Value: store.String(id)},
						{Name: "attr.gen_ai.prompt", Value: store.String(strings.Repeat(id+" ", store.PayloadMinBytes))},
					}})
				}
				if _, err := db.Write(context.Background(), signal.DefaultProject, out); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, r := range selectAll(t, db, store.Select{Scope: store.Scope{Kind: store.KindLog}}) {
		seen++
		if r.Text("short") != r.ID || r.Text("attr.gen_ai.prompt") != strings.Repeat(r.ID+" ", store.PayloadMinBytes) {
			t.Errorf("row %s has %q and %.40q", r.ID, r.Text("short"), r.Text("attr.gen_ai.prompt"))
		}
	}
	if seen != writers*batches*rows {
		t.Errorf("%d rows of %d", seen, writers*batches*rows)
	}
}
