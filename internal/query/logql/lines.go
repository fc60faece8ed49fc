package logql

import (
	"context"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Entry is a line of an answer. Labels are shared between entries and not to be changed.
type Entry struct {
	// ID is the record's, the same whenever it is read.
	ID   string
	At   int64
	Line string
	// Stream are the labels of the stream, Metadata those that the record has besides, Parsed what the pipeline made.
	Stream, Metadata, Parsed Labels
}

// All returns all labels of an entry.
func (e *Entry) All() Labels {
	if len(e.Metadata) == 0 && len(e.Parsed) == 0 {
		return e.Stream
	}
	out := make(Labels, 0, len(e.Stream)+len(e.Metadata)+len(e.Parsed))
	return sortLabels(append(append(append(out, e.Stream...), e.Metadata...), e.Parsed...))
}

// Lines is the answer to a query for lines, in its order.
type Lines struct {
	Entries []Entry
	Stats   Stats
}

// Lines answers a query for lines of [at.Start, at.End), the first limit of them from the end (or from the start, with
// forward). Lines of one nanosecond come in the order of their ids.
func (e *Engine) Lines(ctx context.Context, p signal.Project, expr *LogExpr, at signal.TimeRange, limit int, forward bool) (*Lines, error) {
	begin := time.Now()
	if limit < 1 || limit > e.cfg.MaxLines {
		return nil, permanent("limit %d: from 1 to %d lines can be asked for", limit, e.cfg.MaxLines)
	}
	r, cancel := e.start(ctx, p)
	defer cancel()
	pl, err := newPlan(expr, nil)
	if err != nil {
		return nil, err
	}
	q := store.Select{Scope: pl.scope(at), Order: store.NewestFirst}
	if forward {
		q.Order = store.OldestFirst
	}
	if pl.whole {
		q.Limit = limit
	}
	out := &Lines{}
	shared := sharedLabels{}
	reader, ln := newRowReader(nil), &line{done: r.done}
	for row, err := range r.events.Select(r.ctx, p, q) {
		if err != nil {
			return nil, r.explain(err)
		}
		if err := r.done(); err != nil {
			return nil, err
		}
		r.count(row)
		if !pl.keep(reader, row, ln) {
			continue
		}
		entry := ln.entry(row.ID, shared)
		if err := r.hold(entry.size()); err != nil {
			return nil, err
		}
		if out.Entries = append(out.Entries, entry); len(out.Entries) == limit {
			break
		}
	}
	if err := r.done(); err != nil { // maybe while a template worked on the last line
		return nil, err
	}
	out.Stats = r.stats
	out.Stats.Took = time.Since(begin)
	return out, nil
}

// count notes that a row was looked at.
func (r *run) count(row *store.Row) {
	r.stats.Lines++
	for i := range row.Fields {
		if row.Fields[i].Name == store.FieldBody {
			r.stats.Bytes += int64(len(row.Fields[i].Value.Text()))
			return
		}
	}
}

// sharedLabels holds each set of labels of an answer once.
type sharedLabels map[string]Labels

func (s sharedLabels) of(l Labels) Labels {
	if len(l) == 0 {
		return nil
	}
	key := l.key()
	if known, ok := s[key]; ok {
		return known
	}
	s[key] = l
	return l
}

func (ln *line) entry(id string, shared sharedLabels) Entry {
	pick := func(want origin) Labels {
		return ln.labels.of(func(from origin) bool { return from == want })
	}
	return Entry{
		ID: id, At: ln.at, Line: ln.text,
		Stream: shared.of(pick(fromStream)), Metadata: pick(fromMetadata), Parsed: pick(fromLine),
	}
}

func (e *Entry) size() int64 {
	return int64(len(e.Line)+len(e.ID)) + e.Metadata.size() + e.Parsed.size() + 120
}
