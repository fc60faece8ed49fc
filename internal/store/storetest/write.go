package storetest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// every returns a row with a field of every type and many an odd name.
func every(id string, at int64) store.Row {
	long := strings.Repeat("the quick brown fox ", 100)
	r := row(store.KindSpan, id, at,
		text(store.FieldTraceID, "trace of "+id), text(store.FieldName, "chat"), text(store.FieldService, "writer"),
		field(store.FieldDuration, store.Int(math.MaxInt64)), field(store.FieldEnd, store.Int(math.MinInt64)),
		text("attr.text", "hello"), text("attr.empty", ""), text("attr.number", "1.10"), text("attr.no utf8", "a\xffb"),
		field("attr.int", store.Int(-5)), field("attr.true", store.Bool(true)), field("attr.false", store.Bool(false)),
		field("attr.null", store.Value{}), field("attr.bytes", store.Bytes("\x00\xff")),
		field("attr.list", store.SliceJSON(`[1,2.5,"x"]`)), field("attr.map", store.MapJSON(`{"a":{"b":null}}`)),
		text("attr.long", long), text("attr.longer "+long, "name"), field("attr.big list", store.SliceJSON(`["`+long+`",1]`)),
		text("attr.twice", "first"), text("attr.twice", "second"),
		text("attr.", "no key"), text("attr._msg", "engine's"), text("attr.star*", "x"), text("attr.\x00", "nul"), text("resource.attr.Ünï", "code"))
	for i, f := range []float64{0, math.Copysign(0, -1), 5, 1e6, 1e21, 1e-9, 0.1, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN()} {
		r.Add(fmt.Sprintf("attr.double%d", i), store.Double(f))
	}
	r.Add("attr.other nan", store.Double(math.Float64frombits(0x7ff8000000000123)))
	return r
}

func (s *suite) comeBack(t *testing.T) {
	b := s.box(t)
	base := Base()
	rows := []store.Row{every("a", base), row(store.KindSpan, "no fields", base+1)}
	huge := row(store.KindSpan, "huge", base+2, text("attr.prompt", strings.Repeat("0123456789", 500_000)))
	many := row(store.KindSpan, "many", base+3)
	for i := range 3000 {
		many.Add(fmt.Sprintf("attr.%d", i), store.Int(int64(i)))
	}
	rows = append(rows, huge, many)
	b.write(rows...)
	b.sameRows(rows, b.rows(all(store.KindSpan)))
	b.same("logs", []string{}, b.ids(all(store.KindLog)))
}

func (s *suite) oneID(t *testing.T) {
	b := s.box(t)
	base := Base()
	first := row(store.KindSpan, "a", base, text("attr.n", "first"))
	b.write(first, row(store.KindSpan, "a", base, text("attr.n", "second")))
	b.write(row(store.KindSpan, "a", base, text("attr.n", "third")))
	b.write(row(store.KindLog, "a", base)) // ids are by kind
	b.sameRows([]store.Row{first}, b.rows(all(store.KindSpan)))
	b.same("logs", []string{"a"}, b.ids(all(store.KindLog)))
	if !b.Volatile {
		b.reopen()
		b.write(row(store.KindSpan, "a", base, text("attr.n", "fourth")))
		b.sameRows([]store.Row{first}, b.rows(all(store.KindSpan)))
	}
	groups, err := b.db.Aggregate(t.Context(), signal.DefaultProject, store.Aggregate{Scope: allOf(store.KindSpan), Columns: []store.Column{{Func: store.CountRows}}})
	if err != nil || len(groups) != 1 || groups[0].Values[0] != 1 {
		t.Errorf("count of one row: %+v, %v", groups, err)
	}
}

func (s *suite) revisions(t *testing.T) {
	b := s.box(t)
	base := Base()
	rev := func(n int64, at int64, state string) store.Row {
		return row(store.KindTask, "a", at, field(store.FieldRevision, store.Int(n)), text("attr.state", state))
	}
	b.write(rev(1, base, "running"))
	b.write(rev(3, base+int64(5*time.Hour), "done"), row(store.KindTask, "b", base, text("attr.state", "running")))
	b.write(rev(2, base, "late"), rev(3, base, "same"))
	check := func() {
		t.Helper()
		b.sameRows([]store.Row{rev(3, base+int64(5*time.Hour), "done")}, b.rows(matching(store.KindTask, store.Eq("attr.state", "done"))))
		b.same("by an old state", []string{"b"}, b.ids(matching(store.KindTask, store.Eq("attr.state", "running"))))
		b.same("by a state that came late", []string{}, b.ids(matching(store.KindTask, store.Eq("attr.state", "late"))))
		early := all(store.KindTask)
		early.Time = signal.TimeRange{Start: base, End: base + 1}
		b.same("at the old time", []string{"b"}, b.ids(early))
		values, err := b.db.FieldValues(t.Context(), signal.DefaultProject, allOf(store.KindTask), "attr.state", 0)
		if err != nil {
			t.Fatal(err)
		}
		b.same("states", []store.Count{{Text: "done", Rows: 1}, {Text: "running", Rows: 1}}, values)
	}
	check()
	if !b.Volatile {
		b.reopen()
		check()
		b.write(rev(2, base, "late again"))
		check()
	}
	b.write(rev(4, base, "revised"))
	b.same("newest", []string{"a"}, b.ids(matching(store.KindTask, store.Eq("attr.state", "revised"))))
	b.same("done", []string{}, b.ids(matching(store.KindTask, store.Eq("attr.state", "done"))))
}

func (s *suite) rejects(t *testing.T) {
	b := s.box(t)
	st, err := b.db.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const margin = int64(time.Minute)
	now := time.Now().UnixNano()
	good := row(store.KindSpan, "good", now)
	bad := []store.Row{
		row(store.KindSpan, "old", st.Accept.Start-margin),
		row(store.KindSpan, "zero", 0),
		row(store.KindSpan, "ahead", st.Accept.End+margin),
		row(store.KindSpan, "far", math.MaxInt64),
		row(store.KindSpan, "before", math.MinInt64),
		row(store.KindSpan, "", now),
		row(store.KindSpan, strings.Repeat("x", store.MaxIDBytes+1), now),
		row("", "no kind", now),
		row("_trace", "inner kind", now),
		row(store.KindPayload, "payload", now),
	}
	rejected, err := b.db.Write(t.Context(), signal.DefaultProject, append([]store.Row{good}, bad...))
	if err != nil {
		t.Fatal(err)
	}
	if rejected.Items != int64(len(bad)) || rejected.Message() == "" {
		t.Errorf("rejected %+v, want %d with reasons", rejected, len(bad))
	}
	// A heartbeat is taken and never stored.
	rejected, err = b.db.Write(t.Context(), signal.DefaultProject, []store.Row{row(store.KindHeartbeat, "beat", 0)})
	if err != nil || rejected.Items != 0 {
		t.Errorf("heartbeat: %v, rejected %+v", err, rejected)
	}
	b.settle()
	b.same("stored", []string{"good"}, b.ids(all(store.KindSpan)))
	if rejected, err := b.db.Write(t.Context(), signal.DefaultProject, nil); err != nil || rejected.Items != 0 {
		t.Errorf("write nothing: %v, rejected %+v", err, rejected)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = b.db.Write(ctx, signal.DefaultProject, []store.Row{row(store.KindSpan, "cancelled", now)})
	wantError(t, "write", err, context.Canceled)
}

// ownership: what the caller does to rows after Write, and to rows it was given, does not reach the store.
func (s *suite) ownership(t *testing.T) {
	b := s.box(t)
	base := Base()
	rows := []store.Row{row(store.KindSpan, "a", base, text("attr.a", "a"), text("attr.b", "b"))}
	want := []store.Row{*rows[0].Clone()}
	b.write(rows...)
	rows[0].ID, rows[0].Time, rows[0].Fields[0] = "changed", 5, text("attr.z", "z")
	for range 2 {
		for r, err := range b.db.Select(t.Context(), signal.DefaultProject, all(store.KindSpan)) {
			if err != nil {
				t.Fatal(err)
			}
			b.sameRows(want, []store.Row{*r})
			for i := range r.Fields {
				r.Fields[i] = text("attr.mine", "mine")
			}
			r.ID, r.Time, r.Fields = "mine", 1, append(r.Fields, text("attr.more", ""))
		}
	}
}
