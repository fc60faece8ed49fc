package logql

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// TestTemplateWorkIsBounded: a loop can't make every turn work through the line.
func TestTemplateWorkIsBounded(t *testing.T) {
	text := `"` + strings.Repeat("ab ", 3400) + `"` // ten thousand bytes
	f := func(body string, ln *line, want error) {
		t.Helper()
		tmpl, err := compileTemplate("{{range $i := 10000}}" + body + "{{end}}")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // every line has a bound of its own
			_, err := tmpl.write(ln)
			if want == nil && err != nil || want != nil && (err == nil || !strings.Contains(err.Error(), want.Error())) {
				t.Errorf("%s: %v, want %v", body, err, want)
			}
		}
	}
	waits := &line{text: text, done: func() error { return nil }}
	f(`{{$x := count "z" __line__}}`, waits, errTemplateWork)
	f(`{{$x := regexReplaceAll "z" __line__ "b"}}`, waits, errTemplateWork)
	f(`{{$x := regexReplaceAllLiteral "z" __line__ "b"}}`, waits, errTemplateWork)
	f(`{{$x := Replace __line__ "ab" "b" 1}}`, waits, errTemplateWork)
	f(`{{$x := replace "z" "b" __line__}}`, waits, errTemplateWork)
	f(`{{$x := repeat 10000 "b"}}`, waits, errTemplateWork)
	f(`{{$x := fromJson __line__}}`, &line{text: text}, errTemplateWork)
	f(`{{$x := count "ab" "abab"}}`, waits, nil)
	f(`{{$x := replace "ab" "b" "abab"}}`, waits, nil)

	f(`{{$x := count "(abcdefghijklmnopqrstu){1000}" "x"}}`, waits, errors.New("at most 20000 are allowed"))

	gone := errors.New("nobody waits")
	f(`{{$x := $i}}`, &line{text: text, done: func() error { return gone }}, gone)
}

// TestTemplatesEndWithTheirQuery: a template stops when the query is cancelled, also on the last line.
func TestTemplatesEndWithTheirQuery(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	calls := 0
	ln := &line{text: "x", done: func() error {
		if calls++; calls == 100 {
			cancel()
		}
		return ctx.Err()
	}}
	tmpl, err := compileTemplate(`{{range $i := 10000}}{{$x := count "a" __line__}}{{end}}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tmpl.write(ln); err == nil || calls != 100 {
		t.Errorf("%v after %d calls", err, calls)
	}
}
