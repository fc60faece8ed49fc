package query

import (
	"regexp/syntax"
	"strings"
	"testing"
)

func TestLargeExpressionsAreRefused(t *testing.T) {
	f := func(want string, patterns ...string) {
		t.Helper()
		var r Regexps
		var err error
		for _, p := range patterns {
			if err = r.Add(p); err != nil {
				break
			}
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.60q: %v, want %q", patterns, err, want)
		}
	}
	f("", ".*error.*")
	f("", "(a|b)+[0-9]{1,100}")
	f("", strings.Repeat("00000000000000000000000000000001|", 2000)+"x") // a list
	f("", "(")                                                           // told by the compiler
	f("", "[a-z]{1000}")
	f("at most 20000", "(abcdefghijklmnopqrstu){1000}")
	f("at most 20000", "((((x|y){10}){10}){10}[0-9]{9}){1,1}(ab?c?d?e?f?g?h?i?j?k?l?m?){1000}")
	f("at most 20000", ".*"+strings.Repeat("abcdefgh", 3000))
	f("together", strings.Split(strings.Repeat("(abcdefgh){1000} ", 30), " ")...)
}

// TestSizeIsThatOfTheProgram compares the estimate with what the compiler writes.
func TestSizeIsThatOfTheProgram(t *testing.T) {
	f := func(pattern string) {
		t.Helper()
		re, err := syntax.Parse(pattern, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		prog, err := syntax.Compile(re.Simplify())
		if err != nil {
			t.Fatal(err)
		}
		if got, is := regexpSize(pattern), len(prog.Inst); got < is/2 || got > 4*is {
			t.Errorf("%s: about %d instructions, the program has %d", pattern, got, is)
		}
	}
	f(`.*error.*`)
	f(`(abcdefgh){1000}`)
	f(`[a-z]{1000}`)
	f(`[a-z]{0,1000}`)
	f(`((a|b|c){10}x?){30,90}`)
	f(`(a{5,}b+){100}`)
	f(`(?i)(word|other|more)+ [0-9]{4}-[0-9]{2}`)
}
