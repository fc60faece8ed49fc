package traceql

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/mindscope/mindscope/internal/store"
)

// TestPushedFiltersHold makes conditions and spans at random. What the store is asked must hold for every span for which the
// condition holds, and for no other when it is said to be exact; the same for the contrary.
func TestPushedFiltersHold(t *testing.T) {
	exact := 0
	rapid.Check(t, func(rt *rapid.T) {
		g := generator{rt}
		text := "{ " + g.condition(3) + " }"
		q, err := Parse(text)
		if err != nil {
			return // of types that don't fit
		}
		e := rewriteAll(q.Stages[0].(*Filter).E)
		if needsTrace(e) {
			return
		}
		schema := newSchema()
		holds := schema.condition(e)
		plain := pushDown(e, false)
		contrary := pushDown(e, true)
		for range 5 {
			row := g.row()
			s := &span{start: row.Time, values: schema.read(row)}
			check(rt, text, row, plain, holds(s))
			check(rt, "not "+text, row, contrary, !holds(s))
		}
		if plain.exact {
			exact++
		}
	})
	if exact == 0 {
		t.Error("no filter was exact")
	}
}

func check(rt *rapid.T, what string, row *store.Row, p pushed, holds bool) {
	rt.Helper()
	m, err := store.Compile(p.filter)
	if err != nil {
		rt.Fatalf("%s: %#v: %v", what, p.filter, err)
	}
	asked := m(row)
	if holds && !asked || p.exact && asked != holds {
		rt.Fatalf("%s holds: %v; the store's filter, exact %v: %v\n%#v\nof %+v", what, holds, p.exact, asked, p.filter, row.Fields)
	}
}

type generator struct{ rt *rapid.T }

func (g generator) pick(label string, of ...string) string {
	return rapid.SampledFrom(of).Draw(g.rt, label)
}

func (g generator) condition(depth int) string {
	if depth > 0 {
		switch rapid.IntRange(0, 4).Draw(g.rt, "kind") {
		case 0:
			return "(" + g.condition(depth-1) + g.pick("join", " && ", " || ") + g.condition(depth-1) + ")"
		case 1:
			return "!(" + g.condition(depth-1) + ")"
		}
	}
	switch rapid.IntRange(0, 10).Draw(g.rt, "leaf") {
	case 0:
		return g.attribute()
	case 1:
		return "!" + g.attribute()
	case 2:
		return g.attribute() + g.pick("op", " = ", " != ") + "nil"
	case 3:
		return g.attribute() + g.pick("op", " =~ ", " !~ ") + g.pick("pattern", `"a|b"`, `"a.*"`, `""`, `"5"`, `"[0-9]+"`, `"true"`, `".*"`, `"(?i)A"`)
	case 4:
		return g.value() + g.operator() + g.attribute()
	case 5:
		return g.attribute() + g.operator() + g.attribute()
	case 6:
		return g.attribute() + g.pick("arithmetic", " + ", " * ", " / ", " - ") + g.value() + g.operator() + g.value()
	case 7:
		if depth > 0 { // a comparison that is itself compared
			return "(" + g.condition(depth-1) + ")" + g.pick("equal", " = ", " != ") + g.pick("with", "true", "false", g.attribute(), "("+g.condition(0)+")")
		}
		return g.attribute() + g.operator() + g.value()
	case 8:
		return g.pick("constant", "true", "false", "1 = 1", `"a" = "b"`)
	default:
		return g.attribute() + g.operator() + g.value()
	}
}

func (g generator) operator() string {
	return g.pick("op", " = ", " = ", " != ", " < ", " <= ", " > ", " >= ")
}

func (g generator) attribute() string {
	return g.pick("attribute", ".a", "span.a", "resource.a", ".b", "span.b", "name", "status", "kind", "duration", "statusMessage",
		"span:parentID", "nestedSetParent", "span.mindscope.model", "span.mindscope.tokens_input", "span.mindscope.cost_usd",
		"span.mindscope.task_provisional", "resource.service.name", "event.a", "event:name", "link.a", "instrumentation:name", "instrumentation.a")
}

func (g generator) value() string {
	return g.pick("value", `"a"`, `"b"`, `""`, `"5"`, `"true"`, `"[\"a\"]"`, "5", "-1", "0", "5.5", "5ns", "1s", "true", "false", "error", "ok", "server", "minInt")
}

// row makes a span's row whose fields are of every type.
func (g generator) row() *store.Row {
	r := &store.Row{Kind: store.KindSpan, ID: "x", Time: 1000}
	add := func(field string, values ...store.Value) {
		if rapid.IntRange(0, 2).Draw(g.rt, field) > 0 {
			r.Add(field, rapid.SampledFrom(values).Draw(g.rt, field))
		}
	}
	any := []store.Value{
		store.String("a"), store.String("b"), store.String("A"), store.String(""), store.String("5"), store.String("true"), store.String(`["a"]`),
		store.Int(5), store.Int(-1), store.Int(0), store.Double(5), store.Double(5.5), store.Bool(true), store.Bool(false),
		store.SliceJSON(`["a"]`), store.SliceJSON(`["a","b"]`), store.SliceJSON(`[5]`), store.MapJSON(`{"a":5}`), store.Bytes("a"),
		{},
	}
	for _, f := range []string{store.PrefixAttr + "a", store.PrefixAttr + "b", store.PrefixResource + "a", store.PrefixScopeAttr + "a"} {
		add(f, any...)
	}
	add(store.FieldName, store.String("a"), store.String("b"), store.String("5"))
	r.Add(store.FieldStatus, store.String(g.pick("status", "unset", "ok", "error", "7")))
	r.Add(store.FieldSpanKind, store.String(g.pick("kind", "server", "internal", "9")))
	r.Add(store.FieldDuration, store.Int(rapid.SampledFrom([]int64{0, 5, 1e9, -1}).Draw(g.rt, "duration")))
	add(store.FieldStatusMessage, store.String("a"))
	add(store.FieldParentSpanID, store.String("0000000000000001"))
	add(store.FieldModel, store.String("a"), store.String("true"))
	add(store.FieldTokensInput, store.Int(5), store.Int(0))
	micro := rapid.SampledFrom([]int64{0, 5_000_000, 5_500_000}).Draw(g.rt, "cost")
	add(store.FieldCostMicro, store.Int(micro))
	add(store.FieldTaskProvisional, store.Bool(true), store.Bool(false))
	r.Add(store.FieldService, store.String(g.pick("service", "a", "unknown_service")))
	add(store.FieldEvents, store.SliceJSON(fmt.Sprintf(`[{"time":1005,"name":"a","attributes":{"a":%s}}]`, g.pick("event", `"a"`, "5", "true"))))
	add(store.FieldLinks, store.SliceJSON(`[{"trace_id":"01","span_id":"02","attributes":{"a":"b"}}]`))
	add(store.FieldScopeName, store.String("a"))
	return r
}
