package team

import (
	"context"
	"strconv"
	"time"

	query "github.com/mindscope/mindscope/internal/query/team"
)

// Budgets mounts the route of budgets.
func (a *API) Budgets(b *query.Budgets) {
	h := budgetHandlers{b}
	get(a, "list-budgets", "/budgets", "How far budgets are used up, exactly; narrowed to what some work is counted in", h.list)
}

type budgetHandlers struct{ budgets *query.Budgets }

type budgetsInput struct {
	ProjectInput
	Team  string `query:"team" maxLength:"1024" doc:"Only budgets that work of this team is counted in."`
	Agent string `query:"agent" maxLength:"1024" doc:"Only those that work of this agent is counted in."`
	Model string `query:"model" maxLength:"1024" doc:"Only those that calls of this model are counted in."`
	Type  string `query:"type" maxLength:"1024" doc:"Only those that tasks of this type are counted in."`
}

// Budget is how far a budget is used up.
type Budget struct {
	Name   string    `json:"name"`
	Period string    `json:"period" enum:"hour,day,month" doc:"Of the calendar in UTC."`
	Start  time.Time `json:"start"`
	End    time.Time `json:"end" doc:"When it begins anew."`
	Team   string    `json:"team,omitempty" doc:"Absent: all teams together; so with the next three."`
	Agent  string    `json:"agent,omitempty"`
	Model  string    `json:"model,omitempty"`
	Type   string    `json:"type,omitempty"`
	// Unnamed tells a line of what names no agent from one of all agents.
	Unnamed []string `json:"unnamed,omitempty" enum:"team,agent,model,type" doc:"Absent parts of which it is not all together, but the work that names none: the budget is for each."`
	Unit    string   `json:"unit" enum:"usd,tokens"`
	Limit   string   `json:"limit" doc:"Exact decimal number of its unit."`
	Spent   string   `json:"spent" doc:"Exact decimal number of its unit."`
	// Used is for people; Exceeded is exact.
	Used     float64 `json:"used" doc:"Part of the limit that is spent; 1 is all of it."`
	Exceeded bool    `json:"exceeded" doc:"Nothing is left."`
	Calls    int64   `json:"calls"`
	Unpriced int64   `json:"unpriced_calls" doc:"Calls whose price is not known; a budget in dollars can't see them."`
}

type budgetsOutput struct {
	Body struct {
		At       time.Time `json:"at" doc:"When the figures were read; calls that ended some seconds before may be missing."`
		Exceeded bool      `json:"exceeded" doc:"One of the budgets is."`
		Budgets  []Budget  `json:"budgets" doc:"In the order of the configuration, then the most used first."`
	}
}

func (h budgetHandlers) list(ctx context.Context, in *budgetsInput) (*budgetsOutput, error) {
	project, err := in.project()
	if err != nil {
		return nil, err
	}
	states, at, err := h.budgets.For(ctx, project, query.Work{Team: in.Team, Agent: in.Agent, Model: in.Model, Type: in.Type})
	if err != nil {
		return nil, err
	}
	out := &budgetsOutput{}
	out.Body.At, out.Body.Budgets = at.UTC(), make([]Budget, 0, len(states))
	for i := range states {
		b := wireBudget(&states[i])
		out.Body.Exceeded = out.Body.Exceeded || b.Exceeded
		out.Body.Budgets = append(out.Body.Budgets, b)
	}
	return out, nil
}

func wireBudget(s *query.BudgetState) Budget {
	b := Budget{
		Name: s.Name, Period: string(s.Period), Start: s.Start, End: s.End,
		Team: s.Line.Team, Agent: s.Line.Agent, Model: s.Line.Model, Type: s.Line.Type, Unnamed: s.Unnamed(),
		Unit: "usd", Limit: s.USD.String(), Spent: s.SpentUSD.String(),
		Used: s.Used(), Exceeded: s.Exceeded(), Calls: s.Calls, Unpriced: s.Unpriced,
	}
	if s.Tokens > 0 {
		b.Unit, b.Limit, b.Spent = "tokens", strconv.FormatInt(s.Tokens, 10), strconv.FormatInt(s.Spent, 10)
	}
	return b
}
