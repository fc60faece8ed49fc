package logql

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/mindscope/mindscope/internal/store"
)

// Label is a name with a value, which is never "".
type Label struct{ Name, Value string }

// Labels are sorted by name; a name stands once.
type Labels []Label

// Get returns a label's value, "" when there is none.
func (l Labels) Get(name string) string {
	i, ok := slices.BinarySearchFunc(l, name, func(a Label, name string) int { return strings.Compare(a.Name, name) })
	if !ok {
		return ""
	}
	return l[i].Value
}

// String writes labels as a selector does.
func (l Labels) String() string {
	parts := make([]string, len(l))
	for i, one := range l {
		parts[i] = one.Name + "=" + strconv.Quote(one.Value)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// key returns a text that differs for different labels.
func (l Labels) key() string {
	b := make([]byte, 0, 64)
	for _, one := range l {
		b = binary.AppendUvarint(b, uint64(len(one.Name)))
		b = append(b, one.Name...)
		b = binary.AppendUvarint(b, uint64(len(one.Value)))
		b = append(b, one.Value...)
	}
	return string(b)
}

func (l Labels) size() int64 {
	n := int64(24)
	for _, one := range l {
		n += int64(len(one.Name)+len(one.Value)) + 32
	}
	return n
}

func sortLabels(l Labels) Labels {
	slices.SortFunc(l, func(a, b Label) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Value, b.Value))
	})
	return l
}

// origin says where a line's label comes from.
type origin uint8

const (
	fromStream origin = iota
	fromMetadata
	fromLine // a parser or a format made it
)

type lineLabel struct {
	Label
	from origin
}

// lineLabels are the labels of one line on its way through a pipeline. A name stands once, in no order.
type lineLabels struct {
	list []lineLabel
	// want are the only labels that parsers need to take from the line; nil for all. Where it has a name with the suffix of
	// extracted labels, it has the name without it as well.
	want map[string]bool
}

func (l *lineLabels) find(name string) int {
	for i := range l.list {
		if l.list[i].Name == name {
			return i
		}
	}
	return -1
}

func (l *lineLabels) get(name string) string {
	if i := l.find(name); i >= 0 {
		return l.list[i].Value
	}
	return ""
}

// set gives a label a value that the pipeline made; "" removes it.
func (l *lineLabels) set(name, value string) {
	i := l.find(name)
	switch {
	case value == "" && i >= 0:
		l.remove(i)
	case value == "":
	case i >= 0:
		l.list[i] = lineLabel{Label{name, value}, fromLine}
	default:
		l.list = append(l.list, lineLabel{Label{name, value}, fromLine})
	}
}

func (l *lineLabels) remove(i int) {
	l.list = slices.Delete(l.list, i, i+1)
}

// base adds a label that the record came with. One whose name is taken by another value gets a suffix.
func (l *lineLabels) base(name, value string) {
	if value == "" {
		return
	}
	if i := l.find(name); i >= 0 {
		if l.list[i].Value == value {
			return
		}
		if name += extracted; l.find(name) >= 0 {
			return
		}
	}
	l.list = append(l.list, lineLabel{Label{name, value}, fromMetadata})
}

// extracted is the suffix of labels whose name a record's own label has.
const extracted = "_extracted"

// extract adds a label that a parser found in the line. Where the record has a label of that name, the name gets a
// suffix; what an earlier parser found is replaced.
func (l *lineLabels) extract(name, value string) {
	if name == "" || l.want != nil && !l.want[name] {
		return
	}
	if i := l.find(name); i >= 0 && l.list[i].from != fromLine {
		name += extracted
	}
	l.set(name, value)
}

// fail marks a line; the first error stays.
func (l *lineLabels) fail(kind, details string) {
	if l.find(labelError) < 0 {
		l.set(labelError, kind)
		l.set(labelErrorDetails, details)
	}
}

// of returns the labels of some origins, sorted.
func (l *lineLabels) of(want func(origin) bool) Labels {
	n := 0
	for i := range l.list {
		if want(l.list[i].from) {
			n++
		}
	}
	out := make(Labels, 0, n)
	for i := range l.list {
		if want(l.list[i].from) {
			out = append(out, l.list[i].Label)
		}
	}
	return sortLabels(out)
}

// rowReader turns rows into lines. It is for one goroutine.
type rowReader struct {
	names map[string]string // labels of fields that are no known ones, "" for those that are none
	texts []string          // of the known labels' fields, of the row that is read
	args  []string
	only  map[string]bool // the labels that are wanted, nil for all
}

func newRowReader(only map[string]bool) *rowReader {
	return &rowReader{names: map[string]string{}, texts: make([]string, len(knownFields)), only: only}
}

// line is a record on its way through a pipeline.
type line struct {
	at     int64
	text   string
	labels lineLabels
	// value is what unwrap took; without it, a count of one.
	value float64
	// unwrapped is the label it was taken from, which splits no series.
	unwrapped string
	// done returns why work on lines must end; nil when nobody waits for an answer.
	done func() error
}

// read fills ln with a row.
func (r *rowReader) read(row *store.Row, ln *line) {
	clear(r.texts)
	ln.at, ln.text, ln.value, ln.unwrapped = row.Time, "", 0, ""
	ln.labels.list = ln.labels.list[:0]
	for i := range row.Fields {
		f := &row.Fields[i]
		if f.Name == store.FieldBody {
			ln.text = f.Value.Text()
			continue
		}
		if n, ok := knownFields[f.Name]; ok && r.texts[n] == "" {
			r.texts[n] = f.Value.Text()
		}
	}
	for _, k := range knownLabels {
		if !k.shown || r.only != nil && !r.only[k.name] {
			continue
		}
		if text := r.text(k); text != "" {
			from := fromMetadata
			if k.stream {
				from = fromStream
			}
			ln.labels.list = append(ln.labels.list, lineLabel{Label{k.name, text}, from})
		}
	}
	r.others(row, ln)
}

// others adds the labels whose fields differ from sender to sender. One that is named like a known label can't take its
// place: it gets a suffix, and is left out where it says the same.
func (r *rowReader) others(row *store.Row, ln *line) {
	for i := range row.Fields {
		f := &row.Fields[i]
		name, ok := r.names[f.Name]
		if !ok {
			name = labelOf(f.Name)
			r.names[strings.Clone(f.Name)] = name
		}
		if name == "" {
			continue
		}
		value := f.Value.Text()
		if k := knownByName[name]; k != nil && k.shown {
			if r.text(k) == value {
				continue
			}
			name += extracted
		}
		if r.only == nil || r.only[name] {
			ln.labels.base(name, value)
		}
	}
}

// text returns the value of a known label of the row that was read.
func (r *rowReader) text(k *known) string {
	r.args = r.args[:0]
	for _, slot := range k.slots {
		r.args = append(r.args, r.texts[slot])
	}
	return k.text(r.args)
}

// labelOf returns the name of the label that shows a field which is no known label's, "" for fields that are not shown.
func labelOf(field string) string {
	if _, ok := knownFields[field]; ok {
		return ""
	}
	switch field {
	case store.FieldFlags, store.FieldQuality, store.FieldDialect:
		return field
	}
	for _, prefix := range []string{store.PrefixAttr, store.PrefixResource, store.PrefixScopeAttr} {
		if rest, ok := strings.CutPrefix(field, prefix); ok {
			if name := sanitize(rest); !strings.HasPrefix(name, "__") {
				return name
			}
		}
	}
	return ""
}
