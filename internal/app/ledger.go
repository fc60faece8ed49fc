package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mindscope/mindscope/internal/derive/due"
	"github.com/mindscope/mindscope/internal/query/team"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// auditBatch is how many tasks are accounted for at once.
	auditBatch = 100
	// auditShare is how much longer the ledger rests than it works, so that it takes a tenth of a core at most.
	auditShare = 9
)

// follow makes what knows which tasks are due to be accounted for.
func (a *App) follow() *due.Tasks {
	a.due = due.New(due.Config{Settle: a.cfg.Ledger.Settle})
	a.metrics.Gauge("mindscope_ledger_waiting_tasks", "Tasks that move or were not accounted for yet.", func() float64 {
		n, _ := a.due.Count()
		return float64(n)
	})
	a.metrics.Counter("mindscope_ledger_skipped_tasks_total", "Tasks that were not accounted for, for want of room or since it failed too often.", func() float64 {
		_, n := a.due.Count()
		return float64(n)
	})
	return a.due
}

// startLedger accounts for tasks that came to rest.
func (a *App) startLedger(questions *team.Questions, to store.Writer) {
	var audited, failed atomic.Int64
	a.metrics.Counter("mindscope_ledger_audited_tasks_total", "Times that a task was accounted for.", func() float64 { return float64(audited.Load()) })
	a.metrics.Counter("mindscope_ledger_errors_total", "Times that tasks could not be accounted for; they are tried again.", func() float64 { return float64(failed.Load()) })
	teller := team.NewAuditor(questions, to)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for rest := tickPeriod; sleep(ctx, rest); {
			begin := time.Now()
			n, err := a.audit(ctx, teller)
			if err != nil && ctx.Err() == nil {
				failed.Add(1)
				a.log.Warn("account for tasks", "error", err)
			}
			audited.Add(int64(n))
			if rest = time.Since(begin) * auditShare; n == 0 || err != nil {
				rest = tickPeriod
			}
		}
	})
	a.running("ledger", func(context.Context) error { cancel(); running.Wait(); return nil })
}

// auditor accounts for tasks of one team.
type auditor interface {
	Audit(ctx context.Context, p signal.Project, team string, ids []string) (findings, joins int, err error)
}

// audit accounts for some of the tasks that are due and returns for how many. When that fails it tries each alone, so that
// one that can't be accounted for keeps nobody else waiting.
func (a *App) audit(ctx context.Context, to auditor) (int, error) {
	tasks := a.due.Due(auditBatch)
	if len(tasks) == 0 {
		return 0, nil
	}
	err := a.auditTasks(ctx, to, tasks)
	switch {
	case err == nil:
		return len(tasks), nil
	case errors.Is(err, store.ErrPartial): // they are to be had when all of the store answers again
		a.due.Postpone(tasks)
		return 0, err
	}
	return a.auditEach(ctx, to, tasks)
}

// auditEach accounts for tasks one by one. The error is that of the last that failed.
func (a *App) auditEach(ctx context.Context, to auditor, tasks []due.Task) (done int, failed error) {
	for i := range tasks {
		err := a.auditTasks(ctx, to, tasks[i:i+1])
		switch {
		case err == nil:
			done++
		case ctx.Err() != nil:
			return done, err
		case errors.Is(err, store.ErrPartial):
			a.due.Postpone(tasks[i:])
			return done, err
		default:
			failed = fmt.Errorf("task %q: %w", tasks[i].ID, err)
			a.due.Failed(tasks[i])
		}
	}
	return done, failed
}

// auditTasks accounts for tasks at once.
func (a *App) auditTasks(ctx context.Context, to auditor, tasks []due.Task) error {
	ids := make([]string, len(tasks))
	for i, t := range tasks {
		ids[i] = t.ID
	}
	if _, _, err := to.Audit(ctx, tasks[0].Project, tasks[0].Team, ids); err != nil {
		return err
	}
	a.due.Done(tasks)
	return nil
}

// sleep waits and tells whether ctx goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
