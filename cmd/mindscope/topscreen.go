package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/mindscope/mindscope/internal/client"
)

// top is the screen of what runs. It is a tea.Model.
type top struct {
	palette
	server string
	// tasks is what the server told last, nil before; at is now, and the time of what was told when paused.
	tasks *client.RunningTasks
	at    time.Time
	gone  error
	// cursor is the task that is chosen; open shows the trees of all.
	cursor        int
	open, paused  bool
	troubled      bool // only tasks with something wrong
	width, height int
}

func newTop(server string, p palette) top {
	return top{palette: p, server: server, at: time.Now(), open: true, width: 120, height: 40}
}

// Init implements tea.Model.
func (top) Init() tea.Cmd { return tick() }

// Update implements tea.Model.
func (t top) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch m := msg.(type) {
	case tea.WindowSizeMsg:
		t.width, t.height = m.Width, m.Height
	case seenMsg:
		if !t.paused {
			t.tasks, t.gone = &m.tasks, nil
		}
	case goneMsg:
		t.gone = m.err
	case clockMsg:
		if !t.paused {
			t.at = time.Time(m)
		}
		return t, tick()
	case tea.KeyMsg:
		return t.key(m.String())
	}
	t.cursor = max(0, min(t.cursor, len(t.shown())-1))
	return t, nil
}

func (t top) key(name string) (tea.Model, tea.Cmd) {
	page := max(1, t.height-6)
	switch name {
	case "q", "esc", "ctrl+c":
		return t, tea.Quit
	case "up", "k":
		t.cursor--
	case "down", "j":
		t.cursor++
	case "pgup":
		t.cursor -= page
	case "pgdown", " ":
		t.cursor += page
	case "home", "g":
		t.cursor = 0
	case "end", "G":
		t.cursor = len(t.shown())
	case "t", "enter":
		t.open = !t.open
	case "w":
		t.troubled = !t.troubled
	case "p":
		t.paused = !t.paused
	}
	t.cursor = max(0, min(t.cursor, len(t.shown())-1))
	return t, nil
}

// View implements tea.Model.
func (t top) View() string { return t.frame() }

// wrong tells whether something is wrong with a task.
func wrong(r *client.RunningTask) bool { return r.Status == "lost" || r.Stuck || r.PingPong != nil }

// shown are the tasks in the list.
func (t top) shown() []client.RunningTask {
	if t.tasks == nil {
		return nil
	}
	if !t.troubled {
		return t.tasks.Tasks
	}
	var out []client.RunningTask
	for _, r := range t.tasks.Tasks {
		if wrong(&r) {
			out = append(out, r)
		}
	}
	return out
}

// frame draws the screen: a head, the tasks with their trees from the chosen one on, and what keys do. A height of 0 is
// as long as it takes.
func (t top) frame() string {
	lines := []string{t.head()}
	if t.gone != nil {
		lines = append(lines, t.red(cut(oneLine(t.gone.Error(), 200)+"; asking again", t.width)))
	}
	tasks := t.shown()
	if len(tasks) == 0 && t.gone == nil {
		text := "Nothing runs."
		if t.tasks == nil {
			text = "Asking …"
		}
		lines = append(lines, "", text)
	}
	if len(tasks) > 0 {
		lines = append(lines, t.bold(cut(row("", "TASK", "TYPE", "AGE", "USUAL", "HOLDER", "FOR", ""), t.width)))
	}
	room := t.height - len(lines) - 1
	// The list begins so far above the chosen task that this one is seen with its tree.
	from := 0
	if t.height > 0 {
		for from < t.cursor && t.tall(tasks[from:t.cursor+1]) > room {
			from++
		}
	}
	for i := from; i < len(tasks); i++ {
		lines = append(lines, t.task(&tasks[i], i == t.cursor && t.height > 0)...)
	}
	if t.height == 0 {
		return strings.Join(lines, "\n") + "\n"
	}
	body := lines[:min(len(lines), max(1, t.height-1))]
	for len(body) < t.height-1 {
		body = append(body, "")
	}
	return strings.Join(append(body, t.dim(cut("↑↓ choose  t trees  w only what is wrong  p pause  q quit", t.width))), "\n")
}

func (t top) tall(tasks []client.RunningTask) int {
	n := 0
	for i := range tasks {
		n += len(t.task(&tasks[i], false))
	}
	return n
}

func (t top) head() string {
	text := "mindscope top · " + t.server
	if t.tasks != nil {
		lost, stuck, circles := 0, 0, 0
		for i := range t.tasks.Tasks {
			r := &t.tasks.Tasks[i]
			if r.Status == "lost" {
				lost++
			}
			if r.Stuck {
				stuck++
			}
			if r.PingPong != nil {
				circles++
			}
		}
		text += fmt.Sprintf(" · %d running · %d lost · %d stuck · %d in circles", t.tasks.Total, lost, stuck, circles)
	}
	if t.paused {
		text += " · paused"
	}
	return t.bold(cut(text, t.width))
}

// row is a line of the list in columns.
func row(mark, task, kind, age, usual, holder, since, what string) string {
	line := pad(mark, 2) + pad(task, 26) + pad(kind, 14) + pad(age, 9) + pad(usual, 9) + pad(holder, 18) + pad(since, 9) + what
	return strings.TrimRight(line, " ")
}

// pad fills a text up to a width, or cuts it so that a space is left.
func pad(text string, n int) string {
	text = cut(text, n-1)
	return text + strings.Repeat(" ", n-utf8.RuneCountInString(text))
}

func cut(text string, n int) string {
	if n < 1 || utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

func (t top) task(r *client.RunningTask, chosen bool) []string {
	mark := ""
	if chosen {
		mark = ">"
	}
	var what []string
	if r.Status == "lost" {
		what = append(what, "lost at "+oneLine(first(r.Holder.Agent, r.Holder.Span), 30))
	}
	if r.Stuck {
		what = append(what, "stuck")
	}
	if r.PingPong != nil && len(r.PingPong.Agents) == 2 {
		what = append(what, fmt.Sprintf("%s ⇄ %s %d times, no better", oneLine(r.PingPong.Agents[0], 20), oneLine(r.PingPong.Agents[1], 20), r.PingPong.Handovers))
	}
	if r.Quality != nil {
		what = append(what, fmt.Sprintf("quality %.1f", *r.Quality))
	}
	line := cut(row(mark, oneLine(r.ID, 60), oneLine(r.Type, 40), t.age(r.Since), usual(r.UsualNs), oneLine(first(r.Holder.Agent, r.Holder.Span), 40),
		t.age(r.Holder.Since), strings.Join(what, ", ")), t.width)
	switch {
	case wrong(r):
		line = t.red(line)
	case chosen:
		line = t.bold(line)
	}
	lines := []string{line}
	if t.open {
		lines = t.tree(lines, r.Tree, "     ")
	}
	return lines
}

// age is the time since then; clocks that are ahead make it 0.
func (t top) age(since time.Time) string { return humanDuration(int64(max(0, t.at.Sub(since)))) }

func usual(ns int64) string {
	if ns == 0 {
		return "–"
	}
	return humanDuration(ns)
}

// tree adds the lines of running spans. The first line of a task with nothing below says only whom it waits for.
func (t top) tree(lines []string, nodes []client.RunningSpan, indent string) []string {
	for i := range nodes {
		n := &nodes[i]
		branch, below := "├─ ", "│  "
		if i == len(nodes)-1 {
			branch, below = "└─ ", "   "
		}
		line := cut(indent+branch+t.node(n), t.width)
		if n.Lost {
			line = t.red(line)
		}
		lines = t.tree(append(lines, line), n.Children, indent+below)
	}
	return lines
}

// node says who runs, for how long and whom it waits for.
func (t top) node(n *client.RunningSpan) string {
	text := oneLine(first(n.Agent, n.Name), 40) + " " + t.age(n.Since)
	if n.UsualNs > 0 {
		text += " of usually " + humanDuration(n.UsualNs)
	}
	parts := []string{text}
	if n.Lost {
		parts = append(parts, "lost")
	}
	for _, w := range n.WaitsFor {
		wait := "waits for " + oneLine(w.Agent, 40) + " " + t.age(w.Since)
		if w.Queued {
			wait += " (in the queue)"
		}
		parts = append(parts, wait)
	}
	return strings.Join(parts, " · ")
}
