package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mindscope/mindscope/internal/config"
)

// reloads are the parts that read files which may change while the server runs.
type reloads struct {
	mu    sync.Mutex // one reload at a time
	parts []reload
	// hangups are the SIGHUPs that were not answered yet.
	hangups chan os.Signal

	told    sync.Mutex // guards what follows: whoever asks does not wait for a reload
	last    time.Time  // when files were read last
	success time.Time  // when all of them could be used last
	ok      bool
}

// reload is a part that reads files anew.
type reload struct {
	name string
	// prepare reads and checks the files and changes nothing.
	prepare func() (change, error)
	// files are those it reads, for the log: they may be others after a change.
	files func() []string
	seen  outlines
}

// change puts in force what was prepared. undo goes back to what was in force before; it is only called when a part behind it
// failed. A part whose apply fails has undone itself.
type change struct {
	apply func() error
	undo  func()
}

// onReload adds a part. Those that may fail when they are applied come first.
func (a *App) onReload(r reload) {
	a.reloads.mu.Lock()
	defer a.reloads.mu.Unlock()
	r.seen = outlinesOf(r.files())
	a.reloads.parts = append(a.reloads.parts, r)
}

// Reload reads all files anew: budgets, prices, prometheus.yml, rules, alertmanager.yml. All of them are checked before any is
// put in force; when one can't be used nothing changes, and the error names all that can't be.
func (a *App) Reload() error {
	a.reloads.mu.Lock()
	defer a.reloads.mu.Unlock()
	err := a.reloadParts()
	now := time.Now()
	a.reloads.told.Lock()
	defer a.reloads.told.Unlock()
	if a.reloads.last, a.reloads.ok = now, err == nil; err != nil {
		a.log.Error("files can't be used, everything in force stays", "error", err)
		return err
	}
	a.reloads.success = now
	a.logChanges()
	return nil
}

func (a *App) reloadParts() error {
	changes, errs := make([]change, len(a.reloads.parts)), []error(nil)
	for i, r := range a.reloads.parts {
		var err error
		if changes[i], err = r.prepare(); err != nil {
			errs = append(errs, fmt.Errorf("reload %s: %w", r.name, err))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for i, c := range changes {
		if err := c.apply(); err != nil {
			for j := i - 1; j >= 0; j-- {
				changes[j].undo()
			}
			return fmt.Errorf("put %s in force: %w", a.reloads.parts[i].name, err)
		}
	}
	return nil
}

// logChanges says what is other than it was, by name only: values may be secret.
func (a *App) logChanges() {
	changed := 0
	for i := range a.reloads.parts {
		r := &a.reloads.parts[i]
		now := outlinesOf(r.files())
		for _, d := range r.seen.differences(now) {
			changed++
			a.log.Info("configuration changed", append([]any{"part", r.name}, d...)...)
		}
		r.seen = now
	}
	a.log.Info("files are read anew", "changed", changed)
}

// catchHangups keeps a SIGHUP that comes while the server starts or stops from ending it.
func (a *App) catchHangups() {
	a.reloads.hangups = make(chan os.Signal, 1)
	signal.Notify(a.reloads.hangups, syscall.SIGHUP)
	a.running("signals", func(context.Context) error { signal.Stop(a.reloads.hangups); return nil })
}

// startReloads reloads at each SIGHUP, also at one that came before, and tells how reloads went, until the server stops. What was read at start could be used.
func (a *App) startReloads(m *metricsPart) {
	a.reloads.told.Lock()
	a.reloads.last, a.reloads.success, a.reloads.ok = time.Now(), time.Now(), true
	a.reloads.told.Unlock()
	a.addReloads(m)
	a.observeReloads()
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-a.reloads.hangups:
				_ = a.Reload() // it is logged
			case <-done:
				return
			}
		}
	})
	a.running("reloads", func(context.Context) error {
		close(done)
		running.Wait()
		return nil
	})
}

// addReloads adds the parts that have a file, those first that may fail although their files could be read.
func (a *App) addReloads(m *metricsPart) {
	file := func(path string) func() []string { return func() []string { return []string{path} } }
	if path := a.cfg.Metrics.PrometheusFile; path != "" && len(m.readers) > 0 {
		a.onReload(reload{
			name: "prometheus.yml", files: func() []string { return m.files(path) },
			prepare: func() (change, error) { return m.prepare(path, a.log) },
		})
	}
	if f := a.priceFile; f != nil {
		a.onReload(reload{name: "prices", files: file(f.path), prepare: f.prepare})
	}
	if path := a.build.Settings.File; path != "" {
		a.onReload(reload{name: "settings", files: file(path), prepare: a.settingsReload()})
	}
	if path := a.cfg.Alertmanager.File; path != "" && m.deliverer != nil {
		a.onReload(reload{name: "alertmanager.yml", files: file(path), prepare: func() (change, error) {
			apply, err := m.deliverer.Prepare()
			return change{apply: func() error { apply(); return nil }, undo: func() {}}, withLine(path, err) // it is the last
		}})
	}
}

// withLine adds where in a file the values stand that an error quotes. Prometheus and Alertmanager name the line of what is
// written wrongly; of what is written well and means nothing, as a receiver that there is not, only the value.
func withLine(path string, err error) error {
	if err == nil || regexp.MustCompile(`line \d|:\d+:\d`).MatchString(err.Error()) {
		return err
	}
	raw, unread := os.ReadFile(path)
	if unread != nil {
		return err
	}
	for _, quoted := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(err.Error(), -1) {
		var at []string
		number := 0
		for line := range strings.Lines(string(raw)) {
			if number++; strings.Contains(line, quoted[1]) {
				at = append(at, strconv.Itoa(number))
			}
		}
		if len(at) > 0 && len(at) <= 3 {
			return fmt.Errorf("%w (%s, line %s)", err, path, strings.Join(at, " or "))
		}
	}
	return err
}

// settingsReload reads the settings anew and takes over the budgets. What else is other than at start is said to wait.
func (a *App) settingsReload() func() (change, error) {
	inForce := a.cfg.Budgets
	return func() (change, error) {
		next, err := config.Load(a.build.Settings)
		if err != nil {
			return change{}, err
		}
		before := inForce
		put := func(budgets []config.Budget) {
			if !reflect.DeepEqual(budgets, inForce) {
				a.budgets.Set(budgetList(budgets))
				inForce = budgets
			}
		}
		return change{
			apply: func() error {
				put(next.Budgets)
				if waits := config.Changed(a.cfg, next); len(waits) > 0 {
					a.log.Warn("settings were changed that hold from the next start", "settings", waits)
				}
				return nil
			},
			undo: func() { put(before) },
		}, nil
	}
}

// observeReloads exposes how the last reload went, under the names of Prometheus and Alertmanager too, so that the alerts that
// people have on those hold here. Since all files are put in force or none, they say the same.
func (a *App) observeReloads() {
	for _, of := range []string{"mindscope", "prometheus", "alertmanager"} {
		a.metrics.Registerer().MustRegister(
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: of + "_config_last_reload_successful", Help: "Whether the last reload of the configuration was successful.",
			}, func() float64 {
				if _, ok := a.reloaded(); !ok {
					return 0
				}
				return 1
			}),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: of + "_config_last_reload_success_timestamp_seconds", Help: "When the configuration was last reloaded successfully.",
			}, func() float64 {
				a.reloads.told.Lock()
				defer a.reloads.told.Unlock()
				return float64(a.reloads.success.UnixMilli()) / 1000
			}))
	}
}

// reloaded tells when files were read last, and whether all could be used.
func (a *App) reloaded() (time.Time, bool) {
	a.reloads.told.Lock()
	defer a.reloads.told.Unlock()
	return a.reloads.last, a.reloads.ok
}

// reloadRoute answers POST and PUT /-/reload, as Prometheus and Alertmanager do.
func (a *App) reloadRoute(w http.ResponseWriter, _ *http.Request) {
	if err := a.Reload(); err != nil {
		http.Error(w, "failed to reload config: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusOK)
}
