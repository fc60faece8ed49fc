package traceql

import "fmt"

// SyntaxError is a query that can't be read, or whose parts don't fit.
type SyntaxError struct {
	// Line and Column count from 1, in bytes.
	Line, Column int
	// Message says what is wrong there.
	Message string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("TraceQL, line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// Pos is a place in a query: a byte's number.
type Pos int

type tokenKind uint8

const (
	tokEnd    tokenKind = iota
	tokPunct            // operators and brackets; text is the operator
	tokWord             // a bare word
	tokAttr             // an attribute with its scope
	tokString           // text is the unquoted text
	tokNumber           // value is int or float
	tokDuration
)

type token struct {
	kind  tokenKind
	pos   Pos
	text  string
	value Value
	attr  Attribute
}

func (t token) describe() string {
	switch t.kind {
	case tokEnd:
		return "the end of the query"
	case tokAttr:
		return t.attr.String()
	case tokString:
		return "the text " + quote(t.text)
	case tokNumber, tokDuration:
		return t.value.String()
	default:
		return "'" + t.text + "'"
	}
}

func (t token) is(text string) bool {
	return (t.kind == tokPunct || t.kind == tokWord) && t.text == text
}
