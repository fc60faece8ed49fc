package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/mindscope/mindscope/internal/derive/live"
	"github.com/mindscope/mindscope/internal/derive/spanmetrics"
	"github.com/mindscope/mindscope/internal/query/team"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// tickPeriod is how often what is derived looks at the clock.
const tickPeriod = 5 * time.Second

// observer is what follows from committed rows, under the name of its part of the saved state.
type observer struct {
	name string
	store.StatefulObserver
}

// observers hands committed rows to several, and keeps their states in one. It is a store.StatefulObserver and a
// store.DeletionObserver.
type observers []observer

var (
	_ store.StatefulObserver = observers(nil)
	_ store.DeletionObserver = observers(nil)
)

// Committed implements store.Observer.
func (o observers) Committed(p signal.Project, rows []store.Row) {
	for _, one := range o {
		one.Committed(p, rows)
	}
}

// Deleted implements store.DeletionObserver.
func (o observers) Deleted(p signal.Project, rows []store.Row) {
	for _, one := range o {
		if to, ok := one.StatefulObserver.(store.DeletionObserver); ok {
			to.Deleted(p, rows)
		}
	}
}

// Rewritten implements store.DeletionObserver.
func (o observers) Rewritten(p signal.Project, rows []store.Row) {
	for _, one := range o {
		if to, ok := one.StatefulObserver.(store.DeletionObserver); ok {
			to.Rewritten(p, rows)
		}
	}
}

// Save implements store.StatefulObserver.
func (o observers) Save(w io.Writer) error {
	s := store.NewStateWriter(w)
	for _, one := range o {
		s.Raw(one.name, func(w io.Writer) error {
			if err := one.Save(w); err != nil {
				return fmt.Errorf("save %s: %w", one.name, err)
			}
			return nil
		})
	}
	return s.End()
}

// Load implements store.StatefulObserver. A part that is not in the state begins anew: it came with a later release.
func (o observers) Load(raw []byte) error {
	var states map[string]json.RawMessage
	if err := json.Unmarshal(raw, &states); err != nil {
		return fmt.Errorf("decode states: %w", err)
	}
	for _, one := range o {
		state, ok := states[one.name]
		if !ok {
			continue
		}
		if err := one.load(state); err != nil {
			return fmt.Errorf("load %s: %w", one.name, err)
		}
	}
	return nil
}

func (o observer) load(state json.RawMessage) error {
	if len(state) == 0 || state[0] != '"' {
		return o.Load(state)
	}
	var inner []byte // of a release that wrote the parts as base64
	if err := json.Unmarshal(state, &inner); err != nil {
		return err
	}
	return o.Load(inner)
}

// derive makes what follows from committed rows. It must be there before the store opens.
func (a *App) derive() store.Observer {
	a.spanMetrics = spanmetrics.New(spanmetrics.Config{Stuck: a.stuck})
	a.metrics.Registerer().MustRegister(a.spanMetrics)
	a.live = live.New(live.Config{Usual: a.spanMetrics.Usual()})
	a.metrics.Gauge("mindscope_live_spans", "Tasks' and agents' spans that have begun and not ended.", func() float64 {
		n, _ := a.live.Running()
		return float64(n)
	})
	a.metrics.Counter("mindscope_live_dropped_total", "Running spans that are no longer watched, for want of room.", func() float64 {
		_, n := a.live.Running()
		return float64(n)
	})
	a.budgets = team.NewBudgets(budgetList(a.cfg.Budgets), nil)
	all := observers{
		{"spanmetrics", a.spanMetrics},
		{"live", a.live},
		{"budgets", a.budgets},
		{"due", a.follow()},
		{"tail", a.followLogs()},
		{"withheld", withheld{&a.content}},
	}
	if a.tap != nil {
		all = append(all, observer{"mindbus", yields{a.tap}})
	}
	return all
}

// stuck counts the tasks that are stuck.
func (a *App) stuck() map[spanmetrics.Owner]int {
	out := map[spanmetrics.Owner]int{}
	a.live.Stuck(func(p signal.Project, team string, n int) {
		out[spanmetrics.Owner{Project: string(p), Team: strings.ToValidUTF8(team, "\uFFFD")}] += n
	})
	return out
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
				a.live.Tick()
			}
		}
	})
	a.running("ticks", func(context.Context) error { cancel(); running.Wait(); return nil })
}
