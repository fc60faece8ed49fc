package eventdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// plan is how a scope is asked for.
type plan struct {
	project signal.Project
	tenant  logstorage.TenantID
	kind    store.Kind
	at      signal.TimeRange
	query   string // the engine's condition
	plain   string // the same for plain rows alone
	// match judges what the engine can't; nil without a filter. exact says that plain rows need no second look.
	match store.Matcher
	exact bool
	// fields are those match looks at; all says that it looks at every field, and whole payloads.
	fields []string
	all    bool
	// revised says that some row of the kind may have a newer revision elsewhere.
	revised bool
	// narrow says that at holds little more than what is asked for, or that the engine finds it without looking at more.
	narrow bool
	// many says that several traces or tasks are asked for: all of their rows are wanted.
	many bool
	// partial is the error of what did not answer so far; the rest of the answer goes on.
	partial error
}

// plan prepares a question. It returns nil without an error when no row can be in scope.
func (db *DB) plan(ctx context.Context, p signal.Project, s store.Scope) (*plan, error) {
	if err := s.Check(); err != nil {
		return nil, signal.Permanent(err)
	}
	pl := &plan{project: p, kind: s.Kind, at: s.Time, exact: true}
	m, err := store.Compile(s.Filter)
	if err != nil {
		return nil, signal.Permanent(err)
	}
	var known bool
	pl.tenant, known = db.projects.find(p)
	pl.at.Start = max(pl.at.Start, db.accept().Start)
	if !known || pl.at.Empty() {
		return nil, nil
	}
	if s.Kind == store.KindSpan {
		if err := db.narrow(ctx, pl, s.Filter); err != nil {
			return nil, err
		}
		if pl.at.Empty() {
			return nil, nil
		}
	}
	for _, f := range []string{store.FieldTaskID, store.FieldTraceID, store.FieldSpanID, store.FieldRowID} {
		if texts, ok := requiredTexts(s.Filter, f); ok {
			pl.narrow, pl.many = true, pl.many || len(texts) > 1
		}
	}
	pl.query = ofKind(s.Kind)
	pl.plain = pl.query
	pl.revised = db.revised.has(p, s.Kind)
	if s.Filter == nil {
		return pl, nil
	}
	push := &pusher{oldUntil: db.oldUntil}
	c := push.push(s.Filter, false)
	pl.match, pl.exact, pl.fields = m, c.exact, push.fields
	pl.all = len(push.anywhere) > 0
	var special strings.Builder
	special.WriteString(touches(push.touched))
	for _, t := range push.texts {
		// The words are among the special values themselves, or in a payload that one of them names.
		users, err := db.payloadUsers(ctx, pl, t)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&special, " or ((%s or %s) %s)", users, textIn(quote(colSpecial), t, db.oldUntil), specialNamed(t.Field))
	}
	for _, t := range push.anywhere {
		users, err := db.payloadUsers(ctx, pl, t)
		if err != nil {
			return nil, err
		}
		special.WriteString(" or " + users)
	}
	pl.plain += " " + c.query
	pl.query += " (" + c.query + " or " + special.String() + ")"
	return pl, nil
}

// narrow cuts the time to that of the traces a filter asks for by id.
func (db *DB) narrow(ctx context.Context, pl *plan, f store.Filter) error {
	ids, ok := requiredTexts(f, store.FieldTraceID)
	if !ok || len(ids) > idsPerQuery || slices.Contains(ids, "") {
		return nil
	}
	ranges, err := db.traceRanges(ctx, pl.tenant, ids)
	if errors.Is(err, store.ErrPartial) {
		return nil // the whole time is looked through
	}
	if err != nil {
		return err
	}
	var at signal.TimeRange
	for _, r := range ranges {
		at = at.Include(r.Start).Include(r.End - 1)
	}
	pl.at.Start, pl.at.End = max(pl.at.Start, at.Start), min(pl.at.End, at.End)
	pl.narrow = true
	return nil
}

// requiredTexts returns the texts one of which a field must have for f to hold; false when f does not say.
func requiredTexts(f store.Filter, field string) ([]string, bool) {
	switch f := f.(type) {
	case store.And:
		for _, part := range f {
			if texts, ok := requiredTexts(part, field); ok {
				return texts, true
			}
		}
	case store.Or:
		var all []string
		for _, part := range f {
			texts, ok := requiredTexts(part, field)
			if !ok {
				return nil, false
			}
			all = append(all, texts...)
		}
		return all, len(f) > 0
	case store.Compare:
		if f.Field == field && f.Op == store.OpEq {
			return []string{f.Value.Text()}, true
		}
	case store.In:
		if f.Field == field {
			return f.Values, true
		}
	}
	return nil, false
}

// columns returns the columns to read so that want and the filter's fields come back; nil for all of them.
func (pl *plan) columns(want []string) []string {
	if want == nil || pl.all {
		return nil
	}
	cols := []string{colTime, colKind, colID, colTypes, colSpecial}
	for _, f := range slices.Concat(want, pl.fields) {
		if columnName(f) && !slices.Contains(cols, f) {
			cols = append(cols, f)
		}
	}
	if pl.revised {
		cols = append(cols, store.FieldRevision)
	}
	return cols
}

// wanted returns the set of fields to decode; nil for all.
func (pl *plan) wanted(want []string) map[string]bool {
	if want == nil || pl.all {
		return nil
	}
	set := map[string]bool{}
	for _, f := range slices.Concat(want, pl.fields) {
		set[f] = true
	}
	if pl.revised {
		set[store.FieldRevision] = true
	}
	return set
}

// silent notes an error of a part of the store that did not answer, and passes all others on.
func (pl *plan) silent(err error) error {
	if errors.Is(err, store.ErrPartial) {
		pl.partial = err
		return nil
	}
	return err
}
