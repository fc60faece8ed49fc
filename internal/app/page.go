package app

import (
	"net/http"

	"github.com/mindscope/mindscope/internal/ui"
)

// page serves the start page. It loads nothing from anywhere.
func page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, _ = w.Write(ui.Page())
}
