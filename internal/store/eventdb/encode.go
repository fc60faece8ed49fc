package eventdb

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

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
	hash [16]byte
	ref  ref
	body string
	// ours says that the text is of this package's making: nothing for a redactor.
	ours bool
}

// encoder turns rows into columns. It is not safe for concurrent use; its buffers are used again.
type encoder struct {
	key     []byte // of the project's payloads
	redact  func(string) (string, bool)
	cuts    []cut
	names   map[string]*nameFacts
	last    *nameFacts // of the field before
	number  uint64     // of the row at hand
	types   []byte
	special []special
	buf     []byte
	pieces  pieces
	row     []logstorage.Field // the columns of the row at hand
	orders  columnOrders
	shape   uint64 // stands for the columns of the row at hand, in their order
	inline  int
	invalid bool   // some text is no valid UTF-8
	odds    []byte // words in mixed case, see oddwords.go
}

// encode returns the columns of r, those of its stream in front and the others in the order of their names, as the engine
// wants them. They are valid until e.pieces are free; the rest of the result shares no memory with the encoder. The error names
// the reason why the engine can't hold the row.
func (e *encoder) encode(r *store.Row) (encoded, error) {
	if r.ID == "" || len(r.ID) > maxIDLen {
		return encoded{}, fmt.Errorf("row id of %d bytes: 1 to %d are allowed", len(r.ID), maxIDLen)
	}
	e.reset()
	out := encoded{time: r.Time, fields: e.row[:0]}
	out.add(colKind, string(r.Kind))
	e.odd(string(r.Kind))
	out.streams = 1
	service := serviceOf(r)
	if service >= 0 {
		e.addOurs(&out, colService, r.Fields[service].Value.Text())
		out.streams = 2
		e.shape++ // a service that is too long for the stream's name is in another place of the order
		e.odd(r.Fields[service].Value.Text())
	}
	out.add(colID, idColumn(r.ID))
	for i, f := range r.Fields {
		if i != service {
			e.field(&out, f)
		}
	}
	e.finish(&out)
	e.row = out.fields
	out.fields = e.orders.sort(&e.pieces, e.row, out.streams, e.shape)
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
	if e.names == nil || len(e.names) > maxNames {
		e.names, e.orders = map[string]*nameFacts{}, columnOrders{}
	}
	e.shape = 0
	e.last = nil
	e.number++
	e.types, e.special, e.inline = e.types[:0], e.special[:0], 0
	e.invalid = false
	e.odds = e.odds[:0]
}

// nameFacts is what an encoder knows of a field's name.
type nameFacts struct {
	text    string
	number  uint64 // from 1 on
	column  bool
	implied store.Type
	row     uint64 // the last one that has it
	// next is the name that stood behind it the last time: most rows have the same names in the same order.
	next *nameFacts
}

// maxNames bounds the names an encoder remembers, between rows.
const maxNames = 10_000

// name tells what is known of a name, and whether the row at hand has had it.
func (e *encoder) name(text string) (f *nameFacts, repeated bool) {
	if e.last != nil && e.last.next != nil && e.last.next.text == text {
		f = e.last.next
	} else if f = e.names[text]; f == nil {
		text = strings.Clone(text)
		f = &nameFacts{text: text, number: uint64(len(e.names) + 1), column: columnName(text), implied: impliedType(text)}
		e.names[text] = f
	}
	if e.last != nil {
		e.last.next = f
	}
	e.last = f
	repeated = f.row == e.number
	f.row = e.number
	return f, repeated
}

// add adds the column of a name.
func (e *encoder) add(out *encoded, name *nameFacts, value string) {
	out.add(name.text, value)
	e.shape = (e.shape ^ name.number) * 0x100000001b3 // FNV-1a's step
}

// addOurs adds a column of this package's own.
func (e *encoder) addOurs(out *encoded, name, value string) {
	f, _ := e.name(name)
	e.add(out, f, value)
}

func (o *encoded) add(name, value string) {
	o.fields = append(o.fields, logstorage.Field{Name: name, Value: value})
}

func (e *encoder) field(out *encoded, f store.Field) {
	t, text := f.Value.Type(), f.Value.Text()
	if e.apart(f.Name, text) {
		e.name(f.Name) // its repeats must stay behind it
		e.special = append(e.special, e.keepApart(out, f.Name, t, exactText(f.Value)))
		return
	}
	name, repeated := e.name(f.Name)
	valid := utf8.ValidString(text)
	e.invalid = e.invalid || !valid
	if repeated || !name.column || len(out.fields) >= maxColumns {
		e.special = append(e.special, special{f.Name, modeWhole, t, exactText(f.Value)})
		e.odd(text)
		return
	}
	if text == "" {
		e.tag(typeLetters[t]-'a'+'A', f.Name)
		return
	}
	if t != name.implied {
		e.tag(typeLetters[t], f.Name)
	}
	e.add(out, name, text)
	e.odd(text)
	e.inline += len(text)
	// What the name says is a number must be one for the engine's arithmetic to be right, and what looks like one too.
	odd := t != store.TypeInt && name.implied == store.TypeInt || !canBeNumber(t) && looksLikeNumber(text)
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
	if odd := e.oddColumn(); odd != "" {
		e.addOurs(out, colOdd, odd)
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
		e.addOurs(out, colSpecial, string(b))
		return
	}
	all := special{colSpecial, modeRef, store.TypeString, e.payload(out, string(b), true).String()}
	e.addOurs(out, colSpecial, string(all.append(nil)))
}

// describe adds the column of types. One that is out of all proportion goes with the special values.
func (e *encoder) describe(out *encoded, name, text string) {
	if len(text) < longText*4 {
		e.addOurs(out, name, text)
		return
	}
	e.special = append(e.special, special{name, modeWhole, store.TypeString, text})
}

// keepApart makes text one payload or several and returns the value that refers to them.
func (e *encoder) keepApart(out *encoded, name string, t store.Type, text string) special {
	e.cuts = split(e.cuts, name, t, text)
	if len(e.cuts) == 0 || e.secretBetween(text) {
		return special{name: name, mode: modeRef, typ: t, text: e.payload(out, text, false).String()}
	}
	refs := make([]byte, 0, len(e.cuts)*(hashLen+1)+64)
	refs = strconv.AppendInt(refs, int64(len(text)), 10)
	done := 0
	for _, c := range e.cuts {
		e.odd(text[done:c.start])
		refs = appendPart(refs, text[done:c.start], e.payload(out, text[c.start:c.end], false))
		done = c.end
	}
	if text[done:] == "]" {
		refs = append(refs, signEnd)
	} else {
		e.odd(text[done:])
		refs = appendInline(refs, text[done:])
	}
	return special{name: name, mode: modeParts, typ: t, text: string(refs)}
}

// secretBetween tells whether what would stay in the row has something to redact: such a text is stored whole, so that
// the redactor sees all of it.
func (e *encoder) secretBetween(text string) bool {
	if e.redact == nil {
		return false
	}
	done := 0
	for _, c := range append(e.cuts, cut{len(text), len(text)}) {
		if c.start-done > 2 {
			if _, secret := e.redact(text[done:c.start]); secret {
				return true
			}
		}
		done = c.end
	}
	return false
}

// payload adds a text to the row's payloads.
func (e *encoder) payload(out *encoded, text string, ours bool) ref {
	h := hashOf(e.key, text)
	r := ref{hash: hex.EncodeToString(h[:]), length: len(text), chunks: chunksOf(len(text))}
	out.payloads = append(out.payloads, payload{hash: h, ref: r, body: text, ours: ours})
	return r
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
