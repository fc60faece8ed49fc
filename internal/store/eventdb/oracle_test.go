package eventdb

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

// TestAgainstOracle writes random rows to a DB and to memdb, restarts now and then, and asks both the same.
func TestAgainstOracle(t *testing.T) {
	t.Run("wild", func(t *testing.T) { againstOracle(t, &oracle{words: words, numbers: numbers, fields: fieldNames}) })
	// Tame rows are those for which the engine computes aggregates itself.
	tame := &oracle{
		words:   []string{"", "alpha", "beta", "two words", "alpha-2"},
		numbers: []float64{0, 1, 5, 12.5, 1000, -3},
		fields:  []string{store.FieldName, store.FieldDuration, store.FieldTokensInput, store.FieldTeam, "attr.a", "attr.n"},
		tame:    true,
	}
	againstOracle(t, tame)
	if tame.pushed == 0 {
		t.Error("no aggregate was computed by the engine")
	}
}

func againstOracle(t *testing.T, proto *oracle) {
	rapid.Check(t, func(rt *rapid.T) {
		one := *proto
		o := &one
		o.rt, o.dir = rt, t.TempDir()
		defer func() { proto.pushed += o.pushed }()
		o.mem = memdb.New(memdb.Config{Retention: century / 2})
		o.open()
		defer func() { o.close() }()
		for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
			o.write()
			if rapid.IntRange(0, 3).Draw(rt, "restart") == 0 {
				o.close()
				o.open()
			}
			if err := o.db.Flush(); err != nil {
				rt.Fatal(err)
			}
			for range 10 {
				o.ask()
			}
		}
	})
}

type oracle struct {
	rt  *rapid.T
	dir string
	db  *DB
	mem *memdb.DB

	words   []string
	numbers []float64
	fields  []string
	tame    bool
	pushed  int // aggregates that were pushable
}

func (o *oracle) open() {
	db, err := Open(o.dir, Config{Retention: century / 2, PayloadRetention: century / 2})
	if err != nil {
		o.rt.Fatal(err)
	}
	o.db = db
}

func (o *oracle) close() {
	if err := o.db.Close(); err != nil {
		o.rt.Fatal(err)
	}
}

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
	}
	searches = []string{"hello", "HELLO", "hello world", "ell", "über", "ü", "bad", "k", "stanbul", "world!", "5", "\xff", "_", "n w", "lo, wo"}
	patterns = []string{"hello", "^hello", "world$", "h.*o", "h.+d", "(?i)HELLO", "^$", "[0-9]+", "a\\*b", "5|hello", ".*", ".+", "h.+o.+", "é|ü", "^5$", "\\x{FFFD}"}
	numbers  = []float64{0, 5, -5, 5.5, 1000, 1.1, 16, 0.5, math.MaxInt64, 9007199254740992, 9007199254740993, 1e-9, 1e30, math.Inf(1), math.Inf(-1), math.NaN()}
)

func (o *oracle) pick(label string, from []string) string {
	return rapid.SampledFrom(from).Draw(o.rt, label)
}

func (o *oracle) value(name string) store.Value {
	text := o.pick("text", o.words)
	if o.tame {
		switch name {
		case store.FieldDuration, store.FieldTokensInput:
			return store.Int(int64(rapid.SampledFrom(o.numbers).Draw(o.rt, "int")))
		case "attr.n":
			return store.Double(rapid.SampledFrom(o.numbers).Draw(o.rt, "double"))
		}
		return store.String(text)
	}
	if name == "attr.long" || name == store.FieldBody {
		text = strings.Repeat(text+" ", 1+rapid.IntRange(0, 2).Draw(o.rt, "times")*300)
	}
	switch rapid.IntRange(0, 9).Draw(o.rt, "type") {
	case 0:
		return store.Int(rapid.SampledFrom([]int64{0, 5, -5, 1000, 16, math.MaxInt64, math.MinInt64, 9007199254740993}).Draw(o.rt, "int"))
	case 1:
		return store.Double(rapid.SampledFrom(append(o.numbers, rapid.Float64().Draw(o.rt, "any"))).Draw(o.rt, "double"))
	case 2:
		return store.Bool(rapid.Bool().Draw(o.rt, "bool"))
	case 3:
		return store.Bytes(text)
	case 4:
		return store.SliceJSON(text)
	case 5:
		return store.Value{}
	default:
		return store.String(text)
	}
}

func (o *oracle) write() {
	rows := make([]store.Row, rapid.IntRange(1, 40).Draw(o.rt, "rows"))
	for i := range rows {
		at := base + int64(rapid.SampledFrom([]time.Duration{0, 1, time.Second, time.Minute, time.Hour, 5 * time.Hour, day, 3 * day}).Draw(o.rt, "at"))
		rows[i] = store.Row{Kind: rapid.SampledFrom(kinds).Draw(o.rt, "kind"), Time: at}
		rows[i].ID = fmt.Sprint(rapid.IntRange(0, 60).Draw(o.rt, "id"))
		if rapid.IntRange(0, 5).Draw(o.rt, "odd id") == 0 {
			rows[i].ID = o.pick("id", words[1:])
		}
		if rows[i].Kind == store.KindLog {
			rows[i].Time = base // the id of a record is made of its time, too
		}
		for range rapid.IntRange(0, 6).Draw(o.rt, "fields") {
			name := o.pick("name", o.fields)
			v := o.value(name)
			if o.tame && rows[i].Has(name) {
				continue
			}
			if name == store.FieldTraceID && rows[i].Kind == store.KindSpan {
				continue
			}
			rows[i].Add(name, v)
		}
		if trace := rows[i].ID[len(rows[i].ID)-1] & 3; trace > 0 && rows[i].Kind == store.KindSpan {
			// A span's id says which trace it belongs to.
			rows[i].Add(store.FieldTraceID, store.String(fmt.Sprintf("t%d", trace)))
		}
		if rows[i].Kind == store.KindTask {
			rows[i].Add(store.FieldRevision, store.Int(int64(rapid.IntRange(0, 3).Draw(o.rt, "rev"))))
		}
	}
	for _, db := range []store.Events{o.mem, o.db} {
		if rejected, err := db.Write(context.Background(), signal.DefaultProject, rows); err != nil || rejected.Items > 0 {
			o.rt.Fatalf("write: %+v, %v", rejected, err)
		}
	}
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
		if n%2 == 0 || rapid.Bool().Draw(o.rt, "and") {
			return store.And(parts)
		}
		return store.Or(parts)
	}
}

func (o *oracle) scope() store.Scope {
	s := store.Scope{Kind: rapid.SampledFrom(kinds).Draw(o.rt, "kind"), Time: signal.AllTime()}
	if rapid.Bool().Draw(o.rt, "some time") {
		s.Time.Start = base + int64(rapid.IntRange(-1, 2).Draw(o.rt, "start"))
		s.Time.End = s.Time.Start + int64(rapid.SampledFrom([]time.Duration{0, 1, time.Hour, 2 * day}).Draw(o.rt, "length"))
	}
	if rapid.IntRange(0, 4).Draw(o.rt, "filtered") > 0 {
		s.Filter = o.filter(3)
	}
	return s
}

func (o *oracle) ask() {
	ctx := context.Background()
	s := o.scope()
	same := func(what string, got, want any, err, wantErr error) {
		o.rt.Helper()
		if (err == nil) != (wantErr == nil) {
			o.rt.Fatalf("%s of %#v: %v, oracle %v", what, s, err, wantErr)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateNaNs(), cmpopts.EquateApprox(1e-9, 0), cmpopts.EquateEmpty()); diff != "" {
			o.rt.Fatalf("%s of %#v differs (-oracle +eventdb):\n%s", what, s, diff)
		}
	}
	switch rapid.IntRange(0, 5).Draw(o.rt, "question") {
	case 0, 1, 2:
		q := store.Select{Scope: s, Order: store.Order(rapid.IntRange(0, 2).Draw(o.rt, "order"))}
		if q.Order != store.Unordered {
			q.Limit = rapid.SampledFrom([]int{0, 1, 5}).Draw(o.rt, "limit")
		}
		if rapid.Bool().Draw(o.rt, "some fields") {
			q.Fields = rapid.SliceOfN(rapid.SampledFrom(o.fields), 0, 4).Draw(o.rt, "fields")
		}
		got, err := o.rows(o.db, q)
		want, wantErr := o.rows(o.mem, q)
		same("select", got, want, err, wantErr)
	case 3:
		q := store.Aggregate{Scope: s, By: rapid.SliceOfNDistinct(rapid.SampledFrom(o.fields), 0, 2, rapid.ID).Draw(o.rt, "by")}
		for range rapid.IntRange(1, 3).Draw(o.rt, "columns") {
			q.Columns = append(q.Columns, store.Column{
				Func:  rapid.SampledFrom([]store.Func{store.CountRows, store.Sum, store.Min, store.Max, store.Avg, store.Quantile, store.CountDistinct}).Draw(o.rt, "func"),
				Field: o.pick("column", o.fields), Phi: 0.5,
			})
		}
		if s.Time.Start > 0 && rapid.Bool().Draw(o.rt, "stepped") {
			q.Step = rapid.SampledFrom([]time.Duration{7, time.Minute, 25 * time.Hour}).Draw(o.rt, "step")
		}
		q.Limit = rapid.SampledFrom([]int{0, 3}).Draw(o.rt, "limit")
		if pl, err := o.db.plan(ctx, signal.DefaultProject, s); err == nil && pl != nil {
			if ok, _ := o.db.pushable(ctx, pl, q); ok {
				o.pushed++
			}
		}
		got, err := o.db.Aggregate(ctx, signal.DefaultProject, q)
		want, wantErr := o.mem.Aggregate(ctx, signal.DefaultProject, q)
		same(fmt.Sprintf("aggregate %+v", q), got, want, err, wantErr)
	case 4:
		got, err := o.db.FieldNames(ctx, signal.DefaultProject, s)
		want, wantErr := o.mem.FieldNames(ctx, signal.DefaultProject, s)
		same("field names", got, want, err, wantErr)
	default:
		name := o.pick("field", o.fields)
		got, err := o.db.FieldValues(ctx, signal.DefaultProject, s, name, 5)
		want, wantErr := o.mem.FieldValues(ctx, signal.DefaultProject, s, name, 5)
		same("field values of "+name, got, want, err, wantErr)
	}
}

// rows returns the answer as text, in an order of its own when the question has none.
func (o *oracle) rows(db store.Events, q store.Select) ([]string, error) {
	var rows []*store.Row
	for r, err := range db.Select(context.Background(), signal.DefaultProject, q) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, r.Clone())
	}
	if q.Order == store.Unordered {
		store.SortRows(rows, store.OldestFirst)
	}
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = describeRow(*r)
	}
	return out, nil
}
