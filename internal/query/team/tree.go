package team

// Node is a span in the tree of a task.
type Node struct {
	Span
	// Orphan: the span names a parent that was not found.
	Orphan bool
	// LogLines counts the log records written in the span.
	LogLines int
	Children []*Node
}

// Tree builds the tree of spans, in order of start. It is total: every span is in it exactly once. Spans whose parent is
// not there hang at the top and are marked; a cycle is cut at its earliest span, which is marked too.
func Tree(f *Fold, logLines map[string]int) []*Node {
	spans := f.Spans()
	nodes := make([]*Node, len(spans))
	for i := range spans {
		nodes[i] = &Node{Span: spans[i], LogLines: logLines[spans[i].SpanID]}
	}
	var top []*Node
	placed := make([]bool, len(spans))
	for i := range spans {
		if _, ok := f.parent(i); !ok {
			nodes[i].Orphan = spans[i].ParentID != ""
			top = append(top, nodes[i])
			placed[i] = true
		}
	}
	children := make([][]int, len(spans))
	for i := range spans {
		if p, ok := f.parent(i); ok {
			children[p] = append(children[p], i)
		}
	}
	var queue []int
	reach := func(i int) {
		for queue = append(queue[:0], i); len(queue) > 0; queue = queue[1:] {
			for _, c := range children[queue[0]] {
				if !placed[c] {
					placed[c] = true
					nodes[queue[0]].Children = append(nodes[queue[0]].Children, nodes[c])
					queue = append(queue, c)
				}
			}
		}
	}
	for i := range spans {
		if _, ok := f.parent(i); !ok {
			reach(i)
		}
	}
	for i := range spans { // what is left hangs in cycles
		if !placed[i] {
			placed[i] = true
			nodes[i].Orphan = true
			top = append(top, nodes[i])
			reach(i)
		}
	}
	return top
}
