package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/mindscope/mindscope/internal/client"
)

// Exit codes of the commands that ask a server, documented in docs/cli.md.
const (
	exitNotFound    = 3
	exitUnreachable = 4
)

// askError is an error of a server, with what to do next and the exit code.
type askError struct {
	error
	hint string
	code int
}

func (e askError) Unwrap() error { return e.error }
func (e askError) Hint() string  { return e.hint }
func (e askError) ExitCode() int { return e.code }

func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, client.ErrUnreachable):
		return askError{err, "start one with `mindscope serve`, or name it with --server or MINDSCOPE_SERVER", exitUnreachable}
	case errors.Is(err, client.ErrSlow):
		return askError{err, "ask for less, of the last day for example (--since 24h) or fewer (--limit 20)", exitError}
	case errors.Is(err, client.ErrNotFound):
		return askError{err, "`mindscope tasks` lists the tasks there are", exitNotFound}
	}
	refused, ok := errors.AsType[*client.RefusedError](err)
	switch {
	case ok && refused.Status == http.StatusBadRequest:
		return usageError{err}
	case ok && refused.Ambiguous:
		return askError{err, "name the team with --team", exitUsage}
	}
	return err
}

func printJSON(w io.Writer, raw json.RawMessage) error {
	var v any
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// tasksCmd lists tasks.
type tasksCmd struct {
	Failed bool     `help:"Only tasks that failed or were lost."`
	Status string   `help:"Only tasks of this status: running, completed, failed, cancelled, lost." placeholder:"STATUS"`
	Type   string   `help:"Only tasks of this type." placeholder:"TYPE"`
	Team   string   `help:"Only tasks of this team." placeholder:"TEAM"`
	Agent  string   `help:"Only tasks this agent worked on." placeholder:"NAME"`
	Since  duration `help:"Only tasks that began within this time, e.g. 24h or 7d." placeholder:"DURATION"`
	Limit  int      `help:"How many tasks at most." default:"50"`
	Output string   `short:"o" help:"table or json." enum:"table,json" default:"table"`
}

// Run prints the tasks, newest first.
func (c *tasksCmd) Run(ctx context.Context, g *globals, std stdio) error {
	cl, err := client.New(g.Server, g.Project)
	if err != nil {
		return usageError{err}
	}
	q := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	for k, v := range map[string]string{"status": c.Status, "type": c.Type, "team": c.Team, "agent": c.Agent} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if c.Failed {
		q.Set("failed", "true")
	}
	if c.Since > 0 {
		q.Set("since", time.Now().Add(-time.Duration(c.Since)).UTC().Format(time.RFC3339Nano))
	}
	if c.Output == "json" {
		raw, err := cl.Get(ctx, "/tasks", q)
		if err != nil {
			return explain(err)
		}
		return printJSON(std.Out, raw)
	}
	page, err := cl.Tasks(ctx, q)
	if err != nil {
		return explain(err)
	}
	return c.table(paletteOf(g, std.Out), std, page, len(q) > 1)
}

// table prints a page of tasks; some were left out when the list is filtered.
func (c *tasksCmd) table(p palette, std stdio, page client.TaskPage, filtered bool) error {
	if len(page.Tasks) == 0 && filtered {
		fmt.Fprintln(std.Out, "No such task. `mindscope tasks` lists those there are.")
		return nil
	}
	if len(page.Tasks) == 0 {
		fmt.Fprintln(std.Out, "No tasks. Send some: `make demo` runs a team, README.md says how to send your own.")
		return nil
	}
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TASK\tTYPE\tSTATUS\tSTARTED\tTOOK\tTOKENS\tCOST\tQUALITY\tCAUSE")
	for _, t := range page.Tasks {
		cost, quality, cause := "–", "–", ""
		if t.Cost != nil {
			cost = humanMoney(t.Cost.USD)
		}
		if t.Quality != nil {
			quality = fmt.Sprintf("%.1f", *t.Quality)
		}
		if t.Cause != nil {
			cause = p.red(oneLine(causeText(t.Cause), 80))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", oneLine(t.ID, 40), oneLine(t.Type, 20), t.Status,
			t.Start.Local().Format("01-02 15:04:05"), humanDuration(t.DurationNs), humanCount(t.Tokens.Total), cost, quality, cause)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if page.Next != "" {
		fmt.Fprintf(std.Out, "… and more: ask for them with --limit, --since or a filter\n")
	}
	return nil
}

// taskCmd shows one task.
type taskCmd struct {
	ID     string `arg:"" help:"The task's id, or the id of one of its traces."`
	Team   string `help:"The team, when several have a task of this id." placeholder:"TEAM"`
	Output string `short:"o" help:"tree or json." enum:"tree,json" default:"tree"`
}

// Run prints the task's tree.
func (c *taskCmd) Run(ctx context.Context, g *globals, std stdio) error {
	return showTask(ctx, g, std, c.ID, c.Team, c.Output == "json")
}

func showTask(ctx context.Context, g *globals, std stdio, id, team string, asJSON bool) error {
	cl, err := client.New(g.Server, g.Project)
	if err != nil {
		return usageError{err}
	}
	q := url.Values{}
	if team != "" {
		q.Set("team", team)
	}
	if asJSON {
		raw, err := cl.Get(ctx, "/tasks/"+url.PathEscape(id), q)
		if err != nil {
			return explain(err)
		}
		return printJSON(std.Out, raw)
	}
	task, err := cl.Task(ctx, id, q)
	if err != nil {
		return explain(err)
	}
	tree{std.Out, paletteOf(g, std.Out)}.task(task)
	return nil
}

// traceCmd shows the task of a trace, or the trace's spans as JSON.
type traceCmd struct {
	ID     string `arg:"" help:"The trace's id, 32 hex digits."`
	Output string `short:"o" help:"tree: the task the trace belongs to; json: the trace's spans with everything they were sent with." enum:"tree,json" default:"tree"`
}

// Run prints the trace.
func (c *traceCmd) Run(ctx context.Context, g *globals, std stdio) error {
	if c.Output != "json" {
		return showTask(ctx, g, std, c.ID, "", false)
	}
	cl, err := client.New(g.Server, g.Project)
	if err != nil {
		return usageError{err}
	}
	for page := ""; ; {
		raw, err := cl.Get(ctx, "/traces/"+url.PathEscape(c.ID), url.Values{"limit": {"1000"}, "page": {page}})
		if err != nil {
			return explain(err)
		}
		if err := printJSON(std.Out, raw); err != nil {
			return err
		}
		var next struct {
			Next string `json:"next"`
		}
		if err := json.Unmarshal(raw, &next); err != nil || next.Next == "" {
			return err
		}
		page = next.Next
	}
}

// logsCmd prints the log lines of a task.
type logsCmd struct {
	ID     string `arg:"" help:"The task's id, or the id of one of its traces."`
	Team   string `help:"The team, when several have a task of this id." placeholder:"TEAM"`
	Output string `short:"o" help:"text or json." enum:"text,json" default:"text"`
}

// Run prints the lines, oldest first.
func (c *logsCmd) Run(ctx context.Context, g *globals, std stdio) error {
	cl, err := client.New(g.Server, g.Project)
	if err != nil {
		return usageError{err}
	}
	p := paletteOf(g, std.Out)
	q := url.Values{"limit": {"1000"}}
	if c.Team != "" {
		q.Set("team", c.Team)
	}
	for {
		page, err := cl.Logs(ctx, c.ID, q)
		if err != nil {
			return explain(err)
		}
		for _, l := range page.Logs {
			c.print(std.Out, p, l)
		}
		if page.Next == "" {
			return nil
		}
		q.Set("page", page.Next)
	}
}

func (c *logsCmd) print(w io.Writer, p palette, l client.Log) {
	if c.Output == "json" {
		line, err := json.Marshal(l.Fields)
		if err == nil {
			fmt.Fprintln(w, string(line))
		}
		return
	}
	severity := l.Text("severity_text")
	if severity == "ERROR" || severity == "FATAL" {
		severity = p.red(severity)
	}
	text := l.Text("body")
	if text == "" {
		text = l.Text("event_name")
	}
	fmt.Fprintf(w, "%s %-5s %s %s\n", p.dim(l.Time.Local().Format("15:04:05.000")), severity,
		oneLine(l.Text("agent"), 20), oneLine(text, 400))
}
