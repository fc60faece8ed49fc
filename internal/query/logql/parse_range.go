package logql

import (
	"slices"
	"time"
)

func (p *parser) rangeExpr(op string) (Expr, error) {
	begin := p.next()
	e := &RangeExpr{Op: op}
	if err := p.want("("); err != nil {
		return nil, err
	}
	if op == opQuantileOverTime {
		f, err := p.number()
		if err != nil {
			return nil, err
		}
		e.Param = f
		if err := p.want(","); err != nil {
			return nil, err
		}
	}
	if err := p.logRange(e); err != nil {
		return nil, err
	}
	if e.Range == 0 {
		return nil, p.unexpected("a range such as [5m]")
	}
	if err := p.want(")"); err != nil {
		return nil, err
	}
	if err := p.offset(e); err != nil {
		return nil, err
	}
	by, err := p.grouping()
	if err != nil {
		return nil, err
	}
	e.By = by
	unwraps := e.unwraps()
	switch rule := rangeOps[op]; {
	case rule == onValues && !unwraps:
		return nil, parseError(p.query, begin.at, "%s works on values: add | unwrap LABEL before the range", op)
	case rule == onLines && unwraps:
		return nil, parseError(p.query, begin.at, "%s works on lines: leave | unwrap out", op)
	}
	return e, nil
}

// unwraps tells whether a stage takes the sample's value.
func (e *RangeExpr) unwraps() bool {
	return slices.ContainsFunc(e.Log.Stages, func(s Stage) bool {
		_, ok := s.(*UnwrapStage)
		return ok
	})
}

// logRange reads a selector, a pipeline and a range, which may stand behind either, all of it in parentheses or not.
func (p *parser) logRange(e *RangeExpr) error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.leave()
	if p.takeOp("(") {
		if err := p.logRange(e); err != nil {
			return err
		}
		if err := p.want(")"); err != nil {
			return err
		}
		return p.duration(e)
	}
	if !p.isOp("{") {
		return p.unexpected("a selector such as {service_name=\"writer\"}")
	}
	log, err := p.selector()
	if err != nil {
		return err
	}
	e.Log = log
	if err := p.duration(e); err != nil {
		return err
	}
	if err := p.pipeline(log, true); err != nil {
		return err
	}
	return p.duration(e)
}

// duration reads [5m] and an offset behind it, where they are still missing.
func (p *parser) duration(e *RangeExpr) error {
	if e.Range != 0 || !p.takeOp("[") {
		return nil
	}
	d, err := p.positiveDuration()
	if err != nil {
		return err
	}
	e.Range = d
	if err := p.want("]"); err != nil {
		return err
	}
	return p.offset(e)
}

func (p *parser) positiveDuration() (time.Duration, error) {
	if p.peek().kind != tokenDuration {
		return 0, p.unexpected("a duration such as 5m")
	}
	d, err := parseDuration(p.peek().text)
	if err != nil || d <= 0 {
		return 0, p.fail("the range %q is not positive", p.peek().text)
	}
	p.next()
	return d, nil
}

func (p *parser) offset(e *RangeExpr) error {
	if e.Offset != 0 || !p.takeWord("offset") {
		return nil
	}
	negative := p.takeOp("-")
	d, err := p.positiveDuration()
	if err != nil {
		return err
	}
	if e.Offset = d; negative {
		e.Offset = -d
	}
	return nil
}
