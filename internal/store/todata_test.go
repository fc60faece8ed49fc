package store

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/conv"
)

func fillAttributes(m pcommon.Map) {
	m.PutStr("text", "Привет")
	m.PutStr("empty", "")
	m.PutInt("int", math.MinInt64)
	m.PutDouble("double", 5)
	m.PutDouble("nan", math.NaN())
	m.PutDouble("minus zero", math.Copysign(0, -1))
	m.PutBool("no", false)
	m.PutEmpty("null")
	m.PutEmptyBytes("bytes").FromRaw([]byte{0, 255})
	m.PutStr("not utf8", "a\xffb")
	s := m.PutEmptySlice("list")
	s.AppendEmpty().SetInt(1)
	s.AppendEmpty().SetDouble(1)
	s.AppendEmpty()
	s.AppendEmpty().SetStr("a\xffb\"\\\n\x01<&>")
	inner := m.PutEmptyMap("map")
	inner.PutEmptyMap("@map").PutStr("@bytes", "x")
	inner.PutEmptyMap("tag").PutStr("@bytes", "not base64")
	inner.PutDouble("inf", math.Inf(-1))
	inner.PutStr("bad\xffkey", "v")
	inner.PutStr("@utf8:", "v")
	m.PutEmptyMap("only").PutStr("@double", "NaN")
	m.PutEmptySlice("no items")
	m.PutEmptyMap("no members")
}

func fullTraces() ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.SetSchemaUrl("https://opentelemetry.io/schemas/1.43.0")
	rs.Resource().SetDroppedAttributesCount(1)
	rs.Resource().Attributes().PutStr(conv.ServiceName, "svc")
	fillAttributes(rs.Resource().Attributes())
	ss := rs.ScopeSpans().AppendEmpty()
	ss.SetSchemaUrl("https://scope")
	ss.Scope().SetName("lib")
	ss.Scope().SetVersion("1")
	ss.Scope().SetDroppedAttributesCount(2)
	fillAttributes(ss.Scope().Attributes())
	s := ss.Spans().AppendEmpty()
	s.SetTraceID(pcommon.TraceID{1, 2, 3})
	s.SetSpanID(pcommon.SpanID{4, 5})
	s.SetParentSpanID(pcommon.SpanID{6})
	s.TraceState().FromRaw("a=b")
	s.SetFlags(257)
	s.SetName("chat gpt-4o")
	s.SetKind(ptrace.SpanKindClient)
	s.SetStartTimestamp(100)
	s.SetEndTimestamp(50)
	s.Status().SetCode(ptrace.StatusCodeError)
	s.Status().SetMessage("no")
	s.SetDroppedAttributesCount(3)
	s.SetDroppedEventsCount(4)
	s.SetDroppedLinksCount(5)
	fillAttributes(s.Attributes())
	e := s.Events().AppendEmpty()
	e.SetName("exception")
	e.SetTimestamp(math.MaxUint64)
	e.SetDroppedAttributesCount(6)
	fillAttributes(e.Attributes())
	s.Events().AppendEmpty()
	l := s.Links().AppendEmpty()
	l.SetTraceID(pcommon.TraceID{9})
	l.SetSpanID(pcommon.SpanID{8})
	l.TraceState().FromRaw("c=d")
	l.SetFlags(1)
	l.SetDroppedAttributesCount(7)
	fillAttributes(l.Attributes())
	bare := ss.Spans().AppendEmpty()
	bare.SetKind(ptrace.SpanKind(77))
	bare.Status().SetCode(ptrace.StatusCode(9))
	bare.SetStartTimestamp(math.MaxUint64)
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("no service")
	return td
}

func marshal(t *testing.T, td ptrace.Traces) string {
	t.Helper()
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTracesComeBackAsSent(t *testing.T) {
	want := fullTraces()
	got, err := Traces(AppendSpanRows(nil, want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(marshal(t, want), marshal(t, got)); diff != "" {
		t.Errorf("sent and restored differ (-sent +restored):\n%s", diff)
	}
}

func TestLogsComeBackAsSent(t *testing.T) {
	want := plog.NewLogs()
	rl := want.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr(conv.ServiceName, "svc")
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName("slog")
	full := sl.LogRecords().AppendEmpty()
	full.SetTimestamp(5)
	full.SetObservedTimestamp(6)
	full.SetTraceID(pcommon.TraceID{1})
	full.SetSpanID(pcommon.SpanID{2})
	full.SetSeverityNumber(plog.SeverityNumberWarn)
	full.SetSeverityText("WARN")
	full.SetEventName("e")
	full.SetFlags(1)
	full.SetDroppedAttributesCount(2)
	fillAttributes(full.Attributes())
	fillAttributes(full.Body().SetEmptyMap())
	late := sl.LogRecords().AppendEmpty()
	late.SetObservedTimestamp(7)
	late.Body().SetStr("")
	sl.LogRecords().AppendEmpty()
	got, err := Logs(AppendLogRows(nil, want))
	if err != nil {
		t.Fatal(err)
	}
	m := &plog.ProtoMarshaler{}
	a, err := m.MarshalLogs(want)
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.MarshalLogs(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(a), string(b)); diff != "" {
		t.Errorf("sent and restored differ (-sent +restored):\n%s", diff)
	}
}

func TestCanonicalColumnsAreNoAttributes(t *testing.T) {
	td := ptrace.NewTraces()
	s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.Attributes().PutStr(conv.MindscopeTaskID, "task-1")
	s.Attributes().PutStr("mindscope.other", "kept")
	rows := AppendSpanRows(nil, td)
	if got := rows[0].Text(FieldTaskID); got != "task-1" {
		t.Errorf("task_id = %q, want task-1", got)
	}
	back, err := Traces(rows)
	if err != nil {
		t.Fatal(err)
	}
	attrs := back.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw()
	if diff := cmp.Diff(map[string]any{"mindscope.other": "kept"}, attrs); diff != "" {
		t.Error(diff)
	}
}

func TestRowIDs(t *testing.T) {
	ld := plog.NewLogs()
	recs := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, body := range []string{"same", "same", "other"} {
		recs.AppendEmpty().Body().SetStr(body)
	}
	first, again := AppendLogRows(nil, ld), AppendLogRows(nil, ld)
	for i := range first {
		if first[i].ID != again[i].ID {
			t.Errorf("record %d: sent again it has id %s, was %s", i, again[i].ID, first[i].ID)
		}
	}
	if first[0].ID == first[1].ID || first[0].ID == first[2].ID {
		t.Errorf("ids are not distinct: %s %s %s", first[0].ID, first[1].ID, first[2].ID)
	}
	if want := "01020300000000000000000000000000" + "0405000000000000"; AppendSpanRows(nil, fullTraces())[0].ID != want {
		t.Errorf("span id is not %s", want)
	}
}

func FuzzDecodeAny(f *testing.F) {
	v := pcommon.NewValueMap()
	fillAttributes(v.Map())
	for _, seed := range []string{EncodeAny(v), "1", "1.5", `{"@bytes":"AA=="}`, `[1,{"a":null}]`, `{"a":1,"a":2}`, "[", `{"@map":{"@map":1}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, js string) {
		v := pcommon.NewValueEmpty()
		if DecodeAny(js, v) != nil {
			return
		}
		text := EncodeAny(v)
		again := pcommon.NewValueEmpty()
		if err := DecodeAny(text, again); err != nil {
			t.Fatalf("decode what was encoded, %q: %v", text, err)
		}
		if back := EncodeAny(again); back != text {
			t.Fatalf("encode is not stable: %q, then %q", text, back)
		}
	})
}

func BenchmarkAppendSpanRows(b *testing.B) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr(conv.ServiceName, "svc")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for range 100 {
		s := spans.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1})
		s.SetSpanID(pcommon.SpanID{1})
		for _, k := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o"} {
			s.Attributes().PutStr(k, "value")
		}
	}
	var rows []Row
	b.ReportAllocs()
	for b.Loop() {
		rows = AppendSpanRows(rows[:0], td)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/span")
}
