package team

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// drawn draws a tree as indented names, with what is marked.
func drawn(nodes []*Node) string {
	var b strings.Builder
	var draw func(nodes []*Node, indent string)
	draw = func(nodes []*Node, indent string) {
		for _, n := range nodes {
			b.WriteString(indent + n.Name)
			if n.Orphan {
				b.WriteString(" (orphan)")
			}
			if n.LogLines > 0 {
				fmt.Fprintf(&b, " (%d lines)", n.LogLines)
			}
			if n.Message != nil && n.Message.WaitMs > 0 {
				fmt.Fprintf(&b, " (waited %v)", n.Message.WaitMs)
			}
			b.WriteString("\n")
			draw(n.Children, indent+"  ")
		}
	}
	draw(nodes, "")
	return b.String()
}

func TestTree(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		top, rest := Tree(foldOf(t, text), nil)
		if diff := cmp.Diff(want, drawn(top)); diff != "" || rest != 0 {
			t.Errorf("%s\nrest %d, (-want +got)\n%s", text, rest, diff)
		}
	}
	// By start, whatever the order of arrival; a child may start before its parent.
	f(`root | 1s 9s
  b | 3s 1s
  a | 0s 1s
`, "root\n  a\n  b\n")
	// Several roots, a parent that is not there, traces apart although the span ids are the same.
	f(`one | 1s 9s | id=1
  child | 2s 1s
lost | 0s 1s | parent=99
trace 2
two | 3s 1s | id=1
  child of two | 4s 1s | id=7`, "lost (orphan)\none\n  child\ntwo\n  child of two\n")
	// Cycles are cut at their earliest span; what hangs below stays.
	f(`b | 2s 1s | id=b parent=a
  below | 3s 1s
a | 1s 1s | id=a parent=b
self | 4s 1s | id=c parent=c`, "a (orphan)\n  b\n    below\nself (orphan)\n")
	// The wait is what the consumer says, else what the clocks say.
	f(`send | 0s 1s | kind=producer messaging.destination.name=q
  process said | 3s 1s | kind=consumer messaging.destination.name=q wait=7
  process silent | 3s 1s | kind=consumer messaging.destination.name=q
  process bare | 4s 1s | kind=consumer
  process early | 0s 1s | kind=consumer`,
		"send\n  process early\n  process said (waited 7)\n  process silent (waited 2000)\n  process bare (waited 3000)\n")
}

func TestTreeLogLines(t *testing.T) {
	fold := foldOf(t, `execute_task | 0s 9s | id=1 mindscope.operation=invoke_workflow
  send | 1s 1s | id=2 kind=producer
    process | 2s 1s | id=3 kind=consumer
      invoke_agent a | 3s 1s | id=4 mindscope.operation=invoke_agent
        chat | 3s 1s | id=5 mindscope.operation=chat
root | 0s 1s | id=6
  child | 0s 1s | id=7`)
	lines := map[SpanID]int{{}: 100}
	for i := range fold.Spans() {
		s := &fold.spans[i]
		lines[SpanID{s.TraceID, s.SpanID}] = 1
	}
	lines[SpanID{"another trace", fold.spans[0].SpanID}] = 1000
	top, rest := Tree(fold, lines)
	want := "execute_task (2 lines)\n  send\n    process (1 lines)\n      invoke_agent a (2 lines)\n        chat\nroot (2 lines)\n  child\n"
	if diff := cmp.Diff(want, drawn(top)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if rest != 1100 {
		t.Errorf("%d lines elsewhere, want 1100", rest)
	}
}

func TestTreeDepth(t *testing.T) {
	const deep = 20_000
	f := &Fold{}
	for i := range deep {
		s := Span{TraceID: "t", SpanID: fmt.Sprint(i + 1), Start: int64(i)}
		if i > 0 {
			s.ParentID = fmt.Sprint(i)
		}
		f.Add(s)
	}
	top, _ := Tree(f, nil)
	spans, depth := size(top)
	if spans != deep || depth != MaxDepth {
		t.Errorf("%d spans to a depth of %d, want %d and %d", spans, depth, deep, MaxDepth)
	}
}

func size(nodes []*Node) (spans, depth int) {
	for _, n := range nodes {
		s, d := size(n.Children)
		spans, depth = spans+s+1, max(depth, d+1)
	}
	return spans, depth
}

// FuzzTree builds trees of random parents: every span is in the tree exactly once, and what a summary counts is there.
func FuzzTree(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 0, 3, 2, 2})
	f.Add([]byte{255, 0, 0, 1, 2, 3, 9, 4})
	f.Fuzz(func(t *testing.T, parents []byte) {
		fold := &Fold{}
		for i, p := range parents {
			s := Span{
				TraceID: fmt.Sprint(p % 2), SpanID: fmt.Sprint(i), Start: int64(p) * 7 % 11, Duration: int64(p) - 100,
				Operation: []string{"", "chat", "invoke_workflow", "invoke_agent"}[p%4], HasTokens: p%3 == 0, Tokens: Tokens{Input: 1},
				Status: []string{"unset", "error"}[p%5/4], Running: p%7 == 0, Kind: []string{"producer", "consumer"}[i%2],
			}
			if p != 255 {
				s.ParentID = fmt.Sprint(p)
			}
			fold.Add(s)
		}
		top, _ := Tree(fold, nil)
		if spans, _ := size(top); spans != fold.Len() {
			t.Fatalf("%d spans in the tree, %d were put in", spans, fold.Len())
		}
		seen := map[SpanID]bool{}
		var visit func(nodes []*Node)
		visit = func(nodes []*Node) {
			for i, n := range nodes {
				id := SpanID{n.TraceID, n.SpanID}
				if seen[id] {
					t.Fatalf("span %v is in the tree twice", id)
				}
				if seen[id] = true; i > 0 && nodes[i-1].Start > n.Start {
					t.Fatalf("%v begins before the span above it", id)
				}
				visit(n.Children)
			}
		}
		visit(top)
		sum := fold.Summary(1000)
		if sum.Spans != fold.Len() || sum.Tokens.Total() > int64(fold.Len()) || fold.Len() > 0 && (sum.Attempts == 0 || sum.Status == "") {
			t.Fatalf("summary %+v", sum)
		}
	})
}
