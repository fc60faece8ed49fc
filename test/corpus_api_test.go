package test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/mindscope/mindscope/test/corpus"
	"github.com/mindscope/mindscope/test/harness"
)

// corpusTokens are the buckets of the API.
type corpusTokens struct {
	Input      int64 `json:"input"`
	CacheRead  int64 `json:"cache_read"`
	CacheWrite int64 `json:"cache_write"`
	Output     int64 `json:"output"`
	Reasoning  int64 `json:"reasoning"`
}

// corpusTask is what the API says of a task's totals.
type corpusTask struct {
	ID       string       `json:"id"`
	Spans    int          `json:"spans"`
	Errors   int          `json:"errors"`
	LLMCalls int          `json:"llm_calls"`
	Models   []string     `json:"models"`
	Traces   []string     `json:"traces"`
	Tokens   corpusTokens `json:"tokens"`
	Agents   []struct {
		Name string `json:"name"`
	} `json:"agents"`
	Tools []struct {
		Name  string `json:"name"`
		Calls int    `json:"calls"`
	} `json:"tools"`
	Usage []struct {
		Operation string       `json:"operation"`
		Spans     int          `json:"spans"`
		Unknown   int          `json:"unknown"`
		Tokens    corpusTokens `json:"tokens"`
	} `json:"usage"`
}

// corpusTotals is what one recording says, in the terms of FACTS.json. Unlike there, every count of the API's embeddings
// is left out: MindScope counts them as calls of models, FACTS.json does not.
type corpusTotals struct {
	Spans, Calls, Errors, Traces                    int
	Input, Output, CacheRead, CacheWrite, Reasoning int64
	Models, Agents                                  []string
	Tools                                           map[string]int
}

// TestCorpusThroughTheServer sends every recording to the running server over OTLP and compares what the API says of it
// with its facts. Each recording has a project of its own.
func TestCorpusThroughTheServer(t *testing.T) {
	recs := recordings(t)
	s := harness.Start(t, harness.Options{Args: []string{"--retention", "100y", "--payload-retention", "100y"}})
	sent := make([]corpus.Data, len(recs))
	for i, rec := range recs {
		if convertible(t, rec) {
			sent[i] = sendRecording(t, s, rec, corpusProject(i))
		}
	}
	for i, rec := range recs {
		if sent[i] == (corpus.Data{}) {
			continue // TestEveryFileIsSentOrCannotBe says why
		}
		t.Run(rec.Path, func(t *testing.T) {
			want := factTotals(rec.Facts)
			// A span that was sent twice is one span.
			want.Spans = distinct(sent[i].Traces)
			got := readTotals(t, s, corpusProject(i), want.Spans)
			if want.Reasoning == 0 {
				// The facts know one spelling of reasoning tokens only. What other spellings say is part of Output, which
				// is compared, and each number must stand in the file.
				checkReported(t, rec, got.Reasoning)
				want.Reasoning = got.Reasoning
			}
			if rec.Facts.Format == "langfuse-export" {
				got.Models = requestedModels(sent[i].Traces, got.Models, want.Models)
			}
			if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-facts +API:\n%s", diff)
			}
			checkMessages(t, s, rec, corpusProject(i), sent[i].Traces)
			checkOracle(t, s, rec, corpusProject(i), sent[i].Traces)
		})
	}
}

func recordings(t *testing.T) []corpus.Recording {
	t.Helper()
	root := harness.NeedSamples(t)
	recs, err := corpus.Recordings(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(recs) == 0 {
		t.Fatalf("FACTS.json of %s names no recording of spans", root)
	}
	return recs
}

// convertible tells whether a recording is in a container that can be sent.
func convertible(t *testing.T, rec corpus.Recording) bool {
	t.Helper()
	raw, err := rec.Read()
	if err != nil {
		t.Fatal(err)
	}
	_, err = corpus.Convert(rec.Facts.Format, raw)
	return !errors.Is(err, corpus.ErrContainer)
}

func corpusProject(i int) string { return "corpus-" + strconv.Itoa(i) }

// sendRecording sends a file as one request a signal. Recordings without times happen now.
func sendRecording(t *testing.T, s *harness.Server, rec corpus.Recording, project string) corpus.Data {
	t.Helper()
	raw, err := rec.Read()
	if err != nil {
		t.Fatal(err)
	}
	d, err := corpus.Convert(rec.Facts.Format, raw)
	if err != nil {
		t.Fatalf("%s: %v", rec.Path, err)
	}
	now := pcommon.NewTimestampFromTime(time.Now())
	for span := range spansIn(d.Traces) {
		if span.StartTimestamp() == 0 {
			span.SetStartTimestamp(now)
			span.SetEndTimestamp(now)
		}
	}
	body, err := ptraceotlp.NewExportRequestFromTraces(d.Traces).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	postTo(t, s.OTLPHTTP+"/v1/traces", project, body)
	if d.Logs.LogRecordCount() > 0 {
		if body, err = plogotlp.NewExportRequestFromLogs(d.Logs).MarshalProto(); err != nil {
			t.Fatal(err)
		}
		postTo(t, s.OTLPHTTP+"/v1/logs", project, body)
	}
	return d
}

// postTo sends a request of protobuf to a project; all of it must be accepted.
func postTo(t *testing.T, url, project string, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("X-Mindscope-Project", project)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	// An answer without rejected spans is empty.
	if resp.StatusCode != http.StatusOK || len(answer) > 2 {
		t.Fatalf("project %s: status %d: %q", project, resp.StatusCode, answer)
	}
}

func spansIn(td ptrace.Traces) func(func(ptrace.Span) bool) {
	return func(yield func(ptrace.Span) bool) {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					if !yield(span) {
						return
					}
				}
			}
		}
	}
}

func distinct(td ptrace.Traces) int {
	ids := map[string]bool{}
	for span := range spansIn(td) {
		ids[span.TraceID().String()+span.SpanID().String()] = true
	}
	return len(ids)
}

// corpusTasks reads a project's tasks, page by page, until they hold so many spans.
func corpusTasks(t *testing.T, s *harness.Server, project string, spans int) []corpusTask {
	t.Helper()
	var tasks []corpusTask
	harness.Eventually(t, visible, "the spans of "+project, func() error {
		tasks = nil
		for next := ""; ; {
			var page struct {
				Tasks []corpusTask `json:"tasks"`
				Next  string       `json:"next"`
			}
			if err := s.Get("/api/mindscope/v1/tasks?limit=20&project="+project+"&page="+next, &page); err != nil {
				return err
			}
			tasks = append(tasks, page.Tasks...)
			if next = page.Next; next == "" {
				break
			}
		}
		n := 0
		for _, task := range tasks {
			n += task.Spans
		}
		if n != spans {
			return fmt.Errorf("%d spans in %d tasks, want %d", n, len(tasks), spans)
		}
		return nil
	})
	return tasks
}

// readTotals adds up what the list of tasks says, and checks that each task's own page says the same.
func readTotals(t *testing.T, s *harness.Server, project string, spans int) corpusTotals {
	t.Helper()
	sum := corpusTotals{Tools: map[string]int{}}
	for _, task := range corpusTasks(t, s, project, spans) {
		var own corpusTask
		if err := s.Get("/api/mindscope/v1/tasks/"+task.ID+"?project="+project, &own); err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(task, own); diff != "" {
			t.Errorf("task %s (-in the list +alone):\n%s", task.ID, diff)
		}
		sum.add(t, task)
	}
	slices.Sort(sum.Models)
	slices.Sort(sum.Agents)
	sum.Models, sum.Agents = slices.Compact(sum.Models), slices.Compact(sum.Agents)
	return sum
}

func (sum *corpusTotals) add(t *testing.T, task corpusTask) {
	t.Helper()
	sum.Spans += task.Spans
	sum.Errors += task.Errors
	sum.Traces += len(task.Traces)
	sum.Models = append(sum.Models, task.Models...)
	for _, a := range task.Agents {
		sum.Agents = append(sum.Agents, a.Name)
	}
	for _, tool := range task.Tools {
		sum.Tools[tool.Name] += tool.Calls
	}
	calls := 0
	var all corpusTokens
	for _, u := range task.Usage {
		all.add(u.Tokens)
		inference := slices.Contains([]string{"chat", "generate_content", "text_completion", "embeddings"}, u.Operation)
		if inference {
			calls += u.Spans
		}
		if u.Operation == "embeddings" {
			continue
		}
		if inference {
			sum.Calls += u.Spans
		}
		sum.Input += u.Tokens.Input + u.Tokens.CacheRead + u.Tokens.CacheWrite
		sum.Output += u.Tokens.Output + u.Tokens.Reasoning
		sum.CacheRead += u.Tokens.CacheRead
		sum.CacheWrite += u.Tokens.CacheWrite
		sum.Reasoning += u.Tokens.Reasoning
	}
	if calls != task.LLMCalls || all != task.Tokens {
		t.Errorf("task %s: the lines of usage say %d calls and %+v, the task %d and %+v", task.ID, calls, all, task.LLMCalls, task.Tokens)
	}
}

func (c *corpusTokens) add(o corpusTokens) {
	c.Input += o.Input
	c.CacheRead += o.CacheRead
	c.CacheWrite += o.CacheWrite
	c.Output += o.Output
	c.Reasoning += o.Reasoning
}

func factTotals(f corpus.Facts) corpusTotals {
	w := corpusTotals{
		Spans: f.Spans, Calls: f.LLMCalls, Errors: len(f.Errors), Traces: f.Traces,
		Input: f.Tokens.Input, Output: f.Tokens.Output, CacheRead: f.Tokens.CacheRead,
		CacheWrite: f.Tokens.CacheWrite, Reasoning: f.Tokens.Reasoning,
		Models: slices.Sorted(slices.Values(f.Models)), Agents: slices.Sorted(slices.Values(f.Agents)),
		Tools: map[string]int{},
	}
	maps.Copy(w.Tools, f.ToolCalls)
	return w
}

// checkReported fails when the file of rec doesn't hold the number n. A sum over several calls can't be checked so.
func checkReported(t *testing.T, rec corpus.Recording, n int64) {
	t.Helper()
	if n == 0 || rec.Facts.LLMCalls > 1 {
		return
	}
	raw, err := rec.Read()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), strconv.FormatInt(n, 10)) {
		t.Errorf("%d reasoning tokens are nowhere in the file", n)
	}
}

// requestedModels replaces a response's model by the request's where Langfuse's export shows only the latter in its own
// column, which the facts were made from.
func requestedModels(td ptrace.Traces, got, want []string) []string {
	out := slices.Clone(got)
	for span := range spansIn(td) {
		request, response := attrText(span, "gen_ai.request.model"), attrText(span, "gen_ai.response.model")
		i := slices.Index(out, cmp.Or(response, request))
		if i >= 0 && !slices.Contains(want, out[i]) && slices.Contains(want, request) {
			out[i] = request
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func attrText(span ptrace.Span, key string) string {
	v, ok := span.Attributes().Get(key)
	if !ok {
		return ""
	}
	return v.AsString()
}
