package traceql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// firstGroups is the time that the store is asked to count first: a search that finds enough in it ends soon. It is
	// parted into groupSteps, so that newer traces are known from older ones.
	firstGroups = int64(15 * time.Minute)
	groupSteps  = 64
	// placeBlock is how exactly stores know where traces lie. Parts of time begin and end with such blocks: in others, no
	// trace would be known to lie whole.
	placeBlock = int64(5 * time.Minute)
)

// groupFilter is what a pipeline that begins with a filter, by() or not, and a comparison of scalars asks of the groups of a
// trace's spans, when the store can compute them. Traces without such a group do not match; the others are evaluated.
type groupFilter struct {
	filter store.Filter
	by     []storeGroup
	holds  func(figures) (yes, sure bool)
	// rising says that more spans in a group can't make it false: groups may be joined.
	rising bool
	// ofDurations says that figures of durations are needed.
	ofDurations bool
}

// figures are those of a group of spans; durations are in nanoseconds.
type figures struct{ count, least, most, sum float64 }

func (f figures) with(o figures) figures {
	return figures{f.count + o.count, min(f.least, o.least), max(f.most, o.most), f.sum + o.sum}
}

// groupFilterOf returns nil when the store can't compute what is asked of groups.
func groupFilterOf(stages []Stage) *groupFilter {
	spansets := 0
	for _, s := range stages {
		if _, ok := s.(Spanset); ok {
			spansets++
		}
	}
	f, ok := stages[0].(*Filter)
	if !ok || spansets != 1 {
		return nil
	}
	p := all()
	if e := rewriteAll(f.E); e != nil {
		if needsTrace(e) {
			return nil
		}
		p = pushDown(e, false)
	}
	if !p.exact {
		return nil
	}
	g := &groupFilter{filter: p.filter}
	grouped := false
	for _, s := range stages[1:] {
		switch s := s.(type) {
		case *Select: // changes nothing
		case *GroupBy:
			if grouped || !g.group(s) {
				return nil
			}
			grouped = true
		case *ScalarFilter:
			if !g.compare(s) {
				return nil
			}
			return g
		default:
			return nil
		}
	}
	return nil
}

// group takes the attributes of by(); false when the store's texts do not tell its groups.
func (g *groupFilter) group(by *GroupBy) bool {
	for _, e := range by.By {
		f, ok := e.(*Field)
		if !ok {
			return false
		}
		srcs := sources(f.Attribute)
		if srcs == nil {
			return false
		}
		for _, s := range srcs {
			if s.typ != textType && s.typ != anyType || s.field == store.FieldTraceID {
				return false
			}
		}
		types := make([]Type, len(srcs))
		for i := range types {
			types[i] = TypeString
		}
		g.by = append(g.by, storeGroup{sources: srcs, types: types})
	}
	return true
}

// compare takes the comparison; false when its scalars are not all known from figures.
func (g *groupFilter) compare(s *ScalarFilter) bool {
	l, lOK := g.scalar(s.L)
	r, rOK := g.scalar(s.R)
	if !lOK || !rOK {
		return false
	}
	g.rising = isRising(s.Op, s.L, s.R) || isRising(s.Op.flipped(), s.R, s.L)
	g.holds = func(f figures) (yes, sure bool) {
		if g.ofDurations && !(math.Abs(f.sum) < 1<<53 && math.Abs(f.least) < 1<<53 && math.Abs(f.most) < 1<<53) {
			return false, false // not whole numbers any more, or not there
		}
		return compare(s.Op, l(f), r(f)), true
	}
	return true
}

func isRising(op Op, l, r Scalar) bool {
	a, ok := l.(*Aggregate)
	_, constant := r.(*Literal)
	return ok && constant && (op == OpGreater || op == OpGreaterEqual) && (a.Func == "count" || a.Func == "max")
}

func (g *groupFilter) scalar(s Scalar) (func(figures) Value, bool) {
	switch s := s.(type) {
	case *Literal:
		return func(figures) Value { return s.Value }, true
	case *ScalarOp:
		l, lOK := g.scalar(s.L)
		r, rOK := g.scalar(s.R)
		return func(f figures) Value { return arithmetic(s.Op, l(f), r(f)) }, lOK && rOK
	case *Aggregate:
		if s.Func == "count" {
			return func(f figures) Value { return Int(int64(f.count)) }, true
		}
		f, ok := s.E.(*Field)
		if !ok || f.Attribute.Intrinsic != IntrinsicDuration || f.Attribute.Parent {
			return nil, false
		}
		g.ofDurations = true
		return durations(s.Func), true
	default:
		return nil, false
	}
}

func durations(function string) func(figures) Value {
	of := func(n float64) Value { return Duration(time.Duration(n)) }
	switch function {
	case "min":
		return func(f figures) Value { return of(f.least) }
	case "max":
		return func(f figures) Value { return of(f.most) }
	case "sum":
		return func(f figures) Value { return of(f.sum) }
	default:
		return func(f figures) Value { return arithmetic(OpDiv, of(f.sum), Int(int64(f.count))) }
	}
}

// ask is the question for the groups of all traces in a time.
func (g *groupFilter) ask(at signal.TimeRange) store.Aggregate {
	q := store.Aggregate{
		Scope: store.Scope{Kind: store.KindSpan, Time: at, Filter: g.filter}, By: []string{store.FieldTraceID},
		Step: time.Duration(max(int64(time.Second), (at.End-at.Start)/groupSteps)), Columns: []store.Column{{Func: store.CountRows}},
		Limit: maxGroups,
	}
	for _, by := range g.by {
		for _, s := range by.sources {
			q.By = append(q.By, s.field)
		}
	}
	if g.ofDurations {
		for _, f := range []store.Func{store.Min, store.Max, store.Sum} {
			q.Columns = append(q.Columns, store.Column{Func: f, Field: store.FieldDuration})
		}
	}
	return q
}

// traceGroup is one group of a trace's spans, in one step of time.
type traceGroup struct {
	trace, key string
	start      int64
	figures    figures
	// known says that the spans are in one group, and that spans of the same key are in it: the text is no other type's.
	known bool
	// none says that the spans have none of the attributes: they are in no group.
	none bool
}

// newestSpan is a trace with the step in which its newest span begins.
type newestSpan struct {
	trace string
	start int64
}

// newestBytes is about what one takes, with the text.
const newestBytes = 100

func (g *groupFilter) read(group *store.Group) traceGroup {
	out := traceGroup{trace: group.Key[0], start: group.Start, known: true, none: len(g.by) > 0, figures: figures{count: group.Values[0]}}
	if g.ofDurations {
		out.figures.least, out.figures.most, out.figures.sum = group.Values[1], group.Values[2], group.Values[3]
	}
	texts := group.Key[1:]
	for i := range g.by {
		n := len(g.by[i].sources)
		for k, text := range texts[:n] {
			out.known = out.known && (g.by[i].sources[k].typ == textType || !otherTypes(text))
		}
		v := g.by[i].value(texts[:n])
		out.none = out.none && v.IsNil()
		if len(g.by) == 1 {
			out.key = v.String()
		} else {
			text := v.String()
			out.key += strconv.Itoa(len(text)) + ":" + text
		}
		texts = texts[n:]
	}
	return out
}

// mayHold tells whether a trace may match, by its groups, which are sorted by their keys.
func (g *groupFilter) mayHold(groups []traceGroup) bool {
	for i := 0; i < len(groups); {
		f, known := groups[i].figures, groups[i].known
		next := i + 1
		for ; next < len(groups) && groups[next].key == groups[i].key; next++ {
			f, known = f.with(groups[next].figures), known && groups[next].known
		}
		if !groups[i].none {
			if yes, sure := g.holds(f); yes || !sure || !known && !g.rising {
				return true
			}
		}
		i = next
	}
	return false
}

// inGroups hands on the traces that may have a group as asked for, with a span in the rest of the time. Time is parted so
// that the groups of a part can be held; traces that reach out of it are judged by the groups of all their spans.
func (c *candidates) inGroups(ctx context.Context, rest signal.TimeRange) error {
	rest.Start = max(rest.Start, 0)
	for size := firstGroups; !rest.Empty() && !c.stopped; {
		at := newestPart(rest, size)
		n, err := c.groupsOf(ctx, at)
		if errors.Is(err, store.ErrTooMany) && at.End-at.Start > int64(time.Second) {
			size = fewer(at.End - at.Start)
			continue
		}
		if err != nil {
			return err
		}
		rest.End = at.Start
		if n < maxGroups/8 && size < math.MaxInt64/4 {
			size *= 4
		}
	}
	return nil
}

// fewer returns the time to ask for when one has too many groups: parts of a block come after a whole one.
func fewer(size int64) int64 {
	if size > placeBlock {
		return max(size/8, placeBlock)
	}
	return size / 8
}

// newestPart returns the last part of a time, no longer than size. It begins with a block, unless one is longer than it.
func newestPart(rest signal.TimeRange, size int64) signal.TimeRange {
	if rest.End-rest.Start <= size {
		return rest
	}
	start := rest.End - size
	if in := start % placeBlock; in > 0 && start-in < rest.End-placeBlock {
		start += placeBlock - in
	}
	return signal.TimeRange{Start: start, End: rest.End}
}

// groupsOf does it for one part of the time. It returns how many groups there were.
func (c *candidates) groupsOf(ctx context.Context, at signal.TimeRange) (int, error) {
	ask := c.groups.ask(at)
	answer, err := c.run.events.Aggregate(ctx, c.run.project, ask)
	switch {
	case errors.Is(err, store.ErrPartial):
		c.run.partial = true
	case err != nil:
		return 0, fmt.Errorf("group spans: %w", err)
	}
	n, step := len(answer), int64(ask.Step)
	held := n * 2 * groupBytes
	if err := c.run.budget.take(held); err != nil {
		return 0, err
	}
	found, err := c.mayMatch(ctx, answer, at)
	c.run.budget.used -= int64(held)
	if err != nil {
		return 0, err
	}
	held = len(found) * newestBytes
	if err := c.run.budget.take(held); err != nil {
		return 0, err
	}
	defer func() { c.run.budget.used -= int64(held) }()
	if err := c.handOn(ctx, found, step, at.End); err != nil || c.stopped {
		return n, err
	}
	return n, c.flush()
}

// handOn hands traces on, which are sorted by the steps of their newest spans; the last step may be cut short by the end. It
// stops between steps only: in one, nothing tells newer traces from older ones.
func (c *candidates) handOn(ctx context.Context, found []newestSpan, step, end int64) error {
	for len(found) > 0 && !c.stopped {
		n := 1
		for n < len(found) && found[n].start == found[0].start {
			n++
		}
		if err := c.handOnStep(ctx, found[:n], step, end); err != nil {
			return err
		}
		clear(found[:n])
		found = found[n:]
	}
	return nil
}

// handOnStep hands on the traces of one step. Where they are many, they are told apart by finer steps.
func (c *candidates) handOnStep(ctx context.Context, found []newestSpan, step, end int64) error {
	at := signal.TimeRange{Start: found[0].start, End: end}
	if end-at.Start > step {
		at.End = at.Start + step
	}
	if len(found) > batchOfTraces && step > int64(time.Second) {
		finer, err := c.refine(ctx, found, at)
		if err != nil {
			return err
		}
		if finer > 0 {
			return c.handOn(ctx, found, finer, at.End)
		}
	}
	enough := false
	for _, t := range found {
		more, err := c.add(t.trace, at)
		if err != nil {
			return err
		}
		enough = enough || !more
	}
	if !enough {
		return nil
	}
	err := c.flush()
	c.stopped = true
	return err
}

// refine sorts the traces of one step by finer ones, and returns how long those are; 0 when the store has too many groups.
func (c *candidates) refine(ctx context.Context, found []newestSpan, at signal.TimeRange) (int64, error) {
	ask := c.groups.ask(at)
	ask.By, ask.Columns = ask.By[:1], ask.Columns[:1]
	answer, err := c.run.events.Aggregate(ctx, c.run.project, ask)
	switch {
	case errors.Is(err, store.ErrTooMany):
		return 0, nil
	case errors.Is(err, store.ErrPartial):
		c.run.partial = true
	case err != nil:
		return 0, fmt.Errorf("group spans of a step: %w", err)
	}
	held := len(answer) * 2 * groupBytes
	if err := c.run.budget.take(held); err != nil {
		return 0, err
	}
	defer func() { c.run.budget.used -= int64(held) }()
	newest := make(map[string]int64, len(found))
	for i := range answer {
		trace := answer[i].Key[0]
		newest[trace] = max(newest[trace], answer[i].Start)
	}
	for i := range found {
		found[i].start = max(found[i].start, newest[found[i].trace])
	}
	sortNewest(found)
	return int64(ask.Step), nil
}

func sortNewest(found []newestSpan) {
	slices.SortFunc(found, func(a, b newestSpan) int {
		return cmp.Or(cmp.Compare(b.start, a.start), strings.Compare(a.trace, b.trace))
	})
}

// mayMatch returns the traces that may match, each with the newest step of its spans, newest first.
func (c *candidates) mayMatch(ctx context.Context, answer []store.Group, at signal.TimeRange) ([]newestSpan, error) {
	found, others := c.part(answer)
	seen := func(t newestSpan) bool { return c.seen[t.trace] }
	found, others = slices.DeleteFunc(found, seen), slices.DeleteFunc(others, seen)
	out, ranges, err := c.reachOut(ctx, others, at)
	if err != nil {
		return nil, err
	}
	for chunk := range slices.Chunk(out, batchOfTraces) {
		whole, err := c.whole(ctx, chunk, ranges)
		if err != nil {
			return nil, err
		}
		found = append(found, whole...)
	}
	sortNewest(found)
	return found, nil
}

// part parts traces into those that may match by these groups, and the others.
func (c *candidates) part(answer []store.Group) (found, others []newestSpan) {
	groups := make([]traceGroup, 0, len(answer))
	for i := range answer {
		g := c.groups.read(&answer[i])
		c.run.spans += int(g.figures.count)
		if g.trace != "" {
			groups = append(groups, g)
		}
	}
	slices.SortFunc(groups, func(a, b traceGroup) int {
		return cmp.Or(strings.Compare(a.trace, b.trace), strings.Compare(a.key, b.key))
	})
	for len(groups) > 0 {
		n := 1
		for n < len(groups) && groups[n].trace == groups[0].trace {
			n++
		}
		newest := newestSpan{trace: groups[0].trace}
		for _, g := range groups[:n] {
			newest.start = max(newest.start, g.start)
		}
		if c.groups.mayHold(groups[:n]) {
			found = append(found, newest)
		} else {
			others = append(others, newest)
		}
		groups = groups[n:]
	}
	return found, others
}

// reachOut returns those of traces that may have spans outside a time, and where they lie. A range is not known when a part of
// the store does not answer.
func (c *candidates) reachOut(ctx context.Context, traces []newestSpan, at signal.TimeRange) ([]newestSpan, map[string]signal.TimeRange, error) {
	ids := make([]string, len(traces))
	for i, t := range traces {
		ids[i] = t.trace
	}
	ranges, err := c.run.events.TraceRanges(ctx, c.run.project, ids)
	switch {
	case errors.Is(err, store.ErrPartial):
		c.run.partial, ranges = true, nil
	case err != nil:
		return nil, nil, fmt.Errorf("look up traces: %w", err)
	}
	var out []newestSpan
	for _, t := range traces {
		r, ok := ranges[t.trace]
		switch {
		case !ok || r.Start < at.Start || r.End > at.End:
			out = append(out, t)
		default:
			c.run.traces++
		}
	}
	return out, ranges, nil
}

// whole returns those of traces that may match by the groups of all their spans, and those of which it is not known.
func (c *candidates) whole(ctx context.Context, traces []newestSpan, ranges map[string]signal.TimeRange) ([]newestSpan, error) {
	var at signal.TimeRange
	ids := make([]string, len(traces))
	for i, t := range traces {
		r, ok := ranges[t.trace]
		if !ok {
			return traces, nil
		}
		ids[i] = t.trace
		at = at.Include(r.Start).Include(r.End - 1)
	}
	ask := c.groups.ask(at)
	ask.Step = 0
	of := store.Filter(store.In{Field: store.FieldTraceID, Values: ids})
	if ask.Filter != nil {
		of = store.And{of, ask.Filter}
	}
	ask.Filter = of
	answer, err := c.run.events.Aggregate(ctx, c.run.project, ask)
	switch {
	case errors.Is(err, store.ErrTooMany):
		return traces, nil
	case errors.Is(err, store.ErrPartial):
		c.run.partial = true
		return traces, nil
	case err != nil:
		return nil, fmt.Errorf("group spans of traces: %w", err)
	}
	held := len(answer) * 2 * groupBytes
	if err := c.run.budget.take(held); err != nil {
		return nil, err
	}
	defer func() { c.run.budget.used -= int64(held) }()
	spans := c.run.spans
	found, _ := c.part(answer)
	c.run.spans = spans // they were counted before
	may := make(map[string]bool, len(found))
	for _, t := range found {
		may[t.trace] = true
	}
	var out []newestSpan
	for _, t := range traces {
		if may[t.trace] {
			out = append(out, t)
		} else if _, err := c.note(t.trace); err != nil {
			return nil, err
		}
	}
	return out, nil
}
