package tempo

import (
	"net/http"
	"net/url"
	"strings"
)

// StreamingPrefix is the path of the gRPC service that Grafana asks instead of the endpoints when streaming is turned on in
// the data source. It is not below Prefix: Grafana leaves the path of the address out.
const StreamingPrefix = "/tempopb.StreamingQuerier/"

// grpcUnimplemented is gRPC's status for what a server does not serve.
const grpcUnimplemented = "12"

// noStreaming is what Grafana shows.
const noStreaming = "MindScope does not stream answers: turn streaming off in the data source (streamingEnabled), everything is served without"

// RefuseStreaming answers calls of the service: that it is not served, and what to do. It speaks gRPC without serving it,
// with an answer that has headers only.
func RefuseStreaming(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		fail(w, http.StatusNotImplemented, noStreaming)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", grpcUnimplemented)
	h.Set("Grpc-Message", strings.ReplaceAll(url.PathEscape(noStreaming), "%20", " "))
	w.WriteHeader(http.StatusOK)
}
