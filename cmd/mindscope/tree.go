package main

import (
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/mindscope/mindscope/internal/client"
)

// palette colours text, or leaves it plain.
type palette struct{ on bool }

func (p palette) red(s string) string  { return p.wrap("31", s) }
func (p palette) dim(s string) string  { return p.wrap("2", s) }
func (p palette) bold(s string) string { return p.wrap("1", s) }

func (p palette) wrap(code, s string) string {
	if !p.on || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// paletteOf decides on colours: only on a terminal, and not when the user doesn't want them.
func paletteOf(g *globals, w io.Writer) palette {
	f, ok := w.(*os.File)
	if !ok || g.NoColor {
		return palette{}
	}
	info, err := f.Stat()
	return palette{on: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// tree prints a task as a tree: one line a span, a message and its receiver on one.
type tree struct {
	w io.Writer
	palette
}

func (t tree) task(task client.Task) {
	parts := []string{t.bold("task " + oneLine(task.ID, 80))}
	if task.Provisional {
		parts[0] += " (a trace without a task)"
	}
	if task.Type != "" {
		parts = append(parts, oneLine(task.Type, 40))
	}
	status := task.Status
	if status != "completed" && status != "running" {
		status = t.red(status)
	}
	parts = append(parts, status, humanDuration(task.DurationNs))
	if task.Quality != nil {
		parts = append(parts, fmt.Sprintf("quality %.1f", *task.Quality))
	}
	if task.Tokens.Total > 0 {
		parts = append(parts, humanCount(task.Tokens.Total)+" tokens")
	}
	if task.Cost != nil {
		cost := humanMoney(task.Cost.USD)
		if task.Cost.Unpriced > 0 {
			cost += fmt.Sprintf(" + %d calls of unknown price", task.Cost.Unpriced)
		}
		parts = append(parts, cost)
	}
	if task.Attempts > 1 {
		parts = append(parts, fmt.Sprintf("%d attempts", task.Attempts))
	}
	fmt.Fprintln(t.w, strings.Join(parts, " · "))
	if task.Cause != nil {
		fmt.Fprintln(t.w, t.red("   "+causeText(task.Cause)))
	}
	t.children(task.Tree, "", task.OtherLogs)
	if task.Cut {
		fmt.Fprintln(t.w, "   … the task has more spans than a tree can show; read its traces with `mindscope trace ID -o json`")
	}
	if task.Partial {
		fmt.Fprintln(t.w, t.red("   a part of the store did not answer: the tree is not complete"))
	}
}

func causeText(c *client.Cause) string {
	text := oneLine(c.Error, 160)
	if c.Agent == "" {
		return text
	}
	return oneLine(c.Agent, 40) + ": " + text
}

// children prints the nodes below a line and, as the last of them, the count of its log lines.
func (t tree) children(nodes []*client.Node, indent string, logLines int) {
	for i, n := range nodes {
		last := i == len(nodes)-1 && logLines == 0
		text, below, lines := t.line(n)
		branch, next := "├─ ", "│  "
		if last {
			branch, next = "└─ ", "   "
		}
		fmt.Fprintln(t.w, indent+branch+text)
		t.children(below, indent+next, lines)
	}
	if logLines > 0 {
		unit := " log lines"
		if logLines == 1 {
			unit = " log line"
		}
		fmt.Fprintln(t.w, indent+"└─ "+t.dim(humanCount(int64(logLines))+unit))
	}
}

// line returns the text of a node, the nodes below it and the log lines written in it. A message that was processed
// stands on one line with its receiver, whose children hang below.
func (t tree) line(n *client.Node) (text string, below []*client.Node, logLines int) {
	text = t.span(n)
	if n.Kind != "producer" {
		return text, n.Children, n.LogLines
	}
	var rest []*client.Node
	var process *client.Node
	for _, c := range n.Children {
		if c.Kind == "consumer" && process == nil {
			process = c
			continue
		}
		rest = append(rest, c)
	}
	if process == nil {
		return text, n.Children, n.LogLines
	}
	text += " ─▶ " + t.name(process)
	if process.Message != nil && process.Message.WaitMs > 0 {
		text += t.dim(" (waited " + humanDuration(int64(process.Message.WaitMs*1e6)) + ")")
	}
	text += t.failure(process)
	return text, append(rest, process.Children...), n.LogLines + process.LogLines
}

func (t tree) name(n *client.Node) string {
	name := oneLine(n.Name, 60)
	switch {
	case n.Operation == "invoke_workflow" && n.Name == "execute_task" && n.Agent != "":
		name += " " + oneLine(n.Agent, 40)
	case n.Artifact != nil:
		name += " " + oneLine(path.Base(n.Artifact.Key), 60)
	}
	if n.Status == "error" {
		return t.red(name)
	}
	return name
}

func (t tree) span(n *client.Node) string {
	text := t.name(n)
	if n.Running {
		text += " running"
	} else {
		text += " " + humanDuration(n.DurationNs)
	}
	if n.Tokens != nil {
		in := n.Tokens.Input + n.Tokens.CacheRead + n.Tokens.CacheWrite
		out := n.Tokens.Output + n.Tokens.Reasoning
		text += " · " + humanCount(in) + " → " + humanCount(out) + " tokens"
	}
	if n.USD != "" {
		text += " · " + humanMoney(n.USD)
	}
	if n.Artifact != nil {
		text += " · " + humanBytes(n.Artifact.Size)
	}
	if n.Quality != nil {
		text += fmt.Sprintf(" · quality %.1f", *n.Quality)
	}
	if n.Orphan {
		text += t.dim(" (its parent was not found)")
	}
	return text + t.failure(n)
}

func (t tree) failure(n *client.Node) string {
	if n.Status != "error" {
		return ""
	}
	if n.Error == "" {
		return " " + t.red("✕")
	}
	return " " + t.red("✕ "+oneLine(n.Error, 100))
}
