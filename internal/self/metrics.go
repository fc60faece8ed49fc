package self

import (
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the server's own figures, in a registry of their own.
type Metrics struct {
	registry *prometheus.Registry
	points   prometheus.Counter
	items    *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	requests *prometheus.HistogramVec
}

// NewMetrics returns Metrics with those of the Go runtime and the process, and the build's version.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		points: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mindscope_metric_points_ignored_total",
			Help: "Metric points that were accepted and not stored, since metrics are switched off.",
		}),
		items: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mindscope_received_items_total",
			Help: "Spans, log records and metric points by what became of them: accepted, rejected for good (partial success), refused (the request failed as a whole).",
		}, []string{"signal", "transport", "outcome"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mindscope_received_bytes_total",
			Help: "Decompressed bytes of the messages that were read.",
		}, []string{"signal", "transport"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "mindscope_receive_duration_seconds",
			Help:    "Time from a request to its answer, by how it ended.",
			Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5, 30},
		}, []string{"signal", "transport", "result"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "mindscope_build_info", Help: "Always 1; the labels tell the build.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.points, m.items, m.bytes, m.requests, build)
	return m
}

// Request is one request that was received and answered.
type Request struct {
	Signal, Transport, Result   string
	Accepted, Rejected, Refused int64
	Bytes                       int
	Duration                    time.Duration
}

// Received counts a request.
func (m *Metrics) Received(r Request) {
	m.outcome(r, "accepted", r.Accepted)
	m.outcome(r, "rejected", r.Rejected)
	m.outcome(r, "refused", r.Refused)
	m.bytes.WithLabelValues(r.Signal, r.Transport).Add(float64(r.Bytes))
	m.requests.WithLabelValues(r.Signal, r.Transport, r.Result).Observe(r.Duration.Seconds())
}

func (m *Metrics) outcome(r Request, outcome string, n int64) {
	if n > 0 {
		m.items.WithLabelValues(r.Signal, r.Transport, outcome).Add(float64(n))
	}
}

// PointsIgnored counts metric points that are not kept.
func (m *Metrics) PointsIgnored(n int) { m.points.Add(float64(n)) }

// Registerer takes the metrics of libraries.
func (m *Metrics) Registerer() prometheus.Registerer { return m.registry }

// Gatherer gives all metrics.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// Gauge adds a figure that f reads at each scrape.
func (m *Metrics) Gauge(name, help string, f func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
}

// Counter adds a figure that only grows and that f reads at each scrape.
func (m *Metrics) Counter(name, help string, f func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, f))
}

// Counters adds figures that only grow, one for each value of a label; read gives them at each scrape. The caller bounds
// the values.
func (m *Metrics) Counters(name, help, label string, read func() map[string]int64) {
	m.registry.MustRegister(&labelled{prometheus.NewDesc(name, help, []string{label}, nil), read})
}

type labelled struct {
	desc *prometheus.Desc
	read func() map[string]int64
}

// Describe implements prometheus.Collector.
func (c *labelled) Describe(to chan<- *prometheus.Desc) { to <- c.desc }

// Collect implements prometheus.Collector.
func (c *labelled) Collect(to chan<- prometheus.Metric) {
	sums := map[string]int64{} // values that look alike when exposed are one
	for value, n := range c.read() {
		sums[strings.ToValidUTF8(value, "�")] += n
	}
	for value, n := range sums {
		to <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(n), value)
	}
}

// Handler serves the metrics in Prometheus' and OpenMetrics' text formats.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}
