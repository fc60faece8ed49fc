package spanmetrics

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Config bounds what is kept. The zero value of a field means its default.
type Config struct {
	// LabelValues bounds the distinct values of each label of a metric, 500 by default; the rest is "other" and counted.
	LabelValues int
	// LostAfter is how long an attempt may show no sign of life before it counts as failed, ten minutes by default.
	LostAfter time.Duration
	// Running bounds the attempts that are followed at once, 100 000 by default. When more run, the oldest counts as
	// failed at once, and the metric of overflows says so.
	Running int
	// Stuck counts the tasks that are stuck: the live view knows. It is asked when metrics are collected; nil is none.
	Stuck func() map[Owner]int
	// Clock is the time now; nil is time.Now.
	Clock func() time.Time
}

func (c Config) withDefaults() Config {
	if c.LabelValues <= 0 {
		c.LabelValues = 500
	}
	if c.LostAfter <= 0 {
		c.LostAfter = 10 * time.Minute
	}
	if c.Running <= 0 {
		c.Running = 100_000
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}

// Metrics counts committed rows. It is a store.Observer and a prometheus.Collector, safe for concurrent use.
type Metrics struct {
	cfg Config

	mu      sync.Mutex
	vectors map[string]*vector
	flight  *flight
	owners  *owners
	nested  *nested
	// below remembers spans that have a call of a model below them.
	below *recent
	// capped counts label values that were put into other; overflows, attempts that were given up for want of room.
	capped, overflows uint64
	span              span // reused
	order             []place
	now               int64 // nanoseconds, of the rows that are counted
}

// recentSpans bounds what is remembered of spans that have ended.
const recentSpans = 100_000

// The series that Grafana's service graph and table of spans are drawn from; the names are Tempo's.
const (
	graphTotal    = "traces_service_graph_request_total"
	graphFailed   = "traces_service_graph_request_failed_total"
	graphSeconds  = "traces_service_graph_request_server_seconds"
	spansCalls    = "traces_spanmetrics_calls_total"
	spansLatency  = "traces_spanmetrics_latency"
	inProgress    = conv.PromAITeamTasksInProgress
	dollarsInPico = 1e12
)

// New returns Metrics that have counted nothing.
func New(cfg Config) *Metrics {
	m := &Metrics{cfg: cfg.withDefaults(), vectors: map[string]*vector{}, below: newRecent(recentSpans), owners: newOwners(), nested: newNested()}
	m.flight = newFlight(m.cfg.Running)
	for _, d := range conv.Metrics() {
		if d.Instrument == "gauge" {
			continue // live state knows these
		}
		v := newVector(d.Prom, d.Brief, d.Labels, d.Buckets)
		if d.Unit == "{USD}" {
			v.perUnit = dollarsInPico
		}
		m.vectors[d.Prom] = v
	}
	edge := []string{"client", "server", "connection_type"}
	call := []string{"service", "span_name", "span_kind", "status_code"}
	m.vectors[graphTotal] = newVector(graphTotal, "Calls between agents, and from agents to tools and providers.", edge, nil)
	m.vectors[graphFailed] = newVector(graphFailed, "Those calls that failed.", edge, nil)
	m.vectors[graphSeconds] = newVector(graphSeconds, "Duration of those calls.", edge, conv.DurationBuckets())
	m.vectors[spansCalls] = newVector(spansCalls, "Spans by service, name, kind and status.", call, nil)
	m.vectors[spansLatency] = newVector(spansLatency, "Duration of spans in seconds.", call, conv.DurationBuckets())
	return m
}

// Committed implements store.Observer. Of the rows of one call the ones that ended first are counted first, whatever
// their order: inner calls end before their wrappers.
func (m *Metrics) Committed(p signal.Project, rows []store.Row) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.cfg.Clock().UnixNano()
	m.now = now
	m.order = m.order[:0]
	for i := range rows {
		switch rows[i].Kind {
		case store.KindSpan:
			m.order = append(m.order, place{i, rows[i].Get(store.FieldEnd).Int(), rows[i].Time})
		case store.KindStart:
			m.span.read(&rows[i])
			m.started(p, &m.span, now)
		case store.KindHeartbeat:
			m.span.read(&rows[i])
			m.flight.alive(p, &m.span, now)
		case store.KindFinding:
			m.found(p, &rows[i])
		}
	}
	slices.SortStableFunc(m.order, place.compare)
	for _, o := range m.order {
		m.span.read(&rows[o.row])
		m.flight.alive(p, &m.span, now)
		m.count(p, &m.span, now)
	}
}

// place is where a span stands in the order of their ends.
type place struct {
	row        int
	end, start int64
}

// compare puts what ended first first; of the same end, the one that began later is the inner one.
func (p place) compare(o place) int {
	return cmp.Or(cmp.Compare(p.end, o.end), cmp.Compare(o.start, p.start))
}

// Tick counts as failed what shows no sign of life any more. Call it every few seconds.
func (m *Metrics) Tick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.cfg.Clock().UnixNano()
	for _, a := range m.flight.lost(m.cfg.Clock().Add(-m.cfg.LostAfter).UnixNano()) {
		m.add(a.Project, a.Team, conv.PromAITeamTasksTotal, 1, exemplar{}, "failed")
	}
}

// add adds n to the counter name of a project and team.
func (m *Metrics) add(p, team, name string, n float64, e exemplar, values ...string) {
	m.at(p, team, name, values).add(n, e)
}

func (m *Metrics) addExact(p, team, name string, n int64, e exemplar, values ...string) {
	s := m.at(p, team, name, values)
	s.Exact += n
	if e.trace != "" {
		e.value = float64(n) / m.vectors[name].perUnit
		s.exemplars[0] = e
	}
}

func (m *Metrics) observe(p, team, name string, x float64, e exemplar, values ...string) {
	m.at(p, team, name, values).observe(m.vectors[name], x, e)
}

func (m *Metrics) at(p, team, name string, values []string) *series {
	all := [8]string{p, team}
	n := 2 + copy(all[2:], values)
	s, capped := m.vectors[name].at(m.cfg.LabelValues, m.now-1e6, all[:n]...)
	if capped {
		m.capped++
	}
	return s
}

// Describe implements prometheus.Collector. It names nothing: the series come and go.
func (*Metrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	var stuck map[Owner]int
	if m.cfg.Stuck != nil { // before the lock: it asks how long things usually take
		stuck = m.cfg.Stuck()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(m.vectors)) {
		v := m.vectors[name]
		for _, key := range slices.Sorted(maps.Keys(v.series)) {
			to <- v.expose(v.series[key])
		}
	}
	m.collectFlight(to, stuck)
	to <- prometheus.MustNewConstMetric(prometheus.NewDesc("mindscope_derived_label_values_capped_total",
		"Times that a label's value was put into other, since it has too many.", nil, nil), prometheus.CounterValue, float64(m.capped))
	to <- prometheus.MustNewConstMetric(prometheus.NewDesc("mindscope_derived_attempts_overflow_total",
		"Attempts at tasks that counted as failed, since more ran than are followed.", nil, nil), prometheus.CounterValue, float64(m.overflows))
}
