package logql

import (
	"errors"
	"strings"
	"testing"

	"github.com/mindscope/mindscope/internal/signal"
)

// TestParseFailures: what is wrong is said, and where.
func TestParseFailures(t *testing.T) {
	f := func(query string, line, col int, part string) {
		t.Helper()
		_, err := Parse(query)
		pe, ok := errors.AsType[*ParseError](err)
		if !ok || !signal.IsPermanent(err) {
			t.Errorf("%s: %v", query, err)
			return
		}
		if pe.Line != line || pe.Col != col || !strings.Contains(pe.Msg, part) {
			t.Errorf("%.80s: line %d, col %d: %s", query, pe.Line, pe.Col, pe.Msg)
		}
	}
	f(``, 1, 1, "empty")
	f(`{}`, 1, 1, "not empty")
	f(`{a=~".*"}`, 1, 1, "not empty")
	f(`{a="b"`, 1, 7, `want ","`)
	f(`{a="b`, 1, 4, "no closing")
	f(`{a='b'}`, 1, 4, "double quotes")
	f(`{a=~"("}`, 1, 5, "not valid: missing closing")
	f(`{a="b"} |~ "("`, 1, 12, "not valid")
	f(`{a="b"} | nothing`, 1, 11, `no stage "nothing"`)
	f("{a=\"b\"}\n  | json\n  | x >", 3, 8, "want a text")
	f(`{a="b"} | x > "5"`, 1, 15, "without quotes")
	f(`{a="b"} | unwrap x`, 1, 9, "metric queries only")
	f(`sum_over_time({a="b"}[5m])`, 1, 1, "unwrap")
	f(`count_over_time({a="b"} | unwrap x [5m])`, 1, 1, "leave | unwrap out")
	f(`count_over_time({a="b"})`, 1, 24, "range")
	f(`count_over_time({a="b"}[5x])`, 1, 25, "no duration")
	f(`rate({a="b"}[5m]) + {a="b"}`, 1, 19, "count the lines first")
	f(`sum({a="b"})`, 1, 1, "count the lines first")
	f(`topk(0, rate({a="b"}[5m]))`, 1, 6, "from 1 on")
	f(`1 and 2`, 1, 3, "sets of series")
	f(`foo(1)`, 1, 1, `no function "foo"`)
	f(`{a="b"} | pattern "x"`, 1, 19, "a name")
	f(`{a="b"} | pattern "<a><b>"`, 1, 19, "nothing between")
	f(`{a="b"} | regexp "(x)"`, 1, 18, "named group")
	f(`{a="b"} |> "<x>"`, 1, 12, "only <_>")
	f(`{a="b"} |= ip("300.1.1.1")`, 1, 15, "no address")
	f(`{a="b"} | line_format "{{.x"`, 1, 23, "unclosed action")
	f(`{a="b"} | line_format "{{define \"a\"}}{{template \"a\"}}{{end}}"`, 1, 23, "define or call")
	f(`{a="b"} | json x="a..b"`, 1, 18, "can't be read")
	f(`{a="b"} | label_format a=b, a=c`, 1, 29, "twice")
	const large = "(abcdefghijklmnopqrstu){1000}"
	f(`{a=~"`+large+`"}`, 1, 5, "at most 20000 are allowed")
	f(`{a="b"} |= "x" != "y" |~ "`+large+`"`, 1, 26, "at most 20000 are allowed")
	f(`{a="b"} | regexp "(?P<x>`+large+`)"`, 1, 18, "at most 20000 are allowed")
	f(`{a="b"} | c !~ "`+large+`"`, 1, 16, "at most 20000 are allowed")
	f(`label_replace(vector(1), "a", "b", "c", "`+large+`")`, 1, 41, "at most 20000 are allowed")
	f(`{a="b"}`+strings.Repeat(` |~ "(abcdefgh){1000}"`, 30), 1, 430, "together")
	f(`{a="b"} ä`, 1, 9, "unexpected character")
	f(strings.Repeat("(", 200)+"1", 1, 101, "nested")
	f(strings.Repeat("1+", 6000)+"1", 1, 5001, "parts")
	f(`{a="`+strings.Repeat("b", maxQueryBytes)+`"}`, 1, 1, "bytes")
}

// FuzzParse wants no crash, and a text of each tree that parses back to it.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{a="b",c!~"d|e"} |= "x" or ip("10.0.0.0/8") != "y" |> "<_> z" | json a="b[0].c", d | logfmt --strict --keep-empty x="y"`,
		`{a="b"} | a="b" and (c>5 or d<=1.5s, e==20KB f=ip("::1")) | line_format "{{.a | ToUpper}}" | label_format a=b,c="{{.d}}"`,
		`sum by (a) (rate({a="b"} | unwrap duration(x) | __error__="" [5m] offset -1h)) / on(a) group_left(c) count(rate(({a="b"})[1m])) > bool 1`,
		`topk(5, quantile_over_time(0.99, {a="b"} | unwrap x [1h30m]) without (b)) or vector(1) ^ -2 # end`,
		`label_replace(bytes_over_time({a="b"}[5s] | drop a, b="c" | keep d), "a", "$1", "b", "(.*)")`,
		`{a="b"} | regexp "(?P<x>.)" | pattern "<x> <_>" | unpack | decolorize | and="or" or or="and"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		expr, err := Parse(query)
		if err != nil {
			return
		}
		text := expr.String()
		again, err := Parse(text)
		if err != nil {
			t.Fatalf("%q reads as %q, which does not parse: %v", query, text, err)
		}
		if again.String() != text {
			t.Fatalf("%q reads as %q, and that as %q", query, text, again.String())
		}
	})
}
