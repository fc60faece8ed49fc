package logql

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/mindscope/mindscope/internal/signal"
)

// DetectedField is a field that lines or their records have.
type DetectedField struct {
	Name string
	// Type is string, int, float, boolean, duration or bytes.
	Type string
	// Parsers name what takes the field from a line: json, logfmt; none for a field that the record has by itself.
	Parsers []string
	Values  []string // sorted, at most maxDetectedValues
	Count   int      // of distinct values
}

const (
	maxDetected       = 1000
	maxDetectedValues = 1000
)

// DetectedFields looks at the newest lines of a query and returns their fields, sorted by name. limit bounds the fields.
func (e *Engine) DetectedFields(ctx context.Context, p signal.Project, expr *LogExpr, at signal.TimeRange, lines, limit int) ([]DetectedField, error) {
	found, err := e.Lines(ctx, p, expr, at, min(max(lines, 1), e.cfg.MaxLines), false)
	if err != nil {
		return nil, err
	}
	d := &detector{fields: map[string]*DetectedField{}, values: map[string]map[string]bool{}}
	for i := range found.Entries {
		if err := d.look(&found.Entries[i]); err != nil {
			return nil, err
		}
	}
	return d.result(limit), nil
}

type detector struct {
	fields map[string]*DetectedField
	values map[string]map[string]bool
}

func (d *detector) look(entry *Entry) error {
	for _, l := range slices.Concat(entry.Metadata, entry.Parsed) {
		d.note(l, "")
	}
	parser, name := d.parserOf(entry.Line)
	if parser == nil {
		return nil
	}
	run, err := compileStage(parser)
	if err != nil {
		return err
	}
	ln := &line{at: entry.At, text: entry.Line}
	for _, l := range entry.All() {
		ln.labels.list = append(ln.labels.list, lineLabel{l, fromMetadata})
	}
	run(ln)
	for _, l := range ln.labels.of(func(from origin) bool { return from == fromLine }) {
		d.note(l, name)
	}
	return nil
}

// parserOf returns the parser that a line is written for, nil for a plain text.
func (d *detector) parserOf(text string) (parser Stage, name string) {
	if looksLikeJSON(text) {
		return &JSONStage{}, "json"
	}
	pairs := 0
	err := eachPair(text, true, func(string, string) { pairs++ })
	if err == nil && pairs > 0 {
		return &LogfmtStage{}, "logfmt"
	}
	return nil, ""
}

func (d *detector) note(l Label, parser string) {
	if strings.HasPrefix(l.Name, "__") {
		return
	}
	f := d.fields[l.Name]
	if f == nil {
		if len(d.fields) >= maxDetected {
			return
		}
		f = &DetectedField{Name: l.Name, Type: typeOf(l.Value)}
		d.fields[l.Name], d.values[l.Name] = f, map[string]bool{}
	}
	switch t := typeOf(l.Value); {
	case strings.HasSuffix(l.Name, "_id"):
		f.Type = "string" // some ids look like numbers
	case t != f.Type:
		f.Type = widest(f.Type, t)
	}
	if parser != "" && !slices.Contains(f.Parsers, parser) {
		f.Parsers = append(f.Parsers, parser)
	}
	d.values[l.Name][l.Value] = true
}

func (d *detector) result(limit int) []DetectedField {
	out := make([]DetectedField, 0, len(d.fields))
	for name, f := range d.fields {
		for v := range d.values[name] {
			f.Values = append(f.Values, v)
		}
		slices.Sort(f.Values)
		f.Count = len(f.Values)
		f.Values = f.Values[:min(len(f.Values), maxDetectedValues)]
		slices.Sort(f.Parsers)
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b DetectedField) int { return strings.Compare(a.Name, b.Name) })
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out
}

// widest is the type of a field whose values have two.
func widest(a, b string) string {
	if (a == "int" || a == "float") && (b == "int" || b == "float") {
		return "float"
	}
	return "string"
}

func typeOf(value string) string {
	if _, err := strconv.ParseInt(value, 10, 64); err == nil {
		return "int"
	}
	if _, err := parseNumber(value); err == nil {
		return "float"
	}
	if value == "true" || value == "false" {
		return "boolean"
	}
	if _, err := netip.ParseAddr(value); err == nil {
		return "string"
	}
	if _, err := parseDuration(value); err == nil {
		return "duration"
	}
	if _, err := parseBytes(value); err == nil {
		return "bytes"
	}
	return "string"
}
