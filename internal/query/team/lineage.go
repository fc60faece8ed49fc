package team

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Lineage is where an artifact or a record came from, and what used it later.
type Lineage struct {
	// Of is what was asked for.
	Of string
	// Origins are the times it was made, oldest first: a key that was saved three times has three.
	Origins []Origin
	// Uses are the times it was loaded or read, oldest first.
	Uses []Use
	// Cut: there are more than are looked at. Partial: a part of the store did not answer.
	Cut, Partial bool
}

// Doing is whose work something was.
type Doing struct {
	Task, Team, TaskType string
	// Provisional: the sender named no task; Task is the trace.
	Provisional            bool
	Agent, TraceID, SpanID string
	// Time is when it began, nanoseconds.
	Time int64
}

// Thing is an artifact or a record.
type Thing struct {
	// Artifact is nil for a record; Table and ID are of the record.
	Artifact  *Artifact
	Table, ID string
}

// Origin is one making of an artifact or record.
type Origin struct {
	Doing
	Thing
	// Calls are the calls of models in the agent's work that ended before it was made: what it was made of.
	Calls []OriginCall
	// Tokens and Cost are their sums; Unpriced counts those without a cost.
	Tokens   Tokens
	Cost     PicoUSD
	Unpriced int
	// Uses of other things that the agent made before, in the same work: what went into it.
	From []Thing
}

// OriginCall is a call of a model that went before. What was said in it is asked for by its ids.
type OriginCall struct {
	Model, TraceID, SpanID string
	Tokens                 Tokens
	Cost                   PicoUSD
	HasCost                bool
}

// Use is one loading or reading.
type Use struct {
	Doing
	Thing
	// Made is what the agent made in the same work afterwards.
	Made []Thing
}

const (
	// maxSightings bounds the spans in which one thing is looked for, maxLineageTasks the tasks that they are of.
	maxSightings    = 2000
	maxLineageTasks = 50
)

// Whence tells where an artifact or record came from: what is a key, a digest, an URI or an id of an artifact, or an id of
// a record, also as TABLE/ID. It returns store.ErrNotFound when nothing of that name was made or used.
func (q *Questions) Whence(ctx context.Context, p signal.Project, what string) (Lineage, error) {
	l := Lineage{Of: what}
	if what == "" { // to a filter a row without the field has the text ""
		return l, fmt.Errorf("artifact or record %q: %w", what, store.ErrNotFound)
	}
	seen, err := q.sightings(ctx, p, named(what), &l)
	if err != nil {
		return l, err
	}
	var digests []string
	for i := range seen {
		if a := seen[i].Artifact; a != nil && a.Digest != "" && seen[i].makes() && !slices.Contains(digests, a.Digest) {
			digests = append(digests, a.Digest)
		}
	}
	if len(digests) > 0 { // the same content under another name
		more, err := q.sightings(ctx, p, store.In{Field: attr(conv.AITeamArtifactDigest), Values: digests}, &l)
		if err != nil {
			return l, err
		}
		seen = append(seen, more...)
	}
	if len(seen) == 0 {
		return l, fmt.Errorf("artifact or record %q: %w", what, store.ErrNotFound)
	}
	if err := q.trace(ctx, p, seen, &l); err != nil {
		return l, err
	}
	slices.SortFunc(l.Origins, func(a, b Origin) int { return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.SpanID, b.SpanID)) })
	slices.SortFunc(l.Uses, func(a, b Use) int { return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.SpanID, b.SpanID)) })
	return l, nil
}

// named selects the spans that name a thing.
func named(what string) store.Filter {
	var any store.Or
	for _, name := range []string{
		conv.AITeamArtifactKey, conv.AITeamArtifactDigest, conv.AITeamArtifactURI, conv.AITeamArtifactID, conv.AITeamRecordID,
	} {
		any = append(any, store.Eq(attr(name), what))
	}
	any = append(any, store.Eq(attr(conv.AITeamArtifactDigest), "sha256:"+what))
	if at := strings.LastIndexByte(what, '/'); at > 0 {
		any = append(any, store.And{store.Eq(attr(conv.AITeamRecordTable), what[:at]), store.Eq(attr(conv.AITeamRecordID), what[at+1:])})
	}
	return any
}

func (q *Questions) sightings(ctx context.Context, p signal.Project, filter store.Filter, l *Lineage) ([]Span, error) {
	var out []Span
	for r, err := range q.events.Select(ctx, p, store.Select{
		Scope:  store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: filter},
		Fields: ledgerFields(), Order: store.OldestFirst, Limit: maxSightings + 1,
	}) {
		if errors.Is(err, store.ErrPartial) {
			l.Partial = true
			break
		}
		if err != nil {
			return nil, fmt.Errorf("look for artifact or record: %w", err)
		}
		if len(out) == maxSightings {
			l.Cut = true
			break
		}
		out = append(out, spanOf(r))
	}
	return out, nil
}

// trace reads the tasks in which a thing was seen and tells of each sighting what went before and what came after.
func (q *Questions) trace(ctx context.Context, p signal.Project, seen []Span, l *Lineage) error {
	byTask := map[taskKey]map[SpanID]bool{}
	var order []taskKey
	for i := range seen {
		s := &seen[i]
		k := taskKey{s.Team, s.Task}
		if s.Provisional {
			k.team = ""
		}
		if byTask[k] == nil {
			if len(order) == maxLineageTasks {
				l.Cut = true
				continue
			}
			byTask[k] = map[SpanID]bool{}
			order = append(order, k)
		}
		byTask[k][SpanID{s.TraceID, s.SpanID}] = true
	}
	for _, k := range order {
		b := newBook(q, p, k.team, []string{k.id})
		b.provisional = k.team == ""
		if err := b.read(ctx); err != nil {
			return err
		}
		l.Partial, l.Cut = l.Partial || b.partial, l.Cut || b.cut[k.id]
		if f := b.folds[k.id]; f != nil {
			f.lineage(byTask[k], l)
		}
	}
	return nil
}

// lineage tells of the spans in which a thing was seen.
func (f *Fold) lineage(seen map[SpanID]bool, l *Lineage) {
	t := f.arrange()
	for i := range f.spans {
		s := &f.spans[i]
		if !seen[SpanID{s.TraceID, s.SpanID}] || s.Failed() {
			continue
		}
		w := Doing{
			Task: s.Task, Team: s.Team, TaskType: s.TaskType, Provisional: s.Provisional,
			Agent: t.agent[i], TraceID: s.TraceID, SpanID: s.SpanID, Time: s.Start,
		}
		around := f.within(t, i)
		if !s.makes() {
			u := Use{Doing: w, Thing: s.thing()}
			for _, j := range around {
				if o := &f.spans[j]; o.made() && o.Start >= s.Start {
					u.Made = append(u.Made, o.thing())
				}
			}
			l.Uses = append(l.Uses, u)
			continue
		}
		l.Origins = append(l.Origins, f.origin(t, s, w, around))
	}
}

func (f *Fold) origin(t *forest, s *Span, w Doing, around []int) Origin {
	o := Origin{Doing: w, Thing: s.thing()}
	for _, j := range around {
		before := &f.spans[j]
		if before.Start > s.Start {
			continue
		}
		if before.touches() && !before.makes() && !before.Failed() {
			o.From = append(o.From, before.thing())
		}
		if !t.counts[j] || !before.Inference() || before.Failed() {
			continue
		}
		o.Calls = append(o.Calls, OriginCall{
			Model: before.Model, TraceID: before.TraceID, SpanID: before.SpanID, Tokens: before.Tokens, Cost: before.Cost, HasCost: before.HasCost,
		})
		o.Tokens.add(before.Tokens)
		o.Cost = o.Cost.plus(before.Cost)
		if !before.HasCost {
			o.Unpriced++
		}
	}
	return o
}

// within returns the spans of the same work as span i, in order of start: of the agent's invocation that it lies in, else
// of the message that was processed, else of what is at the top.
func (f *Fold) within(t *forest, i int) []int {
	top := i
	for t.parent[top] >= 0 && (top == i || f.spans[top].Operation != opAgent && f.spans[top].Kind != "consumer") {
		top = t.parent[top]
	}
	out := []int{top}
	for at := 0; at < len(out); at++ {
		for _, c := range t.children[out[at]] {
			if f.spans[c].Kind != "producer" { // what others do is theirs
				out = append(out, c)
			}
		}
	}
	slices.Sort(out)
	return out
}

// touches tells whether a span is about a thing that has a name.
func (s *Span) touches() bool {
	return s.Artifact != nil && (s.Artifact.Key != "" || s.Artifact.Digest != "") || s.RecordTable != ""
}

// makes tells whether a span about a thing makes it; else it reads it.
func (s *Span) makes() bool {
	if s.isArtifact() {
		return !strings.HasPrefix(s.Name, "load_artifact")
	}
	verb, _, _ := strings.Cut(strings.ToUpper(s.Name), " ")
	return verb != "SELECT"
}

// made tells whether a span made a thing.
func (s *Span) made() bool { return s.touches() && s.makes() && !s.Failed() }

func (s *Span) thing() Thing {
	if s.isArtifact() {
		a := s.Artifact
		if a == nil {
			a = &Artifact{}
		}
		return Thing{Artifact: a}
	}
	return Thing{Table: s.RecordTable, ID: s.RecordID}
}
