package test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/test/harness"
)

// secrets are what must not get anywhere, each by a distinct part of it. They are put together so that no scanner takes
// this file for a leak.
func secrets() map[string]string {
	return map[string]string{
		"gh" + "p_" + strings.Repeat("Zq7", 12):      "Zq7Zq7",
		"sk-" + "proj-" + strings.Repeat("Kx9w", 10): "Kx9wKx9w",
		"zelda.quux@example.org":                     "zelda.quux",
		"4111 1111 1111 1111":                        "4111 1111",
		"+7 916 765-43-21":                           "765-43-21",
		"СНИЛС 112-233-445 95":                       "112-233-445",
		"ИНН 500100732259":                           "500100732259",
		"паспорт 4509 765432":                        "4509 765432",
		"CONTRACT-8812345":                           "8812345",
	}
}

// secretText is all secrets in prose, in JSON, and in JSON inside JSON.
func secretText(filler int) string {
	var b strings.Builder
	for s := range secrets() {
		fmt.Fprintf(&b, "say %s now; {\"key\":\"%s\",\"inner\":\"{\\\"again\\\":\\\"%s\\\"}\"} %s ", s, s, s, strings.Repeat("filler ", filler))
	}
	return b.String()
}

// leaky puts secrets into every place of a span that can hold text.
func leaky(text string, at time.Time, trace byte, failed bool) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "leaky")
	rs.Resource().Attributes().PutStr("owner", text)
	rs.SetSchemaUrl("https://zelda.quux@example.org/1.0")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().Attributes().PutStr("scope.note", text)
	ss.Scope().SetName("lib of zelda.quux@example.org")
	for i, op := range []string{"invoke_workflow", "chat"} {
		s := ss.Spans().AppendEmpty()
		s.SetTraceID([16]byte{1, trace})
		s.SetSpanID([8]byte{1, trace, byte(i + 1)})
		if i > 0 {
			s.SetParentSpanID([8]byte{1, trace, 1})
		} else if failed {
			s.Status().SetCode(ptrace.StatusCodeError)
		}
		s.SetName("to " + text)
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(at))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(at.Add(time.Second)))
		s.Status().SetMessage("failed for " + text)
		a := s.Attributes()
		a.PutStr("gen_ai.operation.name", op)
		a.PutStr("ai_team.task.id", fmt.Sprintf("leak-%d", trace))
		a.PutStr("gen_ai.request.model", "gpt-4o "+text)
		a.PutStr("gen_ai.input.messages", `[{"role":"user","parts":[{"type":"text","content":`+jsonString(text)+`}]}]`)
		a.PutStr("db.query.text", "SELECT '"+text+"'")
		a.PutStr("my.whole", "wholesecret88")
		a.PutEmptySlice("list").AppendEmpty().SetEmptyMap().PutStr("deep", text)
		a.PutEmptyBytes("bytes").FromRaw([]byte(text))
		e := s.Events().AppendEmpty()
		e.SetName("exception")
		e.Attributes().PutStr("exception.message", text)
		e.Attributes().PutStr("exception.stacktrace", "at "+text)
		s.Links().AppendEmpty().Attributes().PutStr("why", text)
	}
	return td
}

func jsonString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// TestNoSecretReachesLogDiskOrAPI sends secrets through the real server and looks for them in what it answers, in what it
// prints, in every file it wrote (compressed ones decompressed) and in every row it stored.
func TestNoSecretReachesLogDiskOrAPI(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "mindscope.yaml")
	settings := `
log: {level: debug}
redact:
  groups: [email, card, phone, passport, snils, inn]
  attributes: [my.whole]
  patterns:
    contract: 'CONTRACT-(\d+)'
capture:
  default: all
  teams: {held: failed-only}
`
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	s := harness.Start(t, harness.Options{Args: []string{"--config", config}})
	now := time.Now()
	send := func(path string, body []byte) {
		t.Helper()
		if status, answer := harness.Post(t, s.OTLPHTTP+path, "application/x-protobuf", body); status != http.StatusOK {
			t.Fatalf("%s: status %d: %s", path, status, answer)
		}
	}
	for i, filler := range []int{0, 40, 40} { // short texts, payloads, payloads that are held back and released
		td := leaky(secretText(filler), now, byte(i+1), i == 2)
		if i < 2 {
			send("/v1/traces", mustProto(t, td))
			continue
		}
		// The call comes first, its task's failure behind it.
		td.ResourceSpans().At(0).Resource().Attributes().PutStr("service.namespace", "held")
		for _, root := range []bool{false, true} {
			part := ptrace.NewTraces()
			td.CopyTo(part)
			part.ResourceSpans().At(0).ScopeSpans().At(0).Spans().RemoveIf(func(s ptrace.Span) bool { return s.ParentSpanID().IsEmpty() != root })
			send("/v1/traces", mustProto(t, part))
		}
	}
	ld := plog.NewLogs()
	rec := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	rec.SetTimestamp(pcommon.NewTimestampFromTime(now))
	rec.SetTraceID([16]byte{1, 1})
	rec.Body().SetStr("wrote " + secretText(40))
	rec.SetEventName("event of zelda.quux@example.org")
	rec.SetSeverityText("zelda.quux@example.org")
	rec.Attributes().PutStr("detail", secretText(0))
	rec.Attributes().PutStr("ai_team.task.id", "leak-1")
	body, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
	if err != nil {
		t.Fatal(err)
	}
	send("/v1/logs", body)
	// A refused request must not be quoted in the log either.
	harness.Post(t, s.OTLPHTTP+"/v1/traces", "application/json", []byte(`{"resourceSpans": "`+secretText(0)))

	const heldTrace = "/api/mindscope/v1/traces/0103" + "0000000000000000000000000000"
	answers := map[string]string{}
	harness.Eventually(t, visible, "the tasks", func() error {
		for _, path := range []string{
			"/api/mindscope/v1/tasks", "/api/mindscope/v1/tasks/leak-1", "/api/mindscope/v1/tasks/leak-2", "/api/mindscope/v1/tasks/leak-3?team=held",
			"/api/mindscope/v1/tasks/leak-1/logs", "/api/mindscope/v1/traces/" + strings.Repeat("01", 2) + strings.Repeat("0", 28),
			"/api/mindscope/v1/costs?by=model", "/metrics", heldTrace,
		} {
			resp, err := http.Get(s.HTTP + path)
			if err != nil {
				return err
			}
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: status %d %w", path, resp.StatusCode, err)
			}
			answers[path] = string(text)
		}
		if !strings.Contains(answers["/api/mindscope/v1/tasks/leak-1/logs"], "[redacted") {
			return errors.New("no log line yet")
		}
		if got := answers[heldTrace]; !strings.Contains(got, `"capture":"failed-only"`) || strings.Count(got, `"attr.gen_ai.input.messages"`) != 2 {
			return errors.New("the trace of the failed task does not show its held content yet")
		}
		return nil
	})
	for path, text := range answers {
		noSecret(t, path, []byte(text))
	}
	for _, rule := range []string{"github_token", "llm_key", "email", "card", "phone", "passport", "snils", "inn", "contract", "attribute"} {
		if n := s.Metric(t, `mindscope_redacted_total{rule="`+rule+`"}`); n == 0 {
			t.Errorf("rule %s was not counted", rule)
		}
	}
	s.Kill(t) // the write-ahead log is there as a crash leaves it
	noSecret(t, "the server's output", []byte(s.Output()))
	files := search(t, s.Data)
	rows := stored(t, s.Data)
	if files < 3 || rows < 8 {
		t.Errorf("only %d files and %d rows were looked at", files, rows)
	}
	search(t, s.Data)
}

func mustProto(t *testing.T, td ptrace.Traces) []byte {
	t.Helper()
	body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func noSecret(t *testing.T, where string, text []byte) {
	t.Helper()
	for _, part := range secrets() {
		if i := bytes.Index(text, []byte(part)); i >= 0 {
			t.Errorf("%s holds %q: …%q…", where, part, text[max(0, i-60):min(len(text), i+60)])
		}
	}
	if bytes.Contains(text, []byte("wholesecret88")) {
		t.Errorf("%s holds the value of a secret attribute", where)
	}
}

// search looks through every file below dir, as it is and with everything decompressed. It returns how many files there
// were.
func search(t *testing.T, dir string) int {
	t.Helper()
	files, packed := decoded(t, dir), 0
	for i := range files {
		packed += len(files[i].texts) - 1
		for _, text := range files[i].texts {
			noSecret(t, files[i].path, text)
		}
	}
	t.Logf("%d files with %d packed texts", len(files), packed)
	if packed == 0 {
		t.Error("nothing compressed was found: the search no longer knows the files")
	}
	return len(files)
}

// stored opens the data folder, which replays the log, and looks through every row of every kind.
func stored(t *testing.T, dir string) int {
	t.Helper()
	db, err := eventdb.Open(dir, eventdb.Config{Retention: 30 * 24 * time.Hour, PayloadRetention: 7 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.Flush()
	rows, content, masked := 0, 0, false
	for _, kind := range []store.Kind{store.KindSpan, store.KindLog, store.KindStart, store.KindCost, store.KindContent} {
		for r, err := range db.Select(t.Context(), signal.DefaultProject, store.Select{Scope: store.Scope{Kind: kind, Time: signal.AllTime()}}) {
			if err != nil {
				t.Fatal(err)
			}
			rows++
			if kind == store.KindContent {
				content++
			}
			for _, f := range r.Fields {
				noSecret(t, string(kind)+" "+f.Name, []byte(f.Value.Text()))
				masked = masked || strings.Contains(f.Value.Text(), "[redacted email]")
			}
		}
	}
	if content == 0 || !masked {
		t.Errorf("%d rows of content, masked %v: what was held back and redacted is not there", content, masked)
	}
	return rows
}
