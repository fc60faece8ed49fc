package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestDraw(t *testing.T) {
	picture := draw("\ntask t <1>\n   writer: boom\n└─ a ✕ boom\n   └─ b & c\n" + strings.Repeat("x", 200) + "\n")
	for d := xml.NewDecoder(strings.NewReader(string(picture))); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, picture)
		}
	}
	for _, want := range []string{
		`<tspan class="task">task t &lt;1&gt;</tspan>`,
		`<tspan class="error">writer: boom</tspan>`,
		`<tspan class="branch">└─ </tspan><tspan class="">a </tspan><tspan class="error">✕ boom</tspan>`,
		`<tspan class="branch">   └─ </tspan><tspan class="">b &amp; c</tspan>`,
		strings.Repeat("x", maxColumns-1) + "…<",
	} {
		if !strings.Contains(string(picture), want) {
			t.Errorf("there is no %s in\n%s", want, picture)
		}
	}
}
