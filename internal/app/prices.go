package app

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mindscope/mindscope/internal/enrich/cost"
	"github.com/mindscope/mindscope/internal/self"
)

// priceCheck is how often the file of prices is looked at.
const priceCheck = 5 * time.Second

// priceFile is the file of one's own prices and what was last read of it.
type priceFile struct {
	path string
	log  *slog.Logger
	// reload puts new prices in use.
	reload func(*cost.Overrides) error

	mu      sync.Mutex
	seen    []byte // the last content that was looked at, good or not
	failed  atomic.Bool
	fails   atomic.Int64
	reloads atomic.Int64
}

// readPrices reads a file of prices. "" is none.
func readPrices(path string) (*cost.Overrides, []byte, error) {
	if path == "" {
		return nil, nil, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read prices: %w", err)
	}
	o, err := cost.ParseOverrides(raw)
	if err != nil {
		return nil, raw, fmt.Errorf("read prices in %s: %w", path, err)
	}
	return o, raw, nil
}

// look reads the file when it has changed. Prices that can't be used change nothing: the old ones stay and the metrics
// rise. It returns why, each time it is asked.
func (f *priceFile) look() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	o, raw, err := readPrices(f.path)
	changed := !bytes.Equal(raw, f.seen)
	if err == nil && !changed && !f.failed.Load() {
		return nil
	}
	if err == nil {
		err = f.reload(o)
	}
	if err != nil {
		if changed || !f.failed.Load() {
			f.fails.Add(1)
		}
		f.seen = raw
		f.failed.Store(true)
		return err
	}
	f.seen = raw
	f.failed.Store(false)
	f.reloads.Add(1)
	f.log.Info("prices reloaded", "file", f.path)
	return nil
}

// prepare checks the file. There is nothing to undo: prices that can be used are in force at the next look in any case.
func (f *priceFile) prepare() (change, error) {
	if _, _, err := readPrices(f.path); err != nil {
		_ = f.look() // it counts, and returns the same
		return change{}, err
	}
	return change{apply: f.look, undo: func() {}}, nil
}

// watch looks at the file until ctx ends. What is wrong is logged once a change.
func (f *priceFile) watch(ctx context.Context) {
	tick := time.NewTicker(priceCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		before := f.fails.Load()
		if err := f.look(); err != nil && f.fails.Load() > before {
			f.log.Error("prices not reloaded, the old ones stay", "err", err)
		}
	}
}

// watchPrices follows the file of prices while the server runs.
func (a *App) watchPrices(c *cost.Sink) {
	f := &priceFile{path: a.cfg.Prices, log: a.log.With("component", "prices"), reload: c.Reload, seen: a.pricesRaw}
	observePrices(f, a.metrics)
	if f.path == "" {
		return
	}
	a.priceFile = f
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.watch(ctx)
	}()
	a.running("prices", func(context.Context) error {
		cancel()
		<-ended
		return nil
	})
}

func observePrices(f *priceFile, m *self.Metrics) {
	m.Gauge("mindscope_prices_reload_failed",
		"1 while the file of prices can't be used and older prices are in use, else 0.", func() float64 {
			if f.failed.Load() {
				return 1
			}
			return 0
		})
	m.Counter("mindscope_prices_reload_failures_total", "Changes of the file of prices that could not be used.",
		func() float64 { return float64(f.fails.Load()) })
	m.Counter("mindscope_prices_reloads_total", "Changes of the file of prices that were put in use.",
		func() float64 { return float64(f.reloads.Load()) })
}
