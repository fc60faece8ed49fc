package logql

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/mindscope/mindscope/internal/query"
)

// logExpr reads a selector and its pipeline.
func (p *parser) logExpr() (Expr, error) {
	e, err := p.selector()
	if err != nil {
		return nil, err
	}
	return e, p.pipeline(e, false)
}

func (p *parser) selector() (*LogExpr, error) {
	begin := p.peek()
	if err := p.want("{"); err != nil {
		return nil, err
	}
	e := &LogExpr{}
	for !p.takeOp("}") {
		if len(e.Matchers) > 0 {
			if err := p.want(","); err != nil {
				return nil, err
			}
			if p.takeOp("}") { // a comma too many at the end is no harm
				break
			}
		}
		m, err := p.matcher()
		if err != nil {
			return nil, err
		}
		e.Matchers = append(e.Matchers, m)
	}
	for _, m := range e.Matchers {
		if !m.Matches("") {
			return e, nil
		}
	}
	return nil, parseError(p.query, begin.at, "a selector needs a label that is not empty, as {service_name=~\".+\"}")
}

func (p *parser) matcher() (*Matcher, error) {
	if err := p.count(); err != nil {
		return nil, err
	}
	name, err := p.ident("a label's name")
	if err != nil {
		return nil, err
	}
	m := &Matcher{Name: name}
	switch op := p.peek(); {
	case op.kind == tokenOp && (op.text == "=" || op.text == "!=" || op.text == "=~" || op.text == "!~"):
		m.Op = MatchOp(op.text)
		p.next()
	default:
		return nil, p.unexpected("= != =~ or !~")
	}
	if m.Value, err = p.text("a text in quotes"); err != nil {
		return nil, err
	}
	return m, p.compile(m)
}

// compile prepares a matcher whose value was read just now.
func (p *parser) compile(m *Matcher) error {
	if m.Op != MatchRegexp && m.Op != MatchNotRegexp {
		return nil
	}
	err := p.regexps.Add(m.Value)
	var re *wholeRegexp
	if err == nil {
		re, err = wholeExpression(m.Value)
	}
	if err != nil {
		p.at--
		return p.fail("%v", err)
	}
	m.re = re
	return nil
}

// pipeline reads stages while there are any. metric says that a range may follow, and unwrap be among them.
func (p *parser) pipeline(e *LogExpr, metric bool) error {
	unwrapped := false
	for {
		if err := p.count(); err != nil {
			return err
		}
		begin := p.peek()
		s, err := p.stage()
		if err != nil {
			return err
		}
		if s == nil {
			return nil
		}
		_, isUnwrap := s.(*UnwrapStage)
		_, isFilter := s.(*FilterStage)
		switch {
		case isUnwrap && !metric:
			return parseError(p.query, begin.at, "unwrap stands in metric queries only, as in sum_over_time({…} | unwrap x [5m])")
		case isUnwrap && unwrapped:
			return parseError(p.query, begin.at, "a query unwraps one label")
		case unwrapped && !isFilter:
			return parseError(p.query, begin.at, "only label filters may follow unwrap")
		}
		unwrapped = unwrapped || isUnwrap
		e.Stages = append(e.Stages, s)
	}
}

// stage reads the next stage, nil when there is none.
func (p *parser) stage() (Stage, error) {
	t := p.peek()
	if t.kind != tokenOp {
		return nil, nil //nolint:nilnil // no stage is what the query says
	}
	switch t.text {
	case "|=", "!=", "|~", "!~", "|>", "!>":
		return p.lineStage()
	case "|":
		p.next()
		return p.piped()
	}
	return nil, nil //nolint:nilnil // as above
}

func (p *parser) lineStage() (Stage, error) {
	s := &LineStage{Op: p.next().text}
	for {
		t := LineText{}
		if p.isWord("ip") {
			if s.Op != "|=" && s.Op != "!=" {
				return nil, p.fail("ip() stands behind |= and != only")
			}
			p.next()
			t.IP = true
			if err := p.want("("); err != nil {
				return nil, err
			}
		}
		text, err := p.text("a text in quotes")
		if err != nil {
			return nil, err
		}
		t.Text = text
		if s.Op == "|~" || s.Op == "!~" {
			err = p.regexps.Add(text)
		}
		if err == nil {
			err = s.check(t)
		}
		if err != nil {
			p.at--
			return nil, p.fail("%v", err)
		}
		if t.IP {
			if err := p.want(")"); err != nil {
				return nil, err
			}
		}
		s.Texts = append(s.Texts, t)
		if err := p.count(); err != nil {
			return nil, err
		}
		if !p.takeWord("or") {
			return s, nil
		}
	}
}

// check returns why a text can't be looked for.
func (s *LineStage) check(t LineText) (err error) {
	switch {
	case t.IP:
		_, err = parseIPRange(t.Text)
	case s.Op == "|~" || s.Op == "!~":
		_, err = compileRegexp(t.Text)
	case s.Op == "|>" || s.Op == "!>":
		_, err = parsePattern(t.Text, true)
	}
	return err
}

func compileRegexp(pattern string) (*regexp.Regexp, error) {
	var alone query.Regexps // templates make expressions while they run
	if err := alone.Add(pattern); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, regexpError(err)
	}
	return re, nil
}

func regexpError(err error) error {
	return errors.New("the expression is not valid: " + strings.TrimPrefix(err.Error(), "error parsing regexp: "))
}

// piped reads what stands behind a |.
func (p *parser) piped() (Stage, error) {
	if p.isOp("(") {
		return p.filterStage()
	}
	word, err := p.ident("a stage such as json, or a label filter")
	if err != nil {
		return nil, err
	}
	after := p.peek()
	if after.kind == tokenOp && filterOps[after.text] && (after.text[0] != '!' || !bareStages[strings.ToLower(word)]) {
		p.at-- // a label that may be named like a stage
		return p.filterStage()
	}
	switch strings.ToLower(word) {
	case "json":
		fields, err := p.extractions(checkJSONPath)
		return &JSONStage{fields}, err
	case "logfmt":
		return p.logfmt()
	case "regexp":
		return p.regexpStage()
	case "pattern":
		return p.patternStage()
	case "unpack":
		return &UnpackStage{}, nil
	case "line_format":
		text, err := p.template()
		return &LineFormatStage{text}, err
	case "label_format":
		return p.labelFormat()
	case "decolorize":
		return &DecolorizeStage{}, nil
	case "drop":
		items, err := p.labelItems()
		return &DropStage{items}, err
	case "keep":
		items, err := p.labelItems()
		return &KeepStage{items}, err
	case "unwrap":
		return p.unwrap()
	}
	p.at--
	return nil, p.fail("there is no stage %q; a label filter needs an operator, as %s=\"…\"", word, word)
}

func (p *parser) logfmt() (Stage, error) {
	s := &LogfmtStage{}
	for p.peek().kind == tokenFlag {
		switch p.peek().text {
		case "--strict":
			s.Strict = true
		case "--keep-empty":
			s.KeepEmpty = true
		default:
			return nil, p.unexpected("--strict or --keep-empty")
		}
		p.next()
	}
	fields, err := p.extractions(func(string) error { return nil })
	s.Fields = fields
	return s, err
}

// extractions reads label="path", …; a label alone stands for the path of its name.
func (p *parser) extractions(check func(path string) error) ([]Extraction, error) {
	var out []Extraction
	for p.peek().kind == tokenIdent {
		if len(out) == 0 && p.endsPipeline() {
			break
		}
		name := p.next().text
		x := Extraction{Label: name, Path: name}
		if p.takeOp("=") {
			path, err := p.text("the path in quotes")
			if err != nil {
				return nil, err
			}
			x.Path = path
		}
		if err := check(x.Path); err != nil {
			p.at--
			return nil, p.fail("%v", err)
		}
		out = append(out, x)
		if err := p.count(); err != nil {
			return nil, err
		}
		if !p.takeOp(",") {
			return out, nil
		}
		if p.peek().kind != tokenIdent {
			return nil, p.unexpected("a label's name")
		}
	}
	return out, nil
}

// endsPipeline tells whether the word that comes next belongs to what is around the pipeline.
func (p *parser) endsPipeline() bool {
	switch strings.ToLower(p.peek().text) {
	case "and", "or", "unless", "offset":
		after := p.tokens[min(p.at+1, len(p.tokens)-1)]
		return after.kind != tokenOp || after.text != "="
	}
	return false
}

func (p *parser) regexpStage() (Stage, error) {
	pattern, err := p.text("an expression in quotes")
	if err != nil {
		return nil, err
	}
	p.at--
	if err := p.regexps.Add(pattern); err != nil {
		return nil, p.fail("%v", err)
	}
	re, err := compileRegexp(pattern)
	if err != nil {
		return nil, p.fail("%v", err)
	}
	named := 0
	for _, name := range re.SubexpNames() {
		if name == "" {
			continue
		}
		if named++; !validLabel(name) {
			return nil, p.fail("the group %q can't be a label's name", name)
		}
	}
	if named == 0 {
		return nil, p.fail("the expression needs a named group, as (?P<name>…)")
	}
	p.at++
	return &RegexpStage{pattern}, nil
}

func (p *parser) patternStage() (Stage, error) {
	pattern, err := p.text("a pattern in quotes")
	if err != nil {
		return nil, err
	}
	if _, err := parsePattern(pattern, false); err != nil {
		p.at--
		return nil, p.fail("%v", err)
	}
	return &PatternStage{pattern}, nil
}

func (p *parser) template() (string, error) {
	text, err := p.text("a template in quotes")
	if err != nil {
		return "", err
	}
	if _, err := compileTemplate(text); err != nil {
		p.at--
		return "", p.fail("%v", err)
	}
	return text, nil
}

func (p *parser) labelFormat() (Stage, error) {
	s := &LabelFormatStage{}
	for {
		label, err := p.ident("a label's name")
		if err != nil {
			return nil, err
		}
		for _, f := range s.Items {
			if f.Label == label {
				p.at--
				return nil, p.fail("the label %q is formatted twice; use two stages", label)
			}
		}
		if err := p.want("="); err != nil {
			return nil, err
		}
		f := LabelFormat{Label: label}
		if p.peek().kind == tokenIdent {
			f.From = p.next().text
		} else if f.Template, err = p.template(); err != nil {
			return nil, err
		}
		s.Items = append(s.Items, f)
		if err := p.count(); err != nil {
			return nil, err
		}
		if !p.takeOp(",") {
			return s, nil
		}
	}
}

func (p *parser) labelItems() ([]LabelItem, error) {
	var out []LabelItem
	for {
		name, err := p.ident("a label's name")
		if err != nil {
			return nil, err
		}
		it := LabelItem{Name: name}
		if t := p.peek(); t.kind == tokenOp && (t.text == "=" || t.text == "!=" || t.text == "=~" || t.text == "!~") {
			// `keep a != "text"` could be a line filter too; a label with a value is what the language reads.
			p.at--
			if it.Matcher, err = p.matcher(); err != nil {
				return nil, err
			}
		}
		out = append(out, it)
		if err := p.count(); err != nil {
			return nil, err
		}
		if !p.takeOp(",") {
			return out, nil
		}
	}
}

func (p *parser) unwrap() (Stage, error) {
	name, err := p.ident("a label's name")
	if err != nil {
		return nil, err
	}
	s := &UnwrapStage{Label: name}
	if !p.takeOp("(") {
		return s, nil
	}
	switch s.Convert = strings.ToLower(name); s.Convert {
	case "duration", "duration_seconds", "bytes":
	default:
		p.at -= 2
		return nil, p.fail("there is no conversion %q: duration, duration_seconds and bytes are known", name)
	}
	if s.Label, err = p.ident("a label's name"); err != nil {
		return nil, err
	}
	return s, p.want(")")
}

// bareStages are those that need nothing behind their name: != and !~ there are a line filter.
var bareStages = map[string]bool{"json": true, "logfmt": true, "unpack": true, "decolorize": true}

// filterOps are the operators of label filters.
var filterOps = map[string]bool{"=": true, "!=": true, "=~": true, "!~": true, "==": true, ">": true, ">=": true, "<": true, "<=": true}

func (p *parser) filterStage() (Stage, error) {
	f, err := p.orFilter()
	return &FilterStage{f}, err
}

func (p *parser) orFilter() (LabelFilter, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	left, err := p.andFilter()
	if err != nil {
		return nil, err
	}
	for p.takeWord("or") {
		right, err := p.andFilter()
		if err != nil {
			return nil, err
		}
		left = &OrFilter{left, right}
	}
	return left, nil
}

// andFilter reads conditions joined by and, by a comma or by nothing.
func (p *parser) andFilter() (LabelFilter, error) {
	left, err := p.oneFilter()
	if err != nil {
		return nil, err
	}
	for {
		joined := p.takeWord("and") || p.takeOp(",")
		if !joined && !p.isOp("(") && (p.peek().kind != tokenIdent || p.isWord("or") || p.isWord("unless")) {
			return left, nil
		}
		right, err := p.oneFilter()
		if err != nil {
			return nil, err
		}
		left = &AndFilter{left, right}
	}
}

func (p *parser) oneFilter() (LabelFilter, error) {
	if err := p.count(); err != nil {
		return nil, err
	}
	if p.takeOp("(") {
		f, err := p.orFilter()
		if err != nil {
			return nil, err
		}
		return f, p.want(")")
	}
	name, err := p.ident("a label's name")
	if err != nil {
		return nil, err
	}
	op := p.peek()
	if op.kind != tokenOp || !filterOps[op.text] {
		return nil, p.unexpected("= != =~ !~ > >= < or <=")
	}
	p.next()
	switch t := p.peek(); {
	case t.kind == tokenString:
		return p.stringFilter(name, op)
	case p.isWord("ip"):
		return p.ipFilter(name, op)
	default:
		return p.numberFilter(name, op)
	}
}

func (p *parser) stringFilter(name string, op token) (LabelFilter, error) {
	switch op.text {
	case "=", "!=", "=~", "!~":
	default:
		return nil, p.fail("%q compares numbers, durations and amounts of bytes, not texts: write it without quotes", op.text)
	}
	m := &Matcher{Name: name, Op: MatchOp(op.text), Value: p.next().text}
	return &StringFilter{m}, p.compile(m)
}

func (p *parser) ipFilter(name string, op token) (LabelFilter, error) {
	if op.text != "=" && op.text != "!=" {
		return nil, p.fail("ip() stands behind = and != only")
	}
	p.next()
	if err := p.want("("); err != nil {
		return nil, err
	}
	text, err := p.text("an address, a range or a network in quotes")
	if err != nil {
		return nil, err
	}
	if _, err := parseIPRange(text); err != nil {
		p.at--
		return nil, p.fail("%v", err)
	}
	return &IPFilter{name, MatchOp(op.text), text}, p.want(")")
}

func (p *parser) numberFilter(name string, op token) (LabelFilter, error) {
	f := &NumberFilter{Name: name, Op: op.text}
	if f.Op == "=" {
		f.Op = "=="
	}
	if f.Op == "=~" || f.Op == "!~" {
		return nil, p.unexpected("an expression in quotes")
	}
	sign := ""
	if p.takeOp("-") {
		sign = "-"
	} else {
		p.takeOp("+")
	}
	t := p.peek()
	f.kind, f.Value = t.kind, sign+t.text
	var err error
	switch t.kind {
	case tokenNumber:
		f.bound, err = parseNumber(t.text)
	case tokenDuration:
		d, derr := parseDuration(t.text)
		f.bound, err = float64(d), derr
	case tokenBytes:
		f.bound, err = parseBytes(t.text)
	default:
		return nil, p.unexpected("a text in quotes, a number, a duration such as 1.5s or an amount such as 20KB")
	}
	if err != nil {
		return nil, p.fail("%s: %v", strconv.Quote(t.text), err)
	}
	if sign != "" {
		f.bound = -f.bound
	}
	p.next()
	return f, nil
}
