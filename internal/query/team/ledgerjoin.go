package team

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// How a trace that names no task was found to belong to one, the surest first.
const (
	ByMessage      = "message"      // it took a message of the task, by the message's id
	ByConversation = "conversation" // it answers a message of the task, by the correlation id
	ByLink         = "link"         // it links to a span of the task
	ByTime         = "time"         // the agent began it just when it had got a message of the task
)

// Join is a trace that names no task and belongs to one.
type Join struct {
	Trace, By string
	// To is the span of the task by which the trace was found.
	To SpanID
}

const (
	// startSlack is how much earlier than the message's span its work may seem to begin: both are stamped by one clock.
	startSlack = 5 * time.Millisecond
	// maxCandidates bounds the spans of other traces that are looked at.
	maxCandidates = 20_000
)

// joins reads the joins that were written down, and adds their traces to the owners of traces.
func (s *taskSearch) joins(ctx context.Context, folds map[string]*Fold, owner map[string]*Fold) error {
	err := s.writtenJoins(ctx, s.project, slices.Sorted(maps.Keys(folds)), func(team, task string, j Join) {
		if f := folds[task]; f != nil && len(f.spans) > 0 && f.spans[0].Team == team {
			owner[j.Trace] = f
		}
	})
	if errors.Is(err, store.ErrPartial) {
		s.partial = true
		return nil
	}
	return err
}

// writtenJoins gives the joins of the tasks with these ids, of whatever team, to take. Those that were found are given
// before store.ErrPartial.
func (q *Questions) writtenJoins(ctx context.Context, p signal.Project, ids []string, take func(team, task string, j Join)) error {
	rows := q.events.Select(ctx, p, store.Select{
		Scope: store.Scope{Kind: store.KindJoin, Time: signal.AllTime(), Filter: store.In{Field: store.FieldTaskID, Values: ids}},
		Limit: MaxSpans,
	})
	for r, err := range rows {
		if err != nil {
			return fmt.Errorf("read joins: %w", err)
		}
		trace, span, _ := strings.Cut(r.Text(store.FieldJoinedTo), "/")
		take(r.Text(store.FieldTeam), r.Text(store.FieldTaskID), Join{
			Trace: r.Text(store.FieldTraceID), By: r.Text(store.FieldJoinedBy), To: SpanID{trace, span},
		})
	}
	return nil
}

// row writes a join down.
func (j Join) row(team, task string, now int64) store.Row {
	return store.Row{Kind: store.KindJoin, ID: j.Trace, Time: now, Fields: []store.Field{
		{Name: store.FieldTraceID, Value: store.String(j.Trace)},
		{Name: store.FieldTeam, Value: store.String(team)},
		{Name: store.FieldTaskID, Value: store.String(task)},
		{Name: store.FieldJoinedBy, Value: store.String(j.By)},
		{Name: store.FieldJoinedTo, Value: store.String(j.To.Trace + "/" + j.To.Span)},
	}}
}

// wanted are the messages of a task whose further way is not to be seen.
type wanted struct {
	task  string
	audit *audit
	// open are messages that nobody took, or that were taken and led to nothing.
	open []*message
}

// wants returns what is to be looked for, nil for nothing.
func (a *audit) wants(task string) *wanted {
	w := &wanted{task: task, audit: a}
	for _, m := range a.messages {
		if len(m.sends) == 0 || m.kind == typeEvent || m.kind == typeControl || m.isAnswer() && len(m.processes) > 0 {
			continue
		}
		if len(m.processes) == 0 || !a.worked(m) || m.kind == typeCommand && len(m.answers) == 0 {
			w.open = append(w.open, m)
		}
	}
	if len(w.open) == 0 {
		return nil
	}
	return w
}

// worked tells whether anything but messages was done where a message was taken.
func (a *audit) worked(m *message) bool {
	for _, i := range m.processes {
		for _, c := range a.t.children[i] {
			if k := a.fold.spans[c].Kind; k != "producer" {
				return true
			}
		}
	}
	return false
}

// search looks for the traces that go on where the tasks' messages were lost.
func (b *book) search(ctx context.Context, all []*wanted) error {
	if err := b.searchIDs(ctx, all); err != nil {
		return err
	}
	return b.searchTime(ctx, all)
}

// searchIDs finds traces by the ids of messages.
func (b *book) searchIDs(ctx context.Context, all []*wanted) error {
	type place struct {
		task string
		to   SpanID
	}
	places := map[string]place{}
	for _, w := range all {
		for _, m := range w.open {
			if m.id != "" {
				s := &w.audit.fold.spans[m.sends[0]]
				places[m.id] = place{w.task, SpanID{s.TraceID, s.SpanID}}
			}
		}
	}
	ids := slices.Sorted(maps.Keys(places))
	if len(ids) == 0 {
		return nil
	}
	for _, way := range []struct{ field, by string }{
		{attr(conv.MessagingMessageID), ByMessage}, {attr(conv.MessagingMessageConversationID), ByConversation},
	} {
		groups, err := b.q.events.Aggregate(ctx, b.p, store.Aggregate{
			Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.And{
				store.In{Field: way.field, Values: ids}, store.Eq(store.FieldTaskProvisional, "true"),
			}},
			By:      []string{store.FieldTraceID, way.field},
			Columns: []store.Column{{Func: store.CountRows}},
			Limit:   maxCandidates,
		})
		if errors.Is(err, store.ErrPartial) {
			b.partial = true
		} else if err != nil {
			return fmt.Errorf("find traces by messages: %w", err)
		}
		for _, g := range groups {
			at := places[g.Key[1]]
			b.join(at.task, Join{Trace: g.Key[0], By: way.by, To: at.to})
		}
	}
	return nil
}

// join takes a trace into a task, unless it belongs to one.
func (b *book) join(task string, j Join) {
	if _, taken := b.owner[j.Trace]; taken || j.Trace == "" {
		return
	}
	b.owner[j.Trace] = task
	if b.joined[task] == nil {
		b.joined[task] = map[string]Join{}
	}
	b.joined[task][j.Trace] = j
	b.fresh = append(b.fresh, j.Trace)
}

// around are the spans of a range of time by which traces may be matched.
type around struct {
	// traces are those that name no task, by id.
	traces map[string]*Fold
	// sent and taken are all messages to the agents that are asked about, of any task.
	sent, taken []Span
}

// searchTime finds traces by links and by time.
func (b *book) searchTime(ctx context.Context, all []*wanted) error {
	within, agents := windowOf(all)
	if len(agents) == 0 {
		return nil
	}
	near, err := b.look(ctx, within, agents)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(near.traces)) {
		f := near.traces[id]
		f.arrange()
		if b.byLink(f, id) {
			continue
		}
		first := slices.IndexFunc(f.spans, func(s Span) bool { return s.ParentID == "" })
		if first < 0 {
			continue
		}
		agent := f.forest.agent[first]
		if to, ok := near.begunBy(&f.spans[first], agent); ok {
			for _, w := range all {
				if w.has(to) {
					b.join(w.task, Join{Trace: id, By: ByTime, To: to})
				}
			}
		}
	}
	return nil
}

// windowOf returns when, and by which agents, what is wanted may have gone on.
func windowOf(all []*wanted) (signal.TimeRange, []string) {
	within, agents := signal.TimeRange{}, map[string]bool{}
	for _, w := range all {
		spans := w.audit.fold.spans
		for _, m := range w.open {
			if m.to == "" {
				continue
			}
			agents[m.to] = true
			for _, i := range append(append([]int{}, m.sends...), m.processes...) {
				start, end := spans[i].Start-int64(time.Second), spans[i].End()+int64(clockSlack)
				if within == (signal.TimeRange{}) {
					within = signal.TimeRange{Start: start, End: end}
				}
				within.Start, within.End = min(within.Start, start), max(within.End, end)
			}
		}
	}
	return within, sortedKeys(agents)
}

// look reads the traces of that time that name no task and, if there are any, the messages that they may go on from.
func (b *book) look(ctx context.Context, within signal.TimeRange, agents []string) (*around, error) {
	near := &around{traces: map[string]*Fold{}}
	to := attr(conv.AITeamMessageToAgent)
	err := b.near(ctx, within, store.And{store.Eq(store.FieldTaskProvisional, "true"), store.Or{
		store.Exists{Field: store.FieldAgent}, store.Exists{Field: store.FieldLinks}, store.Exists{Field: to},
	}}, func(s Span) {
		f := near.traces[s.TraceID]
		if f == nil {
			f = &Fold{}
			near.traces[s.TraceID] = f
		}
		f.Add(s)
	})
	if err != nil || len(near.traces) == 0 {
		return near, err
	}
	err = b.near(ctx, within, store.And{
		store.In{Field: to, Values: agents}, store.In{Field: store.FieldSpanKind, Values: []string{"producer", "consumer"}},
	}, func(s Span) {
		switch {
		case s.Kind == "producer":
			near.sent = append(near.sent, s)
		case !s.Provisional:
			near.taken = append(near.taken, s)
		}
	})
	return near, err
}

// near reads spans of the team.
func (b *book) near(ctx context.Context, within signal.TimeRange, filter store.And, take func(Span)) error {
	rows := b.q.events.Select(ctx, b.p, store.Select{
		Scope:  store.Scope{Kind: store.KindSpan, Time: within, Filter: append(filter, store.Eq(store.FieldTeam, b.team))},
		Fields: ledgerFields(), Order: store.OldestFirst, Limit: maxCandidates,
	})
	for r, err := range rows {
		if errors.Is(err, store.ErrPartial) {
			b.partial = true
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for traces: %w", err)
		}
		take(spanOf(r))
	}
	return nil
}

// byLink joins a trace that links to a span of a task.
func (b *book) byLink(f *Fold, id string) bool {
	for i := range f.spans {
		for _, l := range f.spans[i].Links {
			if task := b.owner[l.Trace]; task != "" && l.Trace != id {
				b.join(task, Join{Trace: id, By: ByLink, To: l})
				return true
			}
		}
	}
	return false
}

// begunBy returns the span by which an agent most likely got the work of a trace: the latest taking of a message that
// the trace lies in, else the latest sending before it. Of messages of any task: an agent works for many.
func (n *around) begunBy(first *Span, agent string) (SpanID, bool) {
	if agent == "" {
		return SpanID{}, false
	}
	best := -1
	for i := range n.taken {
		s := &n.taken[i]
		within := s.Start-int64(startSlack) <= first.Start && first.End() <= s.End()+int64(startSlack)
		if s.Message != nil && s.Message.To == agent && within && (best < 0 || s.Start > n.taken[best].Start) {
			best = i
		}
	}
	if best >= 0 {
		return SpanID{n.taken[best].TraceID, n.taken[best].SpanID}, true
	}
	for i := range n.sent {
		s := &n.sent[i]
		if s.Message != nil && s.Message.To == agent && s.Start <= first.Start && (best < 0 || s.Start > n.sent[best].Start) {
			best = i
		}
	}
	if best < 0 {
		return SpanID{}, false
	}
	return SpanID{n.sent[best].TraceID, n.sent[best].SpanID}, true
}

// has tells whether a span is of a message that is wanted.
func (w *wanted) has(id SpanID) bool {
	i, ok := w.audit.fold.index[id]
	return ok && slices.Contains(w.open, w.audit.ofSpan[i])
}

func sortedKeys(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k, ok := range m {
		if ok {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}
