package eventdb

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	longText   = 64 << 10 // a text of any field from which it is kept apart
	inlineText = 1 << 20  // texts of a row in columns; beyond it every text over shortText is kept apart
	shortText  = 64
)

// encoded is a row on its way to the engine.
type encoded struct {
	time     int64
	fields   []logstorage.Field
	streams  int // the first so many fields name the stream
	payloads []payload
}

// payload is a text that is kept apart.
type payload struct {
	ref  ref
	body string
}

// encoder turns rows into columns. It is not safe for concurrent use; its buffers are used again.
type encoder struct {
	project signal.Project
	seen    map[string]struct{}
	types   []byte
	special []special
	buf     []byte
	inline  int
	invalid bool // some text is no valid UTF-8
}

// encode returns the columns of r. The result does not share memory with the encoder.
// The error names the reason why the engine can't hold the row.
func (e *encoder) encode(r *store.Row) (encoded, error) {
	if r.ID == "" || len(r.ID) > maxIDLen {
		return encoded{}, fmt.Errorf("row id of %d bytes: 1 to %d are allowed", len(r.ID), maxIDLen)
	}
	e.reset()
	out := encoded{time: r.Time, fields: make([]logstorage.Field, 0, len(r.Fields)+5)}
	out.add(colKind, string(r.Kind))
	out.streams = 1
	service := serviceOf(r)
	if service >= 0 {
		out.add(colService, r.Fields[service].Value.Text())
		out.streams = 2
		e.seen[colService] = struct{}{}
	}
	out.add(colID, idColumn(r.ID))
	for i, f := range r.Fields {
		if i != service {
			e.field(&out, f)
		}
	}
	e.finish(&out)
	if n := logstorage.EstimatedJSONRowLen(out.fields); n > maxRowLen {
		return encoded{}, fmt.Errorf("row of %d bytes after its texts were kept apart: the store holds %d", n, maxRowLen)
	}
	return out, nil
}

// serviceOf returns which field names the row's stream beside the kind, -1 when none can.
func serviceOf(r *store.Row) int {
	for i, f := range r.Fields {
		if f.Name != colService {
			continue
		}
		if text := f.Value.Text(); f.Value.Type() == store.TypeString && text != "" && len(text) <= maxServiceLen && comesBack(text) && utf8.ValidString(text) {
			return i
		}
		return -1
	}
	return -1
}

func (e *encoder) reset() {
	if e.seen == nil {
		e.seen = map[string]struct{}{}
	}
	clear(e.seen)
	e.types, e.special, e.inline = e.types[:0], e.special[:0], 0
	e.invalid = false
}

func (o *encoded) add(name, value string) {
	o.fields = append(o.fields, logstorage.Field{Name: name, Value: value})
}

func (e *encoder) field(out *encoded, f store.Field) {
	t, text := f.Value.Type(), f.Value.Text()
	if e.apart(f.Name, text) {
		e.seen[f.Name] = struct{}{} // its repeats must stay behind it
		e.special = append(e.special, out.keepApart(e.project, f.Name, t, exactText(f.Value)))
		return
	}
	_, repeated := e.seen[f.Name]
	e.seen[f.Name] = struct{}{}
	valid := utf8.ValidString(text)
	e.invalid = e.invalid || !valid
	if repeated || !columnName(f.Name) || len(out.fields) >= maxColumns {
		e.special = append(e.special, special{f.Name, modeWhole, t, exactText(f.Value)})
		return
	}
	if text == "" {
		e.tag(typeLetters[t]-'a'+'A', f.Name)
		return
	}
	if t != impliedType(f.Name) {
		e.tag(typeLetters[t], f.Name)
	}
	out.add(f.Name, text)
	e.inline += len(text)
	// What the name says is a number must be one for the engine's arithmetic to be right, and what looks like one too.
	odd := t != store.TypeInt && impliedType(f.Name) == store.TypeInt || !canBeNumber(t) && looksLikeNumber(text)
	if odd || !valid || !comesBack(text) || t == store.TypeDouble && !plainDouble(f.Value, text) {
		e.special = append(e.special, special{f.Name, modeExact, t, exactText(f.Value)})
	}
}

// apart tells whether a field's text is stored as a payload of its own.
func (e *encoder) apart(name, text string) bool {
	switch {
	case len(text) >= longText:
		return true
	case e.inline > inlineText && len(text) >= shortText:
		return true
	default:
		return len(text) >= store.PayloadMinBytes && splittable(name)
	}
}

func (e *encoder) tag(letter byte, name string) {
	e.types = append(e.types, letter)
	e.types = append(e.types, name...)
	e.types = append(e.types, 0)
}

// finish adds the columns that describe the others.
func (e *encoder) finish(out *encoded) {
	if len(e.types) > 0 {
		e.describe(out, colTypes, string(e.types))
	}
	if e.invalid {
		// The engine draws the edges of words differently there: text searches look at such rows themselves.
		e.special = append(e.special, special{name: colInvalid, mode: modeWhole, typ: store.TypeString})
	}
	if len(e.special) == 0 {
		return
	}
	b := e.buf[:0]
	for _, s := range e.special {
		b = s.append(b)
	}
	e.buf = b
	if len(b) <= maxSpecialLen {
		out.add(colSpecial, string(b))
		return
	}
	all := out.keepApart(e.project, colSpecial, store.TypeString, string(b))
	out.add(colSpecial, string(all.append(nil)))
}

// describe adds the column of types. One that is out of all proportion goes with the special values.
func (e *encoder) describe(out *encoded, name, text string) {
	if len(text) < longText*4 {
		out.add(name, text)
		return
	}
	e.special = append(e.special, special{name, modeWhole, store.TypeString, text})
}

// keepApart makes text a payload and returns the value that refers to it.
func (o *encoded) keepApart(p signal.Project, name string, t store.Type, text string) special {
	r := ref{hash: store.PayloadHash(p, text), length: len(text), chunks: chunksOf(len(text))}
	o.payloads = append(o.payloads, payload{ref: r, body: text})
	return special{name: name, mode: modeRef, typ: t, text: r.String()}
}

// canBeNumber tells whether values of a type are numbers when their text is.
func canBeNumber(t store.Type) bool {
	return t == store.TypeInt || t == store.TypeDouble || t == store.TypeString
}

func looksLikeNumber(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil
}

// plainDouble tells whether text read as a number gives v with all its bits; NaN has many.
func plainDouble(v store.Value, text string) bool {
	f, _ := v.Number()
	back, err := strconv.ParseFloat(text, 64)
	return err == nil && math.Float64bits(back) == math.Float64bits(f)
}

// exactText returns the text that keeps v exactly: its Text, for doubles followed by a blank and the bits.
func exactText(v store.Value) string {
	if v.Type() == store.TypeDouble {
		f, _ := v.Number()
		return v.Text() + " " + strconv.FormatUint(math.Float64bits(f), 16)
	}
	return v.Text()
}
