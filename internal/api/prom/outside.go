package prom

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// Outside serves the routes below Prefix from another Prometheus. The rules and alerts stay with own, where it isn't nil.
func Outside(base *url.URL, own http.Handler, log *slog.Logger) http.Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(base)
			r.Out.Header.Del("Authorization") // what was meant for us
			if base.User != nil {
				password, _ := base.User.Password()
				r.Out.SetBasicAuth(base.User.Username(), password)
			}
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadGateway)
			_ = json.NewEncoder(w).Encode(map[string]string{
				"status": "error", "errorType": "unavailable",
				"error": "the Prometheus of metrics.query_url, " + base.Redacted() + ", does not answer: " + err.Error(),
			})
		},
	}
	mux := http.NewServeMux()
	mux.Handle(Prefix+"/", proxy)
	if own != nil {
		for _, path := range []string{"/rules", "/alerts", "/alertmanagers"} {
			mux.Handle("GET "+Prefix+path, own)
		}
	}
	return mux
}
