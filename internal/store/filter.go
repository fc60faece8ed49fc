package store

// Filter is a tree of conditions on a row. A nil Filter holds for every row.
//
// The node types are And, Or, Not, Compare, Match, Exists and Text. Engines push down what they can; Eval is the
// meaning of all of them.
type Filter interface {
	filter()
}

// And holds when all of its filters hold; an empty And holds always.
type And []Filter

// Or holds when one of its filters holds; an empty Or never holds.
type Or []Filter

// Not holds when its filter does not.
type Not struct{ Filter Filter }

// Op is the operator of a Compare.
type Op string

// The operators of Compare.
const (
	OpEq Op = "="
	OpNe Op = "!="
	OpLt Op = "<"
	OpLe Op = "<="
	OpGt Op = ">"
	OpGe Op = ">="
)

// Compare compares a field with a value.
//
// OpEq and OpNe compare by Value.Text, so that 5, 5.0 sent as double 5 and "5" are equal. The order operators compare
// as numbers when both sides are numbers (Value.Number), else they do not hold. A row without the field, or with the
// empty string in it, equals "" and no other text; it is neither less nor greater than anything.
type Compare struct {
	Field string
	Op    Op
	Value Value
}

// In holds when the field's text is one of Values: the same as an Or of OpEq, and faster.
type In struct {
	Field  string
	Values []string
}

// Match holds when the field's text matches the RE2 expression anywhere in it; anchor with ^ and $ for the whole.
// A row without the field is matched as "".
type Match struct {
	Field   string
	Pattern string
}

// Exists holds when the row has the field with a text other than "".
type Exists struct{ Field string }

// Text searches words. Field "" means every field of the row, payloads included where the engine keeps them apart.
type Text struct {
	Field string
	// Words must stand in this order, next to each other, each as a whole word, when Phrase is set; otherwise the text
	// must contain Words as a substring. Case matters in neither.
	Words  string
	Phrase bool
}

func (And) filter()     {}
func (Or) filter()      {}
func (Not) filter()     {}
func (Compare) filter() {}
func (In) filter()      {}
func (Match) filter()   {}
func (Exists) filter()  {}
func (Text) filter()    {}

// Eq is short for the commonest Compare.
func Eq(field, text string) Filter { return Compare{Field: field, Op: OpEq, Value: String(text)} }
