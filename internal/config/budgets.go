package config

import (
	"errors"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Budget is what may be spent in a period.
type Budget struct {
	Name, Project string
	// Team, Agent, Model and TaskType narrow it; "" is all of them together.
	Team, Agent, Model, TaskType string
	// Per names what has the budget each for itself: team, agent, model, type.
	Per []string
	// Period is hour, day or month.
	Period string
	// PicoUSD is the limit in 10⁻¹² US dollars, Tokens one in tokens; one of them is 0.
	PicoUSD, Tokens int64
}

// budgetSettings reads a mapping of budgets by name.
func budgetSettings() []setting {
	return []setting{{key: "budgets", sections: true, setNamed: setBudget, check: checkBudgets, text: func(*Config) string { return "" }}}
}

// setBudget reads one field of a budget; name is BUDGET.FIELD.
func setBudget(c *Config, name, s string) error {
	budget, field, _ := strings.Cut(name, ".")
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`).MatchString(budget) {
		return errors.New("under a name of 1 to 40 letters, digits, '_' and '-'")
	}
	i := slices.IndexFunc(c.Budgets, func(b Budget) bool { return b.Name == budget })
	if i < 0 {
		i = len(c.Budgets)
		c.Budgets = append(c.Budgets, Budget{Name: budget, Project: "default"})
	}
	b := &c.Budgets[i]
	switch field {
	case "project":
		b.Project = s
	case "team":
		b.Team = s
	case "agent":
		b.Agent = s
	case "model":
		b.Model = s
	case "type":
		b.TaskType = s
	case "per":
		b.Per = splitList(s)
		for _, part := range b.Per {
			if !slices.Contains(budgetParts(), part) {
				return errors.New("some of " + strings.Join(budgetParts(), ", "))
			}
		}
	case "period":
		b.Period = s
		if !slices.Contains([]string{"hour", "day", "month"}, s) {
			return errors.New("hour, day or month")
		}
	case "usd":
		return setDollars(&b.PicoUSD, s)
	case "tokens":
		n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 64)
		if err != nil || n < 1 {
			return errors.New("a whole number above 0")
		}
		b.Tokens = n
	default:
		return errors.New("one of the keys project, team, agent, model, type, per, period, usd, tokens")
	}
	return nil
}

func budgetParts() []string { return []string{"team", "agent", "model", "type"} }

// setDollars reads an exact decimal number of dollars.
func setDollars(to *int64, s string) error {
	r, ok := new(big.Rat).SetString(s)
	if !ok || strings.ContainsAny(s, "/eE") {
		return errors.New("a number of US dollars, as 25 or 0.50")
	}
	pico := r.Mul(r, big.NewRat(1_000_000_000_000, 1))
	if !pico.IsInt() || !pico.Num().IsInt64() || pico.Sign() <= 0 {
		return errors.New("above 0, at most 9000000 and with at most twelve decimals")
	}
	*to = pico.Num().Int64()
	return nil
}

// checkBudgets wants of each a period and one limit.
func checkBudgets(c *Config) string {
	for _, b := range c.Budgets {
		switch {
		case b.Period == "":
			return "complete: budget " + b.Name + " has no period (hour, day or month)"
		case b.PicoUSD == 0 && b.Tokens == 0:
			return "complete: budget " + b.Name + " has no limit (usd or tokens)"
		case b.PicoUSD != 0 && b.Tokens != 0:
			return "clear: budget " + b.Name + " has a limit in usd and one in tokens; make it two budgets"
		}
	}
	return ""
}
