package logql

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
)

// VolumeQuery asks how many bytes of lines there are by label.
type VolumeQuery struct {
	Selector *LogExpr
	At       signal.TimeRange
	// Labels are those to group by; none means the ones that the selector names.
	Labels []string
	// ByName sums up per label, over all of its values, instead of per set of labels.
	ByName bool
	// Step, when positive, also groups by time: from the start of At on.
	Step time.Duration
	// Limit bounds the series: those with most bytes.
	Limit int
}

// Volume answers a VolumeQuery, most bytes first. The points stand at the beginning of their step, without steps at the end
// of the range. With ByName the values of labels are empty.
func (e *Engine) Volume(ctx context.Context, p signal.Project, q VolumeQuery) ([]Series, error) {
	if q.At.Empty() {
		return nil, nil
	}
	names := q.Labels
	if len(names) == 0 {
		for _, m := range q.Selector.Matchers {
			names = append(names, m.Name)
		}
	}
	names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return knownByName[n] == nil })
	slices.Sort(names)
	names = slices.Compact(names)
	var out []Series
	if !q.ByName {
		series, err := e.volume(ctx, p, q, names)
		if err != nil {
			return nil, err
		}
		out = series
	}
	for _, name := range names {
		if !q.ByName {
			break
		}
		series, err := e.volume(ctx, p, q, []string{name})
		if err != nil {
			return nil, err
		}
		if one := sumUp(name, series); one.Points != nil {
			out = append(out, one)
		}
	}
	slices.SortStableFunc(out, func(a, b Series) int { return cmp.Compare(total(b), total(a)) })
	return out[:min(len(out), max(q.Limit, 1))], nil
}

func total(s Series) float64 {
	sum := 0.0
	for _, p := range s.Points {
		sum += p.Value
	}
	return sum
}

func sumUp(name string, series []Series) Series {
	out := Series{Labels: Labels{{Name: name}}}
	at := map[int64]int{}
	for _, s := range series {
		if s.Labels.Get(name) == "" {
			continue
		}
		for _, p := range s.Points {
			i, ok := at[p.At]
			if !ok {
				i = len(out.Points)
				at[p.At] = i
				out.Points = append(out.Points, Point{At: p.At})
			}
			out.Points[i].Value += p.Value
		}
	}
	slices.SortFunc(out.Points, func(a, b Point) int { return cmp.Compare(a.At, b.At) })
	return out
}

// volume is a metric query in fact: windows end one nanosecond before what follows them.
func (e *Engine) volume(ctx context.Context, p signal.Project, q VolumeQuery, names []string) ([]Series, error) {
	window, steps, shift := time.Duration(q.At.End-q.At.Start), Instant(q.At.End-1), int64(1)
	if q.Step > 0 {
		window = q.Step
		steps = Steps{Start: q.At.Start + int64(q.Step) - 1, End: q.At.End + int64(q.Step) - 2, Step: q.Step}
		shift = 1 - int64(q.Step)
	}
	m, err := e.Matrix(ctx, p, &AggregateExpr{
		Op: "sum", By: &Grouping{Names: names},
		Of: &RangeExpr{Op: opBytesOverTime, Log: q.Selector, Range: window},
	}, steps)
	if err != nil {
		return nil, err
	}
	for i := range m.Series {
		for j := range m.Series[i].Points {
			m.Series[i].Points[j].At += shift
		}
	}
	return m.Series, nil
}
