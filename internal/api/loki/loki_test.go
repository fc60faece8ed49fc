package loki

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/mindscope/mindscope/internal/derive/tail"
	"github.com/mindscope/mindscope/internal/query/logql"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// now is the server's clock in tests. Records lie in the minutes before it.
var now = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

type bench struct {
	t      *testing.T
	events *memdb.DB
	feed   *tail.Feed
	server *httptest.Server
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, feed: tail.New()}
	b.events = memdb.New(memdb.Config{Clock: func() time.Time { return now }, Observer: b.feed})
	api := New(logql.New(b.events, logql.Config{}), Config{
		Version: "v1.2.3", Retention: 30 * 24 * time.Hour, Feed: b.feed, Clock: func() time.Time { return now },
		Failed: func(err error) { t.Errorf("a question failed: %v", err) },
	})
	b.server = httptest.NewServer(api)
	t.Cleanup(b.server.Close)
	b.write(-300*time.Second, 9, "writer", "draft written", "words", "1200")
	b.write(-200*time.Second, 17, "writer", `draft lost: "disk full"`, "retry", "true")
	b.write(-200*time.Second+1, 9, "critic", `{"score":3.5,"took":"20ms"}`)
	b.write(-100*time.Second, 0, "critic", "level=warn size=5KB")
	return b
}

// write stores a record of the trace 1 and the task task-1.
func (b *bench) write(at time.Duration, severity int, service, line string, attrs ...string) {
	b.t.Helper()
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", service)
	rec := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	rec.SetTimestamp(pcommon.NewTimestampFromTime(now.Add(at)))
	rec.SetSeverityNumber(plog.SeverityNumber(severity))
	rec.SetTraceID(pcommon.TraceID{15: 1})
	rec.Body().SetStr(line)
	rec.Attributes().PutStr("mindscope.team", "press")
	rec.Attributes().PutStr("mindscope.task_id", "task-1")
	for i := 0; i < len(attrs); i += 2 {
		rec.Attributes().PutStr(attrs[i], attrs[i+1])
	}
	if rejected, err := b.events.Write(b.t.Context(), signal.DefaultProject, store.AppendLogRows(nil, ld)); err != nil || rejected.Items > 0 {
		b.t.Fatalf("write: %v, %+v", err, rejected)
	}
}

// ask sends a request as Grafana does. params are name and value in turns.
func (b *bench) ask(method, path string, header http.Header, params ...string) (int, http.Header, string) {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(params); i += 2 {
		form.Add(params[i], params[i+1])
	}
	target, body := b.server.URL+path+"?"+form.Encode(), ""
	if method == http.MethodPost {
		target, body = b.server.URL+path, form.Encode()
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(answer)
}

// took and speed are the figures that differ from run to run.
var took = regexp.MustCompile(`"(execTime|bytesProcessedPerSecond|linesProcessedPerSecond)":[0-9.]+`)

// golden compares an answer with the file of the test's name.
func golden(t *testing.T, answer string) {
	t.Helper()
	answer = took.ReplaceAllString(answer, `"$1":0`)
	if !json.Valid([]byte(answer)) {
		t.Fatalf("no JSON: %s", answer)
	}
	file := filepath.Join("testdata", strings.TrimPrefix(strings.ReplaceAll(t.Name(), "/", "_"), "Test")+".json")
	if *rewrite {
		if err := os.WriteFile(file, []byte(answer), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), answer); diff != "" {
		t.Errorf("answer differs (-file +server):\n%s", diff)
	}
}

// expect asks and compares a good answer with the golden file.
func (b *bench) expect(t *testing.T, path string, params ...string) string {
	t.Helper()
	status, header, answer := b.ask(http.MethodGet, path, grafana(), params...)
	if status != http.StatusOK || header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Fatalf("status %d, %s: %s", status, header.Get("Content-Type"), answer)
	}
	golden(t, answer)
	return answer
}

// grafana are the headers of its requests.
func grafana() http.Header {
	return http.Header{
		"X-Loki-Response-Encoding-Flags": {"categorize-labels"},
		"X-Query-Tags":                   {"Source=logvolhist"},
		"X-Loki-Query-Limits-Context":    {`{"expr":"{}","from":1,"to":2}`},
		"X-Scope-Orgid":                  {"anonymous"},
	}
}

func ns(at time.Duration) string { return fmt.Sprint(now.Add(at).UnixNano()) }

// window is the range that most tests ask for.
func window(more ...string) []string {
	return append([]string{"start", ns(-10 * time.Minute), "end", ns(0)}, more...)
}
