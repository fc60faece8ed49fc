package eventdb

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mindscope/mindscope/internal/store"
)

// condition is what the engine is asked instead of a filter: it holds for every row the filter holds for.
//
// Rows differ in how far the engine can judge them. A plain row has each field in its column, as it is. A special row
// has a value elsewhere (column _x): cut off as a payload, under a name the engine can't take, or with a text it would
// change. Special rows that touch a field of the filter are asked for whatever the columns say, and judged here.
type condition struct {
	query string
	// exact says that the engine's verdict is right for plain rows, so that the filter need not be evaluated again.
	exact bool
}

const (
	everything = "*"
	nothing    = `"` + colID + `":=""` // every row of the contract has an id
)

// pusher turns filters into conditions. It collects what the whole tree touches.
type pusher struct {
	fields   []string // fields it names
	touched  []string // those of them whose special values must be looked at, whatever they are
	texts    []store.Text
	anywhere []store.Text
	oldUntil int64 // rows from before may be without a column of odd words
}

func (p *pusher) push(f store.Filter, negated bool) condition {
	switch f := f.(type) {
	case nil:
		return always(!negated)
	case store.And:
		return p.join(f, negated, negated)
	case store.Or:
		return p.join(f, negated, !negated)
	case store.Not:
		return p.push(f.Filter, !negated)
	case store.Compare:
		return p.column(f.Field, f, negated, func(name string) condition { return compare(name, f) })
	case store.In:
		return p.column(f.Field, f, negated, func(name string) condition { return in(name, f.Values) })
	case store.Match:
		return p.column(f.Field, f, negated, func(name string) condition { return match(name, f.Pattern) })
	case store.Exists:
		return p.column(f.Field, f, negated, func(name string) condition { return condition{fieldHas(name), true} })
	case store.Text:
		return p.text(f, negated)
	default:
		return condition{query: everything}
	}
}

func always(yes bool) condition {
	if yes {
		return condition{everything, true}
	}
	return condition{nothing, true}
}

// join makes an and or an or of the parts.
func (p *pusher) join(parts []store.Filter, negated, or bool) condition {
	if len(parts) == 0 {
		return always(!or)
	}
	out := condition{exact: true}
	queries := make([]string, len(parts))
	for i, f := range parts {
		c := p.push(f, negated)
		queries[i] = c.query
		out.exact = out.exact && c.exact
	}
	op := " and "
	if or {
		op = " or "
	}
	out.query = "(" + strings.Join(queries, op) + ")"
	return out
}

// column pushes a leaf that looks at one field.
func (p *pusher) column(field string, f store.Filter, negated bool, push func(name string) condition) condition {
	note(&p.fields, field)
	if _, isText := f.(store.Text); !isText {
		note(&p.touched, field)
	}
	switch {
	case field == store.FieldRowID:
		return rowID(f, negated)
	case field != store.FieldKind && !columnName(field):
		// No plain row has it: the leaf's answer is the one for a row without fields.
		m, err := store.Compile(f)
		return always(err == nil && m(&store.Row{}) != negated)
	}
	c := push(field)
	switch {
	case !negated:
		return c
	case c.exact:
		return condition{"!(" + c.query + ")", true}
	default:
		return condition{query: everything}
	}
}

func note(fields *[]string, name string) {
	if !slices.Contains(*fields, name) {
		*fields = append(*fields, name)
	}
}

// rowID pushes a leaf that looks at the row's id, which every row has as it is.
func rowID(f store.Filter, negated bool) condition {
	var c condition
	switch f := f.(type) {
	case store.Compare:
		switch f.Op {
		case store.OpEq:
			c = condition{fieldIs(colID, idColumn(f.Value.Text())), true}
		case store.OpNe:
			c = condition{"!(" + fieldIs(colID, idColumn(f.Value.Text())) + ")", true}
		}
	case store.In:
		if len(f.Values) > 0 {
			c = condition{fieldIn(colID, idColumns(f.Values)), true}
		}
	}
	switch {
	case c.query == "":
		return condition{query: everything}
	case negated:
		return condition{"!(" + c.query + ")", true}
	}
	return c
}

func compare(name string, c store.Compare) condition {
	text := c.Value.Text()
	switch c.Op {
	case store.OpEq:
		return equals(name, text)
	case store.OpNe:
		return condition{"!(" + equals(name, text).query + ")", true}
	}
	number, ok := c.Value.Number()
	if !ok || math.IsNaN(number) {
		return always(false)
	}
	return order(name, c.Op, number)
}

// equals: a text that would not come back from a column is in no plain row's.
func equals(name, text string) condition {
	if !comesBack(text) {
		return always(false)
	}
	return condition{fieldIs(name, text), true}
}

func in(name string, values []string) condition {
	var plain []string
	for _, v := range values {
		if v != "" && comesBack(v) {
			plain = append(plain, v)
		}
	}
	empty := slices.Contains(values, "")
	switch {
	case empty && len(plain) == 0:
		return condition{fieldIs(name, ""), true}
	case empty:
		return condition{"(" + fieldIn(name, plain) + " or " + fieldIs(name, "") + ")", true}
	case len(plain) == 0:
		return always(false)
	default:
		return condition{fieldIn(name, plain), true}
	}
}

// maxExact is the size up to which every integer is a double of its own, and comparing doubles compares integers.
const maxExact = 1 << 53

// unusualNumber matches the spellings of numbers that the engine does not read as such, and more.
const unusualNumber = `[eExXpPiInN+_]|^-?0[0-9]|^-?\.|\.$|^.{18,}`

// order pushes < <= > >=. Columns with a number's name hold integers in plain rows, and for whole bounds the engine's
// answer is exact; elsewhere the bound is widened a little, and texts that may be numbers the engine can't read are let through.
func order(name string, op store.Op, bound float64) condition {
	if math.IsInf(bound, 0) {
		return condition{query: fieldHas(name)}
	}
	if bound == math.Trunc(bound) && math.Abs(bound) < maxExact && impliedType(name) == store.TypeInt {
		return condition{quote(name) + ":" + string(op) + strconv.FormatInt(int64(bound), 10), true}
	}
	slack := math.Abs(bound)*1e-6 + 1e-9
	if op == store.OpGt || op == store.OpGe {
		slack, op = -slack, store.OpGe
	} else {
		op = store.OpLe
	}
	q := quote(name)
	numeric := q + ":" + string(op) + engineNumber(bound+slack, slack < 0)
	var spelled []string
	for _, t := range []string{"string", "dict", "const"} {
		spelled = append(spelled, q+":value_type("+t+")")
	}
	return condition{query: "(" + numeric + " or (" + strings.Join(spelled, " or ") + ") " + q + ":~" + quote(unusualNumber) + ")"}
}

// engineNumber writes a bound so that the engine reads it as it is: an integer, rounded away from what is asked for.
// Bounds out of an integer's range become its limits.
func engineNumber(f float64, down bool) string {
	if math.Abs(f) < 1e6 {
		// Six digits behind the point are read without a loss that matters beside the slack.
		if down {
			f = math.Floor(f*1e6)/1e6 - 1e-6
		} else {
			f = math.Ceil(f*1e6)/1e6 + 1e-6
		}
		return strconv.FormatFloat(f, 'f', 6, 64)
	}
	if down {
		f = math.Floor(f)
	} else {
		f = math.Ceil(f)
	}
	switch {
	case f >= math.MaxInt64 && down, f <= math.MinInt64 && !down:
		// Only texts longer than the engine's numbers, doubles in fact, are beyond; they are read loosely.
		return strconv.FormatFloat(math.Copysign(1<<62, f), 'f', 0, 64)
	case math.Abs(f) >= math.MaxInt64:
		return map[bool]string{true: "-inf", false: "inf"}[down]
	}
	return strconv.FormatFloat(f, 'f', 0, 64)
}

// never matches no text. Joined to an expression it keeps the engine from shortcuts that miss matches.
const never = `|\A\b\B`

func match(name, pattern string) condition {
	if regexp.QuoteMeta(pattern) == pattern {
		if pattern == "" {
			return always(true)
		}
		return condition{quote(name) + ":~" + quote(pattern), true}
	}
	return condition{query: quote(name) + ":~" + quote("(?:"+pattern+")"+never)}
}

func (p *pusher) text(t store.Text, negated bool) condition {
	if t.Words == "" {
		return always(!negated)
	}
	if t.Field != "" {
		p.texts = append(p.texts, t)
		return p.column(t.Field, t, negated, func(name string) condition {
			return condition{query: textIn(quote(name), t, p.oldUntil)}
		})
	}
	p.anywhere = append(p.anywhere, t)
	if negated {
		return condition{query: everything}
	}
	return condition{query: textIn("*", t, p.oldUntil)}
}

// searchText returns the search for words in one column or payload, less strict than the filter: a phrase for the
// engine, else the longest part of the words that is ASCII, each letter in every spelling that is equal to it.
func searchText(t store.Text) string {
	// In columns of numbers, addresses and times the engine compares a phrase with the whole value.
	inNumbers := strings.Trim(t.Words, "0123456789.:-+TtZz") == ""
	if t.Phrase && !inNumbers && utf8.ValidString(t.Words) {
		return "i(" + quote(t.Words) + ")"
	}
	longest := ""
	for _, part := range strings.FieldsFunc(t.Words, func(r rune) bool { return r >= utf8.RuneSelf }) {
		if len(part) > len(longest) {
			longest = part
		}
	}
	if longest == "" {
		return "*"
	}
	var b strings.Builder
	for _, c := range strings.ToLower(longest) {
		switch {
		case c == 'i':
			b.WriteString("[iIİı]")
		case c == 'k':
			b.WriteString("[kK\u212a]")
		case c == 's':
			b.WriteString("[sSſ]")
		case c >= 'a' && c <= 'z':
			b.WriteString("[" + string(c) + string(c-'a'+'A') + "]")
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return "~" + quote("(?:"+b.String()+")"+never)
}

// touches returns the condition for special rows: those with one of the fields among their special values.
func touches(fields []string) string {
	var b strings.Builder
	b.WriteString(specialNamed(colSpecial))
	for _, f := range fields {
		if f == store.FieldRowID || f == store.FieldKind {
			continue
		}
		b.WriteString(" or ")
		b.WriteString(specialNamed(f))
	}
	return b.String()
}

// specialNamed finds rows whose special values include one of this name, and maybe others.
func specialNamed(name string) string {
	if !utf8.ValidString(name) || !strings.ContainsFunc(name, func(r rune) bool { return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' }) {
		return fieldHas(colSpecial)
	}
	return quote(colSpecial) + ":" + quote(name)
}
