package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/client"
)

// target names what delete and export are about.
type target struct {
	Task  string `help:"A task's id." placeholder:"ID" xor:"target" required:""`
	Trace string `help:"A trace's id." placeholder:"ID" xor:"target" required:""`
	User  string `help:"A user's id: every trace in which the user occurs, with its logs." placeholder:"ID" xor:"target" required:""`
	Team  string `help:"The task's team, when several have a task of this id." placeholder:"TEAM"`
}

func (t target) fields() map[string]string {
	fields := map[string]string{}
	for name, id := range map[string]string{"task": t.Task, "trace": t.Trace, "user": t.User, "team": t.Team} {
		if id != "" {
			fields[name] = id
		}
	}
	return fields
}

// deleteCmd removes data.
type deleteCmd struct {
	target
	Yes    bool   `help:"Remove it; without it, only what would be removed is counted."`
	Output string `short:"o" help:"text or json." enum:"text,json" default:"text"`
}

// Run removes, or counts, and prints the receipt.
func (c *deleteCmd) Run(ctx context.Context, g *globals, std stdio) error {
	body := map[string]any{"dry_run": !c.Yes}
	for name, id := range c.fields() {
		body[name] = id
	}
	return removal(ctx, g, std, "/deletions", body, c.Output)
}

// removal asks for one and prints its receipt.
func removal(ctx context.Context, g *globals, std stdio, path string, body any, output string) error {
	cl, err := client.New(g.Server, g.Project)
	if err != nil {
		return usageError{err}
	}
	raw, err := cl.Post(ctx, path, body)
	if err != nil {
		return explainCare(err)
	}
	if output == "json" {
		return printJSON(std.Out, raw)
	}
	var r client.Receipt
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	printReceipt(std, r)
	return nil
}

// explainCare is explain for commands that remove or hand out.
func explainCare(err error) error {
	if errors.Is(err, client.ErrNotFound) {
		return askError{err, "nothing of it is stored: it may be past its retention, or be removed already", exitNotFound}
	}
	return explain(err)
}

func printReceipt(std stdio, r client.Receipt) {
	verb := "removed"
	if r.What == "scrub" {
		verb = "rewritten"
	}
	var rows []string
	for _, k := range r.Rows {
		noun := map[string]string{"span": "span", "log": "log record"}[k.Kind]
		if noun == "" {
			noun = k.Kind + " row"
		}
		if k.Rows != 1 {
			noun += "s"
		}
		rows = append(rows, fmt.Sprintf("%d %s", k.Rows, noun))
	}
	what := "nothing"
	if len(rows) > 0 {
		what = strings.Join(rows, ", ")
	}
	if r.DryRun {
		fmt.Fprintf(std.Out, "%s of project %s: %s would be %s.\nNothing was changed: run it again with --yes.\n", r.What, r.Project, what, verb)
		return
	}
	fmt.Fprintf(std.Out, "%s of project %s: %s %s in %s, at %s.\n", r.What, r.Project, what, verb,
		humanDuration(r.TookMs*int64(time.Millisecond)), r.At.Local().Format(time.RFC3339))
	if r.Expired > 0 {
		fmt.Fprintf(std.Out, "Removed, since they passed their retention meanwhile: %d.\n", r.Expired)
	}
	fmt.Fprintln(std.Out, "It may still be in:")
	for _, place := range r.MayRemain {
		fmt.Fprintf(std.Out, "  - %s\n", place)
	}
}

// queryOf makes the query of an export.
func queryOf(t target) url.Values {
	q := url.Values{}
	for name, id := range t.fields() {
		q.Set(name, id)
	}
	return q
}
