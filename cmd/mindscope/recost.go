package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/mindscope/mindscope/internal/client"
)

// recostCmd computes costs anew.
type recostCmd struct {
	Since   duration `help:"Only calls of this time back, e.g. 24h or 30d." required:"" placeholder:"DURATION"`
	Team    string   `help:"Only this team." placeholder:"TEAM"`
	Model   string   `help:"Only calls of this model." placeholder:"MODEL"`
	AsModel string   `help:"What if all these calls were calls of another model." placeholder:"MODEL"`
	Prices  string   `help:"What if these were your prices: a YAML file as prices: names." placeholder:"FILE"`
	Apply   bool     `help:"Store the new costs; without it, only what would change is shown. Nothing is overwritten: a new version is added, and the newest counts."`
	Output  string   `short:"o" help:"table or json." enum:"table,json" default:"table"`
}

// Run shows what calls would cost, or stores it.
func (c *recostCmd) Run(ctx context.Context, g *globals, std stdio) error {
	if c.Apply && (c.AsModel != "" || c.Prices != "") {
		return usageError{errors.New("--as-model and --prices ask what if, and can't be used with --apply; put prices into the server's file and recost")}
	}
	body := map[string]any{"since": ago(c.Since), "apply": c.Apply}
	for name, text := range map[string]string{"team": c.Team, "model": c.Model, "as_model": c.AsModel} {
		if text != "" {
			body[name] = text
		}
	}
	if c.Prices != "" {
		file, err := os.ReadFile(c.Prices)
		if err != nil {
			return usageError{fmt.Errorf("read prices: %w", err)}
		}
		body["prices"] = string(file)
	}
	cl, err := client.New(g.Server, g.Project)
	if err != nil {
		return usageError{err}
	}
	raw, err := cl.Post(ctx, "/recosts", body)
	if err != nil {
		return explain(err)
	}
	if c.Output == "json" {
		return printJSON(std.Out, raw)
	}
	return c.print(std, raw)
}

func (c *recostCmd) print(std stdio, raw []byte) error {
	var r struct {
		Version string `json:"version"`
		Stored  int64  `json:"stored"`
		Before  string `json:"before_usd"`
		After   string `json:"after_usd"`
		Lines   []struct {
			Provider string `json:"provider"`
			Model    string `json:"model"`
			Calls    int64  `json:"calls"`
			Changed  int64  `json:"changed"`
			Unknown  int64  `json:"unknown"`
			Before   string `json:"before_usd"`
			After    string `json:"after_usd"`
		} `json:"lines"`
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PROVIDER\tMODEL\tCALLS\tCHANGE\tUNKNOWN\tBEFORE\tAFTER")
	for _, l := range r.Lines {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t$%s\t$%s\n", oneLine(l.Provider, 30), oneLine(l.Model, 60), l.Calls, l.Changed, l.Unknown, l.Before, l.After)
	}
	fmt.Fprintf(w, "total\t\t\t\t\t$%s\t$%s\n", r.Before, r.After)
	if err := w.Flush(); err != nil {
		return err
	}
	switch {
	case c.Apply:
		fmt.Fprintf(std.Out, "%d spans have a new cost, of price book %s.\n", r.Stored, r.Version)
	case c.AsModel != "" || c.Prices != "":
		fmt.Fprintln(std.Out, "Nothing was changed: this is what it would have cost.")
	default:
		fmt.Fprintln(std.Out, "Nothing was changed: run it again with --apply.")
	}
	return nil
}

// monthRange reads 2026-11 as [its first day, the next month's), UTC.
func monthRange(text string) (since, until time.Time, err error) {
	since, err = time.Parse("2006-01", text)
	if err != nil {
		return since, until, fmt.Errorf("%q is no month like 2026-11", text)
	}
	return since, since.AddDate(0, 1, 0), nil
}
