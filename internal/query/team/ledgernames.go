package team

import (
	"cmp"
	"path"
)

// lineGroup is the log records of a task that were written in one span and name their task alike.
type lineGroup struct {
	trace, span, agent, service string
	// unnamed: they don't carry the task's id.
	unnamed bool
	n       int
}

func (a *audit) lineAgent(l *lineGroup) string {
	if l.agent != "" {
		return l.agent
	}
	if i, ok := a.fold.index[SpanID{l.trace, l.span}]; ok && l.span != "" {
		return cmp.Or(a.agent(i), l.service)
	}
	return l.service
}

// unnamed tells whether a span does not say itself whose task it is.
func (s *Span) unnamed() bool { return s.Provisional || s.Inherited }

// checkNames asks whether everything carries the task's id. The place where it was lost is the topmost thing without,
// what lies below it follows; all of them are out of order.
func (a *audit) checkNames() {
	if !a.named {
		return
	}
	nearest := make([]int, len(a.fold.spans)) // the item above, -1 for none
	origin := make([]int, len(a.fold.spans))  // where an unnamed item's id was lost
	for _, i := range a.t.order {
		nearest[i] = -1
		if p := a.t.parent[i]; p >= 0 {
			nearest[i] = nearest[p]
			if a.spanItem[p] >= 0 {
				nearest[i] = p
			}
		}
		origin[i] = -1
		s := &a.fold.spans[i]
		if a.spanItem[i] < 0 || !s.unnamed() {
			continue
		}
		a.spoil(i)
		if a.anew(s.TraceID) {
			continue // the trace that was begun anew is the finding
		}
		origin[i] = i
		if up := nearest[i]; up >= 0 && a.fold.spans[up].unnamed() {
			origin[i] = origin[up]
		}
		a.noName(origin[i], i, nearest[origin[i]])
	}
}

// anew tells whether a trace was begun instead of continuing the task's. A link is a continuation.
func (a *audit) anew(trace string) bool {
	j, ok := a.joined[trace]
	return ok && j.By != ByLink
}

// noName notes that span i does not carry the task's id, which was lost at the span from, below the item up.
func (a *audit) noName(from, i, up int) {
	hop := a.items[a.spanItem[from]].hop
	if up >= 0 && a.fold.spans[up].Kind == "consumer" && hop == HopSpan {
		hop = HopMessage // it came with the message and was not taken over
	}
	s := &a.fold.spans[i]
	what := s.Name
	switch {
	case hop == HopRecord:
		what = cmp.Or(s.RecordTable, s.Collection)
	case hop == HopArtifact && s.Artifact != nil:
		what = path.Base(s.Artifact.Key)
	}
	noun := map[Hop]string{HopRecord: "record", HopArtifact: "artifact", HopLLM: "call"}[hop]
	a.note(findingKey{NoTaskID, hop, a.agent(from), ""}, i, what, func(n *noted) string {
		if noun == "" {
			return someone(n.Agent) + " dropped the task's id: " + things(n.Count, "span") + " from " + a.fold.spans[n.first].Name + " on " +
				agree(n.Count, "does", "do") + " not carry it"
		}
		return things(n.Count, noun) + " of " + someone(n.Agent) + some(n.what) + " " + agree(n.Count, "does", "do") + " not carry the task's id"
	})
}

// checkLines asks the same of log lines. Lines of a span that has lost the id itself follow from that.
func (a *audit) checkLines() {
	for i := range a.lines {
		l := &a.lines[i]
		at := len(a.items)
		a.items = append(a.items, item{hop: HopLog, n: l.n})
		if !a.named || !l.unnamed {
			continue
		}
		a.items[at].bad = true
		if a.follows(l) {
			continue
		}
		span := -1
		if j, ok := a.fold.index[SpanID{l.trace, l.span}]; ok && l.span != "" {
			span = j
		}
		for range l.n {
			a.note(findingKey{NoTaskID, HopLog, a.lineAgent(l), ""}, span, "", func(n *noted) string {
				return things(n.Count, "log line") + " of " + someone(n.Agent) + " " + agree(n.Count, "does", "do") + " not carry the task's id"
			})
		}
	}
}

// follows tells whether lines lack the id since the work they were written in lacks it.
func (a *audit) follows(l *lineGroup) bool {
	if a.anew(l.trace) {
		return true
	}
	i, ok := a.fold.index[SpanID{l.trace, l.span}]
	if !ok || l.span == "" {
		return false
	}
	for ; i >= 0; i = a.t.parent[i] {
		if a.spanItem[i] >= 0 {
			return a.fold.spans[i].unnamed()
		}
	}
	return false
}
