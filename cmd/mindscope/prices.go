package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/mindscope/mindscope/internal/client"
)

// pricesCmd looks at the price book of the server.
type pricesCmd struct {
	Show  pricesShowCmd  `cmd:"" help:"What the price book holds for a model."`
	Check pricesCheckCmd `cmd:"" help:"Who disagrees with whom: providers' own costs with the book, your prices with the built-in ones."`
}

type pricesShowCmd struct {
	Model    string `arg:"" help:"A model's name, as a provider, gateway or framework writes it."`
	Provider string `help:"The provider, where several have a model of this name." placeholder:"NAME"`
	At       string `help:"The day (2026-01-31) or time (RFC 3339) to ask for; now when missing." placeholder:"DATE"`
	Output   string `short:"o" help:"text or json." enum:"text,json" default:"text"`
}

// Run prints the prices of a model; the list in force is marked.
func (c *pricesShowCmd) Run(ctx context.Context, g *globals, std stdio) error {
	q := url.Values{"model": {c.Model}}
	if c.Provider != "" {
		q.Set("provider", c.Provider)
	}
	if c.At != "" {
		at, err := parseDay(c.At)
		if err != nil {
			return usageError{err}
		}
		q.Set("at", at.Format(time.RFC3339))
	}
	var answer struct {
		Version string `json:"version"`
		Entries []struct {
			Source   string `json:"source"`
			Provider string `json:"provider"`
			Model    string `json:"model"`
			Valid    string `json:"valid"`
			InForce  bool   `json:"in_force"`
			Prices   []struct {
				Bucket string `json:"bucket"`
				USD    string `json:"usd"`
				Above  int64  `json:"above"`
			} `json:"prices"`
		} `json:"entries"`
	}
	done, err := ask(ctx, g, std, "/prices", q, c.Output == "json", &answer)
	if errors.Is(err, client.ErrNotFound) {
		return askError{err, "name its provider with --provider, or give it a price of your own: docs/prices.md", exitNotFound}
	}
	if err != nil || done {
		return err
	}
	fmt.Fprintf(std.Out, "price book %s, dollars for a million tokens\n", answer.Version)
	for _, e := range answer.Entries {
		head := []string{oneLine(e.Model, 80)}
		if e.Provider != "" {
			head = append(head, "of "+oneLine(e.Provider, 40))
		}
		if e.Source == "own" {
			head = append(head, "(your own)")
		}
		if e.Valid != "" {
			head = append(head, e.Valid)
		}
		if e.InForce {
			head = append(head, "← in force")
		}
		fmt.Fprintf(std.Out, "\n%s\n", strings.Join(head, " "))
		for _, p := range e.Prices {
			line := fmt.Sprintf("  %-18s %10s", p.Bucket, p.USD)
			if p.Above > 0 {
				line += "  above " + strconv.FormatInt(p.Above, 10) + " input tokens"
			}
			if p.Bucket == "requests" {
				line += "  for a thousand"
			}
			fmt.Fprintln(std.Out, line)
		}
	}
	return nil
}

type pricesCheckCmd struct {
	Since  duration `help:"Only calls of this time back, e.g. 24h or 30d." default:"30d" placeholder:"DURATION"`
	Output string   `short:"o" help:"table or json." enum:"table,json" default:"table"`
}

// Run lists the models on whose cost two sources differ.
func (c *pricesCheckCmd) Run(ctx context.Context, g *globals, std stdio) error {
	var answer struct {
		Disagreements []struct {
			Who      string `json:"who"`
			Provider string `json:"provider"`
			Model    string `json:"model"`
			Calls    int64  `json:"calls"`
			First    string `json:"first_usd"`
			Second   string `json:"second_usd"`
		} `json:"disagreements"`
	}
	done, err := ask(ctx, g, std, "/prices/disagreements", url.Values{"since": {ago(c.Since)}}, c.Output == "json", &answer)
	if err != nil || done {
		return err
	}
	if len(answer.Disagreements) == 0 {
		fmt.Fprintln(std.Out, "Nobody disagrees on what a call costs.")
		return nil
	}
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHO\tPROVIDER\tMODEL\tCALLS\tFIRST SAYS\tSECOND SAYS")
	for _, d := range answer.Disagreements {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t$%s\t$%s\n", d.Who, oneLine(d.Provider, 30), oneLine(d.Model, 60), d.Calls, d.First, d.Second)
	}
	return w.Flush()
}

// ask reads an answer into v, or prints it as JSON and tells that it is done.
func ask(ctx context.Context, g *globals, std stdio, path string, q url.Values, asJSON bool, v any) (done bool, err error) {
	cl, err := client.New(g.Server, g.Project)
	if err != nil {
		return false, usageError{err}
	}
	raw, err := cl.GetLong(ctx, path, q)
	if err != nil {
		return false, explain(err)
	}
	if asJSON {
		return true, printJSON(std.Out, raw)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("read the server's answer: %w", err)
	}
	return false, nil
}

// parseDay reads a day, UTC, or a time.
func parseDay(text string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%q is no day like 2026-01-31 and no time like 2026-01-31T12:00:00Z", text)
	}
	return t, nil
}

func ago(d duration) string {
	return time.Now().Add(-time.Duration(d)).UTC().Format(time.RFC3339)
}
