package logql

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

func (s *FilterStage) compile() (step, error) {
	test, err := compileFilter(s.Filter)
	if err != nil {
		return nil, err
	}
	return func(ln *line) bool { return test(&ln.labels) }, nil
}

// labelTest tells whether labels meet a condition. It marks them when a value is not of the condition's kind.
type labelTest func(*lineLabels) bool

func compileFilter(f LabelFilter) (labelTest, error) {
	switch f := f.(type) {
	case *AndFilter:
		a, b, err := compileTwo(f.Left, f.Right)
		return func(l *lineLabels) bool { return a(l) && b(l) }, err
	case *OrFilter:
		a, b, err := compileTwo(f.Left, f.Right)
		return func(l *lineLabels) bool { return a(l) || b(l) }, err
	case *StringFilter:
		return func(l *lineLabels) bool { return f.Matches(l.get(f.Name)) }, nil
	case *NumberFilter:
		return f.test, nil
	case *IPFilter:
		r, err := parseIPRange(f.Value)
		if err != nil {
			return nil, err
		}
		return func(l *lineLabels) bool { return f.test(r, l) }, nil
	default:
		return nil, fmt.Errorf("BUG: label filter %T", f)
	}
}

func compileTwo(left, right LabelFilter) (a, b labelTest, err error) {
	if a, err = compileFilter(left); err != nil {
		return nil, nil, err
	}
	b, err = compileFilter(right)
	return a, b, err
}

// test compares a label as what the bound is. A line without the label is not kept; one whose label is nothing of the kind
// is kept and marked, so that the mistake is seen.
func (f *NumberFilter) test(l *lineLabels) bool {
	if l.find(labelError) >= 0 {
		return true // an earlier mistake is what is to be seen
	}
	text := l.get(f.Name)
	if text == "" {
		return false
	}
	value, err := valueAs(text, f.kind)
	if err != nil {
		l.fail(errorFilter, err.Error())
		return true
	}
	return compareNumbers(f.Op, value, f.bound)
}

func compareNumbers(op string, a, b float64) bool {
	switch op {
	case "==":
		return a == b
	case "!=":
		return a != b
	case ">":
		return a > b
	case ">=":
		return a >= b
	case "<":
		return a < b
	default:
		return a <= b
	}
}

// valueAs reads a label's value as a number, a duration (in nanoseconds) or an amount of bytes.
func valueAs(text string, kind tokenKind) (float64, error) {
	switch kind {
	case tokenDuration:
		d, err := parseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("%q is no duration", text)
		}
		return float64(d), nil
	case tokenBytes:
		n, err := parseBytes(text)
		if err != nil {
			if n, err = strconv.ParseFloat(text, 64); err != nil {
				return 0, fmt.Errorf("%q is no amount of bytes", text)
			}
		}
		return n, nil
	default:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return 0, fmt.Errorf("%q is no number", text)
		}
		return f, nil
	}
}

func (f *IPFilter) test(r ipRange, l *lineLabels) bool {
	if l.find(labelError) >= 0 {
		return true
	}
	text := l.get(f.Name)
	if text == "" {
		return false
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		l.fail(errorFilter, fmt.Sprintf("%q is no address", text))
		return true
	}
	return r.contains(a) == (f.Op == MatchEqual)
}

// step makes unwrap take the value. Lines without the label are no samples; one whose label is no value
// is a sample of 0 with an error.
func (s *UnwrapStage) step() step {
	return func(ln *line) bool {
		i := ln.labels.find(s.Label)
		if i < 0 {
			return false
		}
		text := ln.labels.list[i].Value
		ln.unwrapped = s.Label
		var err error
		switch s.Convert {
		case "":
			ln.value, err = valueAs(text, tokenNumber)
		case "bytes":
			ln.value, err = valueAs(text, tokenBytes)
		default:
			ln.value, err = valueAs(text, tokenDuration)
			ln.value /= float64(time.Second)
		}
		if err != nil {
			ln.value = 0
			ln.labels.fail(errorSample, err.Error())
			return true
		}
		return true
	}
}
