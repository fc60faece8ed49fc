// Package fault breaks things around the real binary and counts what is lost, what is doubled and what readers see.
//
// `go test` runs a part that fits into a minute, beside what TestServerClockJumpsBack builds the first time; `make fault`
// (MINDSCOPE_FAULT=full) runs all of it and writes the figures to bench/fault.json.
package fault

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/test/harness"
)

func full() bool { return os.Getenv("MINDSCOPE_FAULT") == "full" }

// figures adds figures to bench/fault.json when all is run.
func figures(t *testing.T, add map[string]float64) {
	t.Helper()
	for name, v := range add {
		t.Logf("%s = %g", name, v)
	}
	if !full() {
		return
	}
	path := filepath.Join(harness.Root(t), "bench", "fault.json")
	all := map[string]float64{}
	if b, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(b, &all); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	maps.Copy(all, add)
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// request is one OTLP request: all of it is made of these few, so that it can be sent again, and compared with what is stored.
type request struct {
	number uint64
	spans  int
	// system and prompt are texts that all spans share; other requests may have the same system.
	system, prompt string
	// own is the length of a text that each span has for itself.
	own int
	at  time.Time
}

// input is the field that the spans share, "" without a prompt.
func (r request) input() string {
	if r.prompt == "" {
		return ""
	}
	user := fmt.Sprintf(`{"role":"user","content":"%d %s"}`, r.number, r.prompt)
	if r.system == "" {
		return "[" + user + "]"
	}
	return `[{"role":"system","content":"` + r.system + `"},` + user + "]"
}

// output is the field that is the span's own.
func (r request) output(i int) string {
	if r.own == 0 {
		return ""
	}
	words := fmt.Sprintf("answer %d of request %d ", i, r.number)
	return `[{"role":"assistant","content":"` + strings.Repeat(words, r.own/len(words)+1) + `"}]`
}

const (
	attrInput  = "gen_ai.input.messages"
	attrOutput = "gen_ai.output.messages"
)

func traceID(number uint64) pcommon.TraceID {
	var id pcommon.TraceID
	id[0] = 1
	binary.BigEndian.PutUint64(id[8:], number)
	return id
}

func (r request) body(t testing.TB) []byte {
	t.Helper()
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "faulty")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	input := r.input()
	for i := range r.spans {
		s := spans.AppendEmpty()
		s.SetTraceID(traceID(r.number))
		var id pcommon.SpanID
		binary.BigEndian.PutUint64(id[:], uint64(i+1))
		s.SetSpanID(id)
		s.SetName("chat gpt-4o")
		s.Attributes().PutInt("n", int64(i))
		if r.prompt != "" {
			s.Attributes().PutStr(attrInput, input)
		}
		if r.own > 0 {
			s.Attributes().PutStr(attrOutput, r.output(i))
		}
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(r.at.Add(time.Duration(i))))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(r.at.Add(time.Second)))
	}
	b, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// answer is what a sender learns.
type answer struct {
	status     int
	retryAfter string
	text       string
}

var client = http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// send sends a body; an error means that there was no whole answer.
func send(url string, body []byte) (answer, error) {
	resp, err := client.Post(url+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header.Get("Retry-After"), string(text)}, err
}

func mustSend(t *testing.T, s *harness.Server, r request) {
	t.Helper()
	a, err := send(s.OTLPHTTP, r.body(t))
	if err != nil || a.status != http.StatusOK || a.text != "" {
		t.Fatalf("send: %v, %+v", err, a)
	}
}

// open opens the folder of a server that has ended.
func open(t *testing.T, dir string) *eventdb.DB {
	t.Helper()
	db, err := eventdb.Open(dir, eventdb.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	return db
}

// difference is how what is stored differs from what was acknowledged, in spans.
type difference struct{ missing, doubled, changed int }

// compare reads every stored span with its texts.
func compare(t *testing.T, db store.Events, acked []request) difference {
	t.Helper()
	sent := map[string]request{}
	for _, r := range acked {
		sent[traceID(r.number).String()] = r
	}
	const input, output = "attr." + attrInput, "attr." + attrOutput
	q := store.Select{
		Scope:  store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldService, "faulty")},
		Fields: []string{store.FieldTraceID, store.FieldSpanID, input, output},
	}
	var d difference
	have := map[string]map[int]int{}
	for row, err := range db.Select(t.Context(), signal.DefaultProject, q) {
		if err != nil {
			t.Fatal(err)
		}
		trace, i := strings.Clone(row.Text(store.FieldTraceID)), spanNumber(t, row.Text(store.FieldSpanID))
		if have[trace] == nil {
			have[trace] = map[int]int{}
		}
		if have[trace][i]++; have[trace][i] > 1 {
			d.doubled++
		}
		r, ok := sent[trace]
		if ok && (row.Text(input) != r.input() || row.Text(output) != r.output(i)) {
			if d.changed++; d.changed == 1 {
				t.Logf("span %d of request %d came back with the texts %.200q and %.200q, without %q",
					i, r.number, row.Text(input), row.Text(output), row.Text(store.FieldPayloadsExpired))
			}
		}
	}
	for trace, r := range sent {
		for i := range r.spans {
			if have[trace][i] == 0 {
				d.missing++
			}
		}
	}
	return d
}

// spanNumber tells which span of its request one is.
func spanNumber(t *testing.T, id string) int {
	t.Helper()
	n, err := strconv.ParseUint(id, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(n) - 1
}

// spansOf asks the API for the number of spans of a trace.
func spansOf(s *harness.Server, number uint64) (int, error) {
	id := traceID(number)
	var got struct {
		Spans []json.RawMessage `json:"spans"`
	}
	err := s.Get("/api/mindscope/v1/traces/"+id.String()+"?limit=1000", &got)
	return len(got.Spans), err
}

func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	harness.Eventually(t, 30*time.Second, what, f)
}

var errNotYet = errors.New("not yet")

// hugePart is a part of one trace of very many spans.
func hugePart(t *testing.T, part, spans int) []byte {
	t.Helper()
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "huge")
	all := rs.ScopeSpans().AppendEmpty().Spans()
	at := time.Now()
	for i := range spans {
		s := all.AppendEmpty()
		s.SetTraceID(traceID(7))
		var id pcommon.SpanID
		binary.BigEndian.PutUint64(id[:], uint64(part*spans+i+1))
		s.SetSpanID(id)
		s.SetName("execute_tool search")
		s.Attributes().PutInt("n", int64(i))
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(at.Add(time.Duration(i))))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(at.Add(time.Second)))
	}
	b, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
