package eventdb

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/store"
)

// found is a row as it comes out of the engine: its payloads are still apart.
type found struct {
	row store.Row
	// refs are the values to join: the field of that index gets the payload's text.
	refs []pending
	size int // bytes, about
	// special says that the row has special values, which the engine can not judge.
	special bool
}

// pending is a field that waits for its payload.
type pending struct {
	field int
	typ   store.Type
	parts []piece
	// length is the text's in bytes, as it was sent.
	length int
	// all marks the payload that holds all of the row's special values.
	all bool
}

// decodeBlock appends the rows of a block of the engine. want tells which fields are asked for; nil means all.
func decodeBlock(dst []found, db *logstorage.DataBlock, want map[string]bool) ([]found, error) {
	times, ok := db.GetTimestamps(nil)
	if !ok {
		return nil, fmt.Errorf("read rows: no times: %w", store.ErrCorrupt)
	}
	base := len(dst)
	dst = append(dst, make([]found, len(times))...)
	rows := dst[base:]
	columns := db.GetColumns(false)
	widths := widthsOf(columns, len(rows), want)
	for i := range rows {
		rows[i].row.Time = times[i]
		rows[i].row.Fields = make([]store.Field, 0, widths[i])
	}
	types, specials := column(columns, colTypes), column(columns, colSpecial)
	tags := tagCache{}
	for _, c := range columns {
		switch c.Name {
		case colKind:
			eachText(c.Values, func(i int, text string) { rows[i].row.Kind = store.Kind(text) })
		case colID:
			eachText(c.Values, func(i int, text string) { rows[i].row.ID = idOf(text) })
		default:
			if !isField(c.Name, want) {
				continue
			}
			name, implied := strings.Clone(c.Name), impliedType(c.Name)
			eachText(c.Values, func(i int, text string) {
				if text == "" {
					return
				}
				t := implied
				if types != nil && types[i] != "" {
					t = tags.of(types[i]).typeOf(name, implied)
				}
				rows[i].add(name, valueOf(t, text))
			})
		}
	}
	for i := range rows {
		if types != nil && types[i] != "" {
			rows[i].addEmpty(tags.of(types[i]), want)
		}
		if specials != nil && specials[i] != "" {
			rows[i].special = true
			if err := rows[i].addSpecials(strings.Clone(specials[i]), want); err != nil {
				return nil, fmt.Errorf("read row %q: %w: %w", rows[i].row.ID, store.ErrCorrupt, err)
			}
		}
	}
	return dst, nil
}

// isField tells whether a column that is not the row's kind or id holds a field that is asked for.
func isField(name string, want map[string]bool) bool {
	return name[0] != '_' && (want == nil || want[name])
}

// widthsOf counts the fields of each row of a block: most rows have a few of its columns.
func widthsOf(columns []logstorage.BlockColumn, rows int, want map[string]bool) []int {
	widths := make([]int, rows)
	for _, c := range columns {
		if c.Name == colKind || c.Name == colID || !isField(c.Name, want) {
			continue
		}
		for i, v := range c.Values {
			if v != "" {
				widths[i]++
			}
		}
	}
	return widths
}

func column(columns []logstorage.BlockColumn, name string) []string {
	for _, c := range columns {
		if c.Name == name {
			return c.Values
		}
	}
	return nil
}

// eachText calls f with a copy of each value; the block's own memory is the engine's. Equal neighbours, the rule in
// most columns, share one copy.
func eachText(values []string, f func(i int, text string)) {
	var last, copied string
	for i, v := range values {
		if v != last {
			last, copied = v, strings.Clone(v)
		}
		f(i, copied)
	}
}

func (f *found) add(name string, v store.Value) {
	f.row.Fields = append(f.row.Fields, store.Field{Name: name, Value: v})
	f.size += len(name) + len(v.Text()) + 48
}

// addEmpty adds the fields whose text is empty: the engine has no column for them.
func (f *found) addEmpty(tags *typeTags, want map[string]bool) {
	for _, e := range tags.empty {
		if want == nil || want[e.Name] {
			f.row.Fields = append(f.row.Fields, e)
		}
	}
}

// addSpecials adds what a column could not hold. text must stay as it is for the row's life.
func (f *found) addSpecials(text string, want map[string]bool) error {
	specials, err := parseSpecials(text)
	if err != nil {
		return err
	}
	for _, s := range specials {
		if err := f.addSpecial(s, want); err != nil {
			return err
		}
	}
	return nil
}

func (f *found) addSpecial(s special, want map[string]bool) error {
	if s.mode == modeRef || s.mode == modeParts {
		return f.addRef(s, want)
	}
	if s.name == colTypes {
		f.addEmpty(parseTags(s.text), want)
		f.retype(parseTags(s.text))
		return nil
	}
	if s.name == colInvalid {
		return nil
	}
	if want != nil && !want[s.name] {
		return nil
	}
	v, err := exactValue(s.typ, s.text)
	if err != nil {
		return err
	}
	if s.mode == modeWhole {
		f.add(s.name, v)
		return nil
	}
	for i := range f.row.Fields {
		if f.row.Fields[i].Name == s.name {
			f.row.Fields[i].Value = v
			return nil
		}
	}
	f.add(s.name, v) // its column was not asked for, or is gone
	return nil
}

func (f *found) addRef(s special, want map[string]bool) error {
	p := pending{field: len(f.row.Fields), typ: s.typ, all: s.name == colSpecial}
	if !p.all && want != nil && !want[s.name] {
		return nil
	}
	if s.mode == modeParts {
		var err error
		if p.parts, p.length, err = parseParts(s.text); err != nil {
			return err
		}
	} else {
		r, err := parseRef(s.text)
		if err != nil {
			return err
		}
		p.parts, p.length = []piece{{ref: r}}, r.length
	}
	f.refs = append(f.refs, p)
	if !p.all {
		f.row.Fields = append(f.row.Fields, store.Field{Name: s.name})
	}
	return nil
}

// retype gives columns their types when the tags came late, with the special values.
func (f *found) retype(tags *typeTags) {
	for i := range f.row.Fields {
		field := &f.row.Fields[i]
		if t := tags.typeOf(field.Name, field.Value.Type()); t != field.Value.Type() {
			field.Value = valueOf(t, field.Value.Text())
		}
	}
}

// valueOf turns a column's text into a value. What does not read as its type stays a string: a row never gets lost.
func valueOf(t store.Type, text string) store.Value {
	switch t {
	case store.TypeInt:
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return store.Int(i)
		}
	case store.TypeDouble:
		if d, err := strconv.ParseFloat(text, 64); err == nil {
			return store.Double(d)
		}
	case store.TypeBool:
		return store.Bool(text == "true")
	case store.TypeBytes:
		return store.Bytes(text)
	case store.TypeSlice:
		return store.SliceJSON(text)
	case store.TypeMap:
		return store.MapJSON(text)
	case store.TypeEmpty:
		return store.Value{}
	}
	return store.String(text)
}

// exactValue reverses exactText.
func exactValue(t store.Type, text string) (store.Value, error) {
	if t != store.TypeDouble {
		return valueOf(t, text), nil
	}
	_, hex, _ := strings.Cut(text, " ")
	bits, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		return store.Value{}, fmt.Errorf("%w: double", errSpecial)
	}
	return store.Double(math.Float64frombits(bits)), nil
}

// typeTags is a parsed column _types.
type typeTags struct {
	types map[string]store.Type
	empty []store.Field
}

func parseTags(text string) *typeTags {
	tags := &typeTags{types: map[string]store.Type{}}
	for text != "" {
		var tag string
		tag, text, _ = strings.Cut(text, "\x00")
		if tag == "" {
			continue
		}
		name := strings.Clone(tag[1:])
		if t, ok := typeOfLetter(tag[0]); ok {
			tags.types[name] = t
		} else if t, ok := typeOfLetter(tag[0] - 'A' + 'a'); ok {
			tags.empty = append(tags.empty, store.Field{Name: name, Value: valueOf(t, "")})
		}
	}
	return tags
}

func (t *typeTags) typeOf(name string, implied store.Type) store.Type {
	if typ, ok := t.types[name]; ok {
		return typ
	}
	return implied
}

// tagCache keeps the parsed tags of a block: rows of one kind of span have the same.
type tagCache map[string]*typeTags

func (c tagCache) of(text string) *typeTags {
	tags := c[text]
	if tags == nil {
		tags = parseTags(text)
		c[text] = tags // the key lives as long as the block does, and so does the cache
	}
	return tags
}
