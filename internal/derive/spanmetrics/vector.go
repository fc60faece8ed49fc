package spanmetrics

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// other takes the place of label values beyond the cap.
const other = "other"

// vector is one metric: its series by their label values.
type vector struct {
	name, help string
	// labels are the instrument's own; project and team stand before them.
	labels []string
	// buckets are the upper bounds of a histogram, nil for a counter.
	buckets []float64
	// perUnit divides what is added: costs are added in pico-dollars and exposed in dollars.
	perUnit float64

	desc   *prometheus.Desc
	series map[string]*series
	// seen holds the values of each label, to cap them.
	seen []map[string]struct{}
	key  []byte // reused
}

// series is one combination of label values.
type series struct {
	Values []string `json:"l"`
	// Sum is the counter, or the sum of a histogram's observations.
	Sum float64 `json:"s"`
	// Exact is the counter in whole smallest units, where a float would lose some.
	Exact int64 `json:"x,omitempty"`
	// Count and Buckets are a histogram's; Native its exponential buckets by index, Zero what is zero or less.
	Count   uint64           `json:"c,omitempty"`
	Buckets []uint64         `json:"b,omitempty"`
	Native  map[int32]uint64 `json:"n,omitempty"`
	Zero    uint64           `json:"z,omitempty"`
	// Created is when the first of it was counted, nanoseconds: a reader knows by it that it was zero before.
	Created int64 `json:"t,omitempty"`

	pairs     []*dto.LabelPair
	exemplars []exemplar // of each bucket, or one of a counter
}

// exemplar is the last observation of a bucket that a trace can be shown for.
type exemplar struct {
	trace, span string
	value       float64
	at          int64
}

// nativeSchema is the resolution of native histograms: 8 buckets for each doubling.
const nativeSchema = 3

func newVector(name, help string, labels []string, buckets []float64) *vector {
	all := append([]string{"project", "team"}, labels...)
	v := &vector{
		name: name, help: help, labels: all, buckets: buckets, perUnit: 1,
		desc: prometheus.NewDesc(name, help, all, nil), series: map[string]*series{}, seen: make([]map[string]struct{}, len(all)),
	}
	for i := range v.seen {
		v.seen[i] = map[string]struct{}{}
	}
	return v
}

// at returns the series of some label values, project and team first. capped tells that a value was put into other.
func (v *vector) at(limit int, now int64, values ...string) (s *series, capped bool) {
	v.key = v.key[:0]
	for _, value := range values {
		v.key = append(append(v.key, value...), 0xff)
	}
	if s, ok := v.series[string(v.key)]; ok {
		return s, false
	}
	kept := slices.Clone(values) // in a variable of its own, so that values stay on the caller's stack
	for i := range kept {
		value := valid(kept[i])
		kept[i] = value
		if _, ok := v.seen[i][value]; ok {
			continue
		}
		if len(v.seen[i]) >= limit {
			kept[i], capped = other, true
			continue
		}
		v.seen[i][strings.Clone(value)] = struct{}{}
	}
	return v.open(kept, now), capped
}

// valid returns a label's value as it is exposed: a registry refuses all metrics for one that is not UTF-8.
func valid(value string) string { return strings.ToValidUTF8(value, "\uFFFD") }

// open returns the series of exactly these values, which are valid: two that look alike when exposed must be one series.
func (v *vector) open(values []string, now int64) *series {
	key := strings.Join(values, "\xff") + "\xff"
	if s, ok := v.series[key]; ok {
		return s
	}
	s := &series{Values: values, Created: now}
	for i := range values {
		values[i] = strings.Clone(values[i])
	}
	v.adopt(s)
	v.series[key] = s
	return s
}

// adopt makes what is not saved of a series.
func (v *vector) adopt(s *series) {
	for i, name := range v.labels {
		s.pairs = append(s.pairs, &dto.LabelPair{Name: new(name), Value: new(s.Values[i])})
	}
	slices.SortFunc(s.pairs, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	s.exemplars = make([]exemplar, 1)
	if v.buckets == nil {
		return
	}
	s.exemplars = make([]exemplar, len(v.buckets)+1)
	if len(s.Buckets) != len(v.buckets)+1 {
		s.Buckets = make([]uint64, len(v.buckets)+1)
	}
	if s.Native == nil {
		s.Native = map[int32]uint64{}
	}
}

func (s *series) add(n float64, e exemplar) {
	s.Sum += n
	if e.trace != "" {
		e.value = n
		s.exemplars[0] = e
	}
}

func (s *series) observe(v *vector, x float64, e exemplar) {
	i, _ := slices.BinarySearch(v.buckets, x)
	s.Buckets[i]++
	s.Count++
	s.Sum += x
	if x > 0 {
		s.Native[nativeIndex(x)]++
	} else {
		s.Zero++
	}
	if e.trace != "" {
		e.value = x
		s.exemplars[i] = e
	}
}

// quantile is the φ-quantile of a histogram from its exponential buckets: the upper bound of the bucket it lies in, at most
// 9 % too high.
func (s *series) quantile(phi float64) float64 {
	rank, seen := phi*float64(s.Count), s.Zero
	if float64(seen) >= rank {
		return 0
	}
	for _, i := range slices.Sorted(maps.Keys(s.Native)) {
		seen += s.Native[i]
		if float64(seen) >= rank {
			return math.Exp2(float64(i) / (1 << nativeSchema))
		}
	}
	return math.Inf(1)
}

// nativeIndex is the index of x's bucket: the upper bound of bucket i is 2^(i/8).
func nativeIndex(x float64) int32 {
	return int32(math.Ceil(math.Log2(x) * (1 << nativeSchema)))
}

// Desc implements prometheus.Metric.
type exposed struct {
	v *vector
	m *dto.Metric
}

func (e exposed) Desc() *prometheus.Desc { return e.v.desc }

// Write implements prometheus.Metric.
func (e exposed) Write(to *dto.Metric) error {
	proto.Merge(to, e.m)
	return nil
}

func (v *vector) expose(s *series) prometheus.Metric {
	created := timestamppb.New(time.Unix(0, s.Created))
	m := &dto.Metric{Label: s.pairs}
	if v.buckets == nil {
		m.Counter = &dto.Counter{Value: new(s.value(v)), Exemplar: s.exemplars[0].proto(), CreatedTimestamp: created}
		return exposed{v, m}
	}
	h := &dto.Histogram{
		SampleCount: new(s.Count), SampleSum: new(s.Sum),
		Schema: proto.Int32(nativeSchema), ZeroThreshold: proto.Float64(math.SmallestNonzeroFloat64), ZeroCount: new(s.Zero),
		CreatedTimestamp: created,
	}
	var below uint64
	for i, bound := range v.buckets {
		below += s.Buckets[i]
		h.Bucket = append(h.Bucket, &dto.Bucket{CumulativeCount: new(below), UpperBound: new(bound), Exemplar: s.exemplars[i].proto()})
	}
	h.Bucket = append(h.Bucket, &dto.Bucket{CumulativeCount: new(s.Count), UpperBound: new(math.Inf(1)), Exemplar: s.exemplars[len(v.buckets)].proto()})
	h.PositiveSpan, h.PositiveDelta = spans(s.Native)
	m.Histogram = h
	return exposed{v, m}
}

func (s *series) value(v *vector) float64 {
	if v.perUnit != 1 {
		return float64(s.Exact) / v.perUnit
	}
	return s.Sum
}

// spans writes buckets as the protobuf format has them: runs of neighbours, and differences of counts.
func spans(native map[int32]uint64) ([]*dto.BucketSpan, []int64) {
	indexes := make([]int32, 0, len(native))
	for i := range native {
		indexes = append(indexes, i)
	}
	slices.Sort(indexes)
	var out []*dto.BucketSpan
	var deltas []int64
	var last int64
	for n, i := range indexes {
		switch {
		case n == 0:
			out = append(out, &dto.BucketSpan{Offset: new(i), Length: proto.Uint32(1)})
		case i == indexes[n-1]+1:
			*out[len(out)-1].Length++
		default:
			out = append(out, &dto.BucketSpan{Offset: new(i - indexes[n-1] - 1), Length: proto.Uint32(1)})
		}
		count := int64(native[i])
		deltas = append(deltas, count-last)
		last = count
	}
	return out, deltas
}

func (e exemplar) proto() *dto.Exemplar {
	if e.trace == "" {
		return nil
	}
	return &dto.Exemplar{
		Label: []*dto.LabelPair{
			{Name: new("trace_id"), Value: new(e.trace)},
			{Name: new("span_id"), Value: new(e.span)},
		},
		Value: new(e.value), Timestamp: timestamppb.New(time.Unix(0, e.at)),
	}
}
