package logql

import (
	"math"
	"slices"
	"time"
)

// value computes the aggregation of a window that reaches from behind start to end.
func (n *rowsNode) value(w *window, start, end int64) float64 {
	times, values := w.times[w.head:], w.values[w.head:]
	seconds := n.expr.Range.Seconds()
	switch n.expr.Op {
	case opCountOverTime, opAbsentOverTime:
		return float64(len(values))
	case opRate, opBytesRate:
		return sum(values) / seconds
	case opBytesOverTime, opSumOverTime:
		return sum(values)
	case opAvgOverTime:
		return mean(values)
	case opMinOverTime:
		return slices.Min(values)
	case opMaxOverTime:
		return slices.Max(values)
	case opStdvarOverTime:
		return variance(values)
	case opStddevOverTime:
		return math.Sqrt(variance(values))
	case opFirstOverTime:
		return values[0]
	case opLastOverTime:
		return values[len(values)-1]
	case opQuantileOverTime:
		return quantile(n.expr.Param, values)
	default: // opRateCounter
		return counterRate(times, values, start, end)
	}
}

func sum(values []float64) float64 {
	total := 0.0
	for _, v := range values {
		total += v
	}
	return total
}

func mean(values []float64) float64 { return sum(values) / float64(len(values)) }

// variance is that of the whole population.
func variance(values []float64) float64 {
	m, total := mean(values), 0.0
	for _, v := range values {
		total += (v - m) * (v - m)
	}
	return total / float64(len(values))
}

// quantile interpolates between the two values beside the rank, as Prometheus does.
func quantile(phi float64, values []float64) float64 {
	switch {
	case len(values) == 0 || math.IsNaN(phi):
		return math.NaN()
	case phi < 0:
		return math.Inf(-1)
	case phi > 1:
		return math.Inf(1)
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := phi * float64(len(sorted)-1)
	low := int(math.Floor(rank))
	high := min(low+1, len(sorted)-1)
	weight := rank - math.Floor(rank)
	return sorted[low]*(1-weight) + sorted[high]*weight
}

// counterRate is how fast a counter grows a second: its growth, resets made good, stretched over the window as far as its
// samples reach close to the edges.
func counterRate(times []int64, values []float64, start, end int64) float64 {
	if len(values) < 2 {
		return 0
	}
	last := len(values) - 1
	growth := values[last] - values[0]
	for i := 1; i <= last; i++ {
		if values[i] < values[i-1] {
			growth += values[i-1]
		}
	}
	covered := float64(times[last] - times[0])
	if covered == 0 {
		return 0
	}
	toStart, toEnd := float64(times[0]-start), float64(end-times[last])
	between := covered / float64(last)
	if toStart >= between*1.1 {
		toStart = between / 2
	}
	if growth > 0 && values[0] >= 0 { // a counter does not begin below zero
		toStart = min(toStart, covered*values[0]/growth)
	}
	if toEnd >= between*1.1 {
		toEnd = between / 2
	}
	growth *= (covered + toStart + toEnd) / covered
	return growth / (float64(end-start) / float64(time.Second))
}
