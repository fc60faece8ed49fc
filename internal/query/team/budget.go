package team

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Period is the stretch of the calendar, in UTC, after which a budget begins anew.
type Period string

// The periods of budgets.
const (
	Hourly  Period = "hour"
	Daily   Period = "day"
	Monthly Period = "month"
)

// bounds returns the period that a time lies in.
func (p Period) bounds(at time.Time) (start, end time.Time) {
	at = at.UTC()
	switch p {
	case Hourly:
		start = at.Truncate(time.Hour)
		return start, start.Add(time.Hour)
	case Daily:
		start = time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
		return start, start.AddDate(0, 0, 1)
	}
	start = time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
	return start, start.AddDate(0, 1, 0)
}

// Work is whom money is spent by and on what.
type Work struct{ Team, Agent, Model, Type string }

// get returns a pointer to the part of that name: team, agent, model or type; nil for no such part.
func (w *Work) get(part string) *string {
	switch part {
	case "team":
		return &w.Team
	case "agent":
		return &w.Agent
	case "model":
		return &w.Model
	case "type":
		return &w.Type
	}
	return nil
}

func workParts() [4]string { return [4]string{"team", "agent", "model", "type"} }

// Budget is what may be spent in a period: money or tokens.
type Budget struct {
	Name    string
	Project signal.Project
	// For narrows it; an empty part is all of them together.
	For Work
	// Per names the parts of which each value has the budget for itself.
	Per    []string
	Period Period
	// USD is the limit in money; Tokens, when it is not 0, one in tokens instead.
	USD    PicoUSD
	Tokens int64
}

// takes returns the line of the budget that work is counted in, and whether it is counted at all.
func (b *Budget) takes(w Work) (Work, bool) {
	line := Work{}
	for _, part := range workParts() {
		want, got := *b.For.get(part), *w.get(part)
		switch {
		case want != "" && want != got:
			return Work{}, false
		case want != "" || slices.Contains(b.Per, part):
			*line.get(part) = got
		}
	}
	return line, true
}

// BudgetState is how far one budget is used up, in one line of it.
type BudgetState struct {
	*Budget
	// Line says whose: the parts that the budget names or has for each. Of those that are empty, Unnamed says which are not
	// all of them together.
	Line       Work
	Start, End time.Time
	SpentUSD   PicoUSD
	Spent      int64 // tokens
	Calls      int64
	// Unpriced counts calls whose price is not known: a budget in money can't see them.
	Unpriced int64
}

// Unnamed returns the parts that the budget is for each of and that the work of this line does not name: it is the line of
// what names no agent, say, and not one of all agents together.
func (s *BudgetState) Unnamed() []string {
	var out []string
	for _, part := range s.Per {
		if line := s.Line; *line.get(part) == "" {
			out = append(out, part)
		}
	}
	return out
}

// concerns tells whether work described by w, empty parts unknown, may be counted in the line.
func (s *BudgetState) concerns(w Work) bool {
	line, unnamed := s.Line, s.Unnamed()
	for _, part := range workParts() {
		a, b := *line.get(part), *w.get(part)
		if b != "" && a != b && (a != "" || slices.Contains(unnamed, part)) {
			return false
		}
	}
	return true
}

// Used is the part of the budget that is spent, 1 for all of it.
func (s *BudgetState) Used() float64 {
	if s.Tokens > 0 {
		return float64(s.Spent) / float64(s.Tokens)
	}
	return float64(s.SpentUSD) / float64(s.USD)
}

// Exceeded tells, exactly, that nothing is left.
func (s *BudgetState) Exceeded() bool {
	if s.Tokens > 0 {
		return s.Spent >= s.Tokens
	}
	return s.SpentUSD >= s.USD
}

// spent is what was spent by some work in one bucket of time.
type spent struct {
	usd                     PicoUSD
	tokens, calls, unpriced int64
}

func (s *spent) add(o spent) {
	s.usd = s.usd.plus(o.usd)
	s.tokens, s.calls, s.unpriced = plus(s.tokens, o.tokens), s.calls+o.calls, s.unpriced+o.unpriced
}

const (
	// bucketSize is the grain in which sums are kept: what arrives changes the sums of few buckets, which are read anew.
	bucketSize = 10 * time.Minute
	// settle is how long after its commit a row is surely seen by readers.
	settle = 5 * time.Second
	// maxMarks bounds the traces that wait to be read again; with more, all is read again.
	maxMarks = 50_000
	// patience is how many times longer sums hold than it took to make them: budgets take a tenth of one processor at most.
	patience = 10
	// freshFor is how long sums hold at least.
	freshFor = time.Second
)

// Budgets tells how far budgets are used up. Its figures are those of Costs.Report: each call counted once, in exact
// money. It keeps sums of ten minutes and is told, as a store.Observer, which traces changed; only what they touch is
// read again. Reading goes on when whoever asked has given up, until Close. It is safe for concurrent use.
type Budgets struct {
	clock func() time.Time

	mu    sync.Mutex // guards the marks: Committed must not wait for a question
	marks map[signal.Project]map[string]time.Time
	again map[signal.Project]bool // all of it is to be read

	reader
	sums map[signal.Project]*ledgerSums // of the refresh that runs

	asking sync.Mutex // guards what follows
	list   *[]Budget
	costs  *Costs
	states []BudgetState // of the last refresh that succeeded
	at     time.Time     // of states
	tried  time.Time     // when the last refresh began
	took   time.Duration // the last refresh, whether it succeeded or not
	failed error         // of the last refresh
	done   chan struct{} // closed when the refresh that runs has ended; nil when none runs
	of     *[]Budget     // what the last refresh is about
}

// reader is what the refreshes of budgets run in.
type reader struct {
	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	running sync.WaitGroup
}

// ledgerSums are the sums of a project since a time.
type ledgerSums struct {
	since   time.Time
	buckets map[int64]map[Work]*spent
}

// NewBudgets returns Budgets that know nothing yet: Use gives them what to ask. A nil clock is time.Now.
func NewBudgets(list []Budget, clock func() time.Time) *Budgets {
	if clock == nil {
		clock = time.Now
	}
	b := &Budgets{clock: clock, marks: map[signal.Project]map[string]time.Time{}, again: map[signal.Project]bool{}, sums: map[signal.Project]*ledgerSums{}}
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.Set(list)
	return b
}

// Set puts other budgets in place of those there are. What was spent does not change: it is read anew.
func (b *Budgets) Set(list []Budget) {
	b.asking.Lock()
	defer b.asking.Unlock()
	b.list, b.states, b.tried = &list, nil, time.Time{}
	b.mu.Lock()
	defer b.mu.Unlock()
	projects := projectsOf(list)
	for p := range projects {
		if b.marks[p] == nil {
			b.marks[p] = map[string]time.Time{}
		}
		b.again[p] = true // of what was committed before, no trace was noted
	}
	maps.DeleteFunc(b.marks, func(p signal.Project, _ map[string]time.Time) bool { return !projects[p] })
	maps.DeleteFunc(b.again, func(p signal.Project, _ bool) bool { return !projects[p] })
}

// Len returns how many budgets there are.
func (b *Budgets) Len() int {
	b.asking.Lock()
	defer b.asking.Unlock()
	return len(*b.list)
}

func projectsOf(list []Budget) map[signal.Project]bool {
	out := map[signal.Project]bool{}
	for i := range list {
		out[list[i].Project] = true
	}
	return out
}

// Use makes costs what budgets are computed from.
func (b *Budgets) Use(costs *Costs) {
	b.asking.Lock()
	defer b.asking.Unlock()
	b.costs = costs
}

// Committed implements store.Observer: it notes which traces changed.
func (b *Budgets) Committed(p signal.Project, rows []store.Row) {
	b.mu.Lock()
	defer b.mu.Unlock()
	marks, ok := b.marks[p]
	if !ok {
		return
	}
	now, last := b.clock(), ""
	for i := range rows {
		if rows[i].Kind != store.KindSpan && rows[i].Kind != store.KindCost {
			continue
		}
		id := rows[i].Text(store.FieldTraceID)
		if id == last || id == "" {
			continue
		}
		if last = id; len(marks) >= maxMarks {
			b.again[p] = true
			clear(marks)
		}
		marks[strings.Clone(id)] = now
	}
}

// Forget has all of a project read again: rows were deleted.
func (b *Budgets) Forget(p signal.Project) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.marks[p]; ok {
		b.again[p] = true
	}
}

// Save implements store.StatefulObserver. There is nothing to save: the sums are made of the store.
func (*Budgets) Save(io.Writer) error { return nil }

// Load implements store.StatefulObserver.
func (*Budgets) Load([]byte) error { return nil }

// Close ends a refresh that runs and waits for it. States answers with an error afterwards.
func (b *Budgets) Close() {
	b.asking.Lock()
	b.stop()
	b.asking.Unlock()
	b.running.Wait()
}

// ErrNoCosts says that budgets were asked before the server had started.
var ErrNoCosts = errors.New("budgets: the store is not open yet")

// States returns how far all budgets are used up, in the order of the configuration, and when that was so. The answer may be
// some seconds old: what was written a moment ago can't be read yet. When ctx ends before the reading does, the answer is
// the one before, of the periods that go on; without one, an error. The reading goes on for whoever asks next.
func (b *Budgets) States(ctx context.Context) ([]BudgetState, time.Time, error) {
	for {
		done, list, err := b.begin()
		if err != nil {
			return nil, time.Time{}, err
		}
		select {
		case <-done:
		case <-ctx.Done():
		}
		if states, at, ok, err := b.answer(ctx, done, list); ok || err != nil {
			return states, at, err
		}
	}
}

// answer returns what a refresh found, or, when it was given up, what was known before; not ok when other budgets were set
// meanwhile.
func (b *Budgets) answer(ctx context.Context, done <-chan struct{}, list *[]Budget) (states []BudgetState, at time.Time, ok bool, err error) {
	b.asking.Lock()
	defer b.asking.Unlock()
	switch {
	case b.done != done && b.list != list && ctx.Err() == nil:
		return nil, time.Time{}, false, nil
	case b.done != done && b.list == list: // it has ended
		if b.failed != nil {
			return nil, time.Time{}, false, b.failed
		}
		return slices.Clone(b.states), b.at, true, nil
	}
	now := b.clock()
	states = slices.DeleteFunc(slices.Clone(b.states), func(s BudgetState) bool { return !now.Before(s.End) })
	if len(states) == 0 {
		return nil, time.Time{}, false, fmt.Errorf("budgets are still read, ask again later: %w", ctx.Err())
	}
	return states, b.at, true, nil
}

// begin starts a refresh unless one runs, or the last one holds. done is closed when the answer is there, of the budgets in
// list.
func (b *Budgets) begin() (ended <-chan struct{}, of *[]Budget, err error) {
	b.asking.Lock()
	defer b.asking.Unlock()
	if b.costs == nil {
		return nil, nil, ErrNoCosts
	}
	if err := b.ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("budgets: the server stops: %w", err)
	}
	if b.done != nil {
		return b.done, b.of, nil
	}
	now, done, list := b.clock(), make(chan struct{}), b.list
	if age := now.Sub(b.tried); !b.tried.IsZero() && age >= 0 && age < max(freshFor, patience*b.took) {
		close(done)
		return done, list, nil
	}
	b.tried, b.done, b.of = now, done, list
	b.running.Go(func() {
		defer close(done)
		err := b.refresh(b.ctx, *list, now)
		var states []BudgetState
		if err == nil {
			states = b.sum(*list, now)
		}
		b.asking.Lock()
		defer b.asking.Unlock()
		b.took, b.failed, b.done = b.clock().Sub(now), err, nil
		switch {
		case b.list != list: // others were set meanwhile
			b.tried, b.failed = time.Time{}, nil
		case err == nil:
			b.states, b.at = states, now
		}
	})
	return done, list, nil
}

// refresh reads what changed.
func (b *Budgets) refresh(ctx context.Context, list []Budget, now time.Time) error {
	projects := projectsOf(list)
	maps.DeleteFunc(b.sums, func(p signal.Project, _ *ledgerSums) bool { return !projects[p] })
	for p := range projects {
		changed, all := b.take(p, now)
		if err := b.refreshProject(ctx, p, list, now, changed, all); err != nil {
			b.Forget(p)
			return err
		}
	}
	return nil
}

// take returns the traces that changed. Those whose rows may not be readable yet are taken again the next time.
func (b *Budgets) take(p signal.Project, now time.Time) (changed []string, all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, at := range b.marks[p] {
		changed = append(changed, id)
		if now.Sub(at) > settle {
			delete(b.marks[p], id)
		}
	}
	all = b.again[p]
	delete(b.again, p)
	return changed, all
}

func (b *Budgets) refreshProject(ctx context.Context, p signal.Project, list []Budget, now time.Time, changed []string, all bool) error {
	since, until := window(list, p, now)
	s := b.sums[p]
	if all || s == nil || since.Before(s.since) {
		fresh := &ledgerSums{since: since, buckets: map[int64]map[Work]*spent{}}
		if err := b.read(ctx, p, fresh, since, until); err != nil {
			return err
		}
		b.sums[p] = fresh
		return nil
	}
	for at := range s.buckets {
		if at < since.UnixNano() {
			delete(s.buckets, at)
		}
	}
	s.since = since
	touched, err := b.touched(ctx, p, changed, since, until)
	if err != nil {
		return err
	}
	for _, r := range touched {
		for at := r.Start; at < r.End; at += int64(bucketSize) {
			delete(s.buckets, at)
		}
		if err := b.read(ctx, p, s, time.Unix(0, r.Start), time.Unix(0, r.End)); err != nil {
			return err
		}
	}
	return nil
}

// window is the time that the budgets of a project are about.
func window(list []Budget, p signal.Project, now time.Time) (since, until time.Time) {
	for i := range list {
		if list[i].Project != p {
			continue
		}
		start, end := list[i].Period.bounds(now)
		if since.IsZero() || start.Before(since) {
			since = start
		}
		if end.After(until) {
			until = end
		}
	}
	return since, until
}

// touched returns the stretches, of whole buckets, in which changed traces have spans that may be counted. A new span may
// change what others of its trace count for, so the buckets of all of them are meant.
func (b *Budgets) touched(ctx context.Context, p signal.Project, changed []string, since, until time.Time) ([]signal.TimeRange, error) {
	starts := map[int64]bool{}
	for batch := range slices.Chunk(changed, 1000) {
		rows := b.costs.events.Select(ctx, p, store.Select{
			Scope: store.Scope{
				Kind: store.KindSpan, Time: signal.TimeRange{Start: since.UnixNano(), End: until.UnixNano()},
				Filter: store.And{store.In{Field: store.FieldTraceID, Values: batch}, used()},
			},
			Fields: []string{store.FieldTraceID},
		})
		for r, err := range rows {
			if err != nil {
				return nil, err
			}
			starts[r.Time-r.Time%int64(bucketSize)] = true
		}
	}
	sorted := make([]int64, 0, len(starts))
	for at := range starts {
		sorted = append(sorted, at)
	}
	slices.Sort(sorted)
	var out []signal.TimeRange
	for _, at := range sorted {
		if n := len(out); n > 0 && out[n-1].End == at {
			out[n-1].End += int64(bucketSize)
			continue
		}
		out = append(out, signal.TimeRange{Start: at, End: at + int64(bucketSize)})
	}
	return out, nil
}

// read adds the counted spans of [since, until) to sums.
func (b *Budgets) read(ctx context.Context, p signal.Project, to *ledgerSums, since, until time.Time) error {
	return b.costs.each(ctx, p, since, until, func(s *costSpan) error {
		at := s.Start - s.Start%int64(bucketSize)
		bucket, ok := to.buckets[at]
		if !ok {
			bucket = map[Work]*spent{}
			to.buckets[at] = bucket
		}
		w := Work{Team: s.Team, Agent: s.agent, Model: s.Model, Type: s.TaskType}
		for _, part := range workParts() { // as metrics and JSON show it: two lines must not look alike
			*w.get(part) = strings.ToValidUTF8(*w.get(part), "\uFFFD")
		}
		one, ok := bucket[w]
		if !ok {
			one = &spent{}
			bucket[w] = one
		}
		add := spent{usd: s.Cost, tokens: s.Tokens.Total(), calls: 1}
		if !s.HasCost {
			add.unpriced = 1
		}
		one.add(add)
		return nil
	})
}

// sum adds the buckets up for each budget. A budget that is not for each of something has a line even when nothing is
// spent.
func (b *Budgets) sum(list []Budget, now time.Time) []BudgetState {
	states := []BudgetState{}
	for i := range list {
		budget := &list[i]
		start, end := budget.Period.bounds(now)
		lines := map[Work]*spent{}
		if len(budget.Per) == 0 {
			lines[budget.For] = &spent{}
		}
		if s := b.sums[budget.Project]; s != nil {
			for at, bucket := range s.buckets {
				if at < start.UnixNano() || at >= end.UnixNano() {
					continue
				}
				for w, one := range bucket {
					line, ok := budget.takes(w)
					if !ok {
						continue
					}
					if lines[line] == nil {
						lines[line] = &spent{}
					}
					lines[line].add(*one)
				}
			}
		}
		first := len(states)
		for line, s := range lines {
			states = append(states, BudgetState{
				Budget: budget, Line: line, Start: start, End: end,
				SpentUSD: s.usd, Spent: s.tokens, Calls: s.calls, Unpriced: s.unpriced,
			})
		}
		slices.SortFunc(states[first:], func(a, b BudgetState) int {
			return cmp.Or(-cmp.Compare(a.Used(), b.Used()), compareWork(a.Line, b.Line))
		})
	}
	return states
}

func compareWork(a, b Work) int {
	return cmp.Or(cmp.Compare(a.Team, b.Team), cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.Model, b.Model), cmp.Compare(a.Type, b.Type))
}

// For returns the states in a project that work described by w, empty parts unknown, is counted in.
func (b *Budgets) For(ctx context.Context, p signal.Project, w Work) ([]BudgetState, time.Time, error) {
	states, at, err := b.States(ctx)
	if err != nil {
		return nil, at, err
	}
	return slices.DeleteFunc(states, func(s BudgetState) bool { return s.Project != p || !s.concerns(w) }), at, nil
}
