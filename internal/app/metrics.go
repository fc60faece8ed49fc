package app

import (
	"context"
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/mindscope/mindscope/internal/receive/otlp"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// metrics are the server's own figures.
type metrics struct {
	registry *prometheus.Registry
	points   prometheus.Counter
	items    *prometheus.CounterVec
	requests *prometheus.HistogramVec
}

func newMetrics(version string, events store.Events) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		points: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mindscope_metric_points_ignored_total",
			Help: "Metric points that were accepted and not stored: this release keeps spans and logs only.",
		}),
		items: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mindscope_received_items_total",
			Help: "Spans, log records and metric points by what became of them: accepted, rejected (partial success), refused (the request failed).",
		}, []string{"signal", "transport", "outcome"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mindscope_receive_duration_seconds", Help: "Time from a request to its answer.",
			Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5, 30},
		}, []string{"signal", "transport", "result"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "mindscope_build_info", Help: "Always 1; the labels tell the build.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.points, m.items, m.requests, build)
	stat := func(name, help string, f func(store.Stats) float64) {
		m.gauge(name, help, func() float64 {
			st, err := events.Stats(context.Background())
			if err != nil {
				return 0
			}
			return f(st)
		})
	}
	stat("mindscope_store_rows", "Rows in the event store.", func(s store.Stats) float64 { return float64(s.Rows) })
	stat("mindscope_store_bytes", "Bytes of the event store.", func(s store.Stats) float64 { return float64(s.Bytes) })
	return m
}

func (m *metrics) gauge(name, help string, f func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
}

func (m *metrics) counter(name, help string, f func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, f))
}

func (m *metrics) observeReceiver(r *otlp.Receiver) {
	m.gauge("mindscope_receive_inflight_requests", "Requests that are being received.", func() float64 {
		n, _ := r.InFlight()
		return float64(n)
	})
	m.gauge("mindscope_receive_inflight_bytes", "Bytes of the requests that are being received.", func() float64 {
		_, n := r.InFlight()
		return float64(n)
	})
}

// countPoints takes metrics without keeping them.
func (m *metrics) countPoints(_ context.Context, _ signal.Project, md pmetric.Metrics) (signal.Rejected, error) {
	m.points.Add(float64(md.DataPointCount()))
	return signal.Rejected{}, nil
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// observe counts a request of the receiver.
func (m *metrics) observe(r otlp.Report) {
	for outcome, n := range map[string]int64{"accepted": r.Accepted, "rejected": r.Rejected, "refused": r.Refused} {
		if n > 0 {
			m.items.WithLabelValues(r.Signal, r.Transport, outcome).Add(float64(n))
		}
	}
	m.requests.WithLabelValues(r.Signal, r.Transport, string(r.Result)).Observe(r.Duration.Seconds())
}
