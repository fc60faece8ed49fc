package logql

import (
	"regexp"

	"github.com/mindscope/mindscope/internal/store"
)

// pushed is what the store is asked for instead of conditions of a query.
type pushed struct {
	filter store.And
	// whole says that nothing is left to do for the conditions.
	whole bool
}

// add adds a condition that every wanted row meets; exact says that no other row does.
func (p *pushed) add(f store.Filter, exact bool) {
	p.whole = p.whole && exact
	if f == nil {
		p.whole = false
		return
	}
	if and, ok := f.(store.And); ok && len(and) == 0 {
		return
	}
	p.filter = append(p.filter, f)
}

// pushMatcher returns the filter for a condition of a selector; exact says that it holds for no other rows. A label that
// isn't known is in no record's stream.
func pushMatcher(m *Matcher) (f store.Filter, exact bool) {
	if k := knownByName[m.Name]; k != nil {
		return pushLabel(k, m)
	}
	if m.Matches("") {
		return store.And{}, true
	}
	return store.Or{}, true
}

// pushLabel does so for a label whose fields are known.
func pushLabel(k *known, m *Matcher) (f store.Filter, exact bool) {
	var literals []string
	negated := m.Op == MatchNotEqual || m.Op == MatchNotRegexp
	switch m.Op {
	case MatchEqual, MatchNotEqual:
		literals = []string{m.Value}
	case MatchRegexp, MatchNotRegexp:
		literals = m.re.literals
	}
	f = k.push(m.Matches, literals, negated)
	if f == nil {
		f = pushExpression(k, m, negated)
	}
	return f, f != nil
}

// pushExpression pushes an expression on a label that is one field.
func pushExpression(k *known, m *Matcher, negated bool) store.Filter {
	if len(k.fields) != 1 || m.re == nil {
		return nil
	}
	if k.always && !negated && m.Value == ".+" {
		return store.And{}
	}
	switch m.Value {
	case ".*":
		if negated {
			return store.Or{}
		}
		return store.And{}
	case ".+":
		if negated {
			return store.Not{Filter: store.Exists{Field: k.fields[0]}}
		}
		return store.Exists{Field: k.fields[0]}
	}
	f := store.Match{Field: k.fields[0], Pattern: wholePattern(m.Value)}
	if negated {
		return store.Not{Filter: f}
	}
	return f
}

// pushField pushes a choice of literals on one field.
func pushField(field string, literals []string, negated bool) store.Filter {
	var f store.Filter
	switch len(literals) {
	case 0:
		return nil
	case 1:
		f = store.Eq(field, literals[0])
	default:
		f = store.In{Field: field, Values: literals}
	}
	if negated {
		return store.Not{Filter: f}
	}
	return f
}

// pushSelector asks the store for the streams of a selector.
func pushSelector(e *LogExpr) *pushed {
	p := &pushed{whole: true}
	for _, m := range e.Matchers {
		p.add(pushMatcher(m))
	}
	return p
}

// pushLine asks for the lines of a line filter.
func pushLine(s *LineStage) (f store.Filter, exact bool) {
	any, exact := store.Or{}, true
	for _, t := range s.Texts {
		one, ok := pushText(s.Op, t)
		exact = exact && ok
		if one == nil {
			return nil, false
		}
		any = append(any, one)
	}
	f = any
	if len(any) == 1 {
		f = any[0]
	}
	if s.negated() {
		if !exact {
			return nil, false // lines may meet a condition that was widened and be wanted none the less
		}
		return store.Not{Filter: f}, true
	}
	return f, exact
}

func (s *LineStage) negated() bool { return s.Op[0] == '!' }

func pushText(op string, t LineText) (store.Filter, bool) {
	switch {
	case t.IP:
		return nil, false
	case op == "|=", op == "!=":
		return store.Match{Field: store.FieldBody, Pattern: regexp.QuoteMeta(t.Text)}, true
	case op == "|~", op == "!~":
		return store.Match{Field: store.FieldBody, Pattern: t.Text}, true
	}
	pattern, err := parsePattern(t.Text, true)
	if err != nil {
		return nil, false
	}
	var all store.And
	for _, part := range pattern.parts {
		if part.literal != "" {
			all = append(all, store.Match{Field: store.FieldBody, Pattern: regexp.QuoteMeta(part.literal)})
		}
	}
	return all, false
}

// pushFilter asks for the lines of a label filter on labels that records come with.
func (t *table) pushFilter(f LabelFilter) (store.Filter, bool) {
	switch f := f.(type) {
	case *StringFilter:
		k := t.known(f.Name)
		if k == nil || !k.shown {
			return nil, false
		}
		return pushLabel(k, f.Matcher)
	case *AndFilter:
		left, leftExact := t.pushFilter(f.Left)
		right, rightExact := t.pushFilter(f.Right)
		switch {
		case left == nil:
			return right, false
		case right == nil:
			return left, false
		}
		return store.And{left, right}, leftExact && rightExact
	case *OrFilter:
		left, leftExact := t.pushFilter(f.Left)
		right, rightExact := t.pushFilter(f.Right)
		if left == nil || right == nil {
			return nil, false
		}
		return store.Or{left, right}, leftExact && rightExact
	}
	return nil, false
}

// pushPipeline adds to what a selector asks for all that the stages say about records as they are stored. left are the
// stages that are still to be run on what comes back.
func (t *table) pushPipeline(p *pushed, stages []Stage) (left []Stage) {
	lineAsStored, labelsAsStored := true, true
	for _, s := range stages {
		switch s := s.(type) {
		case *LineStage:
			if lineAsStored {
				f, exact := pushLine(s)
				p.addMaybe(f, exact)
				if exact {
					continue
				}
			}
		case *FilterStage:
			if labelsAsStored {
				f, exact := t.pushFilter(s.Filter)
				p.addMaybe(f, exact)
				if exact {
					continue
				}
			}
		case *DropStage:
			if onlyErrors(s) {
				if labelsAsStored {
					continue // records come without errors
				}
				break
			}
			labelsAsStored = false
		case *LineFormatStage, *DecolorizeStage:
			lineAsStored = false
		case *UnpackStage:
			lineAsStored, labelsAsStored = false, false
		case *UnwrapStage:
			// A filter behind it may be about the error that it makes.
			labelsAsStored = false
		default:
			labelsAsStored = false
		}
		left = append(left, s)
	}
	return left
}

// addMaybe adds a filter that narrows, if there is one.
func (p *pushed) addMaybe(f store.Filter, exact bool) {
	if f != nil {
		p.add(f, exact)
		return
	}
	p.whole = false
}

// onlyErrors tells whether a stage drops nothing that a record comes with.
func onlyErrors(s *DropStage) bool {
	for _, it := range s.Items {
		if it.Name != labelError && it.Name != labelErrorDetails {
			return false
		}
	}
	return true
}
