package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/mindscope/mindscope/internal/client"
)

// exitIncomplete is the exit code of an audit that found something, documented in docs/cli.md.
const exitIncomplete = 5

// auditCmd accounts for the hops of a task.
type auditCmd struct {
	ID     string `arg:"" help:"The task's id, or the id of one of its traces."`
	Team   string `help:"The team, when several have a task of this id." placeholder:"TEAM"`
	JSON   bool   `name:"json" help:"The same as -o json."`
	Output string `short:"o" help:"text or json." enum:"text,json" default:"text"`
}

// ledgerAnswer is the server's answer.
type ledgerAnswer struct {
	ID          string  `json:"id"`
	Status      string  `json:"status"`
	Provisional bool    `json:"provisional"`
	Complete    bool    `json:"complete"`
	Open        bool    `json:"open"`
	Score       float64 `json:"score"`
	Hops        []struct {
		Hop      string   `json:"hop"`
		Expected int      `json:"expected"`
		Found    int      `json:"found"`
		Missing  int      `json:"missing"`
		Unknown  []string `json:"unknown"`
	} `json:"hops"`
	Findings []struct {
		Hop     string `json:"hop"`
		Text    string `json:"text"`
		TraceID string `json:"trace_id"`
		SpanID  string `json:"span_id"`
	} `json:"findings"`
	Joined []struct {
		TraceID string `json:"trace_id"`
		By      string `json:"by"`
	} `json:"joined"`
	Cut     bool `json:"cut"`
	Partial bool `json:"partial"`
}

// incompleteError is a task of which something is missing: a failure to who asks in CI.
type incompleteError struct {
	task     string
	findings int
}

func (e incompleteError) Error() string {
	unit := "findings"
	if e.findings == 1 {
		unit = "finding"
	}
	return fmt.Sprintf("the history of %s is not complete: %d %s", oneLine(e.task, 80), e.findings, unit)
}

// ExitCode implements exitCoder.
func (incompleteError) ExitCode() int { return exitIncomplete }

// Run prints the account, and ends with an exit code of its own when something is missing.
func (c *auditCmd) Run(ctx context.Context, g *globals, std stdio) error {
	cl, err := client.New(g.Server, g.Project)
	if err != nil {
		return usageError{err}
	}
	q := url.Values{}
	if c.Team != "" {
		q.Set("team", c.Team)
	}
	raw, err := cl.Get(ctx, "/tasks/"+url.PathEscape(c.ID)+"/audit", q)
	if err != nil {
		return explain(err)
	}
	var l ledgerAnswer
	if err := json.Unmarshal(raw, &l); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if c.JSON || c.Output == "json" {
		err = printJSON(std.Out, raw)
	} else {
		err = l.print(paletteOf(g, std.Out), std)
	}
	if err != nil {
		return err
	}
	if !l.Complete {
		return incompleteError{l.ID, len(l.Findings)}
	}
	return nil
}

func (l *ledgerAnswer) print(p palette, std stdio) error {
	head := p.bold("task "+oneLine(l.ID, 80)) + " · " + l.Status + " · "
	score := fmt.Sprintf("%.1f %% complete", l.Score)
	if !l.Complete {
		score = p.red(score)
	}
	if l.Provisional {
		head += "names no task · "
	}
	fmt.Fprintln(std.Out, head+score)
	if l.Open {
		fmt.Fprintln(std.Out, "the task still runs: what is not there yet is not missing")
	}
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "HOP\tEXPECTED\tFOUND\tMISSING\tUNKNOWN OF")
	for _, h := range l.Hops {
		names := make([]string, len(h.Unknown))
		for i, name := range h.Unknown {
			names[i] = oneLine(name, 40)
		}
		unknown := strings.Join(names, ", ")
		if unknown == "" {
			unknown = "–"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\n", h.Hop, h.Expected, h.Found, h.Missing, unknown)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, f := range l.Findings {
		fmt.Fprintf(std.Out, "%s %s%s\n", p.red("✕ "+f.Hop+":"), oneLine(f.Text, 400), p.dim(place(f.TraceID, f.SpanID)))
	}
	for _, j := range l.Joined {
		fmt.Fprintf(std.Out, "trace %s names no task; it belongs to this one by %s\n", oneLine(j.TraceID, 40), j.By)
	}
	if l.Cut {
		fmt.Fprintln(std.Out, "the task has more spans than are read: the account is of the first ones")
	}
	if l.Partial {
		fmt.Fprintln(std.Out, p.red("a part of the store did not answer: the account is not complete"))
	}
	return nil
}

func place(trace, span string) string {
	switch {
	case trace == "":
		return ""
	case span == "":
		return " [trace " + oneLine(trace, 40) + "]"
	}
	return " [trace " + oneLine(trace, 40) + ", span " + oneLine(span, 20) + "]"
}
