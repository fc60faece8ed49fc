package dialect

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Page describes the tables as Markdown: how each dialect is known and what is read of it.
func Page() ([]byte, error) {
	c, list, err := load()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, t := range list {
		fmt.Fprintf(&b, "## %s\n\n", t.Title)
		about := fmt.Sprintf("In the column `dialect`: `%s`. %s %s", t.Name, strings.TrimSpace(t.About), conventions(t))
		b.WriteString(strings.Join(strings.Fields(about), " ") + "\n\n")
		b.WriteString("Known by " + knownBy(t.Detect) + ".\n\n")
		fieldTable(&b, t.Fields)
	}
	b.WriteString("## Every dialect\n\nAsked before a dialect's own places:\n\n")
	fieldTable(&b, c.First)
	b.WriteString("Asked after them:\n\n")
	fieldTable(&b, c.Last)
	b.WriteString("Other words for operations (an empty one says nothing):\n\n")
	aliasTable(&b, c.Operations)
	b.WriteString("Other words for providers:\n\n")
	aliasTable(&b, c.Providers)
	return b.Bytes(), nil
}

// conventions says in words what a table says of its counts.
func conventions(t table) string {
	var out []string
	if slices.Contains(t.Excludes, "cache") {
		out = append(out, "Its input excludes cached tokens.")
	}
	if slices.Contains(t.Excludes, "reasoning") {
		out = append(out, "Its output excludes reasoning.")
	}
	if len(t.Repeats) > 0 {
		out = append(out, "Usage on "+strings.Join(t.Repeats, ", ")+" repeats the calls below and is not counted.")
	}
	if t.Calls {
		out = append(out, "Log records of calls and tools outside of any trace become spans, so that a sender without traces is in every list.")
	}
	return strings.Join(out, " ")
}

func knownBy(d detection) string {
	var out []string
	say := func(what string, list []string) {
		if len(list) > 0 {
			out = append(out, what+" "+quoteAll(list))
		}
	}
	say("the scope", d.Scopes)
	say("a scope that begins with", d.ScopePrefixes)
	if len(d.Names)+len(d.NameSuffixes) > 0 {
		say("a span named", d.Names)
		say("a span whose name ends with", d.NameSuffixes)
		say("with one of the attributes, or alone where nothing else speaks:", d.Keys)
	} else {
		say("the attribute", d.Keys)
	}
	say("an attribute that begins with", d.KeyPrefixes)
	for _, key := range slices.Sorted(maps.Keys(d.ValuePrefixes)) {
		out = append(out, fmt.Sprintf("`%s` that begins with `%s`", key, d.ValuePrefixes[key]))
	}
	return strings.Join(out, "; ")
}

func quoteAll(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = "`" + s + "`"
	}
	return strings.Join(quoted, ", ")
}

func fieldTable(b *bytes.Buffer, fields map[string][]Rule) {
	if len(fields) == 0 {
		b.WriteString("No places of its own.\n\n")
		return
	}
	b.WriteString("| column | read from, the first that says something |\n|---|---|\n")
	for _, name := range fieldNames() {
		rules := fields[name]
		if len(rules) == 0 {
			continue
		}
		places := make([]string, len(rules))
		for i, r := range rules {
			places[i] = r.describe()
		}
		fmt.Fprintf(b, "| %s | %s |\n", name, strings.Join(places, "<br>"))
	}
	b.WriteString("\n")
}

// describe says in words where a rule looks.
func (r Rule) describe() string {
	var s string
	switch {
	case len(r.Sum) > 0:
		s = "the sum of " + quoteAll(r.Sum)
	case r.SpanName:
		s = "the span's name"
	case r.Name != "":
		s = fmt.Sprintf("a span named `%s`", r.Name)
	case r.NameSuffix != "" && r.Then == "":
		s = fmt.Sprintf("what stands before `%s` in the span's name", r.NameSuffix)
	case r.NameSuffix != "":
		s = fmt.Sprintf("a span whose name ends with `%s`", r.NameSuffix)
	default:
		s = "`" + r.Key + "`"
	}
	if r.JSON != "" {
		s += fmt.Sprintf(", in it `%s`", r.JSON)
	}
	if r.Then != "" {
		s += fmt.Sprintf(" → %s", r.Then)
	}
	if len(r.Values) > 0 {
		pairs := make([]string, 0, len(r.Values))
		for _, k := range slices.Sorted(maps.Keys(r.Values)) {
			pairs = append(pairs, k+" → "+r.Values[k])
		}
		s += ": " + strings.Join(pairs, ", ")
	}
	if r.Only != "" {
		s += fmt.Sprintf(" (only on %s)", r.Only)
	}
	return s
}

func aliasTable(b *bytes.Buffer, alias map[string]string) {
	b.WriteString("| the sender's | column |\n|---|---|\n")
	for _, from := range slices.Sorted(maps.Keys(alias)) {
		fmt.Fprintf(b, "| `%s` | %s |\n", from, alias[from])
	}
	b.WriteString("\n")
}
