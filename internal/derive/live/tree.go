package live

import (
	"cmp"
	"slices"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
)

// Node is a running span in a task's tree.
type Node struct {
	Agent, Name, TraceID, SpanID string
	Since, LastSign              time.Time
	// Lost: it missed three heartbeats.
	Lost bool
	// Usual is the 95th percentile of its kind: of the task's type, of the agent's invocations. 0 when it is not known.
	Usual time.Duration
	// WaitsFor are whom it gave work to and who did not answer yet.
	WaitsFor []Wait
	Children []*Node
}

// Wait is work that was given away.
type Wait struct {
	Agent string
	Since time.Time
	// Queued: nobody has been seen to work on it.
	Queued bool
}

// treeOf hangs running spans under each other: by parent, else, since the spans between (messages) are not known before
// they end, under the one that gave the agent its work last, else under the earliest one of the task.
func treeOf(spans []span, f *flow, now int64) []*Node {
	nodes, at := make([]*Node, len(spans)), map[[2]string]int{}
	for i := range spans {
		s := &spans[i]
		nodes[i] = &Node{
			Agent: s.Agent, Name: s.Name, TraceID: s.Trace, SpanID: s.ID, Since: timeOf(s.Start), LastSign: timeOf(s.Sign),
			Lost: now-s.Sign > int64(SilentAfter),
		}
		at[[2]string{s.Trace, s.ID}] = i
	}
	var top []*Node
	host := make([]int, len(spans))
	for i := range spans {
		host[i] = hostOf(spans, f, at, i)
	}
	for i := range spans {
		if h := host[i]; h >= 0 && !circular(host, i) {
			nodes[h].Children = append(nodes[h].Children, nodes[i])
			continue
		}
		host[i] = -1
		top = append(top, nodes[i])
	}
	for i := range spans {
		nodes[i].wait(f)
	}
	return top
}

func hostOf(spans []span, f *flow, at map[[2]string]int, i int) int {
	s := &spans[i]
	if p, ok := at[[2]string{s.Trace, s.Parent}]; ok && p != i {
		return p
	}
	if s.Parent == "" || i == 0 {
		return -1
	}
	if f != nil {
		for _, c := range slices.Backward(f.Open) {
			if c.To != s.Agent || s.Agent == "" {
				continue
			}
			for j := range spans {
				if j != i && spans[j].Agent == c.From && spans[j].Start <= s.Start {
					return j
				}
			}
		}
	}
	return 0
}

// circular tells whether a span would hang under itself; the cycle is cut there.
func circular(host []int, i int) bool {
	for at, steps := host[i], 0; at >= 0; at, steps = host[at], steps+1 {
		if at == i || steps > len(host) {
			return true
		}
	}
	return false
}

// wait tells whom a node waits for: the agents that it gave work to.
func (n *Node) wait(f *flow) {
	seen := map[string]bool{}
	for _, c := range n.Children {
		if c.Agent != "" && c.Agent != n.Agent && !seen[c.Agent] {
			seen[c.Agent] = true
			n.WaitsFor = append(n.WaitsFor, Wait{Agent: c.Agent, Since: c.Since})
		}
	}
	if f == nil || n.Agent == "" {
		return
	}
	for _, c := range f.Open {
		if c.From != n.Agent || c.To == "" {
			continue
		}
		if seen[c.To] {
			for i := range n.WaitsFor {
				if w := &n.WaitsFor[i]; w.Agent == c.To && timeOf(c.Sent).Before(w.Since) {
					w.Since = timeOf(c.Sent)
				}
			}
			continue
		}
		seen[c.To] = true
		n.WaitsFor = append(n.WaitsFor, Wait{Agent: c.To, Since: timeOf(c.Sent), Queued: true})
	}
	slices.SortFunc(n.WaitsFor, func(a, b Wait) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Agent, b.Agent)) })
}

// measure asks how long things usually take, each kind once.
func (v *View) measure(p signal.Project, tasks []Task, now time.Time) {
	if v.cfg.Usual == nil {
		return
	}
	type kind struct{ team, taskType, agent string }
	known := map[kind]time.Duration{}
	usual := func(k kind, ask func() (time.Duration, bool)) time.Duration {
		d, ok := known[k]
		if !ok {
			if d, ok = ask(); !ok {
				d = 0
			}
			known[k] = d
		}
		return d
	}
	for i := range tasks {
		t := &tasks[i]
		t.Usual = usual(kind{t.Team, t.Type, ""}, func() (time.Duration, bool) { return v.cfg.Usual.Task(p, t.Team, t.Type) })
		t.Stuck = t.Usual > 0 && now.Sub(t.Since) > stuckFactor*t.Usual && now.Sub(t.Moved) >= stuckSilence
		var walk func(nodes []*Node)
		walk = func(nodes []*Node) {
			for _, n := range nodes {
				n.Usual = t.Usual
				if isAgent(n.Name) {
					n.Usual = usual(kind{t.Team, "", n.Agent}, func() (time.Duration, bool) { return v.cfg.Usual.Agent(p, t.Team, n.Agent) })
				}
				walk(n.Children)
			}
		}
		walk(t.Tree)
	}
}
