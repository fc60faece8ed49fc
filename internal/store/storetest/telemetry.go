package storetest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata"
	"go.opentelemetry.io/collector/pdata/xpdata/entity"
	"pgregory.net/rapid"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// telemetry sends any spans and log records through the sink into the store, and wants equal ones back.
func (s *suite) telemetry(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		b := &box{suite: s, t: t, dir: dir, db: s.open(t, dir)}
		defer b.drop()
		g := &sender{rt: rt, base: Base()}
		td, ld := g.traces(), g.logs()
		sink := store.NewSink(b.db, nil)
		if rejected, err := sink.Traces(t.Context(), signal.DefaultProject, td); err != nil || rejected.Items != 0 {
			rt.Fatalf("write spans: %v, rejected %+v", err, rejected)
		}
		if rejected, err := sink.Logs(t.Context(), signal.DefaultProject, ld); err != nil || rejected.Items != 0 {
			rt.Fatalf("write log records: %v, rejected %+v", err, rejected)
		}
		b.settle()
		tdBack, err := store.Traces(b.rows(all(store.KindSpan)))
		if err != nil {
			rt.Fatal(err)
		}
		ldBack, err := store.Logs(b.rows(all(store.KindLog)))
		if err != nil {
			rt.Fatal(err)
		}
		compare(rt, "spans", spanTexts(td), spanTexts(tdBack))
		compare(rt, "log records", recordTexts(ld), recordTexts(ldBack))
	})
}

func compare(rt *rapid.T, what string, want, got []string) {
	rt.Helper()
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		rt.Fatalf("%s: sent\n%s\nread\n%s", what, strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
}

// sender makes telemetry of every kind that pdata can hold.
type sender struct {
	rt   *rapid.T
	base int64
	n    byte
}

func (g *sender) flip(label string) bool { return rapid.Bool().Draw(g.rt, label) }

func (g *sender) few(label string) int { return rapid.IntRange(0, 3).Draw(g.rt, label) }

func (g *sender) text(label string) string {
	s := rapid.OneOf(rapid.SampledFrom(words), rapid.String(), rapid.StringMatching(`[a-z.@_]{1,8}`)).Draw(g.rt, label)
	if rapid.IntRange(0, 20).Draw(g.rt, "long") == 0 {
		s = strings.Repeat(s+"|", 300)
	}
	return s
}

func (g *sender) count(label string) uint32 {
	return rapid.SampledFrom([]uint32{0, 0, 1, math.MaxUint32}).Draw(g.rt, label)
}

func (g *sender) at() pcommon.Timestamp {
	return pcommon.Timestamp(g.base + rapid.Int64Range(0, 1e15/10).Draw(g.rt, "at"))
}

func (g *sender) value(v pcommon.Value, depth int) {
	n := 7
	if depth == 0 {
		n = 5
	}
	switch rapid.IntRange(0, n).Draw(g.rt, "type") {
	case 0: // empty
	case 1:
		v.SetStr(g.text("text"))
	case 2:
		v.SetInt(rapid.Int64().Draw(g.rt, "int"))
	case 3:
		v.SetDouble(rapid.OneOf(rapid.Float64(), rapid.SampledFrom(numbers)).Draw(g.rt, "double"))
	case 4:
		v.SetBool(g.flip("bool"))
	case 5:
		v.SetEmptyBytes().FromRaw(rapid.SliceOf(rapid.Byte()).Draw(g.rt, "bytes"))
	case 6:
		list := v.SetEmptySlice()
		for range g.few("items") {
			g.value(list.AppendEmpty(), depth-1)
		}
	default:
		g.attributes(v.SetEmptyMap(), depth-1)
	}
}

func (g *sender) attributes(m pcommon.Map, depth int) {
	var b xpdata.MapBuilder
	for range g.few("attributes") {
		key := g.text("key")
		g.value(b.AppendEmpty(key), depth)
		if rapid.IntRange(0, 9).Draw(g.rt, "repeat") == 0 {
			g.value(b.AppendEmpty(key), depth)
		}
	}
	b.UnsafeIntoMap(m)
}

func (g *sender) resource(res pcommon.Resource) {
	g.attributes(res.Attributes(), 2)
	if g.flip("service") {
		res.Attributes().PutStr("service.name", g.text("service"))
	}
	res.SetDroppedAttributesCount(g.count("dropped"))
	for range rapid.IntRange(0, 1).Draw(g.rt, "entities") {
		ref := entity.ResourceEntityRefs(res).AppendEmpty()
		ref.SetType(g.text("entity type"))
		ref.SetSchemaUrl(g.text("entity schema"))
		for range g.few("keys") {
			ref.IdKeys().Append(g.text("id key"))
			ref.DescriptionKeys().Append(g.text("description key"))
		}
	}
}

func (g *sender) scope(s pcommon.InstrumentationScope) {
	s.SetName(g.text("scope"))
	s.SetVersion(g.text("version"))
	s.SetDroppedAttributesCount(g.count("dropped"))
	g.attributes(s.Attributes(), 2)
}

func (g *sender) traceID() pcommon.TraceID {
	g.n++
	return pcommon.TraceID{0: g.n, 15: byte(g.few("trace"))}
}

func (g *sender) traces() ptrace.Traces {
	td := ptrace.NewTraces()
	for range g.few("resources") {
		rs := td.ResourceSpans().AppendEmpty()
		rs.SetSchemaUrl(g.text("schema"))
		g.resource(rs.Resource())
		for range g.few("scopes") {
			ss := rs.ScopeSpans().AppendEmpty()
			ss.SetSchemaUrl(g.text("schema"))
			g.scope(ss.Scope())
			for range g.few("spans") {
				g.span(ss.Spans().AppendEmpty())
			}
		}
	}
	return td
}

func (g *sender) span(s ptrace.Span) {
	if g.flip("ids") {
		s.SetTraceID(g.traceID())
		s.SetSpanID(pcommon.SpanID{g.n})
	}
	s.SetParentSpanID(pcommon.SpanID{7: byte(g.few("parent"))})
	s.TraceState().FromRaw(g.text("state"))
	s.SetFlags(g.count("flags"))
	s.SetName(g.text("name"))
	s.SetKind(ptrace.SpanKind(rapid.Int32Range(-1, 7).Draw(g.rt, "kind")))
	s.SetStartTimestamp(g.at())
	s.SetEndTimestamp(pcommon.Timestamp(rapid.Uint64().Draw(g.rt, "end")))
	s.Status().SetCode(ptrace.StatusCode(rapid.Int32Range(-1, 4).Draw(g.rt, "status")))
	s.Status().SetMessage(g.text("message"))
	s.SetDroppedAttributesCount(g.count("dropped"))
	s.SetDroppedEventsCount(g.count("dropped"))
	s.SetDroppedLinksCount(g.count("dropped"))
	g.attributes(s.Attributes(), 2)
	for range g.few("events") {
		e := s.Events().AppendEmpty()
		e.SetName(g.text("event"))
		e.SetTimestamp(pcommon.Timestamp(rapid.Uint64().Draw(g.rt, "time")))
		e.SetDroppedAttributesCount(g.count("dropped"))
		g.attributes(e.Attributes(), 2)
	}
	for range g.few("links") {
		l := s.Links().AppendEmpty()
		l.SetTraceID(pcommon.TraceID{byte(g.few("link"))})
		l.SetSpanID(pcommon.SpanID{byte(g.few("link"))})
		l.TraceState().FromRaw(g.text("state"))
		l.SetFlags(g.count("flags"))
		l.SetDroppedAttributesCount(g.count("dropped"))
		g.attributes(l.Attributes(), 2)
	}
}

func (g *sender) logs() plog.Logs {
	ld := plog.NewLogs()
	for range g.few("resources") {
		rl := ld.ResourceLogs().AppendEmpty()
		rl.SetSchemaUrl(g.text("schema"))
		g.resource(rl.Resource())
		for range g.few("scopes") {
			sl := rl.ScopeLogs().AppendEmpty()
			sl.SetSchemaUrl(g.text("schema"))
			g.scope(sl.Scope())
			for range g.few("records") {
				g.record(sl.LogRecords().AppendEmpty())
			}
		}
	}
	return ld
}

func (g *sender) record(rec plog.LogRecord) {
	if g.flip("time") {
		rec.SetTimestamp(g.at())
	}
	if g.flip("observed") {
		rec.SetObservedTimestamp(g.at())
	}
	if g.flip("ids") {
		rec.SetTraceID(g.traceID())
		rec.SetSpanID(pcommon.SpanID{g.n})
	}
	rec.SetSeverityNumber(plog.SeverityNumber(rapid.Int32Range(-1, 30).Draw(g.rt, "severity")))
	rec.SetSeverityText(g.text("severity"))
	rec.SetEventName(g.text("event"))
	rec.SetFlags(plog.LogRecordFlags(g.count("flags")))
	rec.SetDroppedAttributesCount(g.count("dropped"))
	g.value(rec.Body(), 2)
	g.attributes(rec.Attributes(), 2)
}

// spanTexts writes each span with its resource and scope: how senders group them, and the order of attributes of
// different keys, mean nothing.
func spanTexts(td ptrace.Traces) (out []string) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				one := ptrace.NewTraces()
				dst := one.ResourceSpans().AppendEmpty()
				dst.SetSchemaUrl(rs.SchemaUrl())
				copyResource(rs.Resource(), dst.Resource())
				scope := dst.ScopeSpans().AppendEmpty()
				scope.SetSchemaUrl(ss.SchemaUrl())
				copyScope(ss.Scope(), scope.Scope())
				span := scope.Spans().AppendEmpty()
				s.CopyTo(span)
				sortKeys(span.Attributes())
				b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(one)
				out = append(out, fmt.Sprintf("%q %v", b, err))
			}
		}
	}
	return out
}

func recordTexts(ld plog.Logs) (out []string) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				one := plog.NewLogs()
				dst := one.ResourceLogs().AppendEmpty()
				dst.SetSchemaUrl(rl.SchemaUrl())
				copyResource(rl.Resource(), dst.Resource())
				scope := dst.ScopeLogs().AppendEmpty()
				scope.SetSchemaUrl(sl.SchemaUrl())
				copyScope(sl.Scope(), scope.Scope())
				record := scope.LogRecords().AppendEmpty()
				rec.CopyTo(record)
				sortKeys(record.Attributes())
				b, err := (&plog.ProtoMarshaler{}).MarshalLogs(one)
				out = append(out, fmt.Sprintf("%q %v", b, err))
			}
		}
	}
	return out
}

func copyResource(src, dst pcommon.Resource) {
	src.CopyTo(dst)
	sortKeys(dst.Attributes())
}

func copyScope(src, dst pcommon.InstrumentationScope) {
	src.CopyTo(dst)
	sortKeys(dst.Attributes())
}

// sortKeys sorts a map by key; values of one key keep their order.
func sortKeys(m pcommon.Map) {
	type pair struct {
		key   string
		value pcommon.Value
	}
	var pairs []pair
	for k, v := range m.All() {
		c := pcommon.NewValueEmpty()
		v.CopyTo(c)
		pairs = append(pairs, pair{k, c})
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	var b xpdata.MapBuilder
	for _, p := range pairs {
		p.value.CopyTo(b.AppendEmpty(p.key))
	}
	b.UnsafeIntoMap(m)
}
