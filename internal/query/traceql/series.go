package traceql

import (
	"encoding/binary"
	"math"
	"strings"
)

// Labels that are no attributes.
const (
	nameLabel     = "__name__"
	bucketLabel   = "__bucket"
	quantileLabel = "p"
)

// seriesSet counts spans into series.
type seriesSet struct {
	query  *MetricsQuery
	steps  steps
	budget *budget
	by     []getter
	value  getter // nil when spans are counted only
	groups map[string]*seriesGroup
	key    []byte
	// exemplars is how many more are wanted.
	exemplars int
	// bytes is what was taken since someone else last looked.
	bytes int
}

// seriesGroup is the spans of one group, step by step.
type seriesGroup struct {
	labels    []Pair
	count     []float64
	value     []float64 // sum, least or largest
	sketches  []sketch  // for quantiles
	exemplars []Exemplar
	at        map[int]bool // steps with an exemplar
}

func newSeriesSet(q *MetricsQuery, st steps, b *budget, exemplars int) *seriesSet {
	return &seriesSet{query: q, steps: st, budget: b, groups: map[string]*seriesGroup{}, exemplars: exemplars}
}

// compile prepares the attributes that are looked at.
func (s *seriesSet) compile(schema *schema, q *MetricsQuery) {
	for _, f := range q.By {
		s.by = append(s.by, schema.field(f.Attribute))
	}
	if q.E != nil {
		s.value = schema.expr(q.E)
	}
}

func (s *seriesSet) taken() int {
	n := s.bytes
	s.bytes = 0
	return n
}

func (s *seriesSet) wantsExemplars() bool { return s.exemplars > 0 }

// measure returns a value in the unit of series: durations in seconds.
func measure(v Value) (float64, bool) {
	n, ok := v.Number()
	if v.typ == TypeDuration {
		n /= 1e9
	}
	return n, ok && !math.IsNaN(n) && !math.IsInf(n, 0)
}

// add counts a span.
func (s *seriesSet) add(sp *span, traceID func() string) error {
	var n float64
	if s.value != nil {
		var ok bool
		if n, ok = measure(s.value(sp)); !ok {
			return nil
		}
	}
	s.key = s.key[:0]
	for _, get := range s.by {
		s.key = appendKey(s.key, get(sp))
	}
	var bucket float64
	if s.query.Func == "histogram_over_time" {
		bucket = bucketOf(n)
		s.key = binary.LittleEndian.AppendUint64(s.key, math.Float64bits(bucket))
	}
	g := s.groups[string(s.key)]
	if g == nil {
		labels := make([]Pair, len(s.by))
		for i, get := range s.by {
			labels[i] = Pair{s.query.By[i].Attribute.String(), get(sp)}
		}
		if s.query.Func == "histogram_over_time" {
			labels = append(labels, Pair{bucketLabel, Float(bucket)})
		}
		var err error
		if g, err = s.group(string(s.key), labels); err != nil {
			return err
		}
	}
	step := s.steps.of(sp.start)
	if err := s.count(g, step, n); err != nil {
		return err
	}
	if s.exemplars > 0 && !g.at[step] {
		s.exemplar(g, step, Exemplar{TraceID: strings.Clone(traceID()), Time: sp.start, Value: n})
	}
	return nil
}

func appendKey(b []byte, v Value) []byte {
	b = append(b, byte(v.typ))
	b = binary.LittleEndian.AppendUint64(b, v.bits)
	text := v.text
	if v.typ == TypeList {
		text = v.Text()
	}
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

func (s *seriesSet) take(n int) error {
	s.bytes += n
	return s.budget.take(n)
}

// group begins a group. Texts of labels are copied: they may be parts of rows.
func (s *seriesSet) group(key string, labels []Pair) (*seriesGroup, error) {
	if len(s.groups) >= maxBuilt {
		return nil, tooManySeries(maxBuilt)
	}
	size := 200 + len(key) + 16*s.steps.n
	for i := range labels {
		labels[i].Value.text = strings.Clone(labels[i].Value.text)
		if labels[i].Value.typ == TypeList {
			labels[i].Value = String(labels[i].Value.Text())
		}
		size += 2*valueBytes + labels[i].Value.size()
	}
	if err := s.take(size); err != nil {
		return nil, err
	}
	g := &seriesGroup{labels: labels, count: make([]float64, s.steps.n), at: map[int]bool{}}
	switch s.query.Func {
	case "rate", "count_over_time", "histogram_over_time":
	case "quantile_over_time":
		g.sketches = make([]sketch, s.steps.n)
	default:
		g.value = make([]float64, s.steps.n)
	}
	s.groups[key] = g
	return g, nil
}

func (s *seriesSet) count(g *seriesGroup, step int, n float64) error {
	first := g.count[step] == 0
	g.count[step]++
	switch s.query.Func {
	case "sum_over_time", "avg_over_time":
		g.value[step] += n
	case "min_over_time":
		if first || n < g.value[step] {
			g.value[step] = n
		}
	case "max_over_time":
		if first || n > g.value[step] {
			g.value[step] = n
		}
	case "quantile_over_time":
		return s.take(g.sketches[step].add(n))
	}
	return nil
}

func (s *seriesSet) exemplar(g *seriesGroup, step int, e Exemplar) {
	s.exemplars--
	g.at[step] = true
	g.exemplars = append(g.exemplars, e)
}

// bucketOf returns the smallest power of two that is not less.
func bucketOf(v float64) float64 {
	if v <= 0 {
		return 0
	}
	return math.Exp2(math.Ceil(math.Log2(v) - 1e-12))
}

// answerBytes is what the points of all series take at most.
func (s *seriesSet) answerBytes() int {
	return len(s.groups) * max(1, len(s.query.Quantiles)) * s.steps.n * pointBytes
}

// series returns what was counted.
func (s *seriesSet) series() []Series {
	var out []Series
	for _, g := range s.groups {
		if s.query.Func != "quantile_over_time" {
			if one := s.one(g, g.labels, s.valueAt(g)); len(one.Samples) > 0 {
				out = append(out, one)
			}
			continue
		}
		for k, phi := range s.query.Quantiles {
			labels := append(append([]Pair{}, g.labels...), Pair{quantileLabel, Float(phi)})
			one := s.one(g, labels, func(i int) float64 {
				if known := g.sketches[i].known; known != nil {
					return known[k]
				}
				return g.sketches[i].quantile(phi)
			})
			if len(one.Samples) > 0 {
				out = append(out, one)
			}
		}
	}
	return out
}

// one makes a series of a group. Counts are 0 where there was no span; other functions have no sample there.
func (s *seriesSet) one(g *seriesGroup, labels []Pair, value func(i int) float64) Series {
	counts := s.query.Func == "rate" || s.query.Func == "count_over_time"
	if len(labels) == 0 {
		labels = []Pair{{nameLabel, String(s.query.Func)}}
	}
	out := Series{Labels: labels, Exemplars: g.exemplars}
	for i := range s.steps.n {
		if g.count[i] > 0 || counts {
			out.Samples = append(out.Samples, Sample{s.steps.time(i), value(i)})
		}
	}
	if counts {
		for i, e := range out.Exemplars { // on the line: there is no other value
			out.Exemplars[i].Value = value(s.steps.of(e.Time))
		}
	}
	return out
}

func (s *seriesSet) valueAt(g *seriesGroup) func(i int) float64 {
	switch s.query.Func {
	case "rate":
		seconds := float64(s.steps.size) / 1e9
		return func(i int) float64 { return g.count[i] / seconds }
	case "count_over_time", "histogram_over_time":
		return func(i int) float64 { return g.count[i] }
	case "avg_over_time":
		return func(i int) float64 { return g.value[i] / g.count[i] }
	default:
		return func(i int) float64 { return g.value[i] }
	}
}
