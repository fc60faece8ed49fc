package store

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/xpdata"
)

// maxAnyDepth bounds the nesting of a value. OTLP's decoders stop earlier: at 100 levels of protobuf, at 10 000 of JSON
// with several to one of a value.
const maxAnyDepth = 10_000

// EncodeAny returns v as compact JSON that a person can read and that DecodeAny turns back without loss:
//
//   - ints have no fraction, doubles always have one or an exponent: 5, 5.0, 1e+100;
//   - bytes are {"@bytes":"base64"}, NaN and infinities {"@double":"NaN"}, text that is no UTF-8 {"@utf8":"base64"};
//   - the empty value is null;
//   - maps keep their order and repeated keys; one whose first key begins with "@" is {"@map":{…}}.
func EncodeAny(v pcommon.Value) string {
	return string(appendAny(make([]byte, 0, 64), v, 0))
}

func appendAny(b []byte, v pcommon.Value, depth int) []byte {
	if depth > maxAnyDepth {
		return append(b, `{"@deep":true}`...)
	}
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return appendText(b, v.Str())
	case pcommon.ValueTypeInt:
		return strconv.AppendInt(b, v.Int(), 10)
	case pcommon.ValueTypeBool:
		return strconv.AppendBool(b, v.Bool())
	case pcommon.ValueTypeDouble:
		return appendDouble(b, v.Double())
	case pcommon.ValueTypeBytes:
		return appendBase64(b, "@bytes", v.Bytes().AsRaw())
	case pcommon.ValueTypeSlice:
		return appendAnySlice(b, v.Slice(), depth)
	case pcommon.ValueTypeMap:
		return appendAnyMap(b, v.Map(), depth)
	default:
		return append(b, "null"...)
	}
}

func appendAnySlice(b []byte, s pcommon.Slice, depth int) []byte {
	b = append(b, '[')
	for i := range s.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendAny(b, s.At(i), depth+1)
	}
	return append(b, ']')
}

func appendAnyMap(b []byte, m pcommon.Map, depth int) []byte {
	escaped := false
	for k := range m.All() {
		escaped = k != "" && k[0] == '@'
		break
	}
	if escaped {
		b = append(b, `{"@map":`...)
	}
	b = append(b, '{')
	first := true
	for k, v := range m.All() {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendKey(b, k)
		b = append(b, ':')
		b = appendAny(b, v, depth+1)
	}
	b = append(b, '}')
	if escaped {
		b = append(b, '}')
	}
	return b
}

// invalidKey begins a map key that is no UTF-8, followed by its base64. A key that really begins so is written that
// way too.
const invalidKey = "@utf8:"

func appendKey(b []byte, k string) []byte {
	if !utf8.ValidString(k) || len(k) >= len(invalidKey) && k[:len(invalidKey)] == invalidKey {
		b = append(b, '"')
		b = append(b, invalidKey...)
		b = base64.StdEncoding.AppendEncode(b, []byte(k))
		return append(b, '"')
	}
	return appendQuoted(b, k)
}

func decodeKey(k string) (string, error) {
	if len(k) < len(invalidKey) || k[:len(invalidKey)] != invalidKey {
		return k, nil
	}
	raw, err := base64.StdEncoding.DecodeString(k[len(invalidKey):])
	return string(raw), err
}

func appendText(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		return appendBase64(b, "@utf8", []byte(s))
	}
	return appendQuoted(b, s)
}

func appendBase64(b []byte, tag string, raw []byte) []byte {
	b = append(b, `{"`...)
	b = append(b, tag...)
	b = append(b, `":"`...)
	b = base64.StdEncoding.AppendEncode(b, raw)
	return append(b, `"}`...)
}

func appendDouble(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		b = append(b, `{"@double":"`...)
		b = strconv.AppendFloat(b, f, 'g', -1, 64)
		return append(b, `"}`...)
	}
	n := len(b)
	b = strconv.AppendFloat(b, f, 'g', -1, 64)
	for _, c := range b[n:] {
		if c == '.' || c == 'e' {
			return b
		}
	}
	return append(b, ".0"...)
}

const hexDigits = "0123456789abcdef"

// appendQuoted writes valid UTF-8 as a JSON string. Unlike encoding/json it leaves <, > and & alone: prompts are full
// of them.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// DecodeAny reads what EncodeAny wrote into v. It returns an error that wraps ErrCorrupt for anything else; v is then
// undefined.
func DecodeAny(js string, v pcommon.Value) error {
	d := anyDecoder{s: js}
	if err := d.value(v, 0); err != nil {
		return fmt.Errorf("decode value at byte %d: %w: %w", d.i, ErrCorrupt, err)
	}
	if d.i != len(d.s) {
		return fmt.Errorf("decode value: %w: %d bytes behind its end", ErrCorrupt, len(d.s)-d.i)
	}
	return nil
}

type anyDecoder struct {
	s string
	i int
}

var (
	errSyntax = errors.New("not a value")
	errDepth  = errors.New("nested too deep")
)

func (d *anyDecoder) value(v pcommon.Value, depth int) error {
	if depth > 2*maxAnyDepth+2 {
		return errDepth
	}
	if d.i >= len(d.s) {
		return errSyntax
	}
	switch c := d.s[d.i]; c {
	case '"':
		s, err := d.text()
		if err != nil {
			return err
		}
		v.SetStr(s)
		return nil
	case '[':
		return d.slice(v.SetEmptySlice(), depth)
	case '{':
		return d.object(v, depth)
	case 't', 'f', 'n':
		return d.word(v)
	default:
		return d.number(v)
	}
}

func (d *anyDecoder) word(v pcommon.Value) error {
	rest := d.s[d.i:]
	switch {
	case len(rest) >= 4 && rest[:4] == "true":
		d.i += 4
		v.SetBool(true)
	case len(rest) >= 5 && rest[:5] == "false":
		d.i += 5
		v.SetBool(false)
	case len(rest) >= 4 && rest[:4] == "null":
		d.i += 4
	default:
		return errSyntax
	}
	return nil
}

func (d *anyDecoder) number(v pcommon.Value) error {
	start, isInt := d.i, true
	for d.i < len(d.s) {
		c := d.s[d.i]
		if c == '.' || c == 'e' {
			isInt = false
		} else if (c < '0' || c > '9') && c != '-' && c != '+' {
			break
		}
		d.i++
	}
	text := d.s[start:d.i]
	if isInt {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return errSyntax
		}
		v.SetInt(n)
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return errSyntax
	}
	v.SetDouble(f)
	return nil
}

// text reads a JSON string. Everything appendQuoted writes is also Go-standard JSON, so escapes go to encoding/json.
func (d *anyDecoder) text() (string, error) {
	start := d.i
	d.i++
	plain := true
	for d.i < len(d.s) {
		switch d.s[d.i] {
		case '"':
			d.i++
			if plain {
				return d.s[start+1 : d.i-1], nil
			}
			var s string
			if err := json.Unmarshal([]byte(d.s[start:d.i]), &s); err != nil {
				return "", errSyntax
			}
			return s, nil
		case '\\':
			plain = false
			d.i++
		}
		d.i++
	}
	return "", errSyntax
}

func (d *anyDecoder) slice(s pcommon.Slice, depth int) error {
	d.i++
	if d.skip(']') {
		return nil
	}
	for {
		if err := d.value(s.AppendEmpty(), depth+1); err != nil {
			return err
		}
		if d.skip(']') {
			return nil
		}
		if !d.skip(',') {
			return errSyntax
		}
	}
}

func (d *anyDecoder) object(v pcommon.Value, depth int) error {
	if tag, body, ok := d.tagged(); ok {
		return setTagged(v, tag, body)
	}
	const escape = `{"@map":`
	if rest := d.s[d.i:]; len(rest) > len(escape) && rest[:len(escape)] == escape {
		d.i += len(escape)
		if d.i >= len(d.s) || d.s[d.i] != '{' {
			return errSyntax
		}
		if err := d.members(v.SetEmptyMap(), depth+1); err != nil {
			return err
		}
		if !d.skip('}') {
			return errSyntax
		}
		return nil
	}
	return d.members(v.SetEmptyMap(), depth)
}

// members reads the members of an object into m. OTLP forbids repeated keys, yet senders send them: the builder, unlike
// the map's own methods, keeps each.
func (d *anyDecoder) members(m pcommon.Map, depth int) error {
	d.i++
	if d.skip('}') {
		return nil
	}
	var built xpdata.MapBuilder
	for {
		if d.i >= len(d.s) || d.s[d.i] != '"' {
			return errSyntax
		}
		k, err := d.text()
		if err != nil {
			return err
		}
		if k, err = decodeKey(k); err != nil {
			return errSyntax
		}
		if !d.skip(':') {
			return errSyntax
		}
		if err := d.value(built.AppendEmpty(k), depth+1); err != nil {
			return err
		}
		if d.skip('}') {
			built.UnsafeIntoMap(m)
			return nil
		}
		if !d.skip(',') {
			return errSyntax
		}
	}
}

// tagged reads {"@tag":"…"} with one of the tags for text, and leaves the place unchanged when there is none.
func (d *anyDecoder) tagged() (tag, body string, ok bool) {
	start := d.i
	for _, tag := range []string{"@bytes", "@double", "@utf8"} {
		head := `{"` + tag + `":"`
		if rest := d.s[d.i:]; len(rest) < len(head) || rest[:len(head)] != head {
			continue
		}
		d.i += len(head) - 1
		body, err := d.text()
		if err == nil && d.skip('}') {
			return tag, body, true
		}
		d.i = start
	}
	return "", "", false
}

func setTagged(v pcommon.Value, tag, body string) error {
	if tag == "@double" {
		f, err := strconv.ParseFloat(body, 64)
		if err != nil {
			return errSyntax
		}
		v.SetDouble(f)
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(body)
	if err != nil {
		return errSyntax
	}
	if tag == "@utf8" {
		v.SetStr(string(raw))
		return nil
	}
	v.SetEmptyBytes().FromRaw(raw)
	return nil
}

func (d *anyDecoder) skip(c byte) bool {
	if d.i < len(d.s) && d.s[d.i] == c {
		d.i++
		return true
	}
	return false
}
