package traceql

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/test/harness"
)

// sampleCases reads a list of recorded cases: a comment, the query, a line "==>", and the tree.
func sampleCases(t testing.TB, name string) (queries, trees []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(harness.NeedSamples(t), "queries", "traceql", name))
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(string(text), "\n\n") {
		query, tree, ok := strings.Cut(block, "\n==>\n")
		if !ok {
			continue
		}
		_, query, _ = strings.Cut(query, "\n")
		queries, trees = append(queries, query), append(trees, strings.TrimSpace(tree))
	}
	if len(queries) < 5 {
		t.Fatalf("%s: %d cases", name, len(queries))
	}
	return queries, trees
}

func TestRecordedValidQueries(t *testing.T) {
	queries, _ := sampleCases(t, "validQueries.txt")
	for _, text := range queries {
		roundTrip(t, text)
	}
}

// roundTrip wants a query to parse, and its tree to be written so that it parses to the same.
func roundTrip(t testing.TB, text string) {
	t.Helper()
	q, err := Parse(text)
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return
	}
	again, err := Parse(q.String())
	if err != nil {
		t.Errorf("%s is written as %s, which does not parse: %v", text, q, err)
		return
	}
	if q.String() != again.String() {
		t.Errorf("%s is written as %s, and that as %s", text, q, again)
	}
}

func TestRecordedInvalidQueries(t *testing.T) {
	queries, _ := sampleCases(t, "invalidQueries.txt")
	for _, text := range queries {
		var syntax *SyntaxError
		if q, err := Parse(text); !errors.As(err, &syntax) {
			t.Errorf("%s parses as %s, %v", text, q, err)
		}
	}
}

// TestRecordedTrees compares what the recorded trees and ours have in common: constants with their types, attributes with their
// scopes, and the operators between them, in order. (How strong operators bind is not in the recorded trees: that
// grammar is for highlighting and has no such rules.)
func TestRecordedTrees(t *testing.T) {
	queries, trees := sampleCases(t, "expression.txt")
	for i, text := range queries {
		q, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(recordedLeaves(trees[i]), leavesOf(q)); diff != "" {
			t.Errorf("%s (-recorded +ours):\n%s", text, diff)
		}
		roundTrip(t, text)
	}
}

func recordedLeaves(tree string) []string {
	names := map[string]string{
		"Identifier": "attribute", "Integer": "int", "Float": "float", "Duration": "duration", "String": "text", "Static": "word",
		"IntrinsicField": "intrinsic", "Resource": "resource", "Span": "span", "FieldOp": "op", "ComparisonOp": "op",
		"And": "and", "Or": "or", "Pipe": "|", "UnionStructuralOp": "relation", "ExperimentalOp": "relation", "Desc": "relation",
		"HintIdentifier": "hint", "HintValue": "value",
	}
	var out []string
	for _, m := range regexp.MustCompile(`[A-Za-z]+[,)]`).FindAllString(tree, -1) {
		if name, ok := names[m[:len(m)-1]]; ok {
			out = append(out, name)
		}
	}
	return out
}

func leavesOf(q *Query) []string {
	var l leaves
	l.stages(q.Stages)
	l.metrics(q.Metrics)
	for range q.Hints {
		l.add("hint", "value")
	}
	return l.out
}

type leaves struct{ out []string }

func (l *leaves) add(names ...string) { l.out = append(l.out, names...) }

func (l *leaves) stages(stages []Stage) {
	for i, s := range stages {
		if i > 0 {
			l.add("|")
		}
		l.stage(s)
	}
}

func (l *leaves) stage(s Stage) {
	switch s := s.(type) {
	case *Filter:
		l.expr(s.E)
	case *SpansetOp:
		l.stage(s.L)
		l.add(map[bool]string{true: "relation"}[isStructural(s.Op)] + map[string]string{"&&": "and", "||": "or"}[s.Op])
		l.stage(s.R)
	case *Pipeline:
		l.stages(s.Stages)
	case *GroupBy:
		for _, e := range s.By {
			l.expr(e)
		}
	case *Select:
		for _, f := range s.Fields {
			l.expr(f)
		}
	case *ScalarFilter:
		l.scalar(s.L)
		l.add("op")
		l.scalar(s.R)
	}
}

func (l *leaves) scalar(s Scalar) {
	switch s := s.(type) {
	case *Aggregate:
		l.expr(s.E)
	case *Literal:
		l.expr(s)
	}
}

func (l *leaves) expr(e Expr) {
	switch e := e.(type) {
	case *Literal:
		l.add(map[Type]string{TypeInt: "int", TypeFloat: "float", TypeDuration: "duration", TypeString: "text"}[e.Value.typ])
		if last := &l.out[len(l.out)-1]; *last == "" {
			*last = "word"
		}
	case *Field:
		if e.Attribute.Intrinsic != NoIntrinsic {
			l.add("intrinsic")
			return
		}
		if e.Attribute.Scope != ScopeNone {
			l.add(e.Attribute.Scope.String())
		}
		l.add("attribute")
	case *Unary:
		l.expr(e.E)
	case *Binary:
		l.expr(e.L)
		l.add(map[Op]string{OpAnd: "and", OpOr: "or"}[e.Op])
		if last := &l.out[len(l.out)-1]; *last == "" {
			*last = "op"
		}
		l.expr(e.R)
	}
}

func (l *leaves) metrics(m MetricsExpr) {
	q, ok := m.(*MetricsQuery)
	if !ok {
		return
	}
	l.stages(q.Stages)
	l.add("|")
	l.expr(q.E)
	if c := q.Compare; c != nil {
		l.stage(c.Selection)
		if c.full {
			l.add("int", "int", "int")
		}
	}
	for _, f := range q.By {
		l.expr(f)
	}
	for range q.Second {
		l.add("|", "int")
	}
}

func TestWritten(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		q, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		if q.String() != want {
			t.Errorf("%s is written as %s, want %s", text, q, want)
		}
		roundTrip(t, text)
	}
	f(`{}`, `{ }`)
	f(`{ .a = 1 || .b = 2 && .c = 3 }`, `{ (.a = 1) || ((.b = 2) && (.c = 3)) }`)
	f(`{ 1 - 2 - 3 * 4 ^ 5 ^ 6 = -span.a }`, `{ ((1 - 2) - (3 * (4 ^ (5 ^ 6)))) = (-span.a) }`)
	f(`{ !.a && !(.b = 1) }`, `{ (!.a) && (!(.b = 1)) }`)
	f(`{ duration>1h30m&&name=~"a|b" }`, `{ (duration > 1h30m0s) && (name =~ "a|b") }`)
	f("{ .a = `x\"\\y` }", `{ .a = "x\"\\y" }`)
	f(`{ ."with space" = "a" }`, `{ ."with space" = "a" }`)
	f(`{ parent.span.x = parent.resource.y || parent.z }`, `{ (parent.span.x = parent.resource.y) || parent.z }`)
	f(`{ ."span.x" = 1 && ."9" = 2 && parent."resource.z" = 3 }`, `{ ((."s"pan.x = 1) && (."9" = 2)) && (parent."r"esource.z = 3) }`)
	f(`{ span:duration > 5us && trace:id = "a" && event:name = "e" && span:childCount > 2 && link:spanID != nil }`,
		`{ ((((span:duration > 5µs) && (trace:id = "a")) && (event:name = "e")) && (span:childCount > 2)) && (link:spanID != nil) }`)
	f(`{ status = error && kind = server && parent = nil }`, `{ ((status = error) && (kind = server)) && (parent = nil) }`)
	f(`{ nestedSetParent < 0 && .a > minInt }`, `{ (nestedSetParent < 0) && (.a > minInt) }`)
	f(`{ .a } && { .b } || { .c } >> { .d }`, `({ .a } && { .b }) || ({ .c } >> { .d })`)
	f(`{ .a } !>> { .b } &<< { .c } !~ { .d } &~ { .e }`, `((({ .a } !>> { .b }) &<< { .c }) !~ { .d }) &~ { .e }`)
	f(`count() > 2 && max(duration) > 1s`, `(count() > 2) && (max(duration) > 1s)`)
	f(`{ } | by(resource.service.name, 2*span.a) | coalesce() | count() + 1 > 2.5 | select(name, .a)`,
		`{ } | by(resource.service.name, 2 * span.a) | coalesce() | (count() + 1) > 2.5 | select(name, .a)`)
	f(`({ .a } | count()) > ({ .b } | count() * 2)`, `({ .a } | count()) > ({ .b } | (count() * 2))`)
	f(`{ } | rate() by (name) | topk(3) > 5 with(exemplars=true, sample=0.5)`, `{ } | rate() by(name) | topk(3) | > 5 with(exemplars=true, sample=0.5)`)
	f(`{ } | quantile_over_time(duration, .9, 1) > 2s`, `{ } | quantile_over_time(duration, 0.9, 1) | > 2s`)
	f(`({ .a } | rate()) / ({ } | rate()) * 100`, `(({ .a } | rate()) / ({ } | rate())) * 100`)
	f(`{ } | compare({ status = error }, 5, 1, 2)`, `{ } | compare({ status = error }, 5, 1, 2)`)
	f("{ } // all\n | count() > 1 // many", `{ } | count() > 1`)
	f(`{ .a = -5 && .b = -1.5 && .c > -3s }`, `{ ((.a = -5) && (.b = -1.5)) && (.c > -3s) }`)
}

func TestErrorsSayWhere(t *testing.T) {
	f := func(text string, line, column int, part string) {
		t.Helper()
		_, err := Parse(text)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%s: %v, want a syntax error", text, err)
			return
		}
		if syntax.Line != line || syntax.Column != column || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %d:%d and %q", text, err, line, column, part)
		}
	}
	f(``, 1, 1, "empty")
	f(`{`, 1, 2, "the end of the query")
	f(`{ .a = }`, 1, 8, "a value is expected, not '}'")
	f("{ .a = 1 }\n| nothing()", 2, 3, "not 'nothing'")
	f(`{ a = 1 }`, 1, 3, ".a, span.a or resource.a")
	f(`{ foo.a = 1 }`, 1, 3, "no scope")
	f(`{ span:foo = 1 }`, 1, 3, "span:duration")
	f(`{ .a = "x }`, 1, 8, "not closed")
	f(`{ .a =~ "(" }`, 1, 9, "regular expression")
	f(`{ .a =~ .b }`, 1, 9, "regular expression")
	f(`{ 1 }`, 1, 3, "true or false")
	f(`{ "a" && .b }`, 1, 7, "a boolean on both sides")
	f(`{ .a + "b" = 1 }`, 1, 6, "a number on both sides")
	f(`{ .a > nil }`, 1, 6, "only = and !=")
	f(`{ .a = 5x }`, 1, 8, "a duration")
	f(`{ } | count()`, 1, 7, "compare it")
	f(`{ } | count() | { }`, 1, 17, "compare it")
	f(`rate()`, 1, 1, "{ } | rate()")
	f(`{ } > 5`, 1, 5, "does not work on spans and a number")
	f(`{ } | quantile_over_time(duration)`, 1, 34, "needs quantiles")
	f(`{ } | quantile_over_time(duration, 2)`, 1, 36, "from 0 to 1")
	f(`{ } | rate() | topk(0)`, 1, 21, "from 1 to 1000")
	f(`{ } | rate() | count() > 1`, 1, 16, "topk")
	f(`{ } | max(name) > 1`, 1, 11, "a number is expected")
	f(`{ } | select(1)`, 1, 13, "only attributes")
	f(`{ } | compare({ .a = 1 }, 5, 2, 1)`, 1, 25, "after the start")
	f(`{ } with(a)`, 1, 11, "'='")
	f(`{ } | quantile_over_time(duration`+strings.Repeat(", 0.5", 21)+`)`, 1, 136, "at most 20 quantiles")
	f(strings.Repeat(`({ } | rate()) + `, 20)+`({ } | rate())`, 1, 348, "at most 20 functions")
	f(`{ .a =~ "((a|b){100}){10}x*" || .b =~ "(abcdefghijklmnopqrstu){1000}" }`, 1, 39, "at most 20000 are allowed")
	f(`{ } }`, 1, 5, "not expected")
	f(`{ .a = 1 § }`, 1, 10, "not expected")
	f("{ .a = \"\xff\" }", 1, 1, "UTF-8")
	f(strings.Repeat("(", 1000)+"{ }"+strings.Repeat(")", 1000), 1, 51, "deeper")
	f(`{ `+strings.Repeat("!", 1000)+`.a }`, 1, 101, "deeper")
	f(`{ } `+strings.Repeat(" ", maxQuery), 1, maxQuery+1, "longer")
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"fuzz-08f4c0a3abb80dd8", "fuzz-db6bd8bfa214579d"} {
		dir, ok := harness.Samples(f)
		if !ok {
			break
		}
		text, err := os.ReadFile(filepath.Join(dir, "queries", "traceql", name))
		if err != nil {
			f.Fatal(err)
		}
		quoted := strings.TrimSuffix(strings.TrimPrefix(strings.Split(string(text), "\n")[1], "string("), ")")
		seed, err := strconv.Unquote(quoted)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	if _, ok := harness.Samples(f); ok {
		for _, list := range []string{"validQueries.txt", "invalidQueries.txt", "expression.txt"} {
			queries, _ := sampleCases(f, list)
			for _, q := range queries {
				f.Add(q)
			}
		}
	}
	f.Add(`({ .a } | rate() by(name) | topk(3) > 5) / 2 with(a=1)`)
	f.Add("{ ." + `"x\n" = ` + "`y` }")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := Parse(text); err != nil {
			return
		}
		roundTrip(t, text)
	})
}

// FuzzTag wants the attribute of any tag's name, whose own name is read back as the same.
func FuzzTag(f *testing.F) {
	for _, tag := range []string{"span.a", ".b", "status", "span:name", "resource.service.name", `span."x y"`, "parent.span.a", "event.", "a b"} {
		f.Add(tag)
	}
	f.Fuzz(func(t *testing.T, tag string) {
		a, err := ParseTag(tag)
		if err != nil {
			return
		}
		text := a.String()
		if again, err := ParseTag(text); err == nil && again != a && !strings.ContainsAny(tag, "\x00") {
			t.Errorf("%q is %s, which is %s", tag, text, again)
		}
	})
}
