package logql

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mindscope/mindscope/internal/signal"
)

// maxQueryBytes bounds the text of a query.
const maxQueryBytes = 128 << 10

// ParseError says where a query is wrong. Line and Col count from 1, Col in characters.
type ParseError struct {
	Line, Col int
	Msg       string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("parse error at line %d, col %d: %s", e.Line, e.Col, e.Msg)
}

// parseError returns the error at a byte offset of a query.
func parseError(query string, at int, format string, args ...any) error {
	before := query[:min(at, len(query))]
	line := strings.Count(before, "\n")
	col := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return signal.Permanent(&ParseError{Line: line + 1, Col: col + 1, Msg: fmt.Sprintf(format, args...)})
}

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenIdent
	tokenString   // text is what the quotes hold
	tokenNumber   // text as written, here and below
	tokenDuration // 5m, 1h30m, 1.5s
	tokenBytes    // 20KB, 1.5MiB
	tokenFlag     // --strict
	tokenOp
)

type token struct {
	kind tokenKind
	text string
	at   int // byte offset in the query
}

// describe names a token in an error.
func (t token) describe() string {
	switch t.kind {
	case tokenEnd:
		return "the end of the query"
	case tokenString:
		return "the text " + strconv.Quote(t.text)
	default:
		return strconv.Quote(t.text)
	}
}

// longOps are the operators of two characters; all others have one.
var longOps = [...]string{"|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<="}

const shortOps = "{}()[],=|<>+-*/%^"

// lex cuts a query into tokens, the last of which is tokenEnd.
func lex(query string) ([]token, error) {
	if len(query) > maxQueryBytes {
		return nil, parseError(query, 0, "the query has %d bytes, at most %d are allowed", len(query), maxQueryBytes)
	}
	l := &lexer{query: query}
	for {
		l.skipSpace()
		if l.at == len(query) {
			return append(l.tokens, token{kind: tokenEnd, at: l.at}), nil
		}
		if err := l.one(); err != nil {
			return nil, err
		}
	}
}

type lexer struct {
	query  string
	at     int
	tokens []token
}

func (l *lexer) skipSpace() {
	for l.at < len(l.query) {
		switch l.query[l.at] {
		case ' ', '\t', '\n', '\r':
			l.at++
		case '#':
			end := strings.IndexByte(l.query[l.at:], '\n')
			if end < 0 {
				l.at = len(l.query)
				return
			}
			l.at += end
		default:
			return
		}
	}
}

func (l *lexer) add(kind tokenKind, text string, size int) {
	l.tokens = append(l.tokens, token{kind, text, l.at})
	l.at += size
}

func (l *lexer) one() error {
	rest := l.query[l.at:]
	c := rest[0]
	switch {
	case isIdentStart(c):
		n := 1
		for n < len(rest) && isIdent(rest[n]) {
			n++
		}
		l.add(tokenIdent, rest[:n], n)
		return nil
	case c == '"' || c == '`':
		return l.text(rest)
	case c == '\'':
		return parseError(l.query, l.at, "texts stand in \"double quotes\" or `backticks`")
	case isDigit(c), c == '.' && len(rest) > 1 && isDigit(rest[1]):
		return l.number(rest)
	case strings.HasPrefix(rest, "--") && len(rest) > 2 && isIdentStart(rest[2]):
		n := 3
		for n < len(rest) && (isIdent(rest[n]) || rest[n] == '-') {
			n++
		}
		l.add(tokenFlag, rest[:n], n)
		return nil
	}
	for _, op := range longOps {
		if strings.HasPrefix(rest, op) {
			l.add(tokenOp, op, 2)
			return nil
		}
	}
	if strings.IndexByte(shortOps, c) >= 0 {
		l.add(tokenOp, rest[:1], 1)
		return nil
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return parseError(l.query, l.at, "unexpected character %q", r)
}

func (l *lexer) text(rest string) error {
	if rest[0] == '`' {
		end := strings.IndexByte(rest[1:], '`')
		if end < 0 {
			return parseError(l.query, l.at, "the text that begins here has no closing `")
		}
		l.add(tokenString, rest[1:end+1], end+2)
		return nil
	}
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return parseError(l.query, l.at, `the text that begins here has no closing " or a wrong escape; backslashes are written twice, or the text in backticks`)
	}
	text, err := strconv.Unquote(quoted)
	if err != nil {
		return parseError(l.query, l.at, "the text that begins here has a wrong escape")
	}
	l.add(tokenString, text, len(quoted))
	return nil
}

// number reads a number, a duration or an amount of bytes.
func (l *lexer) number(rest string) error {
	n := 0
	for n < len(rest) {
		r, size := utf8.DecodeRuneInString(rest[n:])
		exponent := (r == '+' || r == '-') && n > 0 && (rest[n-1] == 'e' || rest[n-1] == 'E') &&
			strings.Trim(rest[:n-1], "0123456789.") == "" && n+1 < len(rest) && isDigit(rest[n+1])
		if !exponent && r != '.' && r != 'µ' && r != 'μ' && (r >= utf8.RuneSelf || !isIdent(byte(r)) || r == ':') {
			break
		}
		n += size
	}
	word := rest[:n]
	if _, err := parseNumber(word); err == nil {
		l.add(tokenNumber, word, n)
		return nil
	}
	if _, err := parseDuration(word); err == nil {
		l.add(tokenDuration, word, n)
		return nil
	}
	if _, err := parseBytes(word); err == nil {
		l.add(tokenBytes, word, n)
		return nil
	}
	return parseError(l.query, l.at, "%q is no number, no duration such as 1h30m and no amount such as 20KB", word)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isIdentStart(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func isIdent(c byte) bool { return isIdentStart(c) || isDigit(c) || c == ':' }
