package telemetry

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/mindscope/mindscope/sdk/conv"
)

// maxLabelValues bounds the values of one label of one metric; the rest is counted under "other".
const maxLabelValues = 100

// maxSeries bounds the series of a metric whose options are kept. OpenTelemetry itself counts those beyond 2000 of a
// metric together.
const maxSeries = 2000

// instrument is one metric of the registry. Its labels' values are given in the registry's order.
type instrument struct {
	labels    []string
	counter   metric.Float64Counter
	histogram metric.Float64Histogram
	exemplars bool // of a counter; histograms have them always

	mu     sync.RWMutex
	series map[values]*options
	known  []map[string]bool // the first values of each label
}

// values are those of at most three labels.
type values [3]string

// options write to one series. Making them sorts and hashes; there are few series and many writes.
type options struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

func newInstrument(meter metric.Meter, d conv.Metric) (*instrument, error) {
	in := &instrument{labels: d.Labels, exemplars: d.Unit == "{USD}", series: map[values]*options{}}
	for range d.Labels {
		in.known = append(in.known, map[string]bool{})
	}
	var err error
	unit, brief := metric.WithUnit(d.Unit), metric.WithDescription(d.Brief)
	if d.Instrument == "histogram" {
		in.histogram, err = meter.Float64Histogram(d.Name, unit, brief, metric.WithExplicitBucketBoundaries(d.Buckets...))
	} else {
		in.counter, err = meter.Float64Counter(d.Name, unit, brief)
	}
	return in, err
}

// write adds n to the counter, or records it in the histogram.
func (in *instrument) write(ctx context.Context, n float64, v values) {
	o := in.options(v)
	if in.histogram != nil {
		in.histogram.Record(ctx, n, o.record...)
		return
	}
	if !in.exemplars {
		ctx = context.Background()
	}
	in.counter.Add(ctx, n, o.add...)
}

func (in *instrument) options(v values) *options {
	in.mu.RLock()
	o := in.series[v]
	in.mu.RUnlock()
	if o != nil {
		return o
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	attrs := make([]attribute.KeyValue, len(in.labels))
	for i, label := range in.labels {
		attrs[i] = attribute.String(label, in.capped(i, v[i]))
	}
	set := metric.WithAttributeSet(attribute.NewSet(attrs...))
	o = &options{[]metric.AddOption{set}, []metric.RecordOption{set}}
	if len(in.series) < maxSeries {
		in.series[v] = o
	}
	return o
}

// capped returns the value of a label, "other" when the label has too many already.
func (in *instrument) capped(label int, value string) string {
	known := in.known[label]
	if !known[value] && len(known) >= maxLabelValues {
		return "other"
	}
	known[value] = true
	return value
}
