package statement

import (
	"database/sql/driver"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// CommentStart is how a comment of records.Comment begins.
const CommentStart = " /*ai_team.task.id='"

// maxSummary bounds a query's summary in bytes, as the conventions ask for.
const maxSummary = 255

// query is what is known of an SQL text. It is shared and never changed.
type query struct {
	// text is the query with literals replaced by question marks.
	text string
	// summary is the operations and their targets.
	summary    string
	statements []statement
}

// statement is one of a text's statements.
type statement struct {
	operation, table string
	// columns are those an INSERT names, in lower case.
	columns []string
	// args are the placeholders of the first row, in the order of columns; empty for other values.
	args []argument
}

// argument is a placeholder: a position from 1, or a name.
type argument struct {
	position int
	name     string
}

func (s statement) isInsert() bool {
	return s.table != "" && (s.operation == "INSERT" || s.operation == "REPLACE")
}

// value returns the argument that a column of the first row gets.
func (s statement) value(column string, args []driver.NamedValue) (any, bool) {
	i := slices.Index(s.columns, strings.ToLower(column))
	if i < 0 || i >= len(s.args) {
		return nil, false
	}
	a := s.args[i]
	for _, v := range args {
		if (a.position > 0 && v.Ordinal == a.position) || (a.name != "" && v.Name == a.name) {
			return v.Value, true
		}
	}
	return nil, false
}

// maxCached bounds the parser's memory. Programs have few statements; a program that writes literals into its queries
// has many, and then the cache starts again when it is full.
const maxCached = 512

// parser remembers what it parsed. It may be used concurrently.
type parser struct {
	doubleIsText bool
	mu           sync.Mutex
	cache        map[string]*query
}

func newParser(system string) *parser {
	return &parser{doubleIsText: system == "mysql" || system == "mariadb", cache: map[string]*query{}}
}

func (p *parser) parse(src string) *query {
	src = withoutComment(src)
	p.mu.Lock()
	defer p.mu.Unlock()
	if q := p.cache[src]; q != nil {
		return q
	}
	if len(p.cache) >= maxCached {
		clear(p.cache)
	}
	q := parse(src, p.doubleIsText)
	p.cache[strings.Clone(src)] = q
	return q
}

// withoutComment takes away the comment that records.Comment adds: with it no two texts would be the same.
func withoutComment(src string) string {
	if !strings.HasSuffix(src, "*/") {
		return src
	}
	if i := strings.LastIndex(src, CommentStart); i >= 0 && strings.Index(src[i:], "*/") == len(src)-i-2 {
		return src[:i]
	}
	return src
}

func parse(src string, doubleIsText bool) *query {
	src = strings.ToValidUTF8(src, "�")
	var text strings.Builder
	var tokens []token
	q := &query{}
	last := 0
	end := func() {
		if len(tokens) > 0 {
			q.statements = append(q.statements, parseStatement(tokens))
		}
		tokens = tokens[:0]
	}
	for s := (scanner{src: src, doubleIsText: doubleIsText}); ; {
		t, ok := s.next()
		if !ok {
			break
		}
		if t.kind == tokenLiteral {
			text.WriteString(src[last:t.start])
			text.WriteByte('?')
			last = t.end
		}
		if t.punct(";") {
			end()
			continue
		}
		tokens = append(tokens, t)
	}
	end()
	text.WriteString(src[last:])
	q.text = text.String()
	q.summary = summary(q.statements)
	return q
}

func summary(statements []statement) string {
	var parts []string
	for _, s := range statements {
		part := strings.TrimSpace(s.operation + " " + s.table)
		if part != "" && !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	text := strings.Join(parts, "; ")
	if len(text) > maxSummary {
		text = strings.ToValidUTF8(text[:maxSummary], "")
	}
	return text
}

// cursor walks over a statement's tokens.
type cursor struct {
	tokens []token
	// args counts the unnumbered placeholders passed so far.
	args int
}

func (c *cursor) peek() (token, bool) {
	if len(c.tokens) == 0 {
		return token{}, false
	}
	return c.tokens[0], true
}

func (c *cursor) next() (token, bool) {
	t, ok := c.peek()
	if ok {
		c.tokens = c.tokens[1:]
		if t.kind == tokenArg && t.text == "?" {
			c.args++
		}
	}
	return t, ok
}

// skip passes the words if they come next, one after the other.
func (c *cursor) skip(words ...string) {
	for _, w := range words {
		if t, ok := c.peek(); ok && t.is(w) {
			c.next()
		}
	}
}

// find moves behind the next of the keywords outside of parentheses and returns it, in capitals.
func (c *cursor) find(keywords ...string) string {
	depth := 0
	for {
		t, ok := c.next()
		switch {
		case !ok:
			return ""
		case t.punct("("):
			depth++
		case t.punct(")"):
			depth--
		case depth == 0 && t.kind == tokenWord && slices.Contains(keywords, strings.ToUpper(t.text)):
			return strings.ToUpper(t.text)
		}
	}
}

// name reads a name with its schema and returns its last part; empty when something else comes.
func (c *cursor) name() string {
	last := ""
	for {
		t, ok := c.peek()
		if !ok || (t.kind != tokenWord && t.kind != tokenQuoted) {
			return last
		}
		c.next()
		last = t.text
		if t, ok := c.peek(); !ok || !t.punct(".") {
			return last
		}
		c.next()
	}
}

func parseStatement(tokens []token) statement {
	c := &cursor{tokens: tokens}
	first, _ := c.next()
	if first.kind != tokenWord {
		return statement{}
	}
	s := statement{operation: strings.ToUpper(first.text)}
	if s.operation == "WITH" {
		s.operation = c.find("INSERT", "UPDATE", "DELETE", "SELECT", "MERGE", "REPLACE")
	}
	switch s.operation {
	case "INSERT", "REPLACE", "MERGE":
		if c.find("INTO") != "" {
			s.table = c.name()
			s.readColumns(c)
		}
	case "UPDATE":
		c.skip("OR", "ROLLBACK", "ABORT", "REPLACE", "FAIL", "IGNORE", "LOW_PRIORITY", "ONLY")
		s.table = c.name()
	case "DELETE", "SELECT":
		if c.find("FROM") != "" {
			c.skip("ONLY", "LATERAL")
			s.table = c.name()
		}
	case "CREATE", "ALTER", "DROP", "TRUNCATE":
		s.readDefinition(c)
	}
	return s
}

// readDefinition reads the kind and name of what is created, altered or dropped.
func (s *statement) readDefinition(c *cursor) {
	kind := c.find("TABLE", "INDEX", "VIEW", "TRIGGER", "SCHEMA", "DATABASE", "SEQUENCE", "FUNCTION", "TYPE")
	if kind == "" {
		return
	}
	s.operation += " " + kind
	c.skip("CONCURRENTLY", "IF", "NOT", "EXISTS")
	s.table = c.name()
}

// readColumns reads an INSERT's columns and the placeholders of its first row.
func (s *statement) readColumns(c *cursor) {
	if t, ok := c.peek(); ok && t.is("AS") {
		c.next()
		c.name()
	}
	if t, ok := c.peek(); !ok || !t.punct("(") {
		return
	}
	c.next()
	for {
		name := c.name()
		if name == "" {
			s.columns = nil
			return
		}
		s.columns = append(s.columns, strings.ToLower(name))
		t, ok := c.next()
		if !ok || !t.punct(",") {
			break
		}
	}
	if c.find("VALUES", "VALUE", "SELECT") == "SELECT" {
		return
	}
	if t, ok := c.next(); ok && t.punct("(") {
		s.readRow(c)
	}
}

// readRow reads one parenthesised row of values.
func (s *statement) readRow(c *cursor) {
	var value []token
	var arg argument
	depth := 0
	for {
		t, ok := c.next()
		ends := !ok || (depth == 0 && (t.punct(",") || t.punct(")")))
		if ends {
			if cast := len(value) > 1 && value[0].kind == tokenArg && value[1].punct("::"); len(value) != 1 && !cast {
				arg = argument{} // an expression
			}
			s.args = append(s.args, arg)
			value, arg = value[:0], argument{}
			if !ok || t.punct(")") {
				return
			}
			continue
		}
		switch {
		case t.punct("("):
			depth++
		case t.punct(")"):
			depth--
		case t.kind == tokenArg:
			arg = argumentOf(t.text, c.args)
		}
		value = append(value, t)
	}
}

// argumentOf reads ?, ?2, $2, :name, @name and $name; seen is how many unnumbered ones there were, this included.
func argumentOf(text string, seen int) argument {
	if text == "?" {
		return argument{position: seen}
	}
	if n, err := strconv.Atoi(text[1:]); err == nil {
		return argument{position: n}
	}
	return argument{name: text[1:]}
}
