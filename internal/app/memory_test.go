package app

import "testing"

func TestLimitFor(t *testing.T) {
	f := func(used uint64, want int64) {
		t.Helper()
		if got := limitFor(used); got != want {
			t.Errorf("limit for %d bytes: %d, want %d", used, got, want)
		}
	}
	f(0, memoryLimit)
	f(150<<20, memoryLimit)
	f(220<<20, memoryLimit)
	f(1060<<20, 1600<<20)
	if n := inUse(); n == 0 || n > 8<<30 {
		t.Errorf("%d bytes are in use", n)
	}
}
