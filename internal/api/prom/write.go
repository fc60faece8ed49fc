package prom

import (
	"mime"
	"net/http"

	"github.com/prometheus/client_golang/exp/api/remote"
	promremote "github.com/prometheus/prometheus/storage/remote"
)

// write gives remote writes of version 1 to an appender of their own and those of version 2 to v2.
func (cfg Config) write(v2 http.Handler) http.Handler {
	v1 := promremote.NewWriteHandler(cfg.Logger, nil, cfg.WriteV1, remote.MessageTypes{remote.WriteV1MessageType}, false, false)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err == nil && params["proto"] == string(remote.WriteV2MessageType) {
			v2.ServeHTTP(w, r)
			return
		}
		v1.ServeHTTP(w, r)
	})
}
