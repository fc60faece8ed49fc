package metricdb

import (
	"context"
	"fmt"
	"sync"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/deltatocumulativeprocessor"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/mindscope/mindscope/internal/signal"
)

// deltas sums delta points up before they are stored; cumulative metrics go past it. The sums live in memory: after a
// restart a series begins anew, which Prometheus' functions take for a counter reset.
type deltas struct {
	store func(context.Context, pmetric.Metrics) (signal.Rejected, error)

	// mu makes one request at a time pass the processor, so that its answer can be told from others'.
	mu        sync.Mutex
	processor processor.Metrics
	rejected  signal.Rejected
}

func newDeltas(store func(context.Context, pmetric.Metrics) (signal.Rejected, error)) (*deltas, error) {
	d := &deltas{store: store}
	next, err := consumer.NewMetrics(func(ctx context.Context, md pmetric.Metrics) error {
		var err error
		d.rejected, err = store(ctx, md)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make delta processor: %w", err)
	}
	factory := deltatocumulativeprocessor.NewFactory()
	settings := processor.Settings{
		ID:                component.NewID(factory.Type()),
		TelemetrySettings: component.TelemetrySettings{MeterProvider: noop.NewMeterProvider()},
	}
	if d.processor, err = factory.CreateMetrics(context.Background(), settings, factory.CreateDefaultConfig(), next); err != nil {
		return nil, fmt.Errorf("make delta processor: %w", err)
	}
	if err := d.processor.Start(context.Background(), nil); err != nil {
		return nil, fmt.Errorf("start delta processor: %w", err)
	}
	return d, nil
}

func (d *deltas) close() error {
	if err := d.processor.Shutdown(context.Background()); err != nil {
		return fmt.Errorf("stop delta processor: %w", err)
	}
	return nil
}

// consume stores md, its delta points as sums.
func (d *deltas) consume(ctx context.Context, md pmetric.Metrics) (signal.Rejected, error) {
	if !hasDelta(md) {
		return d.store(ctx, md)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rejected = signal.Rejected{}
	before := md.DataPointCount()
	if err := d.processor.ConsumeMetrics(ctx, md); err != nil {
		return signal.Rejected{}, fmt.Errorf("sum deltas up: %w", err)
	}
	rejected := d.rejected
	// The processor leaves out what is older than what it has summed, and streams beyond its limit.
	if lost := before - md.DataPointCount(); lost > 0 {
		rejected.Add(int64(lost), "delta points out of order, or of more streams than are kept")
	}
	return rejected, nil
}

// hasDelta tells whether a point of md is a delta.
func hasDelta(md pmetric.Metrics) bool {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if temporality(m) == pmetric.AggregationTemporalityDelta {
					return true
				}
			}
		}
	}
	return false
}

func temporality(m pmetric.Metric) pmetric.AggregationTemporality {
	//exhaustive:ignore // gauges and summaries have none.
	switch m.Type() {
	case pmetric.MetricTypeSum:
		return m.Sum().AggregationTemporality()
	case pmetric.MetricTypeHistogram:
		return m.Histogram().AggregationTemporality()
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().AggregationTemporality()
	default:
		return pmetric.AggregationTemporalityUnspecified
	}
}
