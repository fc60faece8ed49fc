package grafana

import "strings"

// platform is the dashboard about MindScope itself.
func platform() board {
	return board{
		uid: "mindscope-platform", title: "MindScope", tags: []string{"platform"},
		text: "The server itself: what it takes in, what it keeps, what it refuses and what it needs.",
		rows: []row{
			{"", []panel{
				figure("Telemetry refused", "Spans, log records and metric points of the time range that were refused for now; senders try again for a while, then they are lost.", "short",
					"sum(increase("+own("mindscope_received_items_total", `outcome="refused"`)+"[$__range])) or vector(0)", 1, 1000),
				figure("Telemetry rejected", "Items of the time range that can't be stored, as senders were told by partial success.", "short",
					"sum(increase("+own("mindscope_received_items_total", `outcome="rejected"`)+"[$__range])) or vector(0)", 1, 1000),
				figure("Disk free", "Free share of the disk that holds the data folder.", "percentunit",
					"min("+own("mindscope_disk_free_bytes")+" / "+own("mindscope_disk_size_bytes")+")"),
				figure("Store takes data", "1 while the event store takes rows; 0 when it is read-only, for want of disk.", "short",
					"1 - max("+own("mindscope_store_read_only")+")"),
				figure("Log lag", "Records of the write-ahead log that the engine may not have on disk: a restart reads them again.", "short",
					"sum("+own("mindscope_wal_lag_records")+")"),
				figure("Alerts firing", "Alerts that fire now, the watchdog left out.", "short",
					`count(ALERTS{alertstate="firing", alertname!="Watchdog"}) or vector(0)`, 1, 10),
			}},
			{"In", []panel{
				lines("Received", "Items a second, by signal and what became of them.", "cps", "{{signal}} {{outcome}}",
					"sum by (signal, outcome) (rate("+own("mindscope_received_items_total")+"[$__rate_interval]))"),
				lines("Bytes received", "Size of what was received a second, as sent.", "Bps", "{{signal}} {{transport}}",
					"sum by (signal, transport) (rate("+own("mindscope_received_bytes_total")+"[$__rate_interval]))"),
				lines("Time to acknowledge", "The 95th percentile of the time from a request's arrival to its answer.", "s", "{{signal}}",
					"histogram_quantile(0.95, sum by (signal, le) (rate("+own("mindscope_receive_duration_seconds_bucket")+"[$__rate_interval])))"),
				lines("Requests in flight", "Requests that are being received, and their bytes.", "short", "requests",
					"sum("+own("mindscope_receive_inflight_requests")+")"),
			}},
			{"Store", []panel{
				lines("Rows", "Rows in the event store.", "short", "rows", "sum("+own("mindscope_store_rows")+")"),
				lines("Size on disk", "What the event store and its write-ahead log take.", "bytes", "{{__name__}}",
					own("mindscope_store_bytes"), own("mindscope_wal_bytes")),
				lines("Rows written and recognised as repeats", "Rows a second that were stored, and those that were sent again and recognised.", "cps", "{{__name__}}",
					"label_replace(rate("+own("mindscope_store_written_rows_total")+`[$__rate_interval]), "__name__", "written", "", "")`,
					"label_replace(rate("+own("mindscope_store_repeated_rows_total")+`[$__rate_interval]), "__name__", "repeats", "", "")`),
				lines("Wait for the disk", "Mean time of a sync of the write-ahead log: senders wait for it.", "s", "sync",
					"rate("+own("mindscope_wal_sync_seconds_total")+"[$__rate_interval]) / rate("+own("mindscope_wal_syncs_total")+"[$__rate_interval])"),
			}},
			{"Metrics and rules", []panel{
				lines("Series", "Series that had a sample lately.", "short", "series", "sum("+own("prometheus_tsdb_head_series")+")"),
				lines("Label values capped", "Label values a minute that became `other`, since their label has too many.", "cpm", "capped",
					"sum(rate("+own("mindscope_derived_label_values_capped_total")+"[$__rate_interval])) * 60"),
				lines("Samples refused", "Metric samples a minute that were not stored, by reason.", "cpm", "{{reason}}",
					"sum by (reason) (rate("+own("mindscope_metrics_samples_refused_total")+"[$__rate_interval])) * 60"),
				lines("Rule evaluations that failed", "Evaluations a minute.", "cpm", "{{rule_group}}",
					"sum by (rule_group) (rate("+own("prometheus_rule_evaluation_failures_total")+"[$__rate_interval])) * 60"),
			}},
			{"Needs", []panel{
				lines("Memory", "Resident memory of the process.", "bytes", "{{instance}}", own("process_resident_memory_bytes")),
				lines("CPU", "Cores that the process uses.", "short", "{{instance}}", "rate("+own("process_cpu_seconds_total")+"[$__rate_interval])"),
				lines("Goroutines", "Goroutines of the process.", "short", "{{instance}}", own("go_goroutines")),
				lines("Running spans watched", "Tasks' and agents' spans that have begun and not ended.", "short", "{{instance}}", own("mindscope_live_spans")),
			}},
		},
	}
}

// own is a selector of the server's own series.
func own(series string, match ...string) string {
	return series + "{" + strings.Join(append([]string{`job="mindscope"`, `instance=~"$instance"`}, match...), ", ") + "}"
}

func figure(title, text, unit, expr string, alarm ...float64) panel {
	return panel{
		title: title, text: text, kind: "stat", unit: unit, width: 4, height: 5, alarm: alarm,
		queries: []query{{source: metrics, legend: "", instant: true, expr: expr}},
	}
}

func lines(title, text, unit, legend string, exprs ...string) panel {
	p := panel{title: title, text: text, kind: "timeseries", unit: unit, width: 12, height: 7}
	for _, expr := range exprs {
		p.queries = append(p.queries, query{source: metrics, legend: legend, expr: expr})
	}
	return p
}
