package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Sizes of the picture in pixels: of a character of its font, and the room around the text.
const (
	charWidth, lineHeight = 7.8, 18
	margin                = 16
	// maxColumns is where lines of a picture end, so that it can be read on a page.
	maxColumns = 104
)

// draw makes an SVG picture of what a terminal shows: errors are red, the tasks' lines bold, the branches pale.
func draw(terminal string) []byte {
	lines := strings.Split(strings.Trim(terminal, "\n"), "\n")
	columns := 0
	for i, line := range lines {
		if runes := []rune(line); len(runes) > maxColumns {
			lines[i] = string(runes[:maxColumns-1]) + "…"
		}
		columns = max(columns, utf8.RuneCountInString(lines[i]))
	}
	width, height := int(float64(columns)*charWidth)+2*margin, len(lines)*lineHeight+2*margin
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">
<style>
  text { font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #d8dee8; white-space: pre; }
  .task { font-weight: bold; fill: #ffffff; } .branch { fill: #5c6675; } .error { fill: #ff7b72; }
</style>
<rect width="%d" height="%d" rx="8" fill="#14181f"/>
`, width, height, width, height, width, height)
	for i, line := range lines {
		fmt.Fprintf(&b, `<text x="%d" y="%d" xml:space="preserve">`, margin, margin+13+i*lineHeight)
		drawLine(&b, line)
		b.WriteString("</text>\n")
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func drawLine(b *bytes.Buffer, line string) {
	rest := strings.TrimLeft(line, " │├└─")
	span(b, "branch", line[:len(line)-len(rest)])
	switch {
	case strings.HasPrefix(line, "task "):
		span(b, "task", rest)
	case strings.HasPrefix(line, "   ") && !strings.ContainsAny(line, "│├└"): // the cause of a failure
		span(b, "error", rest)
	default:
		good, bad, failed := strings.Cut(rest, "✕")
		span(b, "", good)
		if failed {
			span(b, "error", "✕"+bad)
		}
	}
}

func span(b *bytes.Buffer, class, text string) {
	if text == "" {
		return
	}
	fmt.Fprintf(b, `<tspan class="%s">`, class)
	_ = xml.EscapeText(b, []byte(text)) // a buffer takes everything
	b.WriteString("</tspan>")
}
