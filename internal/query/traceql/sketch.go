package traceql

import (
	"maps"
	"math"
	"slices"
)

// sketchRatio is the width of a sketch's buckets: a quantile is within 1 % of the exact one.
const sketchRatio = 1.02

// sketch holds the distribution of values in buckets whose bounds grow by a ratio.
type sketch struct {
	// known are quantiles that the store computed, in the order of the query; nil when values were added.
	known   []float64
	n       int
	zeros   int
	buckets map[int32]int32 // positive values, by ⌈log of the value⌉
	below   map[int32]int32 // negative ones, by that of their size
}

// add counts a value and returns about how many bytes that took.
func (s *sketch) add(v float64) int {
	s.n++
	to := &s.buckets
	switch {
	case v == 0:
		s.zeros++
		return 0
	case v < 0:
		v, to = -v, &s.below
	}
	size := 0
	if *to == nil {
		*to, size = map[int32]int32{}, 100
	}
	i := int32(math.Ceil(math.Log(v) / math.Log(sketchRatio)))
	if (*to)[i]++; (*to)[i] == 1 {
		size += 20
	}
	return size
}

// quantile returns the value below which the part phi of the values lies.
func (s *sketch) quantile(phi float64) float64 {
	rank := min(int(phi*float64(s.n)), s.n-1)
	for _, i := range slices.Backward(slices.Sorted(maps.Keys(s.below))) {
		if rank -= int(s.below[i]); rank < 0 {
			return -middle(i)
		}
	}
	if rank -= s.zeros; rank < 0 {
		return 0
	}
	for _, i := range slices.Sorted(maps.Keys(s.buckets)) {
		if rank -= int(s.buckets[i]); rank < 0 {
			return middle(i)
		}
	}
	return 0
}

// middle of a bucket, in the sense of its ratio.
func middle(i int32) float64 { return math.Pow(sketchRatio, float64(i)-0.5) }
