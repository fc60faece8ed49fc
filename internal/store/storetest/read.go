package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

func (s *suite) isolation(t *testing.T) {
	b := s.box(t)
	const other, none = signal.Project("other"), signal.Project("none")
	long := strings.Repeat("secret ", 100)
	mine := row(store.KindSpan, "a", Base(), text(store.FieldTraceID, "t"), text("attr.mine", long))
	yours := row(store.KindSpan, "a", Base(), text(store.FieldTraceID, "u"), text("attr.yours", "x"))
	b.write(mine)
	b.writeTo(other, yours)
	for p, want := range map[signal.Project][]store.Row{signal.DefaultProject: {mine}, other: {yours}, none: nil} {
		rows, err := collect(t, b.db, p, all(store.KindSpan))
		if err != nil {
			t.Fatal(err)
		}
		b.sameRows(want, rows)
	}
	if n, err := b.db.Delete(t.Context(), none, allOf(store.KindSpan)); n != 0 || err != nil {
		t.Errorf("delete of nothing: %d, %v", n, err)
	}
	for _, p := range []signal.Project{other, none} {
		_, err := b.db.TraceRange(t.Context(), p, "t")
		wantError(t, "trace range of another project", err, store.ErrNotFound)
		_, err = b.db.Payload(t.Context(), p, store.HashOf(b.db, signal.DefaultProject, long))
		wantError(t, "payload of another project", err, store.ErrNotFound)
		names, err := b.db.FieldNames(t.Context(), p, allOf(store.KindSpan))
		if err != nil || slices.ContainsFunc(names, func(c store.Count) bool { return c.Text == "attr.mine" }) {
			t.Errorf("names in %s: %v, %v", p, names, err)
		}
		values, err := b.db.FieldValues(t.Context(), p, allOf(store.KindSpan), "attr.mine", 0)
		if err != nil || len(values) != 0 {
			t.Errorf("values in %s: %v, %v", p, values, err)
		}
	}
	if n, err := b.db.Delete(t.Context(), other, allOf(store.KindSpan)); n != 1 || err != nil {
		t.Errorf("delete in one project: %d, %v", n, err)
	}
	b.sameRows([]store.Row{mine}, b.rows(all(store.KindSpan)))
}

func (s *suite) halfOpen(t *testing.T) {
	b := s.box(t)
	base := Base()
	for i := range int64(4) {
		b.write(row(store.KindSpan, fmt.Sprint(i), base+i))
	}
	for _, c := range []struct {
		start, end int64
		want       []string
	}{
		{base + 1, base + 3, []string{"1", "2"}},
		{base, base + 1, []string{"0"}},
		{base, base, []string{}},
		{base + 3, base + 1, []string{}},
		{0, base + 1, []string{"0"}},
		{base + 3, signal.AllTime().End, []string{"3"}},
	} {
		q := all(store.KindSpan)
		q.Time = signal.TimeRange{Start: c.start, End: c.end}
		b.same(fmt.Sprintf("rows of [%d,%d)", c.start-base, c.end-base), c.want, b.ids(q))
		groups, err := b.db.Aggregate(t.Context(), signal.DefaultProject, store.Aggregate{Scope: q.Scope, Columns: []store.Column{{Func: store.CountRows}}})
		if err != nil || len(groups) != min(1, len(c.want)) || len(groups) == 1 && groups[0].Values[0] != float64(len(c.want)) {
			t.Errorf("count of [%d,%d): %+v, %v", c.start-base, c.end-base, groups, err)
		}
	}
}

// order also proves that rows come in order over days, and with ties by id.
func (s *suite) order(t *testing.T) {
	b := s.box(t)
	base := Base()
	var rows []store.Row
	for i := range 200 {
		at := base + int64(i%5)*int64(time.Nanosecond) + int64(i%3)*int64(26*time.Hour) + int64(i%2)*int64(time.Minute)
		rows = append(rows, row(store.KindSpan, fmt.Sprintf("%03d", (i*37)%200), at, text("attr.a", "x"), field("attr.n", store.Int(int64(i)))))
	}
	b.write(rows...)
	for _, order := range []store.Order{store.OldestFirst, store.NewestFirst} {
		sorted := make([]*store.Row, len(rows))
		for i := range rows {
			sorted[i] = &rows[i]
		}
		store.SortRows(sorted, order)
		want := make([]string, len(sorted))
		for i, r := range sorted {
			want[i] = r.ID
		}
		for _, limit := range []int{0, 1, 50, 200, 201} {
			q := all(store.KindSpan)
			q.Order, q.Limit = order, limit
			n := len(want)
			if limit > 0 {
				n = min(n, limit)
			}
			b.same(fmt.Sprintf("order %d, limit %d", order, limit), want[:n], b.ids(q))
			q.Filter = store.Compare{Field: "attr.n", Op: store.OpLt, Value: store.Int(100)}
			q.Fields = []string{"attr.absent"}
			got := b.rows(q)
			if limit == 0 && len(got) != 100 || limit == 50 && len(got) != 50 {
				t.Errorf("limit %d with a filter: %d rows", limit, len(got))
			}
			for _, r := range got {
				if len(r.Fields) != 0 {
					t.Errorf("fields that were not asked for: %v", r.Fields)
				}
			}
		}
	}
	q := all(store.KindSpan)
	q.Fields, q.Limit = []string{"attr.a"}, 1
	if got := b.rows(q)[0].Fields; len(got) != 1 || got[0] != text("attr.a", "x") {
		t.Errorf("one field: %v", got)
	}
	q = all(store.KindSpan)
	q.Order, q.Limit = store.Unordered, 7
	if got := b.ids(q); len(got) != 7 {
		t.Errorf("%d rows without an order, want 7", len(got))
	}
}

func (s *suite) earlyStop(t *testing.T) {
	b := s.box(t)
	base := Base()
	long := strings.Repeat("x", 2000)
	for i := range 100 {
		b.write(row(store.KindSpan, fmt.Sprint(i), base+int64(i)*int64(time.Hour), text("attr.long", long+fmt.Sprint(i))))
	}
	for _, order := range []store.Order{store.Unordered, store.OldestFirst, store.NewestFirst} {
		for stop := 1; stop < 100; stop *= 5 {
			q := all(store.KindSpan)
			q.Order = order
			n := 0
			for _, err := range b.db.Select(t.Context(), signal.DefaultProject, q) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; n == stop {
					break
				}
			}
		}
	}
	if got := len(b.ids(all(store.KindSpan))); got != 100 {
		t.Errorf("%d rows afterwards, want 100", got)
	}
}

func (s *suite) cancelled(t *testing.T) {
	b := s.box(t)
	base := Base()
	rows := make([]store.Row, 300)
	for i := range rows {
		rows[i] = row(store.KindSpan, fmt.Sprint(i), base+int64(i)*int64(time.Hour)/4, text(store.FieldTraceID, "t"))
	}
	b.write(rows...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	scope := allOf(store.KindSpan)
	for name, call := range map[string]func() error{
		"aggregate": func() error {
			_, err := b.db.Aggregate(ctx, signal.DefaultProject, store.Aggregate{Scope: scope, Columns: []store.Column{{Func: store.CountRows}}})
			return err
		},
		"names":  func() error { _, err := b.db.FieldNames(ctx, signal.DefaultProject, scope); return err },
		"values": func() error { _, err := b.db.FieldValues(ctx, signal.DefaultProject, scope, "attr.a", 1); return err },
		"delete": func() error { _, err := b.db.Delete(ctx, signal.DefaultProject, scope); return err },
		"stats":  func() error { _, err := b.db.Stats(ctx); return err },
		"select": func() error { return last(b.db.Select(ctx, signal.DefaultProject, all(store.KindSpan))) },
	} {
		wantError(t, name, call(), context.Canceled)
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	n, err := 0, error(nil)
	for _, e := range b.db.Select(ctx, signal.DefaultProject, all(store.KindSpan)) {
		if err = e; err != nil {
			break
		}
		n++
		cancel()
	}
	if n == 300 && err == nil {
		return // all of them were at hand already
	}
	wantError(t, fmt.Sprintf("select after %d rows", n), err, context.Canceled)
}

// last returns the error that an iteration ends with.
func last(rows func(func(*store.Row, error) bool)) (err error) {
	for _, e := range rows {
		err = errors.Join(err, e)
	}
	return err
}

func (s *suite) badQueries(t *testing.T) {
	b := s.box(t)
	b.write(row(store.KindSpan, "a", Base()))
	bad := []store.Scope{
		{},
		{Kind: "_trace", Time: signal.AllTime()},
		{Kind: store.KindPayload, Time: signal.AllTime()},
		{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Match{Field: "a", Pattern: "("}},
		{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.And{nil}},
	}
	for _, scope := range bad {
		errs := map[string]error{"select": last(b.db.Select(t.Context(), signal.DefaultProject, store.Select{Scope: scope}))}
		_, errs["aggregate"] = b.db.Aggregate(t.Context(), signal.DefaultProject, store.Aggregate{Scope: scope, Columns: []store.Column{{Func: store.CountRows}}})
		_, errs["names"] = b.db.FieldNames(t.Context(), signal.DefaultProject, scope)
		_, errs["values"] = b.db.FieldValues(t.Context(), signal.DefaultProject, scope, "a", 1)
		_, errs["delete"] = b.db.Delete(t.Context(), signal.DefaultProject, scope)
		for name, err := range errs {
			wantError(t, fmt.Sprintf("%s of %+v", name, scope), err, store.ErrBadQuery)
			if !signal.IsPermanent(err) {
				t.Errorf("%s of %+v: %v is not permanent", name, scope, err)
			}
		}
	}
	good := allOf(store.KindSpan)
	_, err := b.db.FieldValues(t.Context(), signal.DefaultProject, good, "", 1)
	wantError(t, "values of no field", err, store.ErrBadQuery)
	_, err = b.db.Aggregate(t.Context(), signal.DefaultProject, store.Aggregate{Scope: good})
	wantError(t, "aggregate of nothing", err, store.ErrBadQuery)
	wantError(t, "limit", last(b.db.Select(t.Context(), signal.DefaultProject, store.Select{Scope: good, Limit: -1})), store.ErrBadQuery)
	b.same("rows left", []string{"a"}, b.ids(all(store.KindSpan)))
}

func (s *suite) traceRanges(t *testing.T) {
	b := s.box(t)
	base := Base()
	late := base + int64(50*time.Hour)
	b.write(row(store.KindSpan, "a", base, text(store.FieldTraceID, "t")), row(store.KindLog, "l", base, text(store.FieldTraceID, "logs only")))
	b.write(row(store.KindSpan, "b", late, text(store.FieldTraceID, "t")), row(store.KindSpan, "c", base, text(store.FieldTraceID, "u")))
	check := func() {
		t.Helper()
		for trace, want := range map[string][]int64{"t": {base, late}, "u": {base}} {
			within, err := b.db.TraceRange(t.Context(), signal.DefaultProject, trace)
			if err != nil {
				t.Errorf("range of trace %s: %v", trace, err)
			}
			for _, at := range want {
				if !within.Contains(at) {
					t.Errorf("trace %s: %+v does not hold %d", trace, within, at)
				}
			}
		}
		for _, trace := range []string{"", "x", "logs only"} {
			_, err := b.db.TraceRange(t.Context(), signal.DefaultProject, trace)
			wantError(t, "range of trace "+trace, err, store.ErrNotFound)
		}
		ranges, err := b.db.TraceRanges(t.Context(), signal.DefaultProject, []string{"t", "", "x", "u", "logs only"})
		if err != nil || len(ranges) != 2 {
			t.Errorf("ranges of traces: %+v, %v", ranges, err)
		}
		for _, trace := range []string{"t", "u"} {
			one, err := b.db.TraceRange(t.Context(), signal.DefaultProject, trace)
			if err != nil || ranges[trace] != one {
				t.Errorf("range of trace %s: %+v among others, %+v alone, %v", trace, ranges[trace], one, err)
			}
		}
		b.same("trace", []string{"a", "b"}, b.ids(matching(store.KindSpan, store.Eq(store.FieldTraceID, "t"))))
	}
	check()
	if !b.Volatile {
		b.reopen()
		check()
	}
}

func (s *suite) payloads(t *testing.T) {
	b := s.box(t)
	base := Base()
	system := strings.Repeat("You are a careful writer. ", 40)
	turns := make([]store.Row, 0, 5)
	conversation := `[{"role":"system","content":"` + system + `"}]`
	for i := range 5 {
		conversation = strings.TrimSuffix(conversation, "]") + fmt.Sprintf(`,{"role":"user","content":"turn %d %s"}, "Word%d is short"]`, i, strings.Repeat("again ", 200), i)
		turns = append(turns, row(store.KindSpan, fmt.Sprint(i), base+int64(i)*int64(8*time.Hour), // over midnights
			text("attr.gen_ai.input.messages", conversation), text("attr.system", system), field("attr.list", store.SliceJSON(conversation))))
	}
	b.write(turns...)
	check := func() {
		t.Helper()
		b.sameRows(turns, b.rows(all(store.KindSpan)))
		got, err := b.db.Payload(t.Context(), signal.DefaultProject, store.HashOf(b.db, signal.DefaultProject, system))
		if err != nil || got.Body != system || got.MediaType != store.MediaTypeOf(system) {
			t.Errorf("payload: %+v, %v", got, err)
		}
		for _, f := range []string{"", "attr.gen_ai.input.messages", "attr.list"} {
			for _, words := range []string{"TURN 3", "word3 is", `"}, "Word3`} {
				b.same("rows by "+words, []string{"3", "4"}, b.ids(matching(store.KindSpan, store.Text{Field: f, Words: words, Phrase: true})))
			}
			b.same("rows by words of none", []string{}, b.ids(matching(store.KindSpan, store.Text{Field: f, Words: "word9 is", Phrase: true})))
		}
	}
	check()
	for _, hash := range []string{"", "00", "no such hash", strings.Repeat("0", 32)} {
		_, err := b.db.Payload(t.Context(), signal.DefaultProject, hash)
		wantError(t, "payload "+hash, err, store.ErrNotFound)
	}
	if !b.Volatile {
		b.reopen()
		check()
	}
	// What one row was deleted with, another may still need.
	if n, err := b.db.Delete(t.Context(), signal.DefaultProject, matching(store.KindSpan, store.Eq(store.FieldRowID, "1")).Scope); n != 1 || err != nil {
		t.Fatalf("delete: %d, %v", n, err)
	}
	turns = slices.Delete(turns, 1, 2)
	check()
	if n, err := b.db.Delete(t.Context(), signal.DefaultProject, allOf(store.KindSpan)); n != 4 || err != nil {
		t.Fatalf("delete: %d, %v", n, err)
	}
	_, err := b.db.Payload(t.Context(), signal.DefaultProject, store.HashOf(b.db, signal.DefaultProject, system))
	wantError(t, "payload of deleted rows", err, store.ErrNotFound)
}

// sharedLater reads and searches rows whose payload is stored once for their day, with a row hours away from them.
func (s *suite) sharedLater(t *testing.T) {
	b := s.box(t)
	base := Base()
	const prompt = "attr.gen_ai.input.messages"
	shared := strings.Repeat("instructions that all of them share ", 30)
	at := func(id string, hours int, own string) store.Row {
		return row(store.KindSpan, id, base+int64(hours)*int64(time.Hour), text(prompt, shared), text("attr.own", strings.Repeat(own+" ", 200)))
	}
	late, early, middle := at("late", 15, "omega"), at("early", 0, "alpha"), at("middle", 7, "my")
	for _, r := range []store.Row{late, early, middle} {
		b.write(r)
	}
	for _, w := range []struct {
		from, to int
		want     []store.Row
	}{{0, 1, []store.Row{early}}, {7, 8, []store.Row{middle}}, {0, 10, []store.Row{early, middle}}, {0, 16, []store.Row{early, middle, late}}} {
		q := all(store.KindSpan)
		q.Time = signal.TimeRange{Start: base + int64(w.from)*int64(time.Hour), End: base + int64(w.to)*int64(time.Hour)}
		b.sameRows(w.want, b.rows(q))
		for _, f := range []string{"", prompt} {
			q.Filter = store.Text{Field: f, Words: "that all of them", Phrase: true}
			b.sameRows(w.want, b.rows(q))
		}
		q.Filter = store.Text{Words: "Omega", Phrase: true}
		b.sameRows(slices.DeleteFunc(slices.Clone(w.want), func(r store.Row) bool { return r.ID != "late" }), b.rows(q))
	}
}
