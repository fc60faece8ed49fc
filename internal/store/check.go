package store

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Limits of a filter, so that a question that was made by a machine can't exhaust the one that answers.
const (
	maxFilterDepth = 100
	maxFilterNodes = 10_000
)

// Check returns an error that wraps ErrBadQuery, and says what to do, when no engine can answer a question about s.
func (s Scope) Check() error {
	switch {
	case s.Kind == "":
		return badQuery("a scope needs a kind of rows")
	case s.Kind == KindPayload, s.Kind == KindHeartbeat, strings.HasPrefix(string(s.Kind), "_"):
		return badQuery("rows of kind %q can't be asked for", s.Kind)
	}
	nodes := 0
	return checkFilter(s.Filter, 0, &nodes)
}

// Check is Scope.Check for all of q.
func (q Select) Check() error {
	switch {
	case q.Order > NewestFirst:
		return badQuery("order %d: unordered, oldest first or newest first are known", q.Order)
	case q.Limit < 0:
		return badQuery("limit %d: give a positive one, or 0 for none", q.Limit)
	}
	return q.Scope.Check()
}

// Check is Scope.Check for all of q.
func (q Aggregate) Check() error {
	switch {
	case len(q.Columns) == 0:
		return badQuery("an aggregate needs a column")
	case q.Step < 0:
		return badQuery("step %s: give a positive one, or 0 for none", q.Step)
	case q.Limit < 0:
		return badQuery("limit %d: give a positive one, or 0 for %d", q.Limit, maxGroups)
	}
	if slices.Contains(q.By, "") {
		return badQuery("group by a field without a name")
	}
	for _, c := range q.Columns {
		if err := c.check(); err != nil {
			return err
		}
	}
	return q.Scope.Check()
}

// CheckValues is Scope.Check for a question of FieldValues.
func CheckValues(s Scope, field string, limit int) error {
	switch {
	case field == "":
		return badQuery("values of a field without a name")
	case limit < 0:
		return badQuery("limit %d: give a positive one, or 0 for none", limit)
	}
	return s.Check()
}

// CheckReplace is Scope.Check for the rows of a Replace.
func CheckReplace(k Kind, rows []Row) error {
	if err := (Scope{Kind: k}).Check(); err != nil {
		return err
	}
	seen := make(map[string]bool, len(rows))
	for i := range rows {
		switch r := &rows[i]; {
		case r.Kind != k:
			return badQuery("a row of kind %q among those of kind %q", r.Kind, k)
		case seen[r.ID]:
			return badQuery("two rows of one id")
		default:
			seen[r.ID] = true
		}
	}
	return nil
}

func (c Column) check() error {
	switch c.Func {
	case CountRows:
		return nil
	case Sum, Min, Max, Avg, CountDistinct, SumLen:
	case Quantile:
		if math.IsNaN(c.Phi) || c.Phi < 0 || c.Phi > 1 {
			return badQuery("quantile %v: give one from 0 to 1", c.Phi)
		}
	default:
		return badQuery("unknown aggregate function %q", c.Func)
	}
	if c.Field == "" {
		return badQuery("aggregate function %s needs a field", c.Func)
	}
	return nil
}

func checkFilter(f Filter, depth int, nodes *int) error {
	if *nodes++; *nodes > maxFilterNodes || depth > maxFilterDepth {
		return badQuery("the filter is too large: at most %d conditions, nested %d deep", maxFilterNodes, maxFilterDepth)
	}
	parts := func(fs []Filter) error {
		for _, part := range fs {
			if part == nil {
				return badQuery("nothing inside and/or")
			}
			if err := checkFilter(part, depth+1, nodes); err != nil {
				return err
			}
		}
		return nil
	}
	switch f := f.(type) {
	case And:
		return parts(f)
	case Or:
		return parts(f)
	case Not:
		return parts([]Filter{f.Filter})
	}
	// A leaf: compiling it says all there is to say.
	_, err := Compile(f)
	return err
}

func badQuery(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBadQuery, fmt.Sprintf(format, args...))
}
