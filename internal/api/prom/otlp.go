package prom

import (
	"context"
	"net/http"

	"github.com/prometheus/prometheus/storage/remote"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/mindscope/mindscope/internal/signal"
)

// Points stores OpenTelemetry metrics.
type Points func(ctx context.Context, p signal.Project, md pmetric.Metrics) (signal.Rejected, error)

// otlp takes metrics where Prometheus takes them, at /otlp/v1/metrics, on the same way as those that come to the OTLP
// ports: Prometheus' own handler would drop a whole request for one bad point, and sum deltas up a second time.
func (cfg Config) otlp(w http.ResponseWriter, r *http.Request) {
	req, err := remote.DecodeOTLPWriteRequest(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	rejected, err := cfg.Points(r.Context(), signal.ProjectFrom(r.Context()), req.Metrics())
	if err != nil {
		cfg.Logger.Error("metrics are not stored", "error", err)
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	resp := pmetricotlp.NewExportResponse()
	if rejected.Items > 0 {
		resp.PartialSuccess().SetRejectedDataPoints(rejected.Items)
		resp.PartialSuccess().SetErrorMessage(rejected.Message())
	}
	body, err := resp.MarshalProto()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(body)
}
