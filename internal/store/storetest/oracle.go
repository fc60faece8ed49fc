package storetest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

// oracle writes random rows to the store and to memdb, deletes some, restarts the store now and then, and asks both the
// same.
func (s *suite) oracle(t *testing.T) {
	t.Run("wild", func(t *testing.T) {
		t.Parallel() // deletions wait more than they work
		s.against(t, &oracle{words: words, numbers: numbers, fields: fieldNames})
	})
	// Tame rows are those for which an engine may compute aggregates itself.
	t.Run("tame", func(t *testing.T) {
		t.Parallel()
		s.against(t, &oracle{
			words:   []string{"", "alpha", "beta", "two words", "alpha-2"},
			numbers: []float64{0, 1, 5, 12.5, 1000, -3},
			fields:  []string{store.FieldName, store.FieldDuration, store.FieldTokensInput, store.FieldTeam, "attr.a", "attr.n"},
			tame:    true,
		})
	})
}

func (s *suite) against(t *testing.T, proto *oracle) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		o := *proto
		o.rt, o.base = rt, Base()
		o.box = &box{suite: s, t: t, dir: dir, db: s.open(t, dir)}
		o.mem = memdb.New(memdb.Config{})
		defer o.drop()
		for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
			o.write()
			if !s.Volatile && rapid.IntRange(0, 3).Draw(rt, "restart") == 0 {
				o.reopen()
			}
			o.settle()
			for range 10 {
				o.ask()
			}
			if rapid.IntRange(0, 40).Draw(rt, "delete") == 7 {
				o.remove()
			}
		}
	})
}

type oracle struct {
	*box
	rt   *rapid.T
	mem  *memdb.DB
	base int64

	words   []string
	numbers []float64
	fields  []string
	tame    bool
}

const day = 24 * time.Hour

var (
	kinds      = []store.Kind{store.KindSpan, store.KindLog, store.KindTask}
	fieldNames = []string{
		"attr.a", "attr.b", "attr.long", store.FieldName, store.FieldDuration, store.FieldTokensInput, store.FieldTeam,
		store.FieldService, store.FieldTraceID, store.FieldBody, "attr.star*", "attr." + strings.Repeat("n", 200), "_msg",
	}
	words = []string{
		"", "5", "5.0", "1.10", "1.1", "-0", "0", "007", "1e3", "1000", "NaN", "inf", "-Inf", "0x10", ".5", "5.", "+5", "5KB", "3s", "1_000",
		"hello", "Hello World", "hello_world", "say hello, world!", "ÜBER über", "\xff\xfe bad", "a\xffhello", "kelvin \u212a", "İstanbul",
		"line\nhello world\n", "a*b", "(x|y)", "10.0.0.1", "010.0.0.1", "2024-01-02 03:04:05.000Z", "2024-01-02T03:04:05.000Z", "\x00", "9007199254740993",
		"HELLO WORLD", "hELLO wORLD", "1000000", "1e+06",
	}
	searches = []string{"hello", "HELLO", "hello world", "ell", "über", "ü", "bad", "k", "stanbul", "world!", "5", "\xff", "_", "n w", "lo, wo"}
	patterns = []string{"hello", "^hello", "world$", "h.*o", "h.+d", "(?i)HELLO", "^$", "[0-9]+", "a\\*b", "5|hello", ".*", ".+", "h.+o.+", "é|ü", "^5$", "\\x{FFFD}"}
	numbers  = []float64{0, 5, -5, 5.5, 1000, 1.1, 16, 0.5, math.MaxInt64, 9007199254740992, 9007199254740993, 1e-9, 1e30, 1e6, math.Inf(1), math.Inf(-1), math.NaN()}
)

func (o *oracle) pick(label string, from []string) string {
	return rapid.SampledFrom(from).Draw(o.rt, label)
}

func (o *oracle) value(name string) store.Value {
	s := o.pick("text", o.words)
	if o.tame {
		switch name {
		case store.FieldDuration, store.FieldTokensInput:
			return store.Int(int64(rapid.SampledFrom(o.numbers).Draw(o.rt, "int")))
		case "attr.n":
			return store.Double(rapid.SampledFrom(o.numbers).Draw(o.rt, "double"))
		}
		return store.String(s)
	}
	if name == "attr.long" || name == store.FieldBody {
		s = strings.Repeat(s+" ", 1+rapid.IntRange(0, 2).Draw(o.rt, "times")*300)
	}
	switch rapid.IntRange(0, 9).Draw(o.rt, "type") {
	case 0:
		return store.Int(rapid.SampledFrom([]int64{0, 5, -5, 1000, 16, math.MaxInt64, math.MinInt64, 9007199254740993}).Draw(o.rt, "int"))
	case 1:
		return store.Double(rapid.SampledFrom(append(o.numbers, rapid.Float64().Draw(o.rt, "any"))).Draw(o.rt, "double"))
	case 2:
		return store.Bool(rapid.Bool().Draw(o.rt, "bool"))
	case 3:
		return store.Bytes(s)
	case 4:
		return store.SliceJSON(s)
	case 5:
		return store.Value{}
	default:
		return store.String(s)
	}
}

func (o *oracle) write() {
	rows := make([]store.Row, rapid.IntRange(1, 40).Draw(o.rt, "rows"))
	for i := range rows {
		rows[i] = o.row()
	}
	for _, db := range []store.Events{o.mem, o.db} {
		if rejected, err := db.Write(context.Background(), signal.DefaultProject, rows); err != nil || rejected.Items > 0 {
			o.rt.Fatalf("write: %+v, %v", rejected, err)
		}
	}
}

func (o *oracle) row() store.Row {
	at := o.base + int64(rapid.SampledFrom([]time.Duration{0, 1, time.Second, time.Minute, time.Hour, 5 * time.Hour, day, 3 * day}).Draw(o.rt, "at"))
	r := store.Row{Kind: rapid.SampledFrom(kinds).Draw(o.rt, "kind"), Time: at}
	r.ID = fmt.Sprint(rapid.IntRange(0, 60).Draw(o.rt, "id"))
	if rapid.IntRange(0, 5).Draw(o.rt, "odd id") == 0 {
		r.ID = o.pick("id", words[1:])
	}
	if r.Kind == store.KindLog {
		r.Time = o.base // the id of a record is made of its time, too
	}
	for range rapid.IntRange(0, 6).Draw(o.rt, "fields") {
		name := o.pick("name", o.fields)
		v := o.value(name)
		if o.tame && r.Has(name) || name == store.FieldTraceID && r.Kind == store.KindSpan {
			continue
		}
		r.Add(name, v)
	}
	if trace := r.ID[len(r.ID)-1] & 3; trace > 0 && r.Kind == store.KindSpan {
		// A span's id says which trace it belongs to.
		r.Add(store.FieldTraceID, store.String(fmt.Sprintf("t%d", trace)))
	}
	if r.Kind == store.KindTask {
		r.Add(store.FieldRevision, store.Int(int64(rapid.IntRange(0, 3).Draw(o.rt, "rev"))))
	}
	return r
}

func (o *oracle) filter(depth int) store.Filter {
	n := 9
	if depth == 0 {
		n = 6
	}
	name := o.pick("filter field", append([]string{store.FieldRowID, store.FieldKind, "attr.absent"}, o.fields...))
	switch rapid.IntRange(0, n).Draw(o.rt, "node") {
	case 0, 1:
		op := rapid.SampledFrom([]store.Op{store.OpEq, store.OpNe, store.OpLt, store.OpLe, store.OpGt, store.OpGe}).Draw(o.rt, "op")
		v := o.value(name)
		if rapid.Bool().Draw(o.rt, "number") {
			v = store.Double(rapid.SampledFrom(o.numbers).Draw(o.rt, "bound"))
		}
		return store.Compare{Field: name, Op: op, Value: v}
	case 2:
		return store.In{Field: name, Values: rapid.SliceOfN(rapid.SampledFrom(append([]string{"t1", "1", "12", "span"}, o.words...)), 0, 4).Draw(o.rt, "in")}
	case 3:
		return store.Match{Field: name, Pattern: o.pick("pattern", patterns)}
	case 4:
		return store.Exists{Field: name}
	case 5, 6:
		if rapid.Bool().Draw(o.rt, "anywhere") {
			name = ""
		}
		return store.Text{Field: name, Words: o.pick("words", searches), Phrase: rapid.Bool().Draw(o.rt, "phrase")}
	case 7:
		return store.Not{Filter: o.filter(depth - 1)}
	default:
		parts := make([]store.Filter, rapid.IntRange(0, 3).Draw(o.rt, "parts"))
		for i := range parts {
			parts[i] = o.filter(depth - 1)
		}
		if rapid.Bool().Draw(o.rt, "and") {
			return store.And(parts)
		}
		return store.Or(parts)
	}
}

func (o *oracle) scope() store.Scope {
	s := store.Scope{Kind: rapid.SampledFrom(kinds).Draw(o.rt, "kind"), Time: signal.AllTime()}
	if rapid.Bool().Draw(o.rt, "some time") {
		s.Time.Start = o.base + int64(rapid.IntRange(-1, 2).Draw(o.rt, "start"))
		s.Time.End = s.Time.Start + int64(rapid.SampledFrom([]time.Duration{0, 1, time.Hour, 2 * day}).Draw(o.rt, "length"))
	}
	if rapid.IntRange(0, 4).Draw(o.rt, "filtered") > 0 {
		s.Filter = o.filter(3)
	}
	return s
}

func (o *oracle) remove() {
	s := o.scope()
	want, wantErr := o.mem.Delete(context.Background(), signal.DefaultProject, s)
	got, err := o.db.Delete(context.Background(), signal.DefaultProject, s)
	o.agree("delete", s, got, want, err, wantErr)
	o.askRows(store.Scope{Kind: s.Kind, Time: signal.AllTime()})
	o.askTraces()
}

func (o *oracle) agree(what string, s store.Scope, got, want any, err, wantErr error) {
	o.rt.Helper()
	if (err == nil) != (wantErr == nil) {
		o.rt.Fatalf("%s of %#v: %v, oracle %v", what, s, err, wantErr)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs(), cmpopts.EquateApprox(1e-9, 0), cmpopts.EquateEmpty()); diff != "" {
		o.rt.Fatalf("%s of %#v differs (-oracle +store):\n%s", what, s, diff)
	}
}

func (o *oracle) ask() {
	s := o.scope()
	switch rapid.IntRange(0, 6).Draw(o.rt, "question") {
	case 0, 1, 2:
		o.askRows(s)
	case 3:
		o.askAggregate(s)
	case 4:
		got, err := o.db.FieldNames(context.Background(), signal.DefaultProject, s)
		want, wantErr := o.mem.FieldNames(context.Background(), signal.DefaultProject, s)
		o.agree("field names", s, got, want, err, wantErr)
	case 5:
		o.askTraces()
	default:
		name := o.pick("field", o.fields)
		limit := rapid.SampledFrom([]int{0, 5}).Draw(o.rt, "limit")
		got, err := o.db.FieldValues(context.Background(), signal.DefaultProject, s, name, limit)
		want, wantErr := o.mem.FieldValues(context.Background(), signal.DefaultProject, s, name, limit)
		o.agree("field values of "+name, s, got, want, err, wantErr)
	}
}

// askTraces compares which traces are known, and that their ranges hold at least what memdb has in them.
func (o *oracle) askTraces() {
	for _, id := range []string{"t1", "t2", "t3", "t4", ""} {
		got, err := o.db.TraceRange(context.Background(), signal.DefaultProject, id)
		want, wantErr := o.mem.TraceRange(context.Background(), signal.DefaultProject, id)
		if (err == nil) != (wantErr == nil) || err == nil && (got.Start > want.Start || got.End < want.End) {
			o.rt.Fatalf("range of trace %s: %+v, %v, oracle %+v, %v", id, got, err, want, wantErr)
		}
	}
}

func (o *oracle) askRows(s store.Scope) {
	q := store.Select{Scope: s, Order: store.Order(rapid.IntRange(0, 2).Draw(o.rt, "order"))}
	if q.Order != store.Unordered {
		q.Limit = rapid.SampledFrom([]int{0, 1, 5}).Draw(o.rt, "limit")
	}
	if rapid.Bool().Draw(o.rt, "some fields") {
		q.Fields = rapid.SliceOfN(rapid.SampledFrom(o.fields), 0, 4).Draw(o.rt, "fields")
	}
	got, err := o.described(o.db, q)
	want, wantErr := o.described(o.mem, q)
	o.agree("select", s, got, want, err, wantErr)
}

func (o *oracle) askAggregate(s store.Scope) {
	q := store.Aggregate{Scope: s, By: rapid.SliceOfNDistinct(rapid.SampledFrom(o.fields), 0, 2, rapid.ID).Draw(o.rt, "by")}
	for range rapid.IntRange(1, 3).Draw(o.rt, "columns") {
		q.Columns = append(q.Columns, store.Column{
			Func:  rapid.SampledFrom([]store.Func{store.CountRows, store.Sum, store.Min, store.Max, store.Avg, store.Quantile, store.CountDistinct, store.SumLen}).Draw(o.rt, "func"),
			Field: o.pick("column", o.fields), Phi: 0.5,
		})
	}
	if rapid.Bool().Draw(o.rt, "stepped") {
		q.Step = rapid.SampledFrom([]time.Duration{7, time.Minute, 25 * time.Hour, 1000 * day, math.MaxInt64}).Draw(o.rt, "step")
	}
	q.Limit = rapid.SampledFrom([]int{0, 3}).Draw(o.rt, "limit")
	if o.Asked != nil {
		o.Asked(o.db, q)
	}
	got, err := o.db.Aggregate(context.Background(), signal.DefaultProject, q)
	want, wantErr := o.mem.Aggregate(context.Background(), signal.DefaultProject, q)
	if err == nil && wantErr == nil {
		o.forgiveOrder(q, got, want)
	}
	o.agree(fmt.Sprintf("aggregate %+v", q), s, got, want, err, wantErr)
}

// forgiveOrder makes sums and averages equal that differ by no more than the order of adding can make floats differ:
// n values add up to within n·ε·Σ|v| (Higham, Accuracy and Stability of Numerical Algorithms, 4.2). 1000 + 2⁶³ − 2⁶³ is
// 0 or 1000.
func (o *oracle) forgiveOrder(q store.Aggregate, got, want []store.Group) {
	bounds := q
	bounds.Columns = []store.Column{{Func: store.CountRows}}
	for _, c := range q.Columns {
		bounds.Columns = append(bounds.Columns, store.Column{Func: store.Min, Field: c.Field}, store.Column{Func: store.Max, Field: c.Field})
	}
	limits, err := o.mem.Aggregate(context.Background(), signal.DefaultProject, bounds)
	if err != nil || len(limits) != len(want) || len(got) != len(want) {
		return
	}
	for g := range want {
		n := limits[g].Values[0]
		for c := range q.Columns {
			if f := q.Columns[c].Func; f != store.Sum && f != store.Avg {
				continue
			}
			largest := max(math.Abs(limits[g].Values[1+2*c]), math.Abs(limits[g].Values[2+2*c]))
			if margin := n * n * 0x1p-52 * largest; !math.IsInf(margin, 0) && math.Abs(got[g].Values[c]-want[g].Values[c]) <= margin {
				got[g].Values[c] = want[g].Values[c]
			}
		}
	}
}

// described returns the answer as text, by id when the question has no order.
func (o *oracle) described(db store.Events, q store.Select) ([]string, error) {
	rows, err := collect(o.t, db, signal.DefaultProject, q)
	return describeAll(rows), err
}
