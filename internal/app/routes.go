package app

import (
	"io"
	"net/http"

	"github.com/mindscope/mindscope/internal/api/prom"
	apiteam "github.com/mindscope/mindscope/internal/api/team"
	"github.com/mindscope/mindscope/internal/query/care"
	"github.com/mindscope/mindscope/internal/query/overlay"
	"github.com/mindscope/mindscope/internal/query/team"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/ui"
)

// routes is all that the HTTP port serves.
func (a *App) routes(events store.Events, metrics *metricsPart) http.Handler {
	mux := http.NewServeMux()
	corrected := overlay.New(events, nil)
	api := apiteam.Register(mux, team.New(corrected, team.Options{Watch: a.live}), a.build.Version)
	costs := a.costs(corrected)
	a.useBudgets(costs)
	api.Costs(costs)
	api.Budgets(a.budgets)
	api.Care(care.New(forgetful{events, a.budgets}, nil))
	api.Live(a.live)
	if b, ok := events.(apiteam.Backuper); ok {
		api.Backups(b)
	}
	a.traceRoutes(mux, corrected)
	if metrics.api != nil {
		mux.Handle(prom.Prefix+"/", metrics.api)
	}
	if metrics.alerts != nil {
		mux.Handle(alertmanagerPrefix+"/", metrics.alerts)
	}
	a.mountLoki(mux, events)
	mux.HandleFunc("POST /-/reload", a.reloadRoute)
	mux.HandleFunc("PUT /-/reload", a.reloadRoute)
	mux.HandleFunc("/api/", noAPI)
	mux.Handle("GET /metrics", a.metrics.Handler())
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "MindScope is healthy.\n")
	})
	mux.HandleFunc("GET /-/ready", a.readiness)
	mux.HandleFunc("GET /{$}", page)
	return mux
}

func (a *App) readiness(w http.ResponseWriter, _ *http.Request) {
	if !a.ready.Load() {
		http.Error(w, "MindScope is starting or stopping.", http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "MindScope is ready.\n")
}

// noAPI answers clients of an API, which expect JSON.
func noAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, `{"title":"Not Found","status":404,"detail":"there is no such API; `+apiteam.Prefix+`/openapi.json describes the one there is"}`+"\n")
}

// page serves the start page. It loads nothing from anywhere.
func page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, _ = w.Write(ui.Page())
}
