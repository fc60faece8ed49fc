package traceql

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Type is the type of a Value.
type Type uint8

// The types of values. TypeNil is that of what is absent.
const (
	TypeNil Type = iota
	TypeInt
	TypeFloat
	TypeDuration
	TypeString
	TypeBool
	TypeStatus
	TypeKind
	TypeList
)

// String returns the type's name as Tempo's API has it.
func (t Type) String() string {
	return [...]string{"nil", "int", "float", "duration", "string", "bool", "keyword", "keyword", "list"}[t]
}

// Value is a literal, or what an expression is for one span. Statuses and kinds are words. A list is what events or
// links have under one name, one element each. The zero Value is nil.
type Value struct {
	typ  Type
	bits uint64
	text string
	list *[]Value
}

// Int returns the Value of n.
func Int(n int64) Value { return Value{typ: TypeInt, bits: uint64(n)} }

// Float returns the Value of f.
func Float(f float64) Value { return Value{typ: TypeFloat, bits: math.Float64bits(f)} }

// Duration returns the Value of d.
func Duration(d time.Duration) Value { return Value{typ: TypeDuration, bits: uint64(d)} }

// String returns the Value of s.
func String(s string) Value { return Value{typ: TypeString, text: s} }

// Bool returns the Value of b.
func Bool(b bool) Value {
	v := Value{typ: TypeBool}
	if b {
		v.bits = 1
	}
	return v
}

func statusValue(word string) Value { return Value{typ: TypeStatus, text: word} }
func kindValue(word string) Value   { return Value{typ: TypeKind, text: word} }

func listValue(vs []Value) Value {
	if len(vs) == 0 {
		return Value{}
	}
	return Value{typ: TypeList, list: &vs}
}

// Type returns what v is.
func (v Value) Type() Type { return v.typ }

// IsNil tells whether v is absent.
func (v Value) IsNil() bool { return v.typ == TypeNil }

// True tells whether v is the boolean true.
func (v Value) True() bool { return v.typ == TypeBool && v.bits != 0 }

// Int returns the integer of an int or a duration, in nanoseconds.
func (v Value) Int() int64 {
	if v.typ == TypeInt || v.typ == TypeDuration {
		return int64(v.bits)
	}
	return 0
}

// Number returns v as a number, durations in nanoseconds, and whether it is one.
func (v Value) Number() (float64, bool) {
	switch v.typ {
	case TypeInt, TypeDuration:
		return float64(int64(v.bits)), true
	case TypeFloat:
		return math.Float64frombits(v.bits), true
	default:
		return 0, false
	}
}

// Text returns v as a person reads it: texts without quotes, durations like 1.5s.
func (v Value) Text() string {
	switch v.typ {
	case TypeNil:
		return "nil"
	case TypeInt:
		return strconv.FormatInt(int64(v.bits), 10)
	case TypeFloat:
		return strconv.FormatFloat(math.Float64frombits(v.bits), 'g', -1, 64)
	case TypeDuration:
		return time.Duration(v.bits).String()
	case TypeBool:
		return strconv.FormatBool(v.bits != 0)
	case TypeList:
		texts := make([]string, len(*v.list))
		for i, e := range *v.list {
			texts[i] = e.Text()
		}
		return strings.Join(texts, ", ")
	default:
		return v.text
	}
}

// String writes v as a query has it.
func (v Value) String() string {
	switch {
	case v.typ == TypeString:
		return quote(v.text)
	case v.typ == TypeInt && v.Int() == math.MinInt64:
		return "minInt" // its digits alone are out of range
	}
	return v.Text()
}

func (v Value) size() int {
	n := len(v.text)
	if v.list != nil {
		for _, e := range *v.list {
			n += valueBytes + e.size()
		}
	}
	return n
}

// valueBytes is what a Value takes without its text.
const valueBytes = 40

// compare tells whether a op b holds. Values of different types never compare, numbers of all types do. Of a list, one
// element must do for all operators but != and !~, for which all must.
func compare(op Op, a, b Value) bool {
	if b.typ == TypeList && a.typ != TypeList {
		a, b = b, a
		op = op.flipped()
	}
	if a.typ != TypeList {
		return compareOne(op, a, b)
	}
	all := op == OpNotEqual || op == OpNotMatch
	for _, e := range *a.list {
		if compareOne(op, e, b) != all {
			return !all
		}
	}
	return all
}

func compareOne(op Op, a, b Value) bool {
	if x, ok := a.Number(); ok {
		y, ok := b.Number()
		return ok && compareNumbers(op, a, b, x, y)
	}
	if a.typ != b.typ || a.typ == TypeList {
		return false
	}
	switch a.typ {
	case TypeString:
		return compareOrdered(op, a.text, b.text)
	case TypeBool:
		return op == OpEqual && a.bits == b.bits || op == OpNotEqual && a.bits != b.bits
	case TypeStatus, TypeKind:
		return op == OpEqual && a.text == b.text || op == OpNotEqual && a.text != b.text
	default:
		return false
	}
}

func compareNumbers(op Op, a, b Value, x, y float64) bool {
	if a.typ != TypeFloat && b.typ != TypeFloat {
		return compareOrdered(op, a.Int(), b.Int())
	}
	return compareOrdered(op, x, y)
}

func compareOrdered[T int64 | float64 | string](op Op, a, b T) bool {
	switch op {
	case OpEqual:
		return a == b
	case OpNotEqual:
		return a != b
	case OpLess:
		return a < b
	case OpLessEqual:
		return a <= b
	case OpGreater:
		return a > b
	case OpGreaterEqual:
		return a >= b
	default:
		return false
	}
}

// matches tells whether a text, or one of a list, matches. negated: whether all do not.
func matches(v Value, re *regexp.Regexp, negated bool) bool {
	switch v.typ {
	case TypeString, TypeStatus, TypeKind:
		return re.MatchString(v.text) != negated
	case TypeList:
		for _, e := range *v.list {
			if matches(e, re, negated) != negated {
				return !negated
			}
		}
		return negated
	default:
		return false
	}
}

// arithmetic computes a op b, nil when one is no number. A quotient of integers is a fraction: tokens are divided by tokens.
func arithmetic(op Op, a, b Value) Value {
	x, ok := a.Number()
	if !ok {
		return Value{}
	}
	y, ok := b.Number()
	if !ok {
		return Value{}
	}
	if a.typ == TypeInt && b.typ == TypeInt {
		if v, ok := integers(op, a.Int(), b.Int()); ok {
			return v
		}
	}
	var r float64
	switch op {
	case OpAdd:
		r = x + y
	case OpSub:
		r = x - y
	case OpMul:
		r = x * y
	case OpDiv:
		r = x / y
	case OpMod:
		r = math.Mod(x, y)
	case OpPow:
		r = math.Pow(x, y)
	}
	keeps := (a.typ == TypeDuration || b.typ == TypeDuration) && math.Abs(r) < math.MaxInt64
	if keeps && (op != OpDiv || b.typ != TypeDuration) {
		return Duration(time.Duration(r))
	}
	return Float(r)
}

// integers computes what stays an integer.
func integers(op Op, a, b int64) (Value, bool) {
	switch op {
	case OpAdd:
		r := a + b
		return Int(r), (r > a) == (b > 0)
	case OpSub:
		r := a - b
		return Int(r), (r < a) == (b > 0)
	case OpMul:
		if a == 0 || b == 0 {
			return Int(0), true
		}
		r := a * b
		return Int(r), r/b == a && a != math.MinInt64 && b != math.MinInt64 // at that bound, quotients overflow too
	case OpDiv:
		return Int(a / max(b, 1)), b > 0 && a%b == 0
	case OpMod:
		return Int(a % max(b, 1)), b > 0
	default:
		return Value{}, false
	}
}

func negative(v Value) Value {
	switch v.typ {
	case TypeInt:
		return Int(-v.Int())
	case TypeDuration:
		return Duration(time.Duration(-v.Int()))
	case TypeFloat:
		return Float(-math.Float64frombits(v.bits))
	default:
		return Value{}
	}
}
