package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// sheet says what the figures of one benchmark mean. It is the file NAME.yaml beside the figures NAME.json.
type sheet struct {
	Title string `yaml:"title"`
	// Order sorts the sheets of the page.
	Order int `yaml:"order"`
	// How says how it was measured.
	How  string `yaml:"how"`
	Rows []row  `yaml:"rows"`
}

// row is one figure. AtMost and AtLeast are targets; a row without one is there to be known.
type row struct {
	Key     string   `yaml:"key"`
	What    string   `yaml:"what"`
	Unit    string   `yaml:"unit"`
	AtMost  *float64 `yaml:"at_most"`
	AtLeast *float64 `yaml:"at_least"`
}

const pageHead = `# Performance

This page is written by ` + "`make bench`" + ` from the figures in [bench](../bench): one flat JSON object for each benchmark, and beside
it a YAML file that says what its keys mean and what they must reach. Figures are of the machine that is named; ratios say more
than times.
`

// page returns the text of docs/performance.md from the sheets in dir and the figures beside them.
func page(dir fs.FS) (string, error) {
	names, err := fs.Glob(dir, "*.yaml")
	if err != nil {
		return "", fmt.Errorf("find sheets: %w", err)
	}
	type part struct {
		order int
		text  string
	}
	var parts []part
	for _, name := range names {
		s, err := readSheet(dir, name)
		if err != nil {
			return "", err
		}
		text, err := s.section(dir, strings.TrimSuffix(name, ".yaml")+".json")
		if err != nil {
			return "", err
		}
		parts = append(parts, part{s.Order, text})
	}
	slices.SortStableFunc(parts, func(a, b part) int { return a.order - b.order })
	var b strings.Builder
	b.WriteString(pageHead)
	for _, p := range parts {
		b.WriteString("\n" + p.text)
	}
	return b.String(), nil
}

func readSheet(dir fs.FS, name string) (sheet, error) {
	var s sheet
	f, err := dir.Open(name)
	if err != nil {
		return s, fmt.Errorf("read sheet: %w", err)
	}
	defer f.Close()
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("read sheet %s: %w", name, err)
	}
	return s, nil
}

func readFigures(dir fs.FS, name string) (map[string]any, error) {
	raw, err := fs.ReadFile(dir, name)
	if err != nil {
		return nil, fmt.Errorf("read figures: %w", err)
	}
	var values map[string]any
	if err := json.Unmarshal(raw, &values); err != nil {
		return nil, fmt.Errorf("read figures %s: %w", name, err)
	}
	return values, nil
}

// section writes the table of one benchmark.
func (s sheet) section(dir fs.FS, figures string) (string, error) {
	head := fmt.Sprintf("## %s\n\n%s\n", s.Title, strings.TrimSpace(s.How))
	values, err := readFigures(dir, figures)
	if errors.Is(err, fs.ErrNotExist) {
		return head + "\nNo figures are kept yet.\n", nil
	}
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(head)
	if machine, ok := values["machine"].(string); ok {
		fmt.Fprintf(&b, "\nMachine: %s.\n", machine)
	}
	b.WriteString("\n| what | measured | must reach | |\n|---|---|---|---|\n")
	for _, r := range s.Rows {
		v, ok := values[r.Key].(float64)
		if !ok {
			return "", fmt.Errorf("%s has no number %q, which %s asks for", figures, r.Key, path.Base(figures[:len(figures)-5]+".yaml"))
		}
		target, met := r.target(v)
		fmt.Fprintf(&b, "| %s (`%s`) | %s | %s | %s |\n", r.What, r.Key, withUnit(v, r.Unit), target, met)
	}
	return b.String(), nil
}

const notMet = "**not met**"

func (r row) target(v float64) (text, met string) {
	var ok bool
	switch {
	case r.AtMost != nil:
		text, ok = "≤ "+withUnit(*r.AtMost, r.Unit), v <= *r.AtMost
	case r.AtLeast != nil:
		text, ok = "≥ "+withUnit(*r.AtLeast, r.Unit), v >= *r.AtLeast
	default:
		return "", ""
	}
	if ok {
		return text, "met"
	}
	return text, notMet
}

// withUnit writes a figure with its unit; × stands for "times as much".
func withUnit(v float64, unit string) string {
	decimals := 1 // or four digits in all
	if v != 0 {
		decimals = max(1, 3-int(math.Floor(math.Log10(math.Abs(v)))))
	}
	whole, rest, _ := strings.Cut(strconv.FormatFloat(v, 'f', decimals, 64), ".")
	rest = strings.TrimRight(rest, "0")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + " " + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	switch unit {
	case "":
		return whole
	case "×":
		return whole + "×"
	default:
		return whole + " " + unit
	}
}
