package traceql

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxQuery bounds the bytes of a query.
const maxQuery = 64 << 10

// operators, those first that begin like others.
var operators = [...]string{
	"!>>", "!<<", "&>>", "&<<",
	"&&", "||", ">>", "<<", "!>", "!<", "!~", "!=", "=~", "<=", ">=", "&>", "&<", "&~",
	"{", "}", "(", ")", ",", "|", "=", "<", ">", "~", "+", "-", "*", "/", "%", "^", "!",
}

type lexer struct {
	text string
	at   int
}

func (l *lexer) errorf(at int, format string, args ...any) error {
	return errorAt(l.text, Pos(at), format, args...)
}

func errorAt(text string, at Pos, format string, args ...any) error {
	before := text[:min(int(at), len(text))]
	return &SyntaxError{
		Line:    1 + strings.Count(before, "\n"),
		Column:  len(before) - strings.LastIndexByte(before, '\n'),
		Message: fmt.Sprintf(format, args...),
	}
}

// tokens reads the whole query. The last token is tokEnd.
func tokens(text string) ([]token, error) {
	l := &lexer{text: text}
	if len(text) > maxQuery {
		return nil, l.errorf(maxQuery, "the query is longer than %d bytes", maxQuery)
	}
	if !utf8.ValidString(text) {
		return nil, l.errorf(0, "the query is not UTF-8")
	}
	var out []token
	for {
		t, err := l.next()
		if err != nil {
			return nil, err
		}
		out = append(out, t)
		if t.kind == tokEnd {
			return out, nil
		}
	}
}

func (l *lexer) next() (token, error) {
	l.skipSpace()
	start := l.at
	if start == len(l.text) {
		return token{kind: tokEnd, pos: Pos(start)}, nil
	}
	c := l.text[start]
	switch {
	case c == '"' || c == '`':
		return l.quoted()
	case isDigit(c) || c == '.' && start+1 < len(l.text) && isDigit(l.text[start+1]):
		return l.number()
	case c == '.':
		l.at++
		return l.attribute(start, Attribute{})
	case isWordStart(c):
		return l.word()
	}
	for _, op := range operators {
		if strings.HasPrefix(l.text[start:], op) {
			l.at += len(op)
			return token{kind: tokPunct, pos: Pos(start), text: op}, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(l.text[start:])
	return token{}, l.errorf(start, "%q is not expected here", r)
}

// skipSpace skips white space and comments.
func (l *lexer) skipSpace() {
	for l.at < len(l.text) {
		rest := l.text[l.at:]
		r, size := utf8.DecodeRuneInString(rest)
		switch {
		case unicode.IsSpace(r):
			l.at += size
		case strings.HasPrefix(rest, "//"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			l.at += end
		default:
			return
		}
	}
}

func isDigit(c byte) bool     { return c >= '0' && c <= '9' }
func isWordStart(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isWordByte(c byte) bool  { return isWordStart(c) || isDigit(c) }

// quoted reads a text in double quotes, where \" \\ and \n stand for ", \ and a new line, or in back quotes.
func (l *lexer) quoted() (token, error) {
	start := l.at
	text, err := l.quotedText()
	return token{kind: tokString, pos: Pos(start), text: text, value: String(text)}, err
}

func (l *lexer) quotedText() (string, error) {
	start := l.at
	mark := l.text[start]
	l.at++
	var b strings.Builder
	for l.at < len(l.text) {
		c := l.text[l.at]
		l.at++
		switch {
		case c == mark:
			return b.String(), nil
		case c == '\\' && mark == '"':
			if l.at == len(l.text) {
				return "", l.errorf(start, "the text is not closed")
			}
			escaped := l.text[l.at]
			l.at++
			switch escaped {
			case '"', '\\':
				b.WriteByte(escaped)
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case 'r':
				b.WriteByte('\r')
			default:
				return "", l.errorf(l.at-2, `\%c is no escape: \" \\ \n \r and \t are; a text in back quotes needs none`, escaped)
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", l.errorf(start, "the text is not closed")
}

// number reads 5, 1.5, 1e3 or a duration like 1h30m.
func (l *lexer) number() (token, error) {
	start := l.at
	digits, isInt := l.digits()
	if l.at == len(l.text) || !isUnitStart(l.text[l.at]) {
		return l.plainNumber(start, digits, isInt)
	}
	var sum float64
	for {
		unit := l.unit()
		scale, ok := map[string]float64{
			"ns": 1, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9, "d": 24 * 3600e9, "w": 7 * 24 * 3600e9,
		}[unit]
		n, err := strconv.ParseFloat(digits, 64)
		if !ok || err != nil {
			return token{}, l.errorf(start, "%q is neither a number nor a duration like 1h30m, 10ms or 5us", l.text[start:l.at])
		}
		sum += n * scale
		if l.at == len(l.text) || !isDigit(l.text[l.at]) {
			break
		}
		digits, _ = l.digits()
	}
	if sum >= math.MaxInt64 {
		return token{}, l.errorf(start, "the duration is too long")
	}
	return token{kind: tokDuration, pos: Pos(start), text: l.text[start:l.at], value: Duration(time.Duration(math.Round(sum)))}, nil
}

func (l *lexer) plainNumber(start int, digits string, isInt bool) (token, error) {
	t := token{kind: tokNumber, pos: Pos(start), text: digits}
	if n, err := strconv.ParseInt(digits, 10, 64); isInt && err == nil {
		t.value = Int(n)
		return t, nil
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return token{}, l.errorf(start, "%s is no number", digits)
	}
	t.value = Float(f)
	return t, nil
}

func (l *lexer) digits() (text string, isInt bool) {
	start := l.at
	isInt = true
	for l.at < len(l.text) {
		c := l.text[l.at]
		switch {
		case isDigit(c):
		case c == '.' && isInt && l.at+1 < len(l.text) && isDigit(l.text[l.at+1]):
			isInt = false
		case (c == 'e' || c == 'E') && l.exponent() > 0:
			l.at += l.exponent()
			return l.text[start:l.at], false
		default:
			return l.text[start:l.at], isInt
		}
		l.at++
	}
	return l.text[start:l.at], isInt
}

// exponent returns the length of the exponent that begins here, 0 for none.
func (l *lexer) exponent() int {
	i := l.at + 1
	if i < len(l.text) && (l.text[i] == '+' || l.text[i] == '-') {
		i++
	}
	first := i
	for i < len(l.text) && isDigit(l.text[i]) {
		i++
	}
	if i == first {
		return 0
	}
	return i - l.at
}

func isUnitStart(c byte) bool { return isWordStart(c) || c >= utf8.RuneSelf }

func (l *lexer) unit() string {
	start := l.at
	for l.at < len(l.text) && isUnitStart(l.text[l.at]) {
		l.at++
	}
	return l.text[start:l.at]
}

// word reads a bare word, or what it is the scope of.
func (l *lexer) word() (token, error) {
	start := l.at
	for l.at < len(l.text) && isWordByte(l.text[l.at]) {
		l.at++
	}
	word := l.text[start:l.at]
	after := byte(0)
	if l.at < len(l.text) {
		after = l.text[l.at]
	}
	scope, isScope := scopeOf(word)
	switch {
	case after == ':' && isScope:
		l.at++
		return l.intrinsic(start, scope)
	case after == '.' && word == "parent":
		l.at++
		return l.parent(start)
	case after == '.' && isScope && scope != ScopeTrace:
		l.at++
		return l.attribute(start, Attribute{Scope: scope})
	case after == '.':
		return token{}, l.errorf(start, "%q is no scope: span, resource, event, link, instrumentation, parent or nothing may stand before the dot", word)
	}
	return token{kind: tokWord, pos: Pos(start), text: word}, nil
}

// parent reads what follows "parent.".
func (l *lexer) parent(start int) (token, error) {
	a := Attribute{Parent: true}
	for _, s := range []Scope{ScopeSpan, ScopeResource} {
		prefix := s.String() + "."
		if strings.HasPrefix(l.text[l.at:], prefix) {
			l.at += len(prefix)
			a.Scope = s
			break
		}
	}
	return l.attribute(start, a)
}

// attribute reads an attribute's name, parts of which may be quoted.
func (l *lexer) attribute(start int, a Attribute) (token, error) {
	var b strings.Builder
	for l.at < len(l.text) {
		r, size := utf8.DecodeRuneInString(l.text[l.at:])
		if r == '"' {
			part, err := l.quotedText()
			if err != nil {
				return token{}, err
			}
			b.WriteString(part)
			continue
		}
		if !isAttributeRune(r) {
			break
		}
		b.WriteRune(r)
		l.at += size
	}
	a.Name = b.String()
	if a.Name == "" {
		return token{}, l.errorf(start, "the name of the attribute is missing")
	}
	return token{kind: tokAttr, pos: Pos(start), text: l.text[start:l.at], attr: a}, nil
}

// isAttributeRune tells whether a rune may stand in an attribute's name without quotes.
func isAttributeRune(r rune) bool {
	return !unicode.IsSpace(r) && !strings.ContainsRune(`{}()=~!<>&|^,"`, r)
}

// intrinsic reads what follows "span:" and the like.
func (l *lexer) intrinsic(start int, scope Scope) (token, error) {
	name := l.at
	for l.at < len(l.text) && isWordByte(l.text[l.at]) {
		l.at++
	}
	word := l.text[name:l.at]
	i, ok := intrinsicOf(scope, word)
	if !ok {
		return token{}, l.errorf(start, "there is no %s:%s; there are %s", scope, word, strings.Join(scopedWords(scope), ", "))
	}
	return token{kind: tokAttr, pos: Pos(start), text: l.text[start:l.at], attr: Attribute{Scope: scope, Intrinsic: i}}, nil
}
