package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mindscope/mindscope/internal/client"
)

// TestColours: errors are red on a terminal; into a file or a pipe, or when the user doesn't want them, nothing is.
func TestColours(t *testing.T) {
	task := client.Task{ID: "t", Status: "failed", Cause: &client.Cause{Agent: "writer", Error: "no answer"}, Tree: []*client.Node{
		{Name: "fine", Status: "ok"}, {Name: "broken", Status: "error", Error: "no answer"},
	}}
	draw := func(p palette) string {
		var b bytes.Buffer
		tree{&b, p}.task(task)
		return b.String()
	}
	if plain := draw(palette{}); strings.Contains(plain, "\x1b") {
		t.Errorf("escape sequences in %q", plain)
	}
	coloured := draw(palette{on: true})
	for _, red := range []string{"\x1b[31mfailed\x1b[0m", "\x1b[31m   writer: no answer\x1b[0m", "\x1b[31mbroken\x1b[0m", "\x1b[31m✕ no answer\x1b[0m"} {
		if !strings.Contains(coloured, red) {
			t.Errorf("%q is not in %q", red, coloured)
		}
	}
	if strings.Contains(coloured, "\x1b[31mfine") {
		t.Errorf("what is fine is red in %q", coloured)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if paletteOf(&globals{}, file).on || paletteOf(&globals{}, &bytes.Buffer{}).on {
		t.Error("colours into a file or a buffer")
	}
	terminal, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	if !paletteOf(&globals{}, terminal).on || paletteOf(&globals{NoColor: true}, terminal).on {
		t.Error("colours are not as the terminal and the user want them")
	}
}

func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"fine": "fine", "a\nb\x1b[31mc\x7f\u009b": "a b [31mc  ", "no \xff utf8": "no � utf8", "123456789012345": "12345678901…",
	} {
		if got := oneLine(text, 12); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestHumanFigures(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0µs", 2e6: "2ms", 4e8: "0.4s", 6.8e9: "6.8s", 125e9: "2m05s", 3840e9: "1h04m", -2e6: "-2ms",
	} {
		if got := humanDuration(ns); got != want {
			t.Errorf("%d ns is %s, want %s", ns, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 812: "812", 1204: "1 204", 16400: "16.4k", 2_100_000: "2.1M"} {
		if got := humanCount(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
	for usd, want := range map[string]string{"0": "$0.0000", "0.00000625": "<$0.0001", "0.0231": "$0.0231", "12.4": "$12.40", "odd": "$odd"} {
		if got := humanMoney(usd); got != want {
			t.Errorf("%s is %s, want %s", usd, got, want)
		}
	}
	for n, want := range map[int64]string{17: "17 B", 5100: "5.1 kB", 2_000_000: "2.0 MB"} {
		if got := humanBytes(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
