package logql

import (
	"fmt"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// plan is how the lines of a LogExpr are found: what the store is asked for, and the steps that are left.
type plan struct {
	filter store.Filter
	steps  []step
	left   []Stage
	// selector are the matchers that the store could not judge.
	selector []*Matcher
	// whole says that every row that comes back is wanted.
	whole bool
}

func newPlan(e *LogExpr, t *table) (*plan, error) {
	asked := pushSelector(e)
	pl := &plan{}
	for _, m := range e.Matchers {
		if _, exact := pushMatcher(m); !exact {
			pl.selector = append(pl.selector, m)
		}
	}
	pl.left = t.pushPipeline(asked, e.Stages)
	pl.whole = asked.whole && len(pl.left) == 0
	if len(asked.filter) > 0 {
		pl.filter = asked.filter
	}
	for _, s := range pl.left {
		compiled, err := compileStage(s)
		if err != nil {
			return nil, signal.Permanent(err)
		}
		pl.steps = append(pl.steps, compiled)
	}
	return pl, nil
}

func compileStage(s Stage) (step, error) {
	switch s := s.(type) {
	case interface{ step() step }:
		return s.step(), nil
	case interface{ compile() (step, error) }:
		return s.compile()
	}
	return nil, fmt.Errorf("BUG: stage %T", s)
}

func (pl *plan) scope(at signal.TimeRange) store.Scope {
	return store.Scope{Kind: store.KindLog, Time: at, Filter: pl.filter}
}

// keep runs a row through what is left and tells whether its line is wanted.
func (pl *plan) keep(reader *rowReader, row *store.Row, ln *line) bool {
	reader.read(row, ln)
	for _, m := range pl.selector {
		k := knownByName[m.Name]
		if !m.Matches(reader.text(k)) {
			return false
		}
	}
	for _, s := range pl.steps {
		if !s(ln) {
			return false
		}
	}
	return true
}
