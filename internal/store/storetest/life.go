package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

func (s *suite) deletion(t *testing.T) {
	b := s.box(t)
	base := Base()
	var rows []store.Row
	for i := range 20 {
		rows = append(rows, row(store.KindSpan, fmt.Sprintf("%02d", i), base+int64(i)*int64(time.Hour),
			text(store.FieldTraceID, fmt.Sprint("trace", i%2)), field("attr.n", store.Int(int64(i)))))
	}
	b.write(rows...)
	b.write(row(store.KindLog, "log", base, text(store.FieldTraceID, "trace0")))
	remove := func(what string, q store.Select, want int64) {
		t.Helper()
		n, err := b.db.Delete(t.Context(), signal.DefaultProject, q.Scope)
		if err != nil || n != want {
			t.Errorf("delete %s: %d rows, %v, want %d", what, n, err, want)
		}
	}
	early := matching(store.KindSpan, store.Compare{Field: "attr.n", Op: store.OpLt, Value: store.Int(15)})
	early.Time = signal.TimeRange{Start: base, End: base + int64(10*time.Hour)}
	remove("the first ten", early, 10)
	remove("them again", early, 0)
	left := func() []string {
		ids := []string{}
		for i := 10; i < 20; i++ {
			ids = append(ids, fmt.Sprintf("%02d", i))
		}
		return ids
	}
	b.same("rows left", left(), b.ids(all(store.KindSpan)))
	remove("a trace", matching(store.KindSpan, store.Eq(store.FieldTraceID, "trace1")), 5)
	check := func() {
		t.Helper()
		b.same("rows left", []string{"10", "12", "14", "16", "18"}, b.ids(all(store.KindSpan)))
		_, err := b.db.TraceRange(t.Context(), signal.DefaultProject, "trace1")
		wantError(t, "range of a deleted trace", err, store.ErrNotFound)
		if _, err := b.db.TraceRange(t.Context(), signal.DefaultProject, "trace0"); err != nil {
			t.Errorf("range of the other trace: %v", err)
		}
		b.same("logs", []string{"log"}, b.ids(all(store.KindLog)))
	}
	check()
	if !b.Volatile {
		b.reopen()
		check()
	}
	// What was deleted may be written anew.
	b.write(rows[1])
	b.same("rows", []string{"01", "10", "12", "14", "16", "18"}, b.ids(all(store.KindSpan)))
}

func (s *suite) stats(t *testing.T) {
	b := s.box(t)
	before, err := b.db.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UnixNano()
	if !before.Accept.Contains(now) || !before.Accept.Contains(Base()) {
		t.Errorf("accepts %+v: not now, %d", before.Accept, now)
	}
	for i := range 100 {
		b.write(row(store.KindSpan, fmt.Sprint(i), now, text("attr.a", fmt.Sprint("text ", i))))
	}
	after, err := b.db.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if after.Rows < before.Rows+100 {
		t.Errorf("%d rows, %d before 100 were written", after.Rows, before.Rows)
	}
	if after.Bytes == 0 {
		t.Error("rows take no space")
	}
}

func (s *suite) restart(t *testing.T) {
	if s.Volatile {
		b := s.box(t)
		b.write(row(store.KindSpan, "a", Base()))
		b.reopen()
		b.same("rows of a store that forgets", []string{}, b.ids(all(store.KindSpan)))
		return
	}
	b := s.box(t)
	base := Base()
	var rows []store.Row
	for i := range 30 {
		rows = append(rows, every(fmt.Sprintf("%03d", i), base+int64(i)*int64(3*time.Hour)))
		b.write(rows[i])
		if i%10 == 9 {
			b.reopen()
			b.sameRows(rows, b.rows(all(store.KindSpan)))
		}
	}
	// Written and closed at once: nothing was waited for.
	last := every("last", base+int64(100*time.Hour))
	if _, err := b.db.Write(t.Context(), signal.DefaultProject, []store.Row{last}); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	b.settle()
	b.sameRows(append(rows, last), b.rows(all(store.KindSpan)))
}

// concurrency lets writers send the same rows from several sides while others read and delete.
func (s *suite) concurrency(t *testing.T) {
	b := s.box(t)
	base := Base()
	const writers, batches, batch = 4, 10, 20
	id := func(batchNo, i int) string { return fmt.Sprintf("%02d-%02d", batchNo, i) }
	ctx, cancel := context.WithCancel(t.Context())
	var writing, others sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for n := range batches {
				rows := make([]store.Row, 0, 2*batch)
				for i := range batch {
					at := base + int64(n)*int64(time.Minute) + int64(i)
					rows = append(rows, row(store.KindSpan, id(n, i), at, text(store.FieldTraceID, fmt.Sprint(i))),
						row(store.KindLog, fmt.Sprintf("%d-%s", w, id(n, i)), at, text("attr.a", "doomed")))
				}
				if rejected, err := b.db.Write(ctx, signal.DefaultProject, rows); err != nil || rejected.Items != 0 {
					t.Errorf("write: %v, rejected %+v", err, rejected)
				}
			}
		})
	}
	loop := func(f func() error) {
		others.Go(func() {
			for ctx.Err() == nil {
				if err := f(); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 2 {
		loop(func() error {
			seen := map[string]bool{}
			for r, err := range b.db.Select(ctx, signal.DefaultProject, all(store.KindSpan)) {
				if err != nil {
					return err
				}
				if seen[r.ID] {
					return fmt.Errorf("row %s comes twice", r.ID)
				}
				seen[r.ID] = true
			}
			return nil
		})
	}
	loop(func() error {
		_, err := b.db.Aggregate(ctx, signal.DefaultProject, store.Aggregate{Scope: allOf(store.KindSpan), By: []string{store.FieldTraceID}, Columns: []store.Column{{Func: store.CountRows}}})
		return err
	})
	others.Go(func() {
		for range 3 {
			_, err := b.db.Delete(ctx, signal.DefaultProject, matching(store.KindLog, store.Eq("attr.a", "doomed")).Scope)
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
	writing.Wait()
	cancel()
	others.Wait()
	b.settle()
	want := make([]string, 0, batches*batch)
	for n := range batches {
		for i := range batch {
			want = append(want, id(n, i))
		}
	}
	b.same("rows", want, b.ids(all(store.KindSpan)))
	if _, err := b.db.Delete(t.Context(), signal.DefaultProject, allOf(store.KindLog)); err != nil {
		t.Error(err)
	}
	b.same("logs", []string{}, b.ids(all(store.KindLog)))
}

func (s *suite) closed(t *testing.T) {
	b := s.box(t)
	b.write(row(store.KindSpan, "a", Base(), text(store.FieldTraceID, "t")))
	b.close()
	b.close() // a no-op
	ctx, p, scope := t.Context(), signal.DefaultProject, allOf(store.KindSpan)
	errs := map[string]error{"select": last(b.db.Select(ctx, p, all(store.KindSpan)))}
	_, errs["write"] = b.db.Write(ctx, p, []store.Row{row(store.KindSpan, "b", Base())})
	_, errs["aggregate"] = b.db.Aggregate(ctx, p, store.Aggregate{Scope: scope, Columns: []store.Column{{Func: store.CountRows}}})
	_, errs["names"] = b.db.FieldNames(ctx, p, scope)
	_, errs["values"] = b.db.FieldValues(ctx, p, scope, "attr.a", 1)
	_, errs["trace range"] = b.db.TraceRange(ctx, p, "t")
	_, errs["trace ranges"] = b.db.TraceRanges(ctx, p, []string{"t"})
	_, errs["payload"] = b.db.Payload(ctx, p, "00")
	_, errs["delete"] = b.db.Delete(ctx, p, scope)
	_, errs["replace"] = b.db.Replace(ctx, p, store.KindSpan, []store.Row{row(store.KindSpan, "a", Base())})
	_, errs["stats"] = b.db.Stats(ctx)
	for name, err := range errs {
		wantError(t, name+" of a closed store", err, store.ErrClosed)
	}
}
