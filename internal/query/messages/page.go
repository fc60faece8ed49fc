package messages

import (
	"bytes"
	"fmt"
)

// Page describes as Markdown where messages are looked for.
func Page() []byte {
	var b bytes.Buffer
	list := func(title string, sources []source) {
		fmt.Fprintf(&b, "%s, the first that holds any:\n\n", title)
		for _, s := range sources {
			key := s.key
			if s.flat {
				key += "N…"
			}
			fmt.Fprintf(&b, "* `%s`\n", key)
		}
		b.WriteString("\n")
	}
	list("What went in", inputs())
	list("What came out", outputs())
	keys := func(title string, names []string) {
		fmt.Fprintf(&b, "%s:\n\n", title)
		for _, name := range names {
			fmt.Fprintf(&b, "* `%s`\n", name)
		}
		b.WriteString("\n")
	}
	keys("A tool's arguments", arguments())
	keys("A tool's result", results())
	return b.Bytes()
}
