package logql

import (
	"strconv"
	"strings"
)

// Stage is a part of a pipeline. String begins with the stage's sign.
type Stage interface {
	String() string
	stage()
}

// LineStage keeps the lines that contain, match or look like one of the texts; Negated those that do so with none.
type LineStage struct {
	Op    string // |= != |~ !~ |> !>
	Texts []LineText
}

// LineText is a text of a LineStage, or with IP an address, a range a-b or a network that an address in the line is in.
type LineText struct {
	Text string
	IP   bool
}

// JSONStage takes labels from a line that is a JSON object: all of it, or Fields only.
type JSONStage struct{ Fields []Extraction }

// LogfmtStage takes labels from key=value pairs.
type LogfmtStage struct {
	Strict, KeepEmpty bool
	Fields            []Extraction
}

// Extraction names a label and where its value stands.
type Extraction struct{ Label, Path string }

// RegexpStage takes labels from an expression's named groups.
type RegexpStage struct{ Pattern string }

// PatternStage takes labels from the parts <name> of a pattern.
type PatternStage struct{ Pattern string }

// UnpackStage takes labels and the line from an object that a sender packed.
type UnpackStage struct{}

// FilterStage keeps the lines whose labels meet a condition.
type FilterStage struct{ Filter LabelFilter }

// LineFormatStage writes the line anew.
type LineFormatStage struct{ Template string }

// LabelFormatStage renames and rewrites labels.
type LabelFormatStage struct{ Items []LabelFormat }

// LabelFormat sets Label to another label's value, which goes (From), or to what a template writes.
type LabelFormat struct {
	Label, From, Template string
}

// DecolorizeStage removes the codes of colours.
type DecolorizeStage struct{}

// DropStage removes labels, KeepStage all others.
type DropStage struct{ Items []LabelItem }

// KeepStage keeps the named labels and removes all others.
type KeepStage struct{ Items []LabelItem }

// LabelItem is a label, only where its value matches when Matcher is set.
type LabelItem struct {
	Name    string
	Matcher *Matcher
}

// UnwrapStage takes a label's value as the sample: Convert is "", duration, duration_seconds or bytes.
type UnwrapStage struct{ Label, Convert string }

func (*LineStage) stage()        {}
func (*JSONStage) stage()        {}
func (*LogfmtStage) stage()      {}
func (*RegexpStage) stage()      {}
func (*PatternStage) stage()     {}
func (*UnpackStage) stage()      {}
func (*FilterStage) stage()      {}
func (*LineFormatStage) stage()  {}
func (*LabelFormatStage) stage() {}
func (*DecolorizeStage) stage()  {}
func (*DropStage) stage()        {}
func (*KeepStage) stage()        {}
func (*UnwrapStage) stage()      {}

func (s *LineStage) String() string {
	parts := make([]string, len(s.Texts))
	for i, t := range s.Texts {
		if parts[i] = strconv.Quote(t.Text); t.IP {
			parts[i] = "ip(" + parts[i] + ")"
		}
	}
	return s.Op + " " + strings.Join(parts, " or ")
}

func (s *JSONStage) String() string { return "| json" + extractions(s.Fields) }

func (s *LogfmtStage) String() string {
	out := "| logfmt"
	if s.Strict {
		out += " --strict"
	}
	if s.KeepEmpty {
		out += " --keep-empty"
	}
	return out + extractions(s.Fields)
}

func extractions(fields []Extraction) string {
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = f.Label + "=" + strconv.Quote(f.Path)
	}
	if len(parts) == 0 {
		return ""
	}
	return " " + strings.Join(parts, ", ")
}

func (s *RegexpStage) String() string { return "| regexp " + strconv.Quote(s.Pattern) }

func (s *PatternStage) String() string { return "| pattern " + strconv.Quote(s.Pattern) }

func (*UnpackStage) String() string { return "| unpack" }

func (s *FilterStage) String() string {
	text := s.Filter.String()
	name, _, negated := strings.Cut(text, "!")
	if negated && bareStages[strings.ToLower(strings.TrimSpace(name))] {
		text = "(" + text + ")" // else it would read as that stage and a line filter
	}
	return "| " + text
}

func (s *LineFormatStage) String() string { return "| line_format " + strconv.Quote(s.Template) }

func (s *LabelFormatStage) String() string {
	parts := make([]string, len(s.Items))
	for i, f := range s.Items {
		if f.From != "" {
			parts[i] = f.Label + "=" + f.From
		} else {
			parts[i] = f.Label + "=" + strconv.Quote(f.Template)
		}
	}
	return "| label_format " + strings.Join(parts, ", ")
}

func (*DecolorizeStage) String() string { return "| decolorize" }

func (s *DropStage) String() string { return "| drop " + labelItems(s.Items) }

func (s *KeepStage) String() string { return "| keep " + labelItems(s.Items) }

func labelItems(items []LabelItem) string {
	parts := make([]string, len(items))
	for i, it := range items {
		if parts[i] = it.Name; it.Matcher != nil {
			parts[i] = it.Matcher.String()
		}
	}
	return strings.Join(parts, ", ")
}

func (s *UnwrapStage) String() string {
	if s.Convert == "" {
		return "| unwrap " + s.Label
	}
	return "| unwrap " + s.Convert + "(" + s.Label + ")"
}

// LabelFilter is a condition on labels: *AndFilter, *OrFilter, *StringFilter, *NumberFilter or *IPFilter.
type LabelFilter interface {
	String() string
	labelFilter()
}

// AndFilter holds when both hold, OrFilter when one does.
type AndFilter struct{ Left, Right LabelFilter }

// OrFilter holds when one of the two does.
type OrFilter struct{ Left, Right LabelFilter }

// StringFilter compares a label's text.
type StringFilter struct{ *Matcher }

// NumberFilter compares a label that is a number, a duration or an amount of bytes, as Value is written.
type NumberFilter struct {
	Name  string
	Op    string // == != > >= < <=
	Value string
	kind  tokenKind
	bound float64 // nanoseconds for durations
}

// IPFilter tells whether a label is an address in a range.
type IPFilter struct {
	Name  string
	Op    MatchOp // = or !=
	Value string
}

func (*AndFilter) labelFilter()    {}
func (*OrFilter) labelFilter()     {}
func (*StringFilter) labelFilter() {}
func (*NumberFilter) labelFilter() {}
func (*IPFilter) labelFilter()     {}

func (f *AndFilter) String() string {
	left, right := f.Left.String(), f.Right.String()
	if _, or := f.Left.(*OrFilter); or {
		left = "(" + left + ")"
	}
	return left + " and " + nested(f.Right, right)
}

func (f *OrFilter) String() string {
	right := f.Right.String()
	if _, or := f.Right.(*OrFilter); or {
		right = "(" + right + ")"
	}
	return f.Left.String() + " or " + right
}

func nested(f LabelFilter, text string) string {
	switch f.(type) {
	case *AndFilter, *OrFilter:
		return "(" + text + ")"
	}
	return text
}

func (f *NumberFilter) String() string { return f.Name + " " + f.Op + " " + f.Value }

func (f *IPFilter) String() string {
	return f.Name + string(f.Op) + "ip(" + strconv.Quote(f.Value) + ")"
}
