package team

// MaxDepth bounds the depth of a tree: readers of JSON give up at some depth, and people sooner. Deeper spans hang at
// that depth, beside their parent, and are marked.
const MaxDepth = 400

// Node is a span in the tree of a task.
type Node struct {
	Span
	// Orphan: the span names a parent that was not found.
	Orphan bool
	// Deep: the span hangs deeper than MaxDepth; it is shown beside its parent.
	Deep bool
	// LogLines counts the log records that were written in the span, or below it where no other line has them: a task,
	// an agent, the receiver of a message and a top span gather those of the spans below.
	LogLines int
	Children []*Node
}

// Tree builds the tree of spans, in order of start. It is total: every span is in it exactly once. Spans whose parent is
// not there hang at the top and are marked; a cycle is cut at its earliest span, which is marked too. rest is the number
// of log lines of no span in the tree.
func Tree(f *Fold, logLines map[SpanID]int) (top []*Node, rest int) {
	t := f.arrange()
	nodes := make([]*Node, len(f.spans))
	home := make([]int, len(f.spans)) // where a span's log lines are shown
	host := make([]int, len(f.spans)) // what a span hangs under, -1 at the top
	depth := make([]int, len(f.spans))
	for _, n := range logLines {
		rest += n
	}
	for _, i := range t.order {
		s, p := &f.spans[i], t.parent[i]
		nodes[i] = &Node{Span: *s, Orphan: t.orphan[i]}
		host[i], home[i], depth[i] = p, i, 1
		if p >= 0 {
			if depth[i] = depth[p] + 1; depth[i] > MaxDepth {
				host[i], depth[i], nodes[i].Deep = host[p], MaxDepth, true
			}
			if s.Operation != opTask && s.Operation != opAgent && s.Kind != "consumer" {
				home[i] = home[p]
			}
			nodes[i].waited(&f.spans[p])
		}
		lines := logLines[SpanID{s.TraceID, s.SpanID}]
		nodes[home[i]].LogLines += lines
		rest -= lines
	}
	for i := range f.spans { // in order of start
		if host[i] < 0 {
			top = append(top, nodes[i])
			continue
		}
		h := nodes[host[i]]
		h.Children = append(h.Children, nodes[i])
	}
	return top, rest
}

// waited takes the time in the queue from the clocks of both sides when the receiver doesn't say it.
func (n *Node) waited(sender *Span) {
	if n.Kind != "consumer" || sender.Kind != "producer" || n.Message != nil && n.Message.WaitMs > 0 {
		return
	}
	wait := n.Start - sender.End()
	if wait <= 0 {
		return
	}
	var m Message
	if n.Message != nil {
		m = *n.Message
	}
	m.WaitMs = float64(wait) / 1e6
	n.Message = &m
}
