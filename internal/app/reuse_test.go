package app

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
)

// The flood's size: enough requests at once for each to get memory that others gave back.
const (
	floodSenders  = 6
	floodRequests = 20
	floodSpans    = 12
)

// heldTeam is the team whose content is held back until its tasks fail.
const heldTeam = "careful"

// fields are what a row says, by name, as JSON.
type fields map[string]string

// flood is what was sent and must be read back, by row.
type flood struct {
	spans, logs, content map[string]fields
}

// TestFloodIsStoredAsSent sends many requests at once, whose memory the server uses again and again, and wants each row
// as it was sent: no value of another request, none missing. Content that was held back over many requests counts too.
func TestFloodIsStoredAsSent(t *testing.T) {
	cfg := settings(t.TempDir())
	cfg.Capture.Teams = map[string]string{heldTeam: "failed-only"}
	a, stop := start(t, cfg)
	if !pref.UseProtoPooling.IsEnabled() {
		t.Fatal("the server does not use memory again")
	}
	want := flood{map[string]fields{}, map[string]fields{}, map[string]fields{}}
	var senders sync.WaitGroup
	began := time.Now().Add(-time.Minute)
	for sender := range byte(floodSenders) {
		var traces, logs [][]byte
		for request := range byte(floodRequests) {
			td, ld := floodTraces(sender, request, began), floodLogs(sender, request, began)
			want.expect(td, ld)
			traces, logs = append(traces, traceBytes(t, td)), append(logs, recordBytes(t, ld))
		}
		failed := traceBytes(t, failedTask(sender, began))
		senders.Go(func() {
			for i := range traces {
				post(t, a, "/v1/traces", traces[i])
				post(t, a, "/v1/logs", logs[i])
			}
			post(t, a, "/v1/traces", failed)
		})
	}
	senders.Wait()
	stop()

	db, err := eventdb.Open(cfg.Data, eventdb.Config{Retention: cfg.Retention, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	f := func(kind store.Kind, want map[string]fields) {
		t.Helper()
		got := map[string]fields{}
		for row, err := range db.Select(t.Context(), signal.DefaultProject, store.Select{Scope: store.Scope{Kind: kind, Time: signal.AllTime()}}) {
			if err != nil {
				t.Fatal(err)
			}
			if id := rowKey(row); row.Text(store.FieldName) != "execute_task" {
				got[id] = fieldsOf(row)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d rows of kind %s, want %d", len(got), kind, len(want))
		}
		for id, row := range want {
			if diff := cmp.Diff(row, got[id]); diff != "" {
				t.Fatalf("%s %s (-sent +stored):\n%s", kind, id, diff)
			}
		}
	}
	f(store.KindSpan, want.spans)
	f(store.KindLog, want.logs)
	f(store.KindContent, want.content)
}

// rowKey names a row of the flood: what was sent as its key, else its id.
func rowKey(r *store.Row) string {
	if key := r.Text(store.PrefixAttr + "key"); key != "" {
		return key
	}
	return r.ID
}

// fieldsOf returns what the sender said and what was found out about whom.
func fieldsOf(r *store.Row) fields {
	f := fields{}
	for _, field := range r.Fields {
		switch field.Name {
		case store.FieldTaskProvisional, store.FieldCapture, store.FieldDialect, store.FieldCostSource, store.FieldPriceVersion,
			store.FieldCostMicro, store.FieldCostRest, store.FieldCostParts, store.FieldKind, store.FieldRowID, store.FieldRevision:
			continue
		}
		f[field.Name] = string(field.Value.JSON())
	}
	return f
}

// expect notes what td and ld must become.
func (w *flood) expect(td ptrace.Traces, ld plog.Logs) {
	for _, row := range store.AppendSpanRows(nil, td) {
		f := fieldsOf(&row)
		found := func(column, attr string) { f[column] = f[store.PrefixAttr+attr] }
		found(store.FieldTeam, "ai_team.team")
		found(store.FieldTaskID, "ai_team.task.id")
		found(store.FieldAgent, "gen_ai.agent.name")
		found(store.FieldConversation, "gen_ai.conversation.id")
		found(store.FieldOperation, "gen_ai.operation.name")
		found(store.FieldProvider, "gen_ai.provider.name")
		found(store.FieldModel, "gen_ai.request.model")
		found(store.FieldTokensInput, "gen_ai.usage.input_tokens")
		found(store.FieldTokensOutput, "gen_ai.usage.output_tokens")
		if row.Text(store.PrefixAttr+"ai_team.team") == heldTeam {
			w.hold(&row, f)
		}
		w.spans[rowKey(&row)] = f
	}
	for _, row := range store.AppendLogRows(nil, ld) {
		f := fieldsOf(&row)
		f[store.FieldTeam] = f[store.PrefixAttr+"ai_team.team"]
		f[store.FieldTaskID] = f[store.PrefixAttr+"ai_team.task.id"]
		w.logs[rowKey(&row)] = f
	}
}

// hold moves content from a span's fields to the row that is stored when its task has failed.
func (w *flood) hold(row *store.Row, f fields) {
	content := fields{store.FieldEventName: `"ai_team.span.content"`}
	for _, name := range []string{"gen_ai.input.messages", "gen_ai.tool.call.arguments"} {
		content[store.PrefixAttr+name] = f[store.PrefixAttr+name]
		delete(f, store.PrefixAttr+name)
	}
	for _, name := range []string{store.FieldTraceID, store.FieldSpanID, store.FieldTeam, store.FieldTaskID, store.FieldAgent} {
		content[name] = f[name]
	}
	content[store.FieldService] = `"unknown_service"`
	w.content[row.ID] = maps.Clone(content)
}

// floodTraces makes a request in which no two values are alike, nor like those of another request. Every second sender is
// of the team whose content is held.
func floodTraces(sender, request byte, began time.Time) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%d-%d", sender, request))
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName(fmt.Sprintf("scope-%d-%d", sender, request))
	for i := range byte(floodSpans) {
		key := fmt.Sprintf("span-%d-%d-%d", sender, request, i)
		s := ss.Spans().AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1, sender})
		s.SetSpanID(pcommon.SpanID{2, sender, request, i})
		s.SetParentSpanID(pcommon.SpanID{1, sender})
		s.SetName("chat " + key)
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(began.Add(time.Duration(request) * time.Second)))
		s.SetEndTimestamp(s.StartTimestamp() + pcommon.Timestamp(i) + 1)
		s.TraceState().FromRaw("at=" + key)
		s.Status().SetMessage("said " + key)
		fill(s.Attributes(), key, sender, request, i)
		e := s.Events().AppendEmpty()
		e.SetName("event " + key)
		fill(e.Attributes(), "event-"+key, sender, request, i)
		l := s.Links().AppendEmpty()
		l.SetSpanID(pcommon.SpanID{3, sender, request, i})
		l.Attributes().PutStr("of", key)
		if sender%2 == 0 {
			e.Attributes().Remove("gen_ai.input.messages") // only spans' own content is compared
			e.Attributes().Remove("gen_ai.tool.call.arguments")
		}
	}
	return td
}

// fill puts attributes of every type.
func fill(a pcommon.Map, key string, sender, request, i byte) {
	n := int64(sender)<<16 | int64(request)<<8 | int64(i)
	a.PutStr("key", key)
	a.PutStr("ai_team.team", "careless")
	if sender%2 == 0 {
		a.PutStr("ai_team.team", heldTeam)
	}
	a.PutStr("ai_team.task.id", fmt.Sprintf("task-%d", sender))
	a.PutStr("gen_ai.operation.name", "chat")
	a.PutStr("gen_ai.provider.name", "openai")
	a.PutStr("gen_ai.request.model", "model-"+key)
	a.PutStr("gen_ai.agent.name", "agent-"+key)
	a.PutStr("gen_ai.conversation.id", "conversation-"+key)
	a.PutInt("gen_ai.usage.input_tokens", 1_000_000+n)
	a.PutInt("gen_ai.usage.output_tokens", 2_000_000+n)
	a.PutDouble("gen_ai.request.temperature", float64(n)+0.5)
	a.PutBool("gen_ai.request.stream", n%3 == 0)
	a.PutEmptyBytes("raw").FromRaw([]byte("bytes of " + key))
	a.PutEmptySlice("gen_ai.response.finish_reasons").AppendEmpty().SetStr("reason of " + key)
	// Long enough to be stored as a payload.
	a.PutStr("gen_ai.input.messages", `[{"role":"user","content":"`+strings.Repeat(key+" ", 60)+`"}]`)
	arguments := a.PutEmptyMap("gen_ai.tool.call.arguments")
	arguments.PutInt("n", n)
	deep := arguments.PutEmptySlice("deep")
	deep.AppendEmpty().SetDouble(float64(n) + 0.25)
	deep.AppendEmpty().SetEmptyMap().PutStr("text", key)
}

func floodLogs(sender, request byte, began time.Time) plog.Logs {
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for i := range byte(floodSpans) {
		key := fmt.Sprintf("log-%d-%d-%d", sender, request, i)
		r := records.AppendEmpty()
		r.SetTraceID(pcommon.TraceID{1, sender})
		r.SetSpanID(pcommon.SpanID{2, sender, request, i})
		r.SetTimestamp(pcommon.NewTimestampFromTime(began.Add(time.Duration(request) * time.Second)))
		r.SetSeverityNumber(plog.SeverityNumberError) // content of errors stays
		r.SetSeverityText("severe " + key)
		body := r.Body().SetEmptyMap()
		body.PutStr("line", key)
		body.PutEmptySlice("list").AppendEmpty().SetInt(int64(sender)<<16 | int64(request)<<8 | int64(i))
		a := r.Attributes()
		a.PutStr("key", key)
		a.PutStr("ai_team.team", "careless")
		a.PutStr("ai_team.task.id", fmt.Sprintf("task-%d", sender))
		a.PutDouble("weight", float64(i)+0.125)
		a.PutEmptyBytes("raw").FromRaw([]byte("bytes of " + key))
		a.PutEmptyMap("map").PutStr("text", key)
	}
	return ld
}

// failedTask is the root that says that a sender's task failed.
func failedTask(sender byte, began time.Time) ptrace.Traces {
	td := ptrace.NewTraces()
	s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetTraceID(pcommon.TraceID{1, sender})
	s.SetSpanID(pcommon.SpanID{1, sender})
	s.SetName("execute_task")
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(began))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(began.Add(time.Minute)))
	s.Status().SetCode(ptrace.StatusCodeError)
	if sender%2 == 0 {
		s.Attributes().PutStr("ai_team.team", heldTeam)
	}
	s.Attributes().PutStr("ai_team.task.id", fmt.Sprintf("task-%d", sender))
	return td
}

func traceBytes(t *testing.T, td ptrace.Traces) []byte {
	t.Helper()
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func recordBytes(t *testing.T, ld plog.Logs) []byte {
	t.Helper()
	body, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// post sends a request from any goroutine; the answer must be that all was taken.
func post(t *testing.T, a *App, path string, body []byte) {
	t.Helper()
	resp, err := http.Post("http://"+a.Addrs().OTLPHTTP+path, "application/x-protobuf", strings.NewReader(string(body)))
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ContentLength != 0 {
		t.Errorf("%s: %s, %d bytes of answer", path, resp.Status, resp.ContentLength)
	}
}
