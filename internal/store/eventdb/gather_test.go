package eventdb

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
)

// taker notes the rows of each add, and how long they are, by kind.
type taker struct {
	mu      sync.Mutex
	adds    []map[string]int
	rows    int
	flushed int // rows before the last DebugFlush
}

func (k *taker) MustAddRows(rows *logstorage.LogRows) {
	lens := map[string]int{}
	n := 0
	rows.ForEachRow(func(_ uint64, r *logstorage.InsertRow) {
		n++
		for _, f := range r.Fields {
			if f.Name == colKind {
				lens[f.Value] += logstorage.EstimatedJSONRowLen(r.Fields)
			}
		}
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rows += n
	if n > 0 {
		k.adds = append(k.adds, lens)
	}
}

func (k *taker) DebugFlush() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.flushed = k.rows
}

// count returns how many rows came and how many of them are searchable.
func (k *taker) count() (rows, flushed int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.rows, k.flushed
}

func gatherRow(kind string, n int) encoded {
	return encoded{time: 1, streams: 1, fields: []logstorage.Field{{Name: colKind, Value: kind}, {Name: "text", Value: strings.Repeat("x", n)}}}
}

func TestGatherPassesWholeBlocksOn(t *testing.T) {
	k := &taker{}
	g := newGather(k)
	const rows, size = 5000, 1000
	for range rows {
		// A few rows of another kind come along: they must not make the block of the first one short.
		if refused := g.add(logstorage.TenantID{}, []encoded{gatherRow("span", size), gatherRow("mark", 20)}); refused != 0 {
			t.Fatalf("%d rows refused", refused)
		}
	}
	for i, lens := range k.adds {
		if lens["span"] < blockLen || lens["span"] > blockLen+2*size {
			t.Errorf("add %d has %d bytes of spans, want the length of a block, %d, and no more than a row beyond", i, lens["span"], blockLen)
		}
	}
	if len(k.adds) != rows*size/blockLen {
		t.Errorf("%d adds for %d bytes", len(k.adds), rows*size)
	}
	g.close()
	if k.rows != 2*rows || k.flushed != k.rows {
		t.Errorf("%d rows came and %d were made searchable, want %d", k.rows, k.flushed, 2*rows)
	}
}

func TestGatherIsBounded(t *testing.T) {
	k := &taker{}
	g := newGather(k)
	defer g.close()
	const rows, size = 20_000, 1000
	for i := range rows {
		g.add(logstorage.TenantID{}, []encoded{gatherRow("kind"+strconv.Itoa(i%500), size)})
		if held := (i + 1 - k.rows) * size; held > gatherLen {
			t.Fatalf("holds %d bytes after %d rows, want at most %d", held, i+1, gatherLen)
		}
	}
}

func TestGatherWaitsNoLongerThanASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &taker{}
		g := newGather(k)
		defer g.close()
		for range 3 { // the timer works again after it has run
			before, _ := k.count()
			g.add(logstorage.TenantID{}, []encoded{gatherRow("span", 10)})
			time.Sleep(gatherFor / 2)
			g.add(logstorage.TenantID{}, []encoded{gatherRow("span", 10)})
			if rows, _ := k.count(); rows != before {
				t.Fatal("rows were passed on one by one")
			}
			time.Sleep(gatherFor/2 + time.Millisecond)
			synctest.Wait()
			if _, flushed := k.count(); flushed != before+2 {
				t.Fatalf("%d rows are searchable, want %d", flushed, before+2)
			}
		}
	})
}

// TestGatherFlushSeesAll adds from several goroutines: what was added before a flush is searchable after it, also when
// another goroutine carries it to the engine.
func TestGatherFlushSeesAll(t *testing.T) {
	k := &taker{}
	g := newGather(k)
	defer g.close()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := 1; n <= 300; n++ {
				g.add(logstorage.TenantID{}, []encoded{gatherRow("span", 20_000)})
				g.flush()
				if _, flushed := k.count(); flushed < n {
					t.Errorf("%d rows are searchable after %d of one goroutine", flushed, n)
					return
				}
			}
		})
	}
	all.Wait()
	if k.rows != 4*300 {
		t.Errorf("%d rows, want %d", k.rows, 4*300)
	}
}
