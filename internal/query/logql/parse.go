package logql

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/mindscope/mindscope/internal/query"
)

// Limits of a query's tree.
const (
	maxDepth = 100
	maxNodes = 5000
)

// Names of aggregations over ranges.
const (
	opCountOverTime    = "count_over_time"
	opRate             = "rate"
	opRateCounter      = "rate_counter"
	opBytesOverTime    = "bytes_over_time"
	opBytesRate        = "bytes_rate"
	opAbsentOverTime   = "absent_over_time"
	opSumOverTime      = "sum_over_time"
	opAvgOverTime      = "avg_over_time"
	opMinOverTime      = "min_over_time"
	opMaxOverTime      = "max_over_time"
	opStddevOverTime   = "stddev_over_time"
	opStdvarOverTime   = "stdvar_over_time"
	opQuantileOverTime = "quantile_over_time"
	opFirstOverTime    = "first_over_time"
	opLastOverTime     = "last_over_time"
)

// unwrapRule says whether an aggregation over a range works on lines or on unwrapped values.
type unwrapRule uint8

const (
	onLines unwrapRule = iota
	onValues
	onEither
)

var rangeOps = map[string]unwrapRule{
	opCountOverTime: onLines, opBytesOverTime: onLines, opBytesRate: onLines, opRate: onEither, opAbsentOverTime: onEither,
	opRateCounter: onValues, opSumOverTime: onValues, opAvgOverTime: onValues, opMinOverTime: onValues, opMaxOverTime: onValues,
	opStddevOverTime: onValues, opStdvarOverTime: onValues, opQuantileOverTime: onValues, opFirstOverTime: onValues,
	opLastOverTime: onValues,
}

var vectorOps = map[string]bool{
	"sum": true, "avg": true, "min": true, "max": true, "count": true, "stddev": true, "stdvar": true,
	"topk": true, "bottomk": true, "approx_topk": true, "sort": true, "sort_desc": true,
}

func hasParam(op string) bool { return op == "topk" || op == "bottomk" || op == "approx_topk" }

// precedence of binary operators, the loosest first.
var precedence = map[string]int{
	"or": 1, "and": 2, "unless": 2,
	"==": 3, "!=": 3, ">": 3, ">=": 3, "<": 3, "<=": 3,
	"+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "^": 6,
}

func isComparison(op string) bool { return precedence[op] == 3 }

func isSetOp(op string) bool { return op == "and" || op == "or" || op == "unless" }

// Parse reads a query. Errors are *ParseError, marked signal.Permanent.
func Parse(query string) (Expr, error) {
	p, err := newParser(query)
	if err != nil {
		return nil, err
	}
	if p.is(tokenEnd, "") {
		return nil, p.fail("the query is empty")
	}
	e, err := p.expr(0)
	if err != nil {
		return nil, err
	}
	if !p.is(tokenEnd, "") {
		return nil, p.unexpected("an operator or the end")
	}
	return e, nil
}

// ParseSelector reads a query that is a selector and maybe a pipeline: {…} | …. An empty text and {} select everything.
func ParseSelector(query string) (*LogExpr, error) {
	if text := strings.TrimSpace(query); text == "" || text == "{}" {
		return &LogExpr{}, nil
	}
	e, err := Parse(query)
	if err != nil {
		return nil, err
	}
	log, ok := e.(*LogExpr)
	if !ok {
		return nil, parseError(query, 0, "want a selector such as {service_name=\"writer\"}, not a metric query")
	}
	return log, nil
}

type parser struct {
	query  string
	tokens []token
	at     int
	depth  int
	nodes  int
	// regexps counts those outside of templates.
	regexps query.Regexps
}

func newParser(query string) (*parser, error) {
	tokens, err := lex(query)
	if err != nil {
		return nil, err
	}
	return &parser{query: query, tokens: tokens}, nil
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

func (p *parser) is(kind tokenKind, text string) bool {
	t := p.peek()
	return t.kind == kind && (kind == tokenEnd || t.text == text)
}

func (p *parser) isOp(op string) bool { return p.is(tokenOp, op) }

// isWord tells whether a keyword comes next, in any case.
func (p *parser) isWord(word string) bool {
	t := p.peek()
	return t.kind == tokenIdent && strings.EqualFold(t.text, word)
}

func (p *parser) takeOp(op string) bool {
	if p.isOp(op) {
		p.at++
		return true
	}
	return false
}

func (p *parser) takeWord(word string) bool {
	if p.isWord(word) {
		p.at++
		return true
	}
	return false
}

func (p *parser) want(op string) error {
	if !p.takeOp(op) {
		return p.unexpected(strconv.Quote(op))
	}
	return nil
}

func (p *parser) fail(format string, args ...any) error {
	return parseError(p.query, p.peek().at, format, args...)
}

func (p *parser) unexpected(want string) error {
	return p.fail("unexpected %s, want %s", p.peek().describe(), want)
}

// enter bounds the depth of what recurses, count the size of the tree.
func (p *parser) enter() error {
	if p.depth++; p.depth > maxDepth {
		return p.fail("the query is nested more than %d deep", maxDepth)
	}
	return p.count()
}

func (p *parser) leave() { p.depth-- }

func (p *parser) count() error {
	if p.nodes++; p.nodes > maxNodes {
		return p.fail("the query has more than %d parts", maxNodes)
	}
	return nil
}

// expr reads operands joined by operators of at least a precedence.
func (p *parser) expr(least int) (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	for {
		op := p.binaryOp()
		prec := precedence[op]
		if op == "" || prec < least {
			return left, nil
		}
		if left, err = p.binary(left, op, prec); err != nil {
			return nil, err
		}
	}
}

func (p *parser) binaryOp() string {
	t := p.peek()
	op := strings.ToLower(t.text)
	if (t.kind == tokenOp || t.kind == tokenIdent) && precedence[op] > 0 {
		return op
	}
	return ""
}

func (p *parser) binary(left Expr, op string, prec int) (Expr, error) {
	if err := p.count(); err != nil {
		return nil, err
	}
	opToken := p.next()
	e := &BinaryExpr{Op: op, Left: left}
	if err := p.modifiers(e); err != nil {
		return nil, err
	}
	if op != "^" {
		prec++
	}
	right, err := p.expr(prec)
	if err != nil {
		return nil, err
	}
	e.Right = right
	for _, side := range []Expr{left, right} {
		if _, isLog := side.(*LogExpr); isLog {
			return nil, parseError(p.query, opToken.at, "%q joins numbers, not lines: count the lines first, as in count_over_time({…}[5m])", op)
		}
		if _, isNumber := side.(*LiteralExpr); isNumber && isSetOp(op) {
			return nil, parseError(p.query, opToken.at, "%q joins sets of series; a number is none", op)
		}
	}
	return e, nil
}

func (p *parser) modifiers(e *BinaryExpr) error {
	if p.isWord("bool") {
		if !isComparison(e.Op) {
			return p.fail("bool stands behind comparisons only, not behind %q", e.Op)
		}
		p.next()
		e.Bool = true
	}
	on := p.isWord("on")
	if !on && !p.isWord("ignoring") {
		return nil
	}
	p.next()
	names, err := p.names()
	if err != nil {
		return err
	}
	e.Match = &Matching{On: on, Names: names}
	for _, group := range []string{"group_left", "group_right"} {
		if !p.isWord(group) {
			continue
		}
		if isSetOp(e.Op) {
			return p.fail("%q joins whole sets: %s has no meaning there", e.Op, group)
		}
		p.next()
		e.Match.Group = group
		if p.isOp("(") {
			if e.Match.Include, err = p.names(); err != nil {
				return err
			}
		}
		break
	}
	return nil
}

// names reads (a, b, …), which may be empty.
func (p *parser) names() ([]string, error) {
	if err := p.want("("); err != nil {
		return nil, err
	}
	var names []string
	for !p.takeOp(")") {
		if len(names) > 0 {
			if err := p.want(","); err != nil {
				return nil, err
			}
		}
		name, err := p.ident("a label's name")
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

func (p *parser) ident(what string) (string, error) {
	if p.peek().kind != tokenIdent {
		return "", p.unexpected(what)
	}
	return p.next().text, nil
}

func (p *parser) text(what string) (string, error) {
	if p.peek().kind != tokenString {
		return "", p.unexpected(what)
	}
	return p.next().text, nil
}

func (p *parser) operand() (Expr, error) {
	t := p.peek()
	switch {
	case t.kind == tokenNumber, p.isOp("-"), p.isOp("+"):
		f, err := p.number()
		return &LiteralExpr{f}, err
	case p.takeOp("("):
		e, err := p.expr(0)
		if err != nil {
			return nil, err
		}
		return e, p.want(")")
	case p.isOp("{"):
		return p.logExpr()
	case t.kind == tokenIdent:
		return p.function()
	}
	return nil, p.unexpected("a selector such as {service_name=\"writer\"}, a function or a number")
}

func (p *parser) number() (float64, error) {
	sign := 1.0
	if p.takeOp("-") {
		sign = -1
	} else {
		p.takeOp("+")
	}
	if p.peek().kind != tokenNumber {
		return 0, p.unexpected("a number")
	}
	f, err := parseNumber(p.peek().text)
	if err != nil {
		return 0, p.unexpected("a number")
	}
	p.next()
	return sign * f, nil
}

func (p *parser) function() (Expr, error) {
	name := strings.ToLower(p.peek().text)
	_, isRange := rangeOps[name]
	switch {
	case isRange:
		return p.rangeExpr(name)
	case vectorOps[name]:
		return p.aggregate(name)
	case name == "label_replace":
		return p.labelReplace()
	case name == "vector":
		p.next()
		if err := p.want("("); err != nil {
			return nil, err
		}
		f, err := p.number()
		if err != nil {
			return nil, err
		}
		return &VectorExpr{f}, p.want(")")
	}
	return nil, p.fail("there is no function %q", p.peek().text)
}

func (p *parser) grouping() (*Grouping, error) {
	without := p.isWord("without")
	if !without && !p.isWord("by") {
		return nil, nil //nolint:nilnil // no grouping is what the query says
	}
	p.next()
	names, err := p.names()
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	return &Grouping{Without: without, Names: slices.Compact(names)}, nil
}

func (p *parser) aggregate(op string) (Expr, error) {
	begin := p.next()
	by, err := p.grouping()
	if err != nil {
		return nil, err
	}
	e := &AggregateExpr{Op: op, By: by}
	if err := p.want("("); err != nil {
		return nil, err
	}
	if hasParam(op) {
		if err := p.topParam(e); err != nil {
			return nil, err
		}
	}
	if e.Of, err = p.expr(0); err != nil {
		return nil, err
	}
	if err := p.want(")"); err != nil {
		return nil, err
	}
	if e.By == nil {
		if e.By, err = p.grouping(); err != nil {
			return nil, err
		}
	}
	switch e.Of.(type) {
	case *LogExpr:
		return nil, parseError(p.query, begin.at, "%s works on numbers, not lines: count the lines first, as in count_over_time({…}[5m])", op)
	case *LiteralExpr:
		return nil, parseError(p.query, begin.at, "%s works on series; a number is none", op)
	}
	if e.By != nil && (op == "sort" || op == "sort_desc") {
		return nil, parseError(p.query, begin.at, "%s has no groups", op)
	}
	return e, nil
}

func (p *parser) topParam(e *AggregateExpr) error {
	f, err := p.number()
	if err != nil {
		return err
	}
	if f < 1 || f > math.MaxInt32 || f != math.Trunc(f) {
		p.at--
		return p.fail("%s wants a whole number from 1 on", e.Op)
	}
	e.Param = int(f)
	return p.want(",")
}

func (p *parser) labelReplace() (Expr, error) {
	p.next()
	e := &ReplaceExpr{}
	if err := p.want("("); err != nil {
		return nil, err
	}
	of, err := p.expr(0)
	if err != nil {
		return nil, err
	}
	if _, isLog := of.(*LogExpr); isLog {
		return nil, p.fail("label_replace works on numbers, not lines")
	}
	e.Of = of
	for _, dst := range []*string{&e.Target, &e.Replacement, &e.Source, &e.Regexp} {
		if err := p.want(","); err != nil {
			return nil, err
		}
		if *dst, err = p.text("a text"); err != nil {
			return nil, err
		}
	}
	if err = p.regexps.Add(e.Regexp); err == nil {
		e.re, err = wholeExpression(e.Regexp)
	}
	if err != nil {
		p.at--
		return nil, p.fail("%v", err)
	}
	if !validLabel(e.Target) {
		return nil, p.fail("%q can't be a label's name", e.Target)
	}
	return e, p.want(")")
}
