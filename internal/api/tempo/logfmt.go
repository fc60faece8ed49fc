package tempo

import (
	"fmt"
	"iter"
	"strings"

	"github.com/mindscope/mindscope/internal/signal"
)

func badRequest(format string, args ...any) error {
	return signal.Permanent(fmt.Errorf(format, args...))
}

// quoted writes a text as TraceQL reads it.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// logfmt yields the pairs of a text like a=b c="d e".
func logfmt(text string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
			name, rest, ok := strings.Cut(text, "=")
			if !ok {
				return
			}
			var value string
			if strings.HasPrefix(rest, `"`) {
				value, text = quotedPrefix(rest[1:])
			} else {
				value, text, _ = strings.Cut(rest, " ")
			}
			if name = strings.TrimSpace(name); name != "" && !yield(name, value) {
				return
			}
		}
	}
}

// quotedPrefix reads up to the closing quote.
func quotedPrefix(text string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"':
			return b.String(), text[i+1:]
		case text[i] == '\\' && i+1 < len(text):
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String(), ""
}
