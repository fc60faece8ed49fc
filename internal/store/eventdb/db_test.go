package eventdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const century = 100 * 365 * day

// base is the time of most rows in these tests.
var base = time.Date(2023, 5, 6, 7, 8, 9, 123456789, time.UTC).UnixNano()

func openTest(t testing.TB, dir string) *DB {
	t.Helper()
	return openWith(t, dir, Config{})
}

func openWith(t testing.TB, dir string, cfg Config) *DB {
	t.Helper()
	setDefault(&cfg.Retention, century/2)
	setDefault(&cfg.PayloadRetention, century/2)
	db, err := Open(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func write(t testing.TB, db *DB, rows ...store.Row) {
	t.Helper()
	rejected, err := db.Write(t.Context(), signal.DefaultProject, rows)
	if err != nil || rejected.Items != 0 {
		t.Fatalf("write: %v, rejected %+v", err, rejected)
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
}

func selectAll(t testing.TB, db *DB, q store.Select) []store.Row {
	t.Helper()
	if q.Time == (signal.TimeRange{}) {
		q.Time = signal.AllTime()
	}
	if q.Kind == "" {
		q.Kind = store.KindSpan
	}
	var out []store.Row
	for r, err := range db.Select(context.Background(), signal.DefaultProject, q) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, *r.Clone())
	}
	return out
}

// span makes a span row; pairs are names and values of further fields.
func span(trace, id string, at int64, fields ...store.Field) store.Row {
	r := store.Row{Kind: store.KindSpan, ID: trace + id, Time: at}
	r.Add(store.FieldTraceID, store.String(trace))
	r.Add(store.FieldSpanID, store.String(id))
	r.Add(store.FieldService, store.String("writer"))
	r.Fields = append(r.Fields, fields...)
	return r
}

func field(name string, v store.Value) store.Field { return store.Field{Name: name, Value: v} }

// sameRows compares rows without regard to the order of fields of different names.
func sameRows(t testing.TB, got, want []store.Row) {
	t.Helper()
	norm := func(rows []store.Row) []string {
		out := make([]string, len(rows))
		for i, r := range rows {
			out[i] = describeRow(r)
		}
		return out
	}
	if diff := cmp.Diff(norm(want), norm(got)); diff != "" {
		t.Errorf("rows differ (-want +got):\n%s", diff)
	}
}

// describeRow writes all of a row, its fields by name; those of one name keep their order.
func describeRow(r store.Row) string {
	fields := slices.Clone(r.Fields)
	slices.SortStableFunc(fields, func(a, b store.Field) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q %d\n", r.Kind, r.ID, r.Time)
	for _, f := range fields {
		bits := uint64(0)
		if f.Value.Type() == store.TypeDouble {
			d, _ := f.Value.Number()
			bits = math.Float64bits(d)
		}
		text := f.Value.Text()
		if len(text) > 100 {
			text = fmt.Sprintf("%s…%d bytes, %s", text[:20], len(text), store.PayloadHash("", text))
		}
		fmt.Fprintf(&b, "  %q = %s %q %x\n", f.Name, f.Value.Type(), text, bits)
	}
	return b.String()
}

func TestRoundTrip(t *testing.T) {
	long := strings.Repeat("a long prompt ", 100)
	var many []store.Field
	for i := range 3000 {
		many = append(many, field(fmt.Sprintf("attr.many.%d", i), store.Int(int64(i))))
	}
	rows := map[string][]store.Field{
		"types": {
			field("attr.int", store.Int(math.MinInt64)), field("attr.double", store.Double(0.30000000000000004)),
			field("attr.bool", store.Bool(false)), field("attr.bytes", store.Bytes("\x00\xff")),
			field("attr.slice", store.SliceJSON("[1,2]")), field("attr.map", store.MapJSON(`{"a":1}`)),
			field("attr.empty", store.Value{}), field("attr.nothing", store.String("")),
			field("attr.no bytes", store.Bytes("")), field("attr.nan", store.Double(math.NaN())),
			field("attr.other nan", store.Double(math.Float64frombits(0x7ff8000000000123))),
			field("attr.minus zero", store.Double(math.Copysign(0, -1))), field("attr.inf", store.Double(math.Inf(-1))),
			field(store.FieldDuration, store.Int(-5)), field(store.FieldEnd, store.String("not an int")),
		},
		"names": {
			field("", store.String("no name")), field("_time", store.String("x")), field("_msg", store.Int(1)),
			field("_stream", store.String("{}")), field("_x", store.String("y")), field("kind", store.String("z")),
			field("attr."+strings.Repeat("n", 500), store.Double(2.5)), field("attr.star*", store.String("*")),
			field("attr.\xff", store.String("invalid")), field("attr.nul\x00", store.String("nul")),
			field("attr.twice", store.String("one")), field("attr.twice", store.Int(2)), field("attr.twice", store.String("")),
			field("attr.\"quoted\" \n", store.String("'")),
		},
		"texts": {
			field("attr.invalid", store.String("a\xffb\xfe")), field("attr.control", store.String("\x00\x01\n\t")),
			field("attr.version", store.String("1.10")), field("attr.under", store.String("1_000")),
			field("attr.zero", store.String("-0")), field("attr.address", store.String("010.001.2.3")),
			field("attr.time", store.String("2024-01-02 03:04:05.000Z")), field("attr.day", store.String("2024-02-31T03:04:05.000Z")),
		},
		"payloads": {
			field("attr.prompt", store.String(long)), field("attr.binary", store.Bytes(strings.Repeat("\xff\x00", 400))),
			field("attr.huge", store.String(strings.Repeat("0123456789", 500_000))), field("body", store.MapJSON(`{"a":"`+long+`"}`)),
			field("attr.same", store.String(long)), field("attr.prompt", store.String(long+"2")),
			field("name", store.String(strings.Repeat("name ", 100_000))),
		},
		"many": many,
		"huge names": func() (f []store.Field) {
			for i := range 5000 {
				f = append(f, field(fmt.Sprintf("attr.%d%s", i, strings.Repeat("x", 400)), store.String(long)))
			}
			return f
		}(),
		"none": nil,
	}
	dir := t.TempDir()
	db := openTest(t, dir)
	var want []store.Row
	for _, name := range []string{"types", "names", "texts", "payloads", "many", "huge names", "none"} {
		want = append(want, span("trace", name, base+int64(len(want)), rows[name]...))
	}
	want = append(want, store.Row{Kind: store.KindSpan, ID: "1.10", Time: base + 100})
	// More than eight of a kind, so that the engine keeps the column in binary form.
	for i := range 40 {
		want = append(want, span("numbers", fmt.Sprint(i), base+200+int64(i),
			field("attr.version", store.String(fmt.Sprintf("%d.%d0", i, i))), field("attr.under", store.String(fmt.Sprintf("%d_000", i+1))),
			field("attr.float", store.Double(float64(i)+1/float64(i+3))), field("attr.count", store.Int(int64(i)-20)),
			field("attr.when", store.String(fmt.Sprintf("2024-01-02 03:04:%02d.000Z", i))), field("attr.ip", store.String(fmt.Sprintf("10.0.0.%03d", i)))))
	}
	write(t, db, want...)
	sameRows(t, selectAll(t, db, store.Select{Order: store.OldestFirst}), want)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openTest(t, dir)
	sameRows(t, selectAll(t, db, store.Select{Order: store.OldestFirst}), want)
}

func TestTrace(t *testing.T) {
	dir := t.TempDir()
	db := openTest(t, dir)
	var want []store.Row
	for i := range 10 {
		want = append(want, span("t1", fmt.Sprint(i), base+int64(i)*int64(time.Hour)))
		write(t, db, span("t2", fmt.Sprint(i), base+int64(i)))
	}
	write(t, db, want...)
	check := func() {
		t.Helper()
		q := store.Select{Scope: store.Scope{Filter: store.Eq(store.FieldTraceID, "t1")}, Order: store.OldestFirst}
		sameRows(t, selectAll(t, db, q), want)
		r, err := db.TraceRange(t.Context(), signal.DefaultProject, "t1")
		if err != nil || r.Start > base || r.End <= want[9].Time || r.End-r.Start > int64(11*time.Hour) {
			t.Errorf("range %+v, %v", r, err)
		}
		if _, err := db.TraceRange(t.Context(), signal.DefaultProject, "t3"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("unknown trace: %v", err)
		}
	}
	check()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openTest(t, dir)
	check()
}
