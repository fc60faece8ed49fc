package app

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// reloads are the parts that read files which may change while the server runs.
type reloads struct {
	mu    sync.Mutex // one reload at a time
	parts []reload
	last  time.Time
	ok    bool
}

type reload struct {
	name string
	do   func() error
}

// observeReloads adds the figure that the shipped alert looks at.
func (a *App) observeReloads() {
	a.metrics.Gauge("mindscope_reload_ok", "1 when the files that were read last could all be used.", func() float64 {
		if at, ok := a.reloaded(); !ok && !at.IsZero() {
			return 0
		}
		return 1
	})
}

// onReload names a part that do reads anew. do keeps what was in force when it returns an error.
func (a *App) onReload(name string, do func() error) {
	a.reloads.mu.Lock()
	defer a.reloads.mu.Unlock()
	a.reloads.parts = append(a.reloads.parts, reload{name, do})
}

// Reload reads all files anew: prices, prometheus.yml, rules, alertmanager.yml. A part whose file can't be used keeps
// what it had; the error names them all.
func (a *App) Reload() error {
	a.reloads.mu.Lock()
	defer a.reloads.mu.Unlock()
	var errs []error
	for _, r := range a.reloads.parts {
		if err := r.do(); err != nil {
			errs = append(errs, fmt.Errorf("reload %s: %w", r.name, err))
		}
	}
	err := errors.Join(errs...)
	a.reloads.last, a.reloads.ok = time.Now(), err == nil
	if err != nil {
		a.log.Error("files can't be used, what was in force stays", "error", err)
		return err
	}
	a.log.Info("files are read anew")
	return nil
}

// reloaded tells when files were read last, and whether all could be.
func (a *App) reloaded() (time.Time, bool) {
	a.reloads.mu.Lock()
	defer a.reloads.mu.Unlock()
	return a.reloads.last, a.reloads.ok
}

// reloadOnHangup reloads at each SIGHUP until the server stops.
func (a *App) reloadOnHangup() (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-hangups:
				_ = a.Reload() // it is logged
			case <-done:
				return
			}
		}
	})
	return func() {
		signal.Stop(hangups)
		close(done)
		running.Wait()
	}
}

// reloadRoute answers POST /-/reload.
func (a *App) reloadRoute(w http.ResponseWriter, _ *http.Request) {
	if err := a.Reload(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusOK)
}
