package app

import (
	"net/http"

	"github.com/mindscope/mindscope/internal/api/jaeger"
	"github.com/mindscope/mindscope/internal/api/tempo"
	"github.com/mindscope/mindscope/internal/query/traceql"
	"github.com/mindscope/mindscope/internal/store"
)

// traceRoutes serves traces to what speaks Tempo's or Jaeger's API.
func (a *App) traceRoutes(mux *http.ServeMux, events store.Reader) {
	engine := traceql.New(events, traceql.Options{})
	mux.Handle(tempo.Prefix+"/", tempo.New(engine, a.build.Version, nil))
	mux.HandleFunc(tempo.StreamingPrefix, tempo.RefuseStreaming)
	mux.Handle(jaeger.Prefix+"/", jaeger.New(engine, events, nil))
}
