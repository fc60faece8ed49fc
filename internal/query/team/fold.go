package team

import (
	"cmp"
	"math"
)

// The states of a task.
const (
	Running   = "running"
	Completed = "completed"
	Failed    = "failed"
	Cancelled = "cancelled"
	// Lost: whoever holds the work gives no more signs of life. After live.ForgetAfter the task is Failed, its error lost.
	Lost = "lost"
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
	// Cut: the task has more than MaxSpans spans; the sums hold MaxSpans of them.
	Cut bool
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

// SpanID names a span: ids of spans are unique within their trace only.
type SpanID struct{ Trace, Span string }

// Fold gathers the spans of one task and sums them up. The zero value is ready. It is not safe for concurrent use.
//
// Whatever order spans come in, and whatever was asked in between, the answers are the same.
type Fold struct {
	spans    []Span
	index    map[SpanID]int
	verdicts map[SpanID]verdict
	forest   *forest // nil after a change
	// shared says that another task has spans in one of the traces.
	shared bool
}

// verdict is a judge's score that came in a log record.
type verdict struct {
	at    int64
	score float64
}

// Add takes one more span. A span replaces a start record of the same ids; anything else of ids known is a repeat and
// changes nothing.
func (f *Fold) Add(s Span) {
	f.forest = nil
	if f.index == nil {
		f.index = map[SpanID]int{}
	}
	key := SpanID{s.TraceID, s.SpanID}
	if i, ok := f.index[key]; ok && s.SpanID != "" {
		if f.spans[i].Running && !s.Running {
			f.spans[i] = s
		}
		return
	}
	f.index[key] = len(f.spans)
	f.spans = append(f.spans, s)
}

// Judge takes a score that was given to a span, or with empty ids to the task, at a time. The newest counts, and only
// where the span itself says nothing.
func (f *Fold) Judge(trace, span string, at int64, score float64) {
	if f.verdicts == nil {
		f.verdicts = map[SpanID]verdict{}
	}
	key := SpanID{trace, span}
	if v, ok := f.verdicts[key]; !ok || at > v.at || at == v.at && score > v.score {
		f.verdicts[key] = verdict{at, score}
	}
}

// Len returns how many spans were gathered.
func (f *Fold) Len() int { return len(f.spans) }

// Spans returns the gathered spans in order of their start. The caller must not change them.
func (f *Fold) Spans() []Span {
	f.arrange()
	return f.spans
}

// Summary sums the task up as it stands at the time now (nanoseconds).
func (f *Fold) Summary(now int64) Summary {
	forest := f.arrange()
	if len(f.spans) == 0 {
		return Summary{}
	}
	sum := Summary{Start: f.spans[0].Start, Spans: len(f.spans)}
	traces, models := map[string]bool{}, map[string]bool{}
	for i := range f.spans {
		s := &f.spans[i]
		if sum.ID == "" || sum.Provisional && !s.Provisional && s.Task != "" {
			sum.ID, sum.Team, sum.Provisional = s.Task, s.Team, s.Provisional
		}
		sum.Type = cmp.Or(sum.Type, s.TaskType)
		if s.TraceID != "" && !traces[s.TraceID] {
			traces[s.TraceID] = true
			sum.Traces = append(sum.Traces, s.TraceID)
		}
		if s.Model != "" && !models[s.Model] {
			models[s.Model] = true
			sum.Models = append(sum.Models, s.Model)
		}
		if s.Failed() {
			sum.Errors++
		}
		countHops(&sum.Hops, s)
	}
	f.count(forest, &sum)
	f.conclude(forest, &sum, now)
	return sum
}

func countHops(h *Hops, s *Span) {
	switch {
	case s.Kind == "producer":
		h.Messages++
	case s.RecordTable != "":
		h.Records++
	case s.Name == "save_artifact":
		h.Artifacts++
	}
}

// count adds up tokens and money by the leaf rule: a call of a model counts where no other call is below it, and what
// another span says of tokens counts only where no span below it says anything.
func (f *Fold) count(forest *forest, sum *Summary) {
	t := newTotals()
	for i := range f.spans {
		s := &f.spans[i]
		t.tool(s)
		a := t.agent(forest.agent[i])
		if s.Operation == opAgent {
			f.invoked(a, s)
		}
		if !forest.counts[i] {
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
		sum.Cost = sum.Cost.plus(s.Cost)
		a.Cost = a.Cost.plus(s.Cost)
	}
	sum.Hops.LLMCalls = sum.LLMCalls
	t.into(sum)
}

func (f *Fold) invoked(a *Agent, s *Span) {
	a.Calls++
	a.Duration = plus(a.Duration, s.Duration)
	if s.Failed() {
		a.Errors++
	}
	if q := f.quality(s); q != nil {
		a.Quality = q
	}
}

// quality returns the score that a span was given, by itself or by a judge's record.
func (f *Fold) quality(s *Span) *float64 {
	if s.Quality != nil {
		return s.Quality
	}
	if v, ok := f.verdicts[SpanID{s.TraceID, s.SpanID}]; ok && s.SpanID != "" {
		return &v.score
	}
	return nil
}

// plus adds without wrapping around: what senders say has no bounds.
func plus(a, b int64) int64 {
	switch {
	case b > 0 && a > math.MaxInt64-b:
		return math.MaxInt64
	case b < 0 && a < math.MinInt64-b:
		return math.MinInt64
	}
	return a + b
}
