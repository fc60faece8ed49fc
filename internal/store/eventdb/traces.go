package eventdb

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// traceBlock is the grain of the trace index: for each trace there is one index row per block of this length in which
	// spans of it started. Five minutes cost most traces one row, and a fetch by id looks through hardly more than the trace.
	traceBlock = int64(5 * time.Minute)
	// oldTraceBlock is the grain of index rows that do not say theirs: it was half an hour before.
	oldTraceBlock = 6 * traceBlock
)

// maxTraces bounds how many traces a generation of the cache holds, about 150 bytes each.
const maxTraces = 50_000

// traceIndex knows of the newest traces which index rows were written. The rows themselves are in the engine, kind
// _trace, with the block's beginning as their time, the trace id and the length of the block, so that they age with the
// spans.
type traceIndex struct {
	mu         sync.Mutex
	young, old map[traceKey]*traceBlocks
	// epoch counts the times that something was forgotten: an answer of the engine from before is not learned.
	epoch int
}

type traceKey struct {
	tenant logstorage.TenantID
	id     string
}

// traceBlocks lists the blocks of one trace.
type traceBlocks struct {
	starts []int64
	// complete says that blocks written before this entry came to be are in starts too.
	complete bool
}

func newTraceIndex() *traceIndex {
	return &traceIndex{young: map[traceKey]*traceBlocks{}, old: map[traceKey]*traceBlocks{}}
}

// note records that a span of a trace starts at a time and tells whether its block is new.
func (x *traceIndex) note(k traceKey, at int64) bool {
	block := at - at%traceBlock
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.entry(k)
	if slices.Contains(e.starts, block) {
		return false
	}
	e.starts = append(e.starts, block)
	return true
}

// has tells whether the index row of a trace's block is known to be stored.
func (x *traceIndex) has(k traceKey, block int64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Contains(x.entry(k).starts, block)
}

func (x *traceIndex) entry(k traceKey) *traceBlocks {
	if e := x.young[k]; e != nil {
		return e
	}
	e := x.old[k]
	if e == nil {
		e = &traceBlocks{}
	}
	if len(x.young) >= maxTraces {
		x.old, x.young = x.young, make(map[traceKey]*traceBlocks, maxTraces)
	}
	x.young[k] = e
	return e
}

// find returns the range that is known, and whether it is all there is.
func (x *traceIndex) find(k traceKey) (r signal.TimeRange, complete bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.young[k]
	if e == nil {
		e = x.old[k]
	}
	if e == nil {
		return signal.TimeRange{}, false
	}
	return rangeOf(e.starts), e.complete
}

// now returns the epoch for learn.
func (x *traceIndex) now() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.epoch
}

// learn adds the blocks that the engine held after epoch, and returns the range of all that are known.
func (x *traceIndex) learn(k traceKey, starts []int64, epoch int) signal.TimeRange {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.entry(k)
	if epoch != x.epoch {
		return rangeOf(slices.Concat(e.starts, starts))
	}
	for _, s := range starts {
		if !slices.Contains(e.starts, s) {
			e.starts = append(e.starts, s)
		}
	}
	e.complete = true
	return rangeOf(e.starts)
}

func (x *traceIndex) forget(k traceKey) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.young, k)
	delete(x.old, k)
	x.epoch++
}

func rangeOf(starts []int64) signal.TimeRange {
	var r signal.TimeRange
	for _, s := range starts {
		r = r.Include(s)
		if s > math.MaxInt64-traceBlock {
			r.End = math.MaxInt64
			continue
		}
		r = r.Include(s + traceBlock - 1)
	}
	return r
}

// TraceRange implements store.Reader.
func (db *DB) TraceRange(ctx context.Context, p signal.Project, traceID string) (signal.TimeRange, error) {
	if err := db.enter(); err != nil {
		return signal.TimeRange{}, err
	}
	defer db.leave()
	t, ok := db.projects.find(p)
	if !ok {
		return signal.TimeRange{}, store.ErrNotFound
	}
	return db.traceRange(ctx, t, traceID)
}

func (db *DB) traceRange(ctx context.Context, t logstorage.TenantID, traceID string) (signal.TimeRange, error) {
	ranges, err := db.traceRanges(ctx, t, []string{traceID})
	if err != nil {
		return signal.TimeRange{}, err
	}
	r, ok := ranges[traceID]
	if !ok {
		return r, store.ErrNotFound
	}
	return r, nil
}

// TraceRanges implements store.Reader.
func (db *DB) TraceRanges(ctx context.Context, p signal.Project, traceIDs []string) (map[string]signal.TimeRange, error) {
	if err := db.enter(); err != nil {
		return nil, err
	}
	defer db.leave()
	t, ok := db.projects.find(p)
	if !ok {
		return nil, nil
	}
	return db.traceRanges(ctx, t, traceIDs)
}

// traceRanges returns the ranges of the traces that are known. With store.ErrPartial they may be too short.
func (db *DB) traceRanges(ctx context.Context, t logstorage.TenantID, ids []string) (map[string]signal.TimeRange, error) {
	out := make(map[string]signal.TimeRange, len(ids))
	var open []string
	for _, id := range ids {
		r, complete := db.traces.find(traceKey{t, id})
		switch {
		case id == "":
		case complete:
			out[id] = r
		default:
			open = append(open, id)
		}
	}
	slices.Sort(open)
	for ids := range slices.Chunk(slices.Compact(open), idsPerQuery) {
		epoch := db.traces.now()
		starts, err := db.traceStarts(ctx, t, ids)
		if err != nil {
			return out, err
		}
		for i, id := range ids {
			k := traceKey{t, id}
			if r, _ := db.traces.find(k); r.Empty() && len(starts[i]) == 0 {
				continue
			}
			out[id] = db.traces.learn(k, starts[i], epoch)
		}
	}
	return out, nil
}

// traceStarts returns, for each of the traces, the beginnings of the blocks that the engine has index rows for.
func (db *DB) traceStarts(ctx context.Context, t logstorage.TenantID, ids []string) ([][]int64, error) {
	place := make(map[string]int, len(ids))
	for i, id := range ids {
		place[id] = i
	}
	starts := make([][]int64, len(ids))
	query := ofKind(kindTrace) + " " + fieldIn(store.FieldTraceID, ids) + fieldsPipe([]string{colTime, store.FieldTraceID, colGrain})
	err := run(ctx, db.events, t, query, signal.AllTime(), func(b *logstorage.DataBlock) error {
		times, _ := b.GetTimestamps(nil)
		grains := texts(b, colGrain)
		for i, id := range texts(b, store.FieldTraceID) {
			if k, ok := place[id]; ok {
				starts[k] = appendBlocks(starts[k], times[i], grains[i])
			}
		}
		return nil
	})
	return starts, err
}

// appendBlocks adds the blocks that an index row stands for.
func appendBlocks(starts []int64, at int64, grain string) []int64 {
	if grain != "" {
		return append(starts, at)
	}
	for block := at; block < at+oldTraceBlock; block += traceBlock {
		starts = append(starts, block)
	}
	return starts
}

// traceRow is the index row of a block of a trace.
func traceRow(traceID string, block int64) encoded {
	row := encoded{time: block, streams: 1}
	row.add(colKind, string(kindTrace))
	row.add(store.FieldTraceID, traceID)
	row.add(colGrain, traceGrain)
	return row
}
