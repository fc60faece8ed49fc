package app

import (
	"runtime"
	"testing"
)

func TestLimitFor(t *testing.T) {
	f := func(used uint64, want int64) {
		t.Helper()
		if got := limitFor(used); got != want {
			t.Errorf("limit for %d bytes: %d, want %d", used, got, want)
		}
	}
	f(0, MemoryLimit)
	f(150<<20, MemoryLimit)
	f(220<<20, MemoryLimit)
	f(1060<<20, 1600<<20)
	_, before := inUse()
	runtime.GC()
	if n, collections := inUse(); n == 0 || n > 8<<30 || collections <= before {
		t.Errorf("%d bytes are in use after %d collections, %d before", n, collections, before)
	}
}
