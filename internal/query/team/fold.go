package team

import (
	"cmp"
	"slices"
	"time"
)

// lostAfter is how long a task may show no sign of life before it counts as lost.
const lostAfter = 10 * time.Minute

// The states of a task.
const (
	Running   = "running"
	Completed = "completed"
	Failed    = "failed"
	Cancelled = "cancelled"
	Lost      = "lost"
)

// Summary is a task in a list.
type Summary struct {
	ID, Team, Type, Status string
	// Provisional: the sender named no task; the id is the trace's.
	Provisional bool
	// Start and Duration are nanoseconds; Idle is the part of Duration in which no attempt ran.
	Start, Duration, Idle int64
	Cause                 *Cause
	Tokens                Tokens
	Cost                  PicoUSD
	// LLMCalls counts calls of models, Unpriced those of them without a cost: the cost is all of it only when it is 0.
	LLMCalls, Unpriced int
	Quality            *float64
	Agents             []Agent
	Tools              []Tool
	Usage              []Usage
	// Models are all that its spans name; Usage tells what was used of which.
	Models, Traces []string
	Spans, Errors  int
	Attempts       int
	Hops           Hops
}

// Cause says where and why a task failed.
type Cause struct{ Agent, Error, ErrorType, TraceID, SpanID string }

// Agent is what one agent did in a task.
type Agent struct {
	Name string
	// Calls counts its invocations; Duration is their sum in nanoseconds.
	Calls, LLMCalls, Errors int
	Duration                int64
	Tokens                  Tokens
	Cost                    PicoUSD
	Quality                 *float64
}

// Hops counts what was found of each kind of hop.
type Hops struct{ Messages, LLMCalls, Records, Artifacts, LogLines int }

// Fold gathers the spans of one task and sums them up. The zero value is ready. It is not safe for concurrent use.
type Fold struct {
	spans []Span
	index map[spanKey]int
}

type spanKey struct{ trace, span string }

// Add takes one more span. A span replaces a start record of the same ids; anything else of ids known is a repeat and
// changes nothing.
func (f *Fold) Add(s Span) {
	if f.index == nil {
		f.index = map[spanKey]int{}
	}
	key := spanKey{s.TraceID, s.SpanID}
	if i, ok := f.index[key]; ok && s.SpanID != "" {
		if f.spans[i].Running && !s.Running {
			f.spans[i] = s
		}
		return
	}
	f.index[key] = len(f.spans)
	f.spans = append(f.spans, s)
}

// Spans returns the gathered spans in order of their start. The caller must not change them.
func (f *Fold) Spans() []Span {
	slices.SortStableFunc(f.spans, func(a, b Span) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.TraceID, b.TraceID), cmp.Compare(a.SpanID, b.SpanID))
	})
	for i, s := range f.spans {
		f.index[spanKey{s.TraceID, s.SpanID}] = i
	}
	return f.spans
}

// Summary sums the task up as it stands at the time now (nanoseconds).
func (f *Fold) Summary(now int64) Summary {
	spans := f.Spans()
	if len(spans) == 0 {
		return Summary{}
	}
	sum := Summary{Start: spans[0].Start, Spans: len(spans)}
	end := spans[0].End()
	for i := range spans {
		s := &spans[i]
		end = max(end, s.End())
		f.identify(&sum, s)
		countHops(&sum.Hops, s)
		if s.Failed() {
			sum.Errors++
		}
	}
	f.count(&sum)
	f.outcome(&sum, end, now)
	if sum.Status == Running {
		end = max(end, now)
	}
	sum.Duration = end - sum.Start
	return sum
}

func (f *Fold) identify(sum *Summary, s *Span) {
	if sum.ID == "" || sum.Provisional && !s.Provisional && s.Task != "" {
		sum.ID, sum.Team, sum.Provisional = s.Task, s.Team, s.Provisional
	}
	sum.Type = cmp.Or(sum.Type, s.TaskType)
	if s.TraceID != "" && !slices.Contains(sum.Traces, s.TraceID) {
		sum.Traces = append(sum.Traces, s.TraceID)
	}
	if s.Model != "" && !slices.Contains(sum.Models, s.Model) {
		sum.Models = append(sum.Models, s.Model)
	}
}

func countHops(h *Hops, s *Span) {
	switch {
	case s.Inference():
		h.LLMCalls++
	case s.Kind == "producer":
		h.Messages++
	case s.RecordTable != "":
		h.Records++
	case s.Name == "save_artifact":
		h.Artifacts++
	}
}

// count adds up tokens and money by the leaf rule: a call of a model counts where no other call is below it, and what
// an agent's span says of tokens counts only where no span below it says anything.
func (f *Fold) count(sum *Summary) {
	above := f.aboveUsage()
	t := newTotals()
	for i := range f.spans {
		s := &f.spans[i]
		t.tool(s)
		a := t.agent(f.agentOf(i))
		if s.Operation == "invoke_agent" {
			a.Calls++
			a.Duration += s.Duration
			if s.Failed() {
				a.Errors++
			}
			if s.Quality != nil {
				a.Quality = s.Quality
			}
		}
		if above[i] || !s.Inference() && !s.HasTokens {
			continue
		}
		if s.Inference() {
			sum.LLMCalls++
			a.LLMCalls++
			if !s.HasCost {
				sum.Unpriced++
			}
		}
		t.use(s)
		sum.Tokens.add(s.Tokens)
		a.Tokens.add(s.Tokens)
		sum.Cost += s.Cost
		a.Cost += s.Cost
	}
	t.into(sum)
}

// aboveUsage marks the spans that have a call of a model below them, and among the rest those that have another span
// with tokens below them. Each parent is visited once, so cycles end.
func (f *Fold) aboveUsage() []bool {
	above := make([]bool, len(f.spans))
	for _, inference := range []bool{true, false} {
		for i := range f.spans {
			s := &f.spans[i]
			if inference != s.Inference() || !inference && (!s.HasTokens || above[i]) {
				continue
			}
			for p, ok := f.parent(i); ok && !above[p] && p != i; p, ok = f.parent(p) {
				above[p] = true
			}
		}
	}
	return above
}

func (f *Fold) parent(i int) (int, bool) {
	s := &f.spans[i]
	if s.ParentID == "" {
		return 0, false
	}
	p, ok := f.index[spanKey{s.TraceID, s.ParentID}]
	return p, ok && p != i
}

// outcome sets status, cause, quality, attempts and idle time. The newest attempt that has an outcome gives it.
func (f *Fold) outcome(sum *Summary, end, now int64) {
	attempts := f.attempts()
	sum.Attempts = len(attempts)
	busyUntil := sum.Start
	for _, i := range attempts {
		a := &f.spans[i]
		if gap := a.Start - busyUntil; gap > 0 {
			sum.Idle += gap
		}
		busyUntil = max(busyUntil, a.End())
		if a.Quality != nil {
			sum.Quality = a.Quality
		}
		sum.Status, sum.Cause = statusOf(a), nil
		if sum.Status == Failed || sum.Status == Cancelled {
			sum.Cause = f.cause(i)
		}
	}
	if sum.Status == Running && now-end > int64(lostAfter) {
		sum.Status = Lost
		sum.Cause = &Cause{Error: "no sign of life", ErrorType: "lost"}
		for i := range f.spans {
			if s := &f.spans[i]; s.Running && s.Agent != "" {
				sum.Cause.Agent, sum.Cause.TraceID, sum.Cause.SpanID = s.Agent, s.TraceID, s.SpanID
			}
		}
	}
}

func statusOf(attempt *Span) string {
	switch {
	case attempt.Running:
		return Running
	case attempt.Outcome != "":
		return attempt.Outcome
	case attempt.Failed() && attempt.ErrorType == Cancelled:
		return Cancelled
	case attempt.Failed():
		return Failed
	default:
		return Completed
	}
}

// attempts returns the spans that each hold one attempt at the task, in order of start: the task spans, else the spans
// without a known parent.
func (f *Fold) attempts() []int {
	var tasks, roots []int
	for i := range f.spans {
		if _, ok := f.parent(i); ok {
			continue
		}
		roots = append(roots, i)
		if f.spans[i].Operation == "invoke_workflow" {
			tasks = append(tasks, i)
		}
	}
	switch {
	case len(tasks) > 0:
		return tasks
	case len(roots) == 0: // a cycle: no span is without parent
		return []int{0}
	}
	return newestPerTrace(f.spans, roots)
}

// newestPerTrace keeps one root a trace: real roots before orphans, the earliest of them.
func newestPerTrace(spans []Span, roots []int) []int {
	best := map[string]int{}
	for _, i := range roots {
		j, ok := best[spans[i].TraceID]
		if !ok || spans[j].ParentID != "" && spans[i].ParentID == "" {
			best[spans[i].TraceID] = i
		}
	}
	out := make([]int, 0, len(best))
	for _, i := range best {
		out = append(out, i)
	}
	slices.Sort(out)
	return out
}

// cause follows the failed spans down from the attempt to where the failure began: at each level the failed child that
// ended last, since it is the one whose error went up.
func (f *Fold) cause(attempt int) *Cause {
	children := map[int][]int{}
	for i := range f.spans {
		if p, ok := f.parent(i); ok {
			children[p] = append(children[p], i)
		}
	}
	at, agent := attempt, f.spans[attempt].Agent
	seen := map[int]bool{at: true}
	for {
		next := -1
		for _, c := range children[at] {
			if !seen[c] && f.leadsToFailure(c, children, 0) && (next < 0 || f.spans[c].End() > f.spans[next].End()) {
				next = c
			}
		}
		if next < 0 {
			break
		}
		at = next
		seen[at] = true
		agent = cmp.Or(f.spans[at].Agent, agent)
	}
	s := &f.spans[at]
	return &Cause{
		Agent: agent, Error: cmp.Or(s.Error, f.spans[attempt].Error, s.ErrorType), ErrorType: s.ErrorType,
		TraceID: s.TraceID, SpanID: s.SpanID,
	}
}

// leadsToFailure tells whether a span failed, or is a message on whose other side something failed.
func (f *Fold) leadsToFailure(i int, children map[int][]int, depth int) bool {
	if f.spans[i].Failed() {
		return true
	}
	if f.spans[i].Message == nil || depth > 1 {
		return false
	}
	return slices.ContainsFunc(children[i], func(c int) bool { return f.leadsToFailure(c, children, depth+1) })
}
