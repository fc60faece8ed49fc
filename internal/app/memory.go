package app

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"time"
)

const (
	// GarbagePercent is how much the heap may grow between two collections, within the limit. At full speed Go's own 100
	// spends a tenth of the processor on collecting requests that are gone anyway.
	GarbagePercent = 300
	// MemoryLimit is the memory of the process, beside what it maps of files, that the runtime tries to stay within: it
	// collects earlier and gives back sooner what is free. Without it half a minute at full speed leaves the process with
	// twice of what it uses.
	MemoryLimit = 256 << 20
	// memoryRoom is how much of the limit must be free for garbage, so that it does not collect all the time. What is in use
	// beyond that raises the limit.
	memoryRoom = 1.6
	// memoryHaste is what counts as used though it is not, at full speed: a collection takes for used whatever was allocated
	// while it ran.
	memoryHaste = 60 << 20
	// memoryLook is how often the limit is compared with what is in use, and memoryLooks of these the least counts: a collection
	// takes for used whatever came while it ran, so that a single one would raise the limit, and the higher limit the next.
	memoryLook  = time.Second
	memoryLooks = 10
	// memoryRest is the time between looks while nothing is collected: an idle server need not wake for it.
	memoryRest = 15 * time.Second
)

// tuneMemory lets the heap grow more between collections and bounds it, unless the operator said how.
func (a *App) tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(GarbagePercent)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetMemoryLimit(MemoryLimit)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		timer := time.NewTimer(memoryLook)
		defer timer.Stop()
		var looks [memoryLooks]uint64
		limit := int64(MemoryLimit)
		collections := uint64(0)
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			case <-timer.C:
			}
			used, n := inUse()
			rest := memoryLook
			if n == collections {
				rest = memoryRest
			}
			timer.Reset(rest)
			looks[i%memoryLooks], collections = used, n
			if next := limitFor(slices.Min(looks[:])); next != limit {
				limit = next
				debug.SetMemoryLimit(limit)
			}
		}
	}()
	a.running("memory", func(context.Context) error {
		close(done)
		<-ended
		debug.SetMemoryLimit(math.MaxInt64)
		return nil
	})
}

// limitFor returns the limit for so many bytes in use.
func limitFor(used uint64) int64 {
	return int64(max(MemoryLimit, (float64(used)-memoryHaste)*memoryRoom))
}

// inUse returns the bytes that the last collection found in use, with those of the runtime itself, and how many collections there
// have been.
func inUse() (used, collections uint64) {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/memory/classes/metadata/other:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(samples)
	last := len(samples) - 1
	for _, s := range samples[:last] {
		used += number(s)
	}
	return used, number(samples[last])
}

// number is 0 for a metric that the runtime does not have.
func number(s metrics.Sample) uint64 {
	if s.Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s.Value.Uint64()
}
