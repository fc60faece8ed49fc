// Package target finds out whom to scrape and where to send alerts, with Prometheus' own discovery manager. That one looks ten times
// a second whether something was found, which keeps an idle processor awake; so it is begun only where a list that stands in
// the configuration is not enough.
package target

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/targetgroup"
)

// Groups are the targets found for each name of a configuration.
type Groups = map[string][]*targetgroup.Group

// Config is what a Finder works with.
type Config struct {
	// Name tells a Finder's metrics from another's.
	Name   string
	Logger *slog.Logger
	// Registerer takes the metrics of discovery; two Finders can't share one.
	Registerer prometheus.Registerer
	// Failed is called when discovery ends by itself.
	Failed func(error)
}

// Finder finds targets from New to Stop. Apply may be called from one goroutine at a time.
type Finder struct {
	found   chan Groups
	manager *discovery.Manager
	failed  func(error)
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	looking bool // the manager runs
}

// New returns a Finder that finds nothing yet.
func New(cfg Config) (*Finder, error) {
	metrics, err := discovery.CreateAndRegisterSDMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register metrics of discovery: %w", err)
	}
	f := &Finder{found: make(chan Groups, 1), failed: cfg.Failed}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.manager = discovery.NewManager(f.ctx, cfg.Logger, cfg.Registerer, metrics, discovery.Name(cfg.Name))
	if f.manager == nil {
		f.cancel()
		return nil, errors.New("make discovery: its metrics can't be registered")
	}
	return f, nil
}

// Found returns the channel of all targets that were found, anew after each change. It is never closed.
func (f *Finder) Found() <-chan Groups { return f.found }

// Apply makes these the ways to find targets, each under its name.
func (f *Finder) Apply(ways map[string]discovery.Configs) error {
	if groups, ok := listed(ways); ok && !f.looking {
		f.put(groups)
		return nil
	}
	f.look()
	return f.manager.ApplyConfig(ways)
}

// listed returns the targets of ways, unless some of them have to be looked for.
func listed(ways map[string]discovery.Configs) (Groups, bool) {
	out := Groups{}
	for name, configs := range ways {
		groups := []*targetgroup.Group{} // a name without targets loses those it had
		for _, c := range configs {
			list, ok := c.(discovery.StaticConfig)
			if !ok {
				return nil, false
			}
			groups = append(groups, list...)
		}
		out[name] = groups
	}
	return out, true
}

// put replaces what the reader has not taken yet.
func (f *Finder) put(groups Groups) {
	for {
		select {
		case f.found <- groups:
			return
		default:
		}
		select {
		case <-f.found:
		default:
		}
	}
}

// look starts the discovery manager, which from now on is the only one to put.
func (f *Finder) look() {
	if f.looking {
		return
	}
	f.looking = true
	f.running.Go(func() {
		if err := f.manager.Run(); err != nil && !errors.Is(err, context.Canceled) && f.failed != nil {
			f.failed(fmt.Errorf("run discovery: %w", err))
		}
	})
	f.running.Go(func() {
		for groups := range f.manager.SyncCh() {
			f.put(groups)
		}
	})
}

// Stop ends the search and waits for it.
func (f *Finder) Stop() {
	f.cancel()
	f.running.Wait()
}
