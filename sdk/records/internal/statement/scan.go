package statement

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenWord    tokenKind = iota // a keyword or name, as written
	tokenQuoted                   // a quoted name, without its quotes
	tokenLiteral                  // text or a number
	tokenArg                      // a placeholder
	tokenPunct                    // one character
)

type token struct {
	kind tokenKind
	text string
	// start and end are the token's place in the query.
	start, end int
}

// is reports whether the token is the keyword, given in capitals.
func (t token) is(keyword string) bool {
	return t.kind == tokenWord && strings.EqualFold(t.text, keyword)
}

func (t token) punct(c string) bool { return t.kind == tokenPunct && t.text == c }

// scanner cuts SQL into tokens. It understands as much of every dialect as it takes to tell names, literals and
// placeholders apart, and never fails: what is cut off ends with the text.
type scanner struct {
	src string
	pos int
	// doubleIsText: "x" is text, not a name (MySQL), and a backslash escapes in text.
	doubleIsText bool
}

// next returns the next token; ok is false at the end.
func (s *scanner) next() (t token, ok bool) {
	s.skipSpace()
	if s.pos >= len(s.src) {
		return token{}, false
	}
	t.start = s.pos
	t.kind, t.text = s.scan()
	t.end = s.pos
	return t, true
}

func (s *scanner) skipSpace() {
	for s.pos < len(s.src) {
		rest := s.src[s.pos:]
		switch {
		case strings.HasPrefix(rest, "--"), s.doubleIsText && rest[0] == '#':
			s.skipTo("\n")
		case strings.HasPrefix(rest, "/*"):
			s.pos += 2
			s.skipTo("*/")
		case rest[0] < utf8.RuneSelf && unicode.IsSpace(rune(rest[0])):
			s.pos++
		default:
			return
		}
	}
}

// skipTo moves behind the next end, or to the end of the text.
func (s *scanner) skipTo(end string) {
	i := strings.Index(s.src[s.pos:], end)
	if i < 0 {
		s.pos = len(s.src)
		return
	}
	s.pos += i + len(end)
}

func (s *scanner) scan() (tokenKind, string) {
	c := s.src[s.pos]
	switch {
	case c == '\'':
		s.quoted('\'', s.doubleIsText || s.afterE())
		return tokenLiteral, ""
	case c == '"' && s.doubleIsText:
		s.quoted('"', true)
		return tokenLiteral, ""
	case c == '"', c == '`':
		return tokenQuoted, s.quoted(c, false)
	case c == '[':
		return s.bracket()
	case c == '$' && s.dollarQuoted():
		return tokenLiteral, ""
	case c == '?' || (strings.IndexByte("$:@", c) >= 0 && s.wordAt(s.pos+1)):
		return tokenArg, s.word()
	case strings.HasPrefix(s.src[s.pos:], "::"): // PostgreSQL's cast, no placeholder
		s.pos += 2
		return tokenPunct, "::"
	case c >= '0' && c <= '9':
		s.number()
		return tokenLiteral, ""
	case s.wordAt(s.pos):
		return tokenWord, s.word()
	}
	_, size := utf8.DecodeRuneInString(s.src[s.pos:])
	s.pos += size
	return tokenPunct, s.src[s.pos-size : s.pos]
}

// afterE reports whether the quote at pos follows an E, PostgreSQL's mark of text with backslashes.
func (s *scanner) afterE() bool {
	return s.pos > 0 && (s.src[s.pos-1] == 'E' || s.src[s.pos-1] == 'e') && (s.pos == 1 || !wordByte(s.src[s.pos-2]))
}

// quoted reads up to the closing quote; a doubled one stands for itself.
func (s *scanner) quoted(q byte, backslash bool) string {
	var b strings.Builder
	for s.pos++; s.pos < len(s.src); s.pos++ {
		switch c := s.src[s.pos]; {
		case c == '\\' && backslash:
			s.pos++
		case c == q && s.pos+1 < len(s.src) && s.src[s.pos+1] == q:
			s.pos++
			b.WriteByte(q)
		case c == q:
			s.pos++
			return b.String()
		default:
			b.WriteByte(c)
		}
	}
	s.pos = len(s.src)
	return b.String()
}

// bracket reads a [name] of SQL Server and SQLite; elsewhere the bracket is an array's.
func (s *scanner) bracket() (tokenKind, string) {
	end := strings.IndexByte(s.src[s.pos:], ']')
	if end < 2 || !wordByte(s.src[s.pos+1]) || s.src[s.pos+1] <= '9' {
		s.pos++
		return tokenPunct, "["
	}
	name := s.src[s.pos+1 : s.pos+end]
	s.pos += end + 1
	return tokenQuoted, name
}

// dollarQuoted reads $$text$$ or $tag$text$tag$ of PostgreSQL, if that is what is there.
func (s *scanner) dollarQuoted() bool {
	end := strings.IndexByte(s.src[s.pos+1:], '$')
	if end < 0 {
		return false
	}
	tag := s.src[s.pos : s.pos+end+2]
	for i := 1; i < len(tag)-1; i++ {
		if !wordByte(tag[i]) || (i == 1 && tag[i] <= '9') {
			return false
		}
	}
	s.pos += len(tag)
	s.skipTo(tag)
	return true
}

// number reads digits and what may follow them: 0xff, 1.5e+3.
func (s *scanner) number() {
	for ; s.pos < len(s.src); s.pos++ {
		c := s.src[s.pos]
		sign := (c == '+' || c == '-') && (s.src[s.pos-1]|0x20) == 'e'
		if !wordByte(c) && c != '.' && !sign {
			return
		}
	}
}

// word reads a name or placeholder.
func (s *scanner) word() string {
	start := s.pos
	for s.pos++; s.pos < len(s.src) && wordByte(s.src[s.pos]); s.pos++ {
	}
	return s.src[start:s.pos]
}

func (s *scanner) wordAt(i int) bool { return i < len(s.src) && wordByte(s.src[i]) }

// wordByte: letters of any script, digits and the underscore.
func wordByte(c byte) bool {
	return c >= utf8.RuneSelf || c == '_' || (c >= '0' && c <= '9') || (c|0x20 >= 'a' && c|0x20 <= 'z')
}
