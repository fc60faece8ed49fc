package prom

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
)

var errNoScrapes = errors.New("nothing is scraped: the configuration names no scrape_configs")

// metadata answers /metadata from what senders said of their metrics. Prometheus' own handler knows scraped targets
// only, and would answer nothing for what came by OTLP or remote write.
func (cfg Config) metadata(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, ok := limitOf(q, "limit")
	perMetric, ok2 := limitOf(q, "limit_per_metric")
	if !ok || !ok2 {
		refuse(w, "limit must be a number")
		return
	}
	data := map[string][]Family{}
	only := q.Get("metric")
	families := cfg.Families()
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if only != "" && name != only {
			continue
		}
		if len(data) >= limit {
			break
		}
		if perMetric > 0 {
			data[name] = []Family{families[name]}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data})
}

// refuse answers a question that makes no sense in Prometheus' way.
func refuse(w http.ResponseWriter, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": "bad_data", "error": why})
}
