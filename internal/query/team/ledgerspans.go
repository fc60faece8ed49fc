package team

import (
	"cmp"
	"slices"
	"strings"
)

// classify finds out what each span is an item of.
func (a *audit) classify() {
	for _, m := range a.messages {
		m.item = a.add(HopMessage)
		for _, i := range append(append([]int{}, m.sends...), m.processes...) {
			a.spanItem[i] = m.item
		}
	}
	for i := range a.fold.spans {
		if hop, ok := a.hopOf(i); ok && a.spanItem[i] < 0 {
			a.spanItem[i] = a.add(hop)
		}
	}
}

// hopOf returns the hop that a span is at, false for spans that are none: what lies between is not accounted for.
func (a *audit) hopOf(i int) (Hop, bool) {
	s := &a.fold.spans[i]
	switch {
	case s.Kind == "producer", s.Kind == "consumer":
		return HopMessage, true
	case s.Inference():
		return HopLLM, a.t.counts[i]
	case s.isRecord():
		return HopRecord, true
	case s.isArtifact():
		return HopArtifact, true
	case s.Operation == opTask, s.Operation == opAgent:
		return HopSpan, true
	}
	return "", false
}

// isRecord tells whether the span wrote or read a record of the team's, or wrote any row.
func (s *Span) isRecord() bool {
	return s.RecordTable != "" || s.Kind == "client" && s.Collection != "" && strings.HasPrefix(strings.ToUpper(s.Name), "INSERT")
}

func (s *Span) isArtifact() bool {
	return s.Artifact != nil || s.Name == "save_artifact" || s.Name == "load_artifact"
}

// absent is a parent that is named and not there, with the spans that name it.
type absent struct {
	id       SpanID
	children []int
}

// checkStructure asks whether spans hang together: whether parents, roots and ends are there.
func (a *audit) checkStructure() {
	gone := a.absentParents()
	a.explain(gone)
	for i := range a.fold.spans {
		if a.t.orphan[i] && a.present(i) {
			a.spoil(i)
			a.note(findingKey{Cycle, HopSpan, a.agent(i), ""}, i, a.fold.spans[i].Name, func(n *noted) string {
				return things(n.Count, "span") + " of " + someone(n.Agent) + some(n.what) + " " + agree(n.Count, "is its", "are their") + " own ancestor"
			})
		}
	}
	a.checkEnds()
	if a.open {
		return
	}
	for i := range a.fold.spans {
		if s := &a.fold.spans[i]; a.t.parent[i] < 0 && (s.ParentID == "" || a.entry(i)) {
			a.rooted[s.TraceID] = true
		}
	}
	rootless := map[string]bool{}
	for _, g := range gone {
		if !a.rooted[g.id.Trace] && !rootless[g.id.Trace] {
			rootless[g.id.Trace] = true
			a.lostRoot(g)
			continue
		}
		a.lostParent(g)
	}
}

// present tells whether the parent that a span names is there: then it hangs at the top since a cycle was cut.
func (a *audit) present(i int) bool {
	s := &a.fold.spans[i]
	_, ok := a.fold.index[SpanID{s.TraceID, s.ParentID}]
	return ok
}

// absentParents returns the parents that never arrived, in order of their first child. A span through which work comes in
// from outside the team may name a caller that nobody knows.
func (a *audit) absentParents() []*absent {
	var out []*absent
	byID := map[SpanID]*absent{}
	for i := range a.fold.spans {
		s := &a.fold.spans[i]
		if !a.t.orphan[i] || a.present(i) || a.entry(i) {
			continue
		}
		id := SpanID{s.TraceID, s.ParentID}
		g := byID[id]
		if g == nil {
			g = &absent{id: id}
			byID[id] = g
			out = append(out, g)
		}
		g.children = append(g.children, i)
	}
	return out
}

// entry tells whether work comes in by a span: a task that a caller ordered, a request, a message of somebody who reports
// nothing.
func (a *audit) entry(i int) bool {
	s := &a.fold.spans[i]
	if s.Kind == "consumer" {
		m := a.ofSpan[i]
		return len(m.sends) == 0 && !a.habits.sends[m.from]
	}
	return s.Operation == opTask || s.Kind == "server"
}

// explain finds out which absent parents are the receiver's span of a message that nobody seems to have taken: the work
// below it is of the receiver and began after the message was sent.
func (a *audit) explain(gone []*absent) {
	type way struct{ trace, to string }
	untaken := map[way][]*message{}
	for _, m := range a.messages {
		if !m.consumed() && m.to != "" {
			w := way{a.fold.spans[m.sends[0]].TraceID, m.to}
			untaken[w] = append(untaken[w], m)
		}
	}
	for _, g := range gone {
		s := &a.fold.spans[g.children[0]]
		w := way{s.TraceID, a.agent(g.children[0])}
		ms := untaken[w]
		if len(ms) > 0 && s.Start >= a.fold.spans[ms[0].sends[0]].Start-int64(clockSlack) {
			ms[0].implied = true
			a.guessed[g.id] = ms[0]
			untaken[w] = ms[1:]
		}
	}
}

// runs tells whether some child still runs: then the parent has not ended either, and its own end will be missed.
func (a *audit) runs(g *absent) bool {
	for _, i := range g.children {
		if a.fold.spans[i].Running {
			return true
		}
	}
	return false
}

func (a *audit) lostRoot(g *absent) {
	if a.runs(g) {
		return
	}
	a.items[a.add(HopSpan)].bad = true
	for range g.children {
		a.note(findingKey{MissingRoot, HopSpan, a.agent(g.children[0]), g.id.Trace}, g.children[0], "", func(n *noted) string {
			return "the root of trace " + n.Peer + " never arrived; " + things(n.Count, "span") + " " + agree(n.Count, "hangs", "hang") + " under it"
		})
	}
}

func (a *audit) lostParent(g *absent) {
	if a.runs(g) {
		return
	}
	a.items[a.add(HopSpan)].bad = true
	for _, i := range g.children {
		a.note(findingKey{Orphan, HopSpan, a.agent(i), ""}, i, a.fold.spans[i].Name, func(n *noted) string {
			return things(n.Count, "span") + " of " + someone(n.Agent) + some(n.what) + " " + agree(n.Count, "hangs", "hang") + " under a span that never arrived"
		})
	}
}

// checkEnds notes work that began and never ended, though the task has: at the spans that have nothing running below.
func (a *audit) checkEnds() {
	if a.open {
		return
	}
	below := make([]bool, len(a.fold.spans))
	for _, i := range slices.Backward(a.t.order) {
		s := &a.fold.spans[i]
		if p := a.t.parent[i]; p >= 0 {
			below[p] = below[p] || below[i] || s.Running
		}
		if !s.Running {
			continue
		}
		a.spoil(i)
		if m := a.workOn(i); m != nil {
			m.lost = true
		}
		if below[i] {
			continue
		}
		a.note(findingKey{NotEnded, HopSpan, a.agent(i), ""}, i, s.Name, func(n *noted) string {
			return someone(n.Agent) + " began " + strings.Join(n.what, ", ") + " and never ended it"
		})
	}
}

// workOn returns the message that a span is work on, nil for none: by its ancestors, else by what explain found.
func (a *audit) workOn(i int) *message {
	if m := a.above(i); m != nil {
		return m
	}
	for a.t.parent[i] >= 0 {
		i = a.t.parent[i]
	}
	return a.guessed[SpanID{a.fold.spans[i].TraceID, a.fold.spans[i].ParentID}]
}

// spoil marks the item of a span.
func (a *audit) spoil(i int) {
	if at := a.spanItem[i]; at >= 0 {
		a.items[at].bad = true
	}
}

// checkCalls asks whether calls of models tell what they used. One that failed used nothing.
func (a *audit) checkCalls() {
	for i := range a.fold.spans {
		s := &a.fold.spans[i]
		if at := a.spanItem[i]; at < 0 || a.items[at].hop != HopLLM || s.HasTokens || s.Failed() || s.Running {
			continue
		}
		a.spoil(i)
		a.note(findingKey{NoUsage, HopLLM, a.agent(i), ""}, i, cmp.Or(s.Model, s.Name), func(n *noted) string {
			return things(n.Count, "call") + " of " + someone(n.Agent) + some(n.what) + " " + agree(n.Count, "reports", "report") + " no tokens"
		})
	}
}
