package team

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Audit accounts for the hops of one task; the id of a trace is taken, too. Errors as of Task.
func (q *Questions) Audit(ctx context.Context, p signal.Project, team, id string) (Ledger, error) {
	t, err := q.resolve(ctx, p, team, id)
	if err != nil {
		return Ledger{}, err
	}
	b := newBook(q, p, t.team, []string{t.id})
	b.provisional = t.provisional
	all, err := b.audit(ctx)
	if err != nil {
		return Ledger{}, err
	}
	l, ok := all[t.id]
	if !ok {
		return Ledger{}, fmt.Errorf("task %q: %w", id, store.ErrNotFound)
	}
	return *l, nil
}

// book is what is read for the audit of some tasks of one team. They share every question to the store.
type book struct {
	q           *Questions
	p           signal.Project
	team        string
	ids         []string
	provisional bool

	folds  map[string]*Fold
	owner  map[string]string          // the task of a trace, "" where there are several
	joined map[string]map[string]Join // by task and trace
	fresh  []string                   // joined traces that were not read yet
	lines  map[string][]lineGroup

	cut     map[string]bool
	partial bool
}

func newBook(q *Questions, p signal.Project, team string, ids []string) *book {
	return &book{
		q: q, p: p, team: team, ids: ids, folds: map[string]*Fold{}, owner: map[string]string{},
		joined: map[string]map[string]Join{}, lines: map[string][]lineGroup{}, cut: map[string]bool{},
	}
}

// audit examines the tasks. Where messages lead nowhere it looks for traces that go on, and where a task doesn't show
// what its agents report it looks at what they did before; then it examines anew.
func (b *book) audit(ctx context.Context) (map[string]*Ledger, error) {
	if err := b.read(ctx); err != nil {
		return nil, err
	}
	audits, want := map[string]*audit{}, []*wanted(nil)
	for id := range b.folds {
		audits[id] = b.examine(id, habits{})
		if w := audits[id].wants(id); w != nil && !b.provisional {
			want = append(want, w)
		}
	}
	if len(want) > 0 {
		slices.SortFunc(want, func(x, y *wanted) int { return slices.Index(b.ids, x.task) - slices.Index(b.ids, y.task) })
		if err := b.search(ctx, want); err != nil {
			return nil, err
		}
		if err := b.readFresh(ctx); err != nil {
			return nil, err
		}
	}
	if err := b.readLines(ctx); err != nil {
		return nil, err
	}
	known, err := b.known(ctx, audits)
	if err != nil {
		return nil, err
	}
	out := map[string]*Ledger{}
	for id := range b.folds {
		out[id] = b.ledger(id, known)
	}
	return out, nil
}

func (b *book) examine(id string, h habits) *audit {
	return examine(b.folds[id], b.lines[id], b.joined[id], h, b.q.clock().UnixNano())
}

// known returns the habits of the agents that the audits could not judge.
func (b *book) known(ctx context.Context, audits map[string]*audit) (habits, error) {
	ask, until := map[string]bool{}, int64(0)
	for _, a := range audits {
		if len(a.mute) == 0 {
			continue
		}
		for _, m := range a.messages {
			ask[m.from], ask[m.to] = true, true
		}
		for i := range a.fold.spans {
			until = max(until, a.fold.spans[i].End())
		}
	}
	delete(ask, "")
	if len(ask) == 0 {
		return habits{}, nil
	}
	return b.history(ctx, sortedKeys(ask), until+int64(time.Hour))
}

func (b *book) ledger(id string, h habits) *Ledger {
	f := b.folds[id]
	sum := f.Summary(b.q.clock().UnixNano())
	l := &Ledger{
		ID: sum.ID, Team: sum.Team, Type: sum.Type, Status: sum.Status, Provisional: sum.Provisional, Traces: sum.Traces,
		Cut: b.cut[id], Partial: b.partial,
	}
	for _, trace := range slices.Sorted(maps.Keys(b.joined[id])) {
		l.Joined = append(l.Joined, b.joined[id][trace])
	}
	b.examine(id, h).into(l)
	return l
}

// own selects the rows that name the tasks.
func (b *book) own() store.Filter {
	ids := store.In{Field: store.FieldTaskID, Values: b.ids}
	if b.provisional {
		return store.And{ids, store.Eq(store.FieldTaskProvisional, "true")}
	}
	return store.And{ids, store.Eq(store.FieldTeam, b.team), store.Not{Filter: store.Eq(store.FieldTaskProvisional, "true")}}
}

// nameless selects the rows of traces that name no task. A provisional task's id is its trace's; log records outside of
// any trace may have one, too.
func nameless(traces []string) store.Filter {
	return store.And{store.In{Field: store.FieldTaskID, Values: traces}, store.Eq(store.FieldTaskProvisional, "true")}
}

// read reads the tasks' spans, those of their traces that name no task, and the traces that were joined before.
func (b *book) read(ctx context.Context) error {
	if err := b.spans(ctx, b.own(), func(s *Span) string { return s.Task }); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(b.folds)) {
		for _, trace := range b.folds[id].traces() {
			if _, taken := b.owner[trace]; taken {
				b.owner[trace] = ""
				continue
			}
			b.owner[trace] = id
			b.fresh = append(b.fresh, trace)
		}
	}
	if b.provisional {
		b.fresh = nil
		return nil
	}
	err := b.q.writtenJoins(ctx, b.p, b.ids, func(team, task string, j Join) {
		if team == b.team && b.folds[task] != nil {
			b.join(task, j)
		}
	})
	if errors.Is(err, store.ErrPartial) {
		b.partial = true
	} else if err != nil {
		return err
	}
	return b.readFresh(ctx)
}

// readFresh reads what names no task of the traces that were added last.
func (b *book) readFresh(ctx context.Context) error {
	traces := slices.DeleteFunc(b.fresh, func(t string) bool { return t == "" || b.owner[t] == "" })
	b.fresh = nil
	if len(traces) == 0 {
		return nil
	}
	return b.spans(ctx, nameless(traces), func(s *Span) string { return b.owner[s.TraceID] })
}

// spans reads spans and starts and adds each to the fold of the task that of names, "" for none.
func (b *book) spans(ctx context.Context, filter store.Filter, of func(*Span) string) error {
	for _, kind := range workKinds() {
		rows := b.q.events.Select(ctx, b.p, store.Select{
			Scope:  store.Scope{Kind: kind, Time: signal.AllTime(), Filter: filter},
			Fields: ledgerFields(), Order: store.OldestFirst,
		})
		for r, err := range rows {
			if errors.Is(err, store.ErrPartial) {
				b.partial = true
				break
			}
			if err != nil {
				return fmt.Errorf("read tasks: %w", err)
			}
			s := b.q.span(b.p, r)
			task := of(&s)
			if task == "" {
				continue
			}
			f := b.folds[task]
			if f == nil {
				f = &Fold{}
				b.folds[task] = f
			}
			if f.Len() >= MaxSpans {
				b.cut[task] = true
				continue
			}
			f.Add(s)
		}
	}
	return nil
}

// readLines counts the log records by where they were written. When there are more spans than a tree shows, they are
// counted together.
func (b *book) readLines(ctx context.Context) error {
	filter := b.own()
	if traces := slices.DeleteFunc(slices.Sorted(maps.Keys(b.owner)), func(t string) bool { return t == "" || b.owner[t] == "" }); !b.provisional && len(traces) > 0 {
		filter = store.Or{filter, nameless(traces)}
	}
	count := store.Aggregate{
		Scope: store.Scope{Kind: store.KindLog, Time: signal.AllTime(), Filter: filter},
		By: []string{
			store.FieldTaskID, store.FieldTaskProvisional, store.FieldTaskInherited, store.FieldAgent, store.FieldService,
			store.FieldTraceID, store.FieldSpanID,
		},
		Columns: []store.Column{{Func: store.CountRows}},
		Limit:   MaxSpans,
	}
	groups, err := b.q.events.Aggregate(ctx, b.p, count)
	if errors.Is(err, store.ErrTooMany) {
		count.By = count.By[:6]
		groups, err = b.q.events.Aggregate(ctx, b.p, count)
	}
	if errors.Is(err, store.ErrPartial) {
		b.partial = true
	} else if err != nil {
		return fmt.Errorf("count log lines: %w", err)
	}
	for _, g := range groups {
		l := lineGroup{trace: g.Key[5], agent: g.Key[3], service: g.Key[4], n: int(g.Values[0])}
		l.unnamed = g.Key[1] == "true" || g.Key[2] == "true"
		if len(g.Key) > 6 {
			l.span = g.Key[6]
		}
		task := g.Key[0]
		if g.Key[1] == "true" && !b.provisional {
			task = b.owner[task]
		}
		b.lines[task] = append(b.lines[task], l)
	}
	return nil
}

// AuditAll accounts for tasks of one team at once. Ids that name no task of the team are left out. The error is
// store.ErrPartial where a part of the store did not answer: what is missing, whole tasks even, may be there.
func (q *Questions) AuditAll(ctx context.Context, p signal.Project, team string, ids []string) (map[string]*Ledger, error) {
	b := newBook(q, p, team, ids)
	ledgers, err := b.audit(ctx)
	if err == nil && b.partial {
		err = fmt.Errorf("account for tasks: %w", store.ErrPartial)
	}
	if err != nil {
		return nil, err
	}
	return ledgers, nil
}
