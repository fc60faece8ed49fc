package tempo

import (
	"strings"
	"testing"

	"github.com/mindscope/mindscope/internal/query/traceql"
)

func TestLegacyQuery(t *testing.T) {
	f := func(tags, least, most, want string) {
		t.Helper()
		got, err := legacyQuery(tags, least, most)
		if err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", tags, got, err, want)
		}
	}
	f(``, ``, ``, `{  }`)
	f(`a=b c="d e" http.status=200 ok=true`, ``, ``,
		`{ (."a" = "b") && (."c" = "d e") && (."http.status" = "200" || ."http.status" = 200) && (."ok" = "true" || ."ok" = true) }`)
	f(`name=x status=error`, `1s`, ``, `{ (name = "x") && status = error && traceDuration >= 1s }`)
	f(`status=lost x=NaN y="\"q\\"`, ``, `2m`, `{ (."status" = "lost") && (."x" = "NaN") && (."y" = "\"q\\") && traceDuration <= 2m }`)
	if _, err := legacyQuery("", "soon", ""); err == nil || !strings.Contains(err.Error(), "100ms") {
		t.Errorf("a bad duration: %v", err)
	}
}

// FuzzLegacyQuery wants TraceQL of any tags.
func FuzzLegacyQuery(f *testing.F) {
	f.Add(`a=b c="d e" n=1e5`, "1s")
	f.Add(`status="error } | count() > 0"`, "")
	f.Fuzz(func(t *testing.T, tags, least string) {
		text, err := legacyQuery(tags, least, "")
		if err != nil || len(text) > 1000 || strings.ContainsRune(text, '\uFFFD') || text != strings.ToValidUTF8(text, "") {
			return
		}
		if _, err := traceql.Parse(text); err != nil {
			t.Errorf("%q becomes %s: %v", tags, text, err)
		}
	})
}
