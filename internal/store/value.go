package store

import (
	"math"
	"strconv"
)

// Type says what a Value holds. The zero Type is TypeEmpty: OTLP's AnyValue without a value.
type Type uint8

// The types of OTLP's AnyValue. Slices and maps are kept as JSON text (see EncodeAny).
const (
	TypeEmpty Type = iota
	TypeString
	TypeBool
	TypeInt
	TypeDouble
	TypeBytes
	TypeSlice
	TypeMap
)

// String returns the type's name as used in text tests and type tags.
func (t Type) String() string {
	return [...]string{"empty", "string", "bool", "int", "double", "bytes", "slice", "map"}[t]
}

// Value is one typed value. It is comparable with ==, except that NaN equals NaN of the same bits.
// The zero Value is the empty value.
type Value struct {
	str string
	num uint64
	typ Type
}

// String returns the Value of s.
func String(s string) Value { return Value{typ: TypeString, str: s} }

// Int returns the Value of i.
func Int(i int64) Value { return Value{typ: TypeInt, num: uint64(i)} }

// Double returns the Value of f.
func Double(f float64) Value { return Value{typ: TypeDouble, num: math.Float64bits(f)} }

// Bytes returns the Value of the bytes in b.
func Bytes(b string) Value { return Value{typ: TypeBytes, str: b} }

// SliceJSON returns the Value of a slice in the text that EncodeAny made.
func SliceJSON(js string) Value { return Value{typ: TypeSlice, str: js} }

// MapJSON returns the Value of a map in the text that EncodeAny made.
func MapJSON(js string) Value { return Value{typ: TypeMap, str: js} }

// Bool returns the Value of b.
func Bool(b bool) Value {
	v := Value{typ: TypeBool}
	if b {
		v.num = 1
	}
	return v
}

// Type returns what v holds.
func (v Value) Type() Type { return v.typ }

// Int returns v's integer, 0 when v is no int.
func (v Value) Int() int64 {
	if v.typ != TypeInt {
		return 0
	}
	return int64(v.num)
}

// Bool returns v's boolean, false when v is no bool.
func (v Value) Bool() bool { return v.typ == TypeBool && v.num != 0 }

// Number returns v as a float64 and whether v is a number. A string that is written like a number counts as one:
// several dialects send numbers as strings, and the filters < <= > >= must treat them alike in every engine.
func (v Value) Number() (float64, bool) {
	switch v.typ {
	case TypeInt:
		return float64(int64(v.num)), true
	case TypeDouble:
		return math.Float64frombits(v.num), true
	case TypeString:
		f, err := strconv.ParseFloat(v.str, 64)
		return f, err == nil
	default:
		return 0, false
	}
}

// Text returns v as text: strings and bytes as they are, numbers in shortest decimal form (1000000, 0.5; with an
// exponent from 1e+21 and below 1e-6), slices and maps as JSON, the empty value as "". Filters compare text by this
// form, whatever the type.
func (v Value) Text() string {
	switch v.typ {
	case TypeInt:
		return strconv.FormatInt(int64(v.num), 10)
	case TypeDouble:
		f := math.Float64frombits(v.num)
		format := byte('f')
		if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
			format = 'e'
		}
		return strconv.FormatFloat(f, format, -1, 64)
	case TypeBool:
		return strconv.FormatBool(v.num != 0)
	default:
		return v.str
	}
}
