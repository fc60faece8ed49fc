package store

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata"
	"go.opentelemetry.io/collector/pdata/xpdata/entity"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
)

// repeated fills m with a key that comes twice, as protobuf lets senders do.
func repeated(m pcommon.Map) {
	var b xpdata.MapBuilder
	b.AppendEmpty("key").SetStr("first")
	b.AppendEmpty("other").SetInt(1)
	b.AppendEmpty("key").SetInt(2)
	b.UnsafeIntoMap(m)
}

func TestRepeatedKeysComeBack(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	repeated(rs.Resource().Attributes())
	ss := rs.ScopeSpans().AppendEmpty()
	repeated(ss.Scope().Attributes())
	s := ss.Spans().AppendEmpty()
	repeated(s.Attributes())
	repeated(s.Events().AppendEmpty().Attributes())
	repeated(s.Links().AppendEmpty().Attributes())
	nested := s.Events().AppendEmpty().Attributes()
	repeated(nested.PutEmptyMap("nested"))
	nested.PutEmptySlice("list").AppendEmpty().SetEmptyMap()
	back, err := Traces(AppendSpanRows(nil, td))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(marshal(t, td), marshal(t, back)); diff != "" {
		t.Errorf("sent and restored differ (-sent +restored):\n%s", diff)
	}
}

func TestEntityRefsComeBack(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	refs := entity.ResourceEntityRefs(rs.Resource())
	full := refs.AppendEmpty()
	full.SetType("service")
	full.SetSchemaUrl("https://schema")
	full.IdKeys().Append("service.name", "service.instance.id")
	full.DescriptionKeys().Append("service.version")
	refs.AppendEmpty()
	rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("a")
	back, err := Traces(AppendSpanRows(nil, td))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(marshal(t, td), marshal(t, back)); diff != "" {
		t.Errorf("sent and restored differ (-sent +restored):\n%s", diff)
	}
}

// TestEventAttributesLikeTags: the attributes of events have keys of the sender's, also such as the codec uses itself.
func TestEventAttributesLikeTags(t *testing.T) {
	td := ptrace.NewTraces()
	s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	for _, key := range []string{"@bytes", "@double", "@utf8", "@map", "@utf8:", "attributes", "\xff", ""} {
		s.Events().AppendEmpty().Attributes().PutStr(key, "AA==")
		s.Links().AppendEmpty().Attributes().PutEmptyMap(key).PutStr(key, "AA==")
	}
	back, err := Traces(AppendSpanRows(nil, td))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(marshal(t, td), marshal(t, back)); diff != "" {
		t.Errorf("sent and restored differ (-sent +restored):\n%s", diff)
	}
}

func TestDeepValuesComeBack(t *testing.T) {
	v := pcommon.NewValueEmpty()
	for at, i := v, 0; i < 3000; i++ {
		if i%2 == 0 {
			at = at.SetEmptySlice().AppendEmpty()
		} else {
			at = at.SetEmptyMap().PutEmpty("@map")
		}
	}
	back := pcommon.NewValueEmpty()
	if err := DecodeAny(EncodeAny(v), back); err != nil {
		t.Fatal(err)
	}
	if !v.Equal(back) {
		t.Error("3000 levels do not come back")
	}
}

func TestRowIDIgnoresWhatEnrichmentAdds(t *testing.T) {
	logs := func(column string, value int64) []Row {
		ld := plog.NewLogs()
		rec := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		rec.Body().SetStr("same")
		if column != "" {
			rec.Attributes().PutInt(column, value)
		}
		return AppendLogRows(nil, ld)
	}
	plain := logs("", 0)[0].ID
	for _, value := range []int64{1, 2} {
		if got := logs(conv.MindscopeCostMicroUSD, value)[0].ID; got != plain {
			t.Errorf("with a cost of %d the id is %s, else %s", value, got, plain)
		}
	}
	if got := logs("cost_micro_usd", 1)[0].ID; got == plain {
		t.Error("an attribute of the sender's does not change the id")
	}
}

// TestEveryMindscopeAttributeIsAColumn holds the list of columns to the registry of names.
func TestEveryMindscopeAttributeIsAColumn(t *testing.T) {
	paths, err := filepath.Glob("../conv/*.go")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, path := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for name := range mindscopeNames(f) {
			n++
			if columnOf(name) != strings.TrimPrefix(name, "mindscope.") {
				t.Errorf("attribute %s has no column", name)
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d attributes were found", n)
	}
}

// mindscopeNames returns the attribute names that begin with "mindscope." in a file.
func mindscopeNames(f *ast.File) map[string]bool {
	names := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		if name, err := strconv.Unquote(lit.Value); err == nil && strings.HasPrefix(name, "mindscope.") {
			names[name] = true
		}
		return true
	})
	return names
}

func TestValueText(t *testing.T) {
	for _, c := range []struct {
		v    Value
		want string
	}{
		{Double(1e6), "1000000"},
		{Double(5), "5"},
		{Double(1e20), "100000000000000000000"},
		{Double(1e21), "1e+21"},
		{Double(1e-6), "0.000001"},
		{Double(1e-7), "1e-07"},
		{Double(-0.5), "-0.5"},
		{Double(0), "0"},
		{Double(math.Copysign(0, -1)), "-0"},
		{Double(math.NaN()), "NaN"},
		{Double(math.Inf(-1)), "-Inf"},
		{Int(math.MinInt64), "-9223372036854775808"},
		{Bool(true), "true"},
		{Value{}, ""},
	} {
		if got := c.v.Text(); got != c.want {
			t.Errorf("text of %#v is %q, want %q", c.v, got, c.want)
		}
		if f, ok := c.v.Number(); ok && !math.IsNaN(f) {
			if back, err := strconv.ParseFloat(c.v.Text(), 64); err != nil || back != f {
				t.Errorf("text %q reads as %v, %v, want %v", c.v.Text(), back, err, f)
			}
		}
	}
}

func aggregate(t *testing.T, q Aggregate, rows ...Row) []Group {
	t.Helper()
	if err := (Aggregate{Scope: Scope{Kind: KindSpan}, By: q.By, Step: q.Step, Columns: q.Columns}).Check(); err != nil {
		t.Fatal(err)
	}
	groups, err := AggregateRows(t.Context(), q, func(yield func(*Row, error) bool) {
		for i := range rows {
			if !yield(&rows[i], nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return groups
}

func TestAggregateKeysDoNotCollide(t *testing.T) {
	row := func(a, b string) Row {
		return Row{Fields: []Field{{"a", String(a)}, {"b", String(b)}}}
	}
	groups := aggregate(t, Aggregate{By: []string{"a", "b"}, Columns: []Column{{Func: CountRows}}},
		row("x\x00y", "z"), row("x", "y\x00z"), row("1", "\x001"), row("1\x00", "1"))
	if len(groups) != 4 {
		t.Errorf("%d groups, want 4: %v", len(groups), groups)
	}
}

func TestAggregateSumBeyondInt64(t *testing.T) {
	row := func(n int64) Row { return Row{Fields: []Field{{"n", Int(n)}}} }
	sum := Aggregate{Columns: []Column{{Func: Sum, Field: "n"}}}
	for _, c := range []struct {
		rows []Row
		want float64
	}{
		{[]Row{row(math.MaxInt64), row(math.MaxInt64)}, 2 * float64(math.MaxInt64)},
		{[]Row{row(math.MinInt64), row(-1)}, float64(math.MinInt64)},
		{[]Row{row(1 << 52), row(1), row(-1 << 52)}, 1},
	} {
		if got := aggregate(t, sum, c.rows...)[0].Values[0]; got != c.want {
			t.Errorf("sum is %v, want %v", got, c.want)
		}
	}
}

func TestAggregateSteps(t *testing.T) {
	at := func(t int64) Row { return Row{Time: t} }
	q := Aggregate{Step: time.Duration(10), Columns: []Column{{Func: CountRows}}}
	q.Time = signal.TimeRange{Start: 95, End: 200}
	starts := func(groups []Group) (out []int64) {
		for _, g := range groups {
			out = append(out, g.Start)
		}
		return out
	}
	if diff := cmp.Diff([]int64{95, 105}, starts(aggregate(t, q, at(95), at(104), at(105)))); diff != "" {
		t.Error(diff)
	}
	q.Step = math.MaxInt64
	if diff := cmp.Diff([]int64{95}, starts(aggregate(t, q, at(95), at(199)))); diff != "" {
		t.Errorf("a step wider than the range: %s", diff)
	}
	q.Time = signal.AllTime()
	if diff := cmp.Diff([]int64{math.MinInt64, -1}, starts(aggregate(t, q, at(math.MinInt64), at(-2), at(-1), at(5)))); diff != "" {
		t.Errorf("a range longer than an int64: %s", diff)
	}
}

func TestCheck(t *testing.T) {
	deep := Filter(Exists{Field: "a"})
	for range 200 {
		deep = Not{Filter: deep}
	}
	scope := Scope{Kind: KindSpan, Time: signal.AllTime()}
	of := func(f Filter) Scope { return Scope{Kind: KindSpan, Filter: f} }
	good := []interface{ Check() error }{
		scope,
		Select{Scope: scope},
		of(And{}), of(Or{And{}, Not{Eq("a", "")}}),
		Aggregate{Scope: scope, Columns: []Column{{Func: Quantile, Field: "a", Phi: 1}}},
	}
	bad := []interface{ Check() error }{
		Scope{},
		Scope{Kind: "_trace"},
		Scope{Kind: KindPayload},
		Scope{Kind: KindHeartbeat},
		of(And{nil}), of(Not{}), of(Match{Pattern: "("}), of(Compare{Op: "~"}), of(deep), of(make(Or, 20_000)),
		Select{Scope: scope, Limit: -1},
		Select{Scope: scope, Order: 7},
		Select{},
		Aggregate{Scope: scope},
		Aggregate{Scope: scope, Columns: []Column{{Func: "median", Field: "a"}}},
		Aggregate{Scope: scope, Columns: []Column{{Func: Sum}}},
		Aggregate{Scope: scope, Columns: []Column{{Func: Quantile, Field: "a", Phi: math.NaN()}}},
		Aggregate{Scope: scope, Columns: []Column{{Func: Quantile, Field: "a", Phi: 1.5}}},
		Aggregate{Scope: scope, Step: -1, Columns: []Column{{Func: CountRows}}},
		Aggregate{Scope: scope, Limit: -1, Columns: []Column{{Func: CountRows}}},
		Aggregate{Scope: scope, By: []string{""}, Columns: []Column{{Func: CountRows}}},
	}
	for _, q := range good {
		if err := q.Check(); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
	}
	for _, q := range bad {
		if err := q.Check(); !errors.Is(err, ErrBadQuery) {
			t.Errorf("%+v: %v, want a bad query", q, err)
		}
	}
}
