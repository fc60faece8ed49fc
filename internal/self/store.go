package self

import "github.com/prometheus/client_golang/prometheus"

// StoreFigures are figures of the event store.
type StoreFigures struct {
	// Rows and Bytes are what it holds, Evicted the rows that went before their time.
	Rows, Bytes, Evicted uint64
	// Refused counts the writes that it did not take because it is read-only.
	Refused uint64
	// ReadOnly says that it takes nothing for now.
	ReadOnly bool
}

// Store adds the figures of the event store, which read asks for once a scrape. When it has an error they are absent.
func (m *Metrics) Store(read func() (StoreFigures, error)) {
	m.registry.MustRegister(&storeCollector{
		read:     read,
		rows:     prometheus.NewDesc("mindscope_store_rows", "Rows in the event store, repeats that are not yet merged included.", nil, nil),
		bytes:    prometheus.NewDesc("mindscope_store_bytes", "Bytes that the event store takes, on disk or in memory.", nil, nil),
		evicted:  prometheus.NewDesc("mindscope_store_evicted_rows_total", "Rows that went before their time because the store was full.", nil, nil),
		readOnly: prometheus.NewDesc("mindscope_store_read_only", "1 when the store takes nothing: too little disk is free, the folder can't be written to, or its budget is used up.", nil, nil),
		refused:  prometheus.NewDesc("mindscope_store_refused_writes_total", "Writes that were refused because the store took nothing; their senders were asked to send again.", nil, nil),
	})
}

type storeCollector struct {
	read                                    func() (StoreFigures, error)
	rows, bytes, evicted, refused, readOnly *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *storeCollector) Describe(to chan<- *prometheus.Desc) {
	to <- c.rows
	to <- c.bytes
	to <- c.evicted
	to <- c.refused
	to <- c.readOnly
}

// Collect implements prometheus.Collector.
func (c *storeCollector) Collect(to chan<- prometheus.Metric) {
	f, err := c.read()
	if err != nil {
		return
	}
	readOnly := 0.0
	if f.ReadOnly {
		readOnly = 1
	}
	to <- prometheus.MustNewConstMetric(c.rows, prometheus.GaugeValue, float64(f.Rows))
	to <- prometheus.MustNewConstMetric(c.bytes, prometheus.GaugeValue, float64(f.Bytes))
	to <- prometheus.MustNewConstMetric(c.evicted, prometheus.CounterValue, float64(f.Evicted))
	to <- prometheus.MustNewConstMetric(c.refused, prometheus.CounterValue, float64(f.Refused))
	to <- prometheus.MustNewConstMetric(c.readOnly, prometheus.GaugeValue, readOnly)
}
