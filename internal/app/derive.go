package app

import (
	"context"
	"sync"
	"time"

	"github.com/mindscope/mindscope/internal/derive/spanmetrics"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// tickPeriod is how often what is derived looks at the clock.
const tickPeriod = 5 * time.Second

// observers hands committed rows to several.
type observers []store.Observer

// Committed implements store.Observer.
func (o observers) Committed(p signal.Project, rows []store.Row) {
	for _, one := range o {
		one.Committed(p, rows)
	}
}

// derive makes what follows from committed rows. It must be there before the store opens.
func (a *App) derive() store.Observer {
	a.spanMetrics = spanmetrics.New(spanmetrics.Config{})
	a.metrics.Registerer().MustRegister(a.spanMetrics)
	return observers{a.spanMetrics}
}

// startTicks lets what is derived see time go by.
func (a *App) startTicks() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(tickPeriod)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				a.spanMetrics.Tick()
			}
		}
	})
	a.running("ticks", func(context.Context) error { cancel(); running.Wait(); return nil })
}
