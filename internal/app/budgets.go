package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mindscope/mindscope/internal/config"
	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/query/team"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// maxBudgetLines bounds the lines of one budget that are exposed as metrics; the most used come first, and the API has
// all of them.
const maxBudgetLines = 500

// budgetList are the budgets of a configuration.
func budgetList(budgets []config.Budget) []team.Budget {
	list := make([]team.Budget, 0, len(budgets))
	for _, b := range budgets {
		list = append(list, team.Budget{
			Name: b.Name, Project: signal.Project(b.Project), For: team.Work{Team: b.Team, Agent: b.Agent, Model: b.Model, Type: b.TaskType},
			Per: b.Per, Period: team.Period(b.Period), USD: team.PicoUSD(b.PicoUSD), Tokens: b.Tokens,
		})
	}
	return list
}

// budgetMetrics exposes budgets. It is a prometheus.Collector.
type budgetMetrics struct {
	budgets *team.Budgets
	failed  func(error)
}

// budgetTimeout bounds how long a scrape waits for budgets: half of what a scrape may take by default. The reading goes on.
const budgetTimeout = 5 * time.Second

// Describe implements prometheus.Collector. It names nothing: the series come and go.
func (budgetMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m budgetMetrics) Collect(to chan<- prometheus.Metric) {
	if m.budgets.Len() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), budgetTimeout)
	defer cancel()
	states, _, err := m.budgets.States(ctx)
	if err != nil {
		m.failed(err)
		return
	}
	lines, left := map[string]int{}, 0
	for i := range states {
		if lines[states[i].Name]++; lines[states[i].Name] > maxBudgetLines {
			left++
			continue
		}
		exposeBudget(to, &states[i])
	}
	to <- prometheus.MustNewConstMetric(prometheus.NewDesc("mindscope_budget_lines_left_out",
		"Lines of budgets that are not exposed, since a budget has too many.", nil, nil), prometheus.GaugeValue, float64(left))
}

func exposeBudget(to chan<- prometheus.Metric, s *team.BudgetState) {
	labels := []string{"project", "team", "budget", "period", "agent", "model", "task_type"}
	who := s.Line.Team
	if who == "" {
		who = "*" // all teams together: without a value the label would be the scrape's
	}
	values := []string{string(s.Project), who, s.Name, string(s.Period), s.Line.Agent, s.Line.Model, s.Line.Type}
	put := func(name, help string, v float64) {
		to <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue, v, values...)
	}
	for _, d := range conv.Metrics() {
		switch d.Prom {
		case conv.PromAITeamBudgetUsedRatio:
			put(d.Prom, d.Brief, s.Used())
		case conv.PromAITeamBudgetUnpricedCalls:
			put(d.Prom, d.Brief, float64(s.Unpriced))
		case conv.PromAITeamBudgetLimitDollars, conv.PromAITeamBudgetSpentDollars:
			if s.Tokens == 0 {
				pico := s.USD
				if d.Prom == conv.PromAITeamBudgetSpentDollars {
					pico = s.SpentUSD
				}
				put(d.Prom, d.Brief, float64(pico)/1e12)
			}
		case conv.PromAITeamBudgetLimitTokens, conv.PromAITeamBudgetSpentTokens:
			if s.Tokens > 0 {
				n := s.Tokens
				if d.Prom == conv.PromAITeamBudgetSpentTokens {
					n = s.Spent
				}
				put(d.Prom, d.Brief, float64(n))
			}
		}
	}
}

// useBudgets lets budgets ask, and exposes them.
func (a *App) useBudgets(costs *team.Costs) {
	a.budgets.Use(costs)
	a.running("budgets", func(context.Context) error { a.budgets.Close(); return nil })
	a.metrics.Registerer().MustRegister(budgetMetrics{a.budgets, func(err error) {
		a.log.Warn("budgets can't be computed", "error", err)
	}})
}

// forgetful is a store that tells budgets of deletions when they are done: observers hear of them before, and what is read
// then may still be there.
type forgetful struct {
	store.Events
	budgets *team.Budgets
}

// Delete implements store.Deleter.
func (f forgetful) Delete(ctx context.Context, p signal.Project, s store.Scope) (int64, error) {
	defer f.budgets.Forget(p)
	return f.Events.Delete(ctx, p, s)
}

// Replace implements store.Replacer: what was read while the rows were on their way may lack them.
func (f forgetful) Replace(ctx context.Context, p signal.Project, k store.Kind, rows []store.Row) (store.Replaced, error) {
	defer f.budgets.Forget(p)
	return f.Events.Replace(ctx, p, k, rows)
}
