package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"text/tabwriter"
	"time"
)

// budgetsCmd shows how far budgets are used up.
type budgetsCmd struct {
	Team   string `help:"Only what work of this team is counted in." placeholder:"TEAM"`
	Output string `short:"o" help:"table or json." enum:"table,json" default:"table"`
}

// budgetsAnswer is the server's answer.
type budgetsAnswer struct {
	Budgets []struct {
		Name     string    `json:"name"`
		Period   string    `json:"period"`
		End      time.Time `json:"end"`
		Team     string    `json:"team"`
		Agent    string    `json:"agent"`
		Model    string    `json:"model"`
		Type     string    `json:"type"`
		Unnamed  []string  `json:"unnamed"`
		Unit     string    `json:"unit"`
		Limit    string    `json:"limit"`
		Spent    string    `json:"spent"`
		Used     float64   `json:"used"`
		Unpriced int64     `json:"unpriced_calls"`
	} `json:"budgets"`
}

// Run prints the budgets.
func (c *budgetsCmd) Run(ctx context.Context, g *globals, std stdio) error {
	q := url.Values{}
	if c.Team != "" {
		q.Set("team", c.Team)
	}
	var answer budgetsAnswer
	done, err := ask(ctx, g, std, "/budgets", q, c.Output == "json", &answer)
	if err != nil || done {
		return err
	}
	if len(answer.Budgets) == 0 {
		fmt.Fprintln(std.Out, "No budgets: the setting `budgets` names them.")
		return nil
	}
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BUDGET\tTEAM\tAGENT\tMODEL\tTYPE\tUSED\tSPENT\tLIMIT\tUNIT\tUNTIL\tUNPRICED")
	for _, b := range answer.Budgets {
		part := func(name, value string) string {
			if slices.Contains(b.Unnamed, name) {
				return "none"
			}
			return oneLine(cmp.Or(value, "–"), 40)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.0f%%\t%s\t%s\t%s\t%s\t%d\n", b.Name, part("team", b.Team), part("agent", b.Agent), part("model", b.Model), part("type", b.Type),
			100*b.Used, b.Spent, b.Limit, b.Unit, b.End.UTC().Format("2006-01-02 15:04"), b.Unpriced)
	}
	return w.Flush()
}
