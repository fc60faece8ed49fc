package storetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// replace calls Replace, which must do as much.
func (b *box) replace(k store.Kind, want store.Replaced, rows ...store.Row) {
	b.t.Helper()
	done, err := b.db.Replace(b.t.Context(), signal.DefaultProject, k, rows)
	if err != nil {
		b.t.Fatalf("replace: %v", err)
	}
	if want.Kept.Items > 0 && len(done.Kept.Reasons) == 0 {
		b.t.Error("rows are kept without a reason")
	}
	done.Kept.Reasons = nil
	b.same("replaced", want, done)
	b.settle()
}

func (s *suite) replacing(t *testing.T) {
	b := s.box(t)
	base := Base()
	secret, shared := strings.Repeat("secret ", 200), strings.Repeat("shared ", 200)
	b.write(row(store.KindSpan, "a", base, text(store.FieldTraceID, "t"), text("attr.prompt", secret), text("attr.system", shared)),
		row(store.KindSpan, "b", base+1, text(store.FieldTraceID, "t"), text("attr.system", shared)),
		row(store.KindSpan, "c", base+2, text(store.FieldTraceID, "u"), text("attr.prompt", secret)),
		row(store.KindLog, "a", base, text("attr.prompt", "of a record")))
	other := row(store.KindSpan, "a", base, text("attr.n", "of another project"))
	b.writeTo("other", other)

	a, c := every("a", base), every("c", base+int64(26*time.Hour))
	b.replace(store.KindSpan, store.Replaced{Rows: 2}, a, row(store.KindSpan, "unknown", base), c)
	kept := row(store.KindSpan, "b", base+1, text(store.FieldTraceID, "t"), text("attr.system", shared))
	check := func() {
		t.Helper()
		b.sameRows([]store.Row{a, kept, c}, b.rows(all(store.KindSpan)))
		b.sameRows([]store.Row{row(store.KindLog, "a", base, text("attr.prompt", "of a record"))}, b.rows(all(store.KindLog)))
		others, err := collect(t, b.db, "other", all(store.KindSpan))
		if err != nil {
			t.Fatal(err)
		}
		b.sameRows([]store.Row{other}, others)
		_, err = b.db.Payload(t.Context(), signal.DefaultProject, store.HashOf(b.db, signal.DefaultProject, secret))
		wantError(t, "payload of what was replaced", err, store.ErrNotFound)
		if _, err := b.db.Payload(t.Context(), signal.DefaultProject, store.HashOf(b.db, signal.DefaultProject, shared)); err != nil {
			t.Errorf("payload that another row has: %v", err)
		}
		_, err = b.db.TraceRange(t.Context(), signal.DefaultProject, "u")
		wantError(t, "range of a trace without spans", err, store.ErrNotFound)
		if _, err := b.db.TraceRange(t.Context(), signal.DefaultProject, "trace of c"); err != nil {
			t.Errorf("range of a replaced span's trace: %v", err)
		}
	}
	check()
	b.write(row(store.KindSpan, "a", base, text("attr.prompt", secret))) // its sender repeats it
	check()
	if !b.Volatile {
		b.reopen()
		check()
	}
	again := row(store.KindSpan, "a", base, text("attr.n", "again"))
	b.replace(store.KindSpan, store.Replaced{Rows: 1}, again)
	a = again
	check()
}

func (s *suite) replacingRevised(t *testing.T) {
	b := s.box(t)
	base := Base()
	rev := func(id string, n int64, state string) store.Row {
		return row(store.KindTask, id, base+n, field(store.FieldRevision, store.Int(n)), text("attr.state", state))
	}
	first := row(store.KindTask, "a", base, text("attr.state", "secret"))
	b.write(first, rev("b", 1, "secret"), row(store.KindTask, "c", base, text("attr.state", "secret")))
	b.write(rev("a", 2, "secret"), rev("b", 3, "newer"))
	b.replace(store.KindTask, store.Replaced{Rows: 2, Kept: signal.Rejected{Items: 1}},
		rev("a", 2, "clean"), rev("b", 1, "clean"), row(store.KindTask, "c", base, text("attr.state", "clean")))
	check := func() {
		t.Helper()
		b.sameRows([]store.Row{row(store.KindTask, "c", base, text("attr.state", "clean")), rev("a", 2, "clean"), rev("b", 3, "newer")}, b.rows(all(store.KindTask)))
	}
	check()
	b.write(first, rev("a", 1, "late"), rev("a", 2, "secret"))
	check()
	if !b.Volatile {
		b.reopen()
		check()
	}
	b.write(rev("a", 5, "revised"))
	b.same("revised", []string{"a"}, b.ids(matching(store.KindTask, store.Eq("attr.state", "revised"))))
}

// replacingTooLate: a row that its retention has overtaken goes instead.
func (s *suite) replacingTooLate(t *testing.T) {
	b := s.box(t)
	st, err := b.db.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.write(row(store.KindSpan, "a", Base()), row(store.KindSpan, "b", Base()))
	old := row(store.KindSpan, "a", st.Accept.Start-int64(time.Hour))
	clean := row(store.KindSpan, "b", Base(), text("attr.n", "clean"))
	b.replace(store.KindSpan, store.Replaced{Rows: 1, Expired: 1}, old, clean)
	b.sameRows([]store.Row{clean}, b.rows(all(store.KindSpan)))
}

func (s *suite) badReplacing(t *testing.T) {
	b := s.box(t)
	want := row(store.KindSpan, "a", Base())
	b.write(want)
	f := func(what string, k store.Kind, rows ...store.Row) {
		t.Helper()
		if _, err := b.db.Replace(t.Context(), signal.DefaultProject, k, rows); !signal.IsPermanent(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	f("another kind", store.KindSpan, row(store.KindLog, "a", Base()))
	f("two rows of one id", store.KindSpan, row(store.KindSpan, "a", Base(), text("attr.n", "1")), row(store.KindSpan, "a", Base(), text("attr.n", "2")))
	f("payloads", store.KindPayload, row(store.KindPayload, "a", Base()))
	f("no kind", "")
	b.replace(store.KindSpan, store.Replaced{})
	done, err := b.db.Replace(t.Context(), "unknown", store.KindSpan, []store.Row{want})
	if err != nil {
		t.Error(err)
	}
	b.same("replaced in an unknown project", store.Replaced{}, done)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = b.db.Replace(ctx, signal.DefaultProject, store.KindSpan, []store.Row{row(store.KindSpan, "a", Base(), text("attr.n", "cancelled"))})
	wantError(t, "replace", err, context.Canceled)
	b.sameRows([]store.Row{want}, b.rows(all(store.KindSpan)))
}
