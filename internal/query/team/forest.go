package team

import (
	"cmp"
	"slices"
)

// Operations that give a span its place in a task.
const (
	opTask  = "invoke_workflow"
	opAgent = "invoke_agent"
)

// forest is how the spans of a Fold hang together. Every slice has one entry a span, in order of the spans' start.
type forest struct {
	// parent is the index of the parent, -1 at the top. A cycle is cut at its earliest span.
	parent []int
	// orphan: the span names a parent and hangs at the top all the same.
	orphan   []bool
	children [][]int
	// order holds every index once, parents before their children.
	order []int
	// agent is whose work a span is: its own word, else its parent's.
	agent []string
	// counts marks the spans that tokens and money are counted from.
	counts []bool
}

// arrange sorts the spans and finds out how they hang together, once after each change.
func (f *Fold) arrange() *forest {
	if f.forest != nil {
		return f.forest
	}
	slices.SortFunc(f.spans, func(a, b Span) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.TraceID, b.TraceID), cmp.Compare(a.SpanID, b.SpanID),
			cmp.Compare(a.Duration, b.Duration), cmp.Compare(a.Name, b.Name))
	})
	for i := range f.spans {
		f.index[SpanID{f.spans[i].TraceID, f.spans[i].SpanID}] = i
	}
	n := len(f.spans)
	t := &forest{
		parent: make([]int, n), orphan: make([]bool, n), children: make([][]int, n),
		order: make([]int, 0, n), agent: make([]string, n), counts: make([]bool, n),
	}
	for i := range f.spans {
		t.parent[i] = f.parentOf(i)
	}
	t.cutCycles()
	for i := range f.spans {
		p := t.parent[i]
		if p < 0 {
			t.orphan[i] = f.spans[i].ParentID != ""
			t.order = append(t.order, i)
			continue
		}
		t.children[p] = append(t.children[p], i)
	}
	for at := 0; at < len(t.order); at++ {
		t.order = append(t.order, t.children[t.order[at]]...)
	}
	f.inherit(t)
	f.markCounted(t)
	f.forest = t
	return t
}

func (f *Fold) parentOf(i int) int {
	s := &f.spans[i]
	if s.ParentID == "" {
		return -1
	}
	p, ok := f.index[SpanID{s.TraceID, s.ParentID}]
	if !ok || p == i {
		return -1
	}
	return p
}

// cutCycles lets the earliest span of each cycle of parents have none. It visits each span once.
func (t *forest) cutCycles() {
	seen := make([]int, len(t.parent)) // the walk that came by, 0 for none
	for start := range t.parent {
		walk, i := start+1, start
		for i >= 0 && seen[i] == 0 {
			seen[i] = walk
			i = t.parent[i]
		}
		if i < 0 || seen[i] != walk {
			continue
		}
		earliest := i
		for j := t.parent[i]; j != i; j = t.parent[j] {
			earliest = min(earliest, j)
		}
		t.parent[earliest] = -1
	}
}

// inherit finds out whose work each span is. The receiver of a message is whom it was sent to.
func (f *Fold) inherit(t *forest) {
	for _, i := range t.order {
		s := &f.spans[i]
		t.agent[i] = s.Agent
		if t.agent[i] == "" && s.Kind == "consumer" && s.Message != nil {
			t.agent[i] = s.Message.To
		}
		if t.agent[i] == "" && t.parent[i] >= 0 {
			t.agent[i] = t.agent[t.parent[i]]
		}
	}
}

// markCounted marks the calls of models without another call below them, and the other spans with tokens that have
// neither a call nor a span with tokens below them.
func (f *Fold) markCounted(t *forest) {
	call, tokens := make([]bool, len(f.spans)), make([]bool, len(f.spans)) // at the span or below it
	for _, i := range slices.Backward(t.order) {
		s := &f.spans[i]
		switch {
		case s.Inference():
			t.counts[i] = !call[i]
			call[i] = true
		case s.HasTokens:
			t.counts[i] = !call[i] && !tokens[i]
			tokens[i] = true
		}
		if p := t.parent[i]; p >= 0 {
			call[p] = call[p] || call[i]
			tokens[p] = tokens[p] || tokens[i]
		}
	}
}
