package eventdb

import (
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
)

const (
	// blockLen is the length of rows as JSON from which the engine calls a block full: merges copy such a block as it
	// is, and every smaller one is decompressed, joined with others and compressed again. The engine's own buffer gives
	// up at 7/8 of it.
	blockLen = 2 << 20
	// gatherLen bounds what is held of all streams together, when none of them fills a block.
	gatherLen = 3 * blockLen
	// gatherFor is the longest time that a row waits for others.
	gatherFor = time.Second
)

// rowTaker is what gather needs of an engine.
type rowTaker interface {
	MustAddRows(rows *logstorage.LogRows)
	DebugFlush()
}

// gather collects rows for an engine until they fill a block. What it holds is in the log, and in no file.
type gather struct {
	engine rowTaker

	// adding is held for reading from when rows are taken until the engine has them, so that flush can wait for all of
	// them.
	adding sync.RWMutex

	mu     sync.Mutex
	rows   *logstorage.LogRows
	len    int               // of rows as JSON, as the engine estimates it
	lens   map[streamKey]int // the same for each stream
	timer  *time.Timer
	closed bool
}

// streamKey names a stream of the engine: a block has rows of one.
type streamKey struct {
	tenant        logstorage.TenantID
	kind, service string
}

func streamOf(t logstorage.TenantID, row *encoded) streamKey {
	k := streamKey{tenant: t, kind: row.fields[0].Value}
	if row.streams > 1 {
		k.service = row.fields[1].Value
	}
	return k
}

func newGather(engine rowTaker) *gather {
	g := &gather{engine: engine, rows: logstorage.GetLogRows(nil, nil, nil, nil, ""), lens: map[streamKey]int{}}
	g.mu.Lock()
	defer g.mu.Unlock() // the first flush looks at the timer
	g.timer = time.AfterFunc(gatherFor, g.flush)
	return g
}

// add takes a copy of rows and returns how many of them the engine refused. They are searchable after flush, which
// comes by itself within gatherFor.
func (g *gather) add(t logstorage.TenantID, rows []encoded) (refused int64) {
	g.adding.RLock()
	defer g.adding.RUnlock()
	for len(rows) > 0 {
		n, more, full := g.take(t, rows)
		refused += more
		if full != nil {
			g.pass(full)
		}
		rows = rows[n:]
	}
	return refused
}

// take copies rows until a block is full. It returns how many it has seen, how many of them the engine refused, and
// what is to be passed on when it stopped for that.
func (g *gather) take(t logstorage.TenantID, rows []encoded) (n int, refused int64, full *logstorage.LogRows) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.len == 0 {
		g.timer.Reset(gatherFor)
	}
	for i := range rows {
		before := g.rows.RowsCount()
		g.rows.MustAdd(t, rows[i].time, rows[i].fields, rows[i].streams)
		if g.rows.RowsCount() == before {
			refused++
			continue
		}
		if g.grow(streamOf(t, &rows[i]), logstorage.EstimatedJSONRowLen(rows[i].fields)) {
			return i + 1, refused, g.out()
		}
	}
	return len(rows), refused, nil
}

// grow counts a row of a stream and tells whether it is time to pass the rows on. g.mu is held.
func (g *gather) grow(k streamKey, n int) (full bool) {
	before, known := g.lens[k]
	if !known { // the row's text belongs to a request
		k.kind, k.service = strings.Clone(k.kind), strings.Clone(k.service)
	}
	g.lens[k] = before + n
	g.len += n
	return before+n >= blockLen || g.len >= gatherLen
}

// out returns the rows there are and begins with none. g.mu is held.
func (g *gather) out() *logstorage.LogRows {
	rows := g.rows
	g.rows = logstorage.GetLogRows(nil, nil, nil, nil, "")
	g.len = 0
	clear(g.lens)
	g.timer.Stop()
	return rows
}

// pass gives rows to the engine and makes them searchable, past its own buffer.
func (g *gather) pass(rows *logstorage.LogRows) {
	g.engine.MustAddRows(rows)
	logstorage.PutLogRows(rows)
	g.engine.DebugFlush()
}

// flush makes all rows that were added searchable.
func (g *gather) flush() {
	g.adding.Lock()
	defer g.adding.Unlock()
	if g.closed {
		return
	}
	g.mu.Lock()
	rows := g.out()
	g.mu.Unlock()
	g.pass(rows)
}

// close gives the rest to the engine. Nothing may be added afterwards.
func (g *gather) close() {
	g.flush()
	g.adding.Lock()
	g.closed = true
	g.adding.Unlock()
}
