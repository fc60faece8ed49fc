package llmhttp_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/conv"
	"github.com/mindscope/mindscope/sdk/llmhttp"
	"github.com/mindscope/mindscope/sdk/llmhttp/llmhttptest"
	"github.com/mindscope/mindscope/sdk/sdktest"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// fact is what is known of a recorded exchange.
type fact struct {
	Req          string
	Model        *string
	RequestModel *string `json:"request_model"`
	Status       int
	Stream       any
	Tools        []string
	Usage        map[string]json.RawMessage
	Invocations  []struct{ Input, Output int } `json:"model_invocations"`
	Error        any
}

func (f fact) count(name string) int {
	var n int
	_ = json.Unmarshal(f.Usage[name], &n) // what is no number is no count
	return n
}

type facts struct {
	Kind         string
	Interactions []fact
}

// samples returns the folder of recordings.
func samples(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("MINDSCOPE_SAMPLES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "samples")
	}
	if _, err := os.Stat(filepath.Join(dir, "FACTS.json")); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("there is no folder of recordings at %s: set MINDSCOPE_SAMPLES", dir)
		}
		t.Skipf("there is no folder of recordings at %s: set MINDSCOPE_SAMPLES to one", dir)
	}
	return dir
}

// recordings returns what is known of each file in llm-http, by its path.
func recordings(t testing.TB, dir string) map[string]facts {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "FACTS.json"))
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		t.Fatal(err)
	}
	all := map[string]facts{}
	for file, r := range raw {
		if !strings.HasPrefix(file, "llm-http/") || strings.Contains(file, "genai-prices") {
			continue
		}
		var f facts
		if err := json.Unmarshal(r, &f); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[file] = f
	}
	return all
}

func load(t testing.TB, file string) []llmhttptest.Exchange {
	t.Helper()
	list, err := llmhttptest.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if list[i].URL == "" { // a recorded answer of Anthropic's, the request of which is not recorded
			list[i].Method, list[i].URL = http.MethodPost, "https://api.anthropic.com/v1/messages"
			list[i].Request = []byte(`{"model":"","stream":` + map[bool]string{true: "true", false: "false"}[bytes.HasPrefix(list[i].Response, []byte("event"))] + `}`)
		}
	}
	return list
}

// play sends an exchange's request through the transport and returns the spans it made. once sends a body that can be
// read once only, as some clients do.
func play(t *testing.T, rec *sdktest.Recorder, e llmhttptest.Exchange, piece int, once bool) []sdktrace.ReadOnlySpan {
	t.Helper()
	before := len(rec.Spans())
	player := llmhttptest.NewPlayer(e)
	player.Piece = piece
	client := llmhttp.Client(player)
	var body io.Reader = bytes.NewReader(e.Request)
	if once {
		body = struct{ io.Reader }{body}
	}
	req, err := http.NewRequestWithContext(sdk.JoinTask(t.Context(), "task-456"), e.Method, e.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if !bytes.Equal(got, e.Response) {
		t.Errorf("the answer was changed: %d bytes, want %d", len(got), len(e.Response))
	}
	if player.Requests()[0].Header.Get("baggage") != "" {
		t.Error("the provider got baggage")
	}
	return rec.Spans()[before:]
}

// TestRecordedExchanges replays every exchange that was recorded, in pieces of several sizes, and compares what the spans
// say with what is known of them.
func TestRecordedExchanges(t *testing.T) {
	dir := samples(t)
	t.Setenv(sdk.CaptureVariable, "true")
	rec := sdktest.New(t)
	exchanges := 0
	for file, f := range recordings(t, dir) {
		list, err := llmhttptest.Load(filepath.Join(dir, file))
		if f.Kind != "" {
			// The Claude Agent SDK speaks to a program of its own, not over HTTP: no transport sees it.
			if !errors.Is(err, llmhttptest.ErrNoExchanges) {
				t.Errorf("%s (%s): %v, %d exchanges", file, f.Kind, err, len(list))
			}
			continue
		}
		list = load(t, filepath.Join(dir, file))
		if len(list) != len(f.Interactions) {
			t.Errorf("%s: %d exchanges, want %d", file, len(list), len(f.Interactions))
			continue
		}
		for i, e := range list {
			exchanges++
			for _, piece := range []int{0, 1, 7, 1000} {
				checkFact(t, file, f.Interactions[i], play(t, rec, e, piece, piece == 7))
			}
		}
	}
	if exchanges < 60 && os.Getenv("MINDSCOPE_SAMPLES") == "" {
		t.Errorf("only %d exchanges", exchanges)
	}
	t.Logf("%d exchanges", exchanges)
}

// notCalls are the recorded requests that call no model.
var notCalls = []string{"https://os-api.agno.com/telemetry/runs", "/guardrail/"}

func checkFact(t *testing.T, file string, f fact, spans []sdktrace.ReadOnlySpan) {
	t.Helper()
	if slices.ContainsFunc(notCalls, func(part string) bool { return strings.Contains(f.Req, part) }) {
		if len(spans) != 0 {
			t.Errorf("%s: %s is no call of a model and has %d spans", file, f.Req, len(spans))
		}
		return
	}
	if want := 1 + len(f.Invocations); len(spans) != want {
		t.Errorf("%s: %s has %d spans, want %d", file, f.Req, len(spans), want)
		return
	}
	span := spans[len(spans)-1]
	if got := int(sdktest.Attr(span, conv.HTTPResponseStatusCode).AsInt64()); got != f.Status {
		t.Errorf("%s: status %d, want %d", file, got, f.Status)
	}
	if failed := span.Status().Code.String() == "Error"; failed != (f.Status >= 400) {
		t.Errorf("%s: status of the span: %+v, of the answer %d", file, span.Status(), f.Status)
	}
	if f.Model != nil && sdktest.Attr(span, conv.GenAIResponseModel).AsString() != *f.Model {
		t.Errorf("%s: response model %s, want %s", file, sdktest.Attr(span, conv.GenAIResponseModel).AsString(), *f.Model)
	}
	if f.RequestModel != nil && sdktest.Attr(span, conv.GenAIRequestModel).AsString() != *f.RequestModel {
		t.Errorf("%s: request model %s, want %s", file, sdktest.Attr(span, conv.GenAIRequestModel).AsString(), *f.RequestModel)
	}
	if streamed := f.Stream != false; streamed != sdktest.Attr(span, conv.GenAIRequestStream).AsBool() {
		t.Errorf("%s: streamed %v, want %v", file, !streamed, streamed)
	}
	if sdktest.Attr(span, conv.AITeamTaskID).AsString() != "task-456" {
		t.Errorf("%s: the span has no task", file)
	}
	checkTokens(t, file, f, spans)
	if diff := cmp.Diff(slices.Sorted(slices.Values(f.Tools)), toolsOf(t, span)); diff != "" && len(f.Tools) > 0 {
		t.Errorf("%s: tools (-want +got):\n%s", file, diff)
	}
}

// checkTokens compares the tokens. Where input and output are counted without what was cached, used by tools or thought,
// the span has the sums, as OpenTelemetry wants them.
func checkTokens(t *testing.T, file string, f fact, spans []sdktrace.ReadOnlySpan) {
	t.Helper()
	get := func(key string) (n int) {
		for _, s := range spans {
			n += int(sdktest.Attr(s, key).AsInt64())
		}
		return n
	}
	in, out := f.count("input")+f.count("tool_use_prompt"), f.count("output")
	if strings.Contains(file, "/anthropic/") {
		in += f.count("cache_read") + f.count("cache_write")
	}
	if strings.Contains(file, "/gemini/") {
		out += f.count("reasoning")
	}
	want := map[string]int{"input": in, "output": out, "cache_read": f.count("cache_read"), "cache_write": f.count("cache_write")}
	got := map[string]int{
		"input": get(conv.GenAIUsageInputTokens), "output": get(conv.GenAIUsageOutputTokens),
		"cache_read": get(conv.GenAIUsageCacheReadInputTokens), "cache_write": get(conv.GenAIUsageCacheWriteInputTokens),
	}
	if f.Usage["reasoning"] != nil {
		want["reasoning"], got["reasoning"] = f.count("reasoning"), get(conv.GenAIUsageReasoningOutputTokens)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %s: tokens (-want +got):\n%s", file, f.Req, diff)
	}
	known := false
	for _, s := range spans {
		for _, a := range s.Attributes() {
			known = known || string(a.Key) == conv.GenAIUsageInputTokens
		}
	}
	if wanted := f.Usage["input"] != nil || f.Usage["output"] != nil; known != wanted {
		t.Errorf("%s: tokens known: %v, want %v", file, known, wanted)
	}
	for i, want := range f.Invocations {
		if i >= len(spans)-1 {
			break
		}
		in, out := sdktest.Attr(spans[i], conv.GenAIUsageInputTokens).AsInt64(), sdktest.Attr(spans[i], conv.GenAIUsageOutputTokens).AsInt64()
		if int(in) != want.Input || int(out) != want.Output {
			t.Errorf("%s: call %d of the hosted agent: %d/%d tokens, want %d/%d", file, i, in, out, want.Input, want.Output)
		}
	}
}

// toolsOf returns the names of the tools that the captured answer calls, sorted.
func toolsOf(t *testing.T, span sdktrace.ReadOnlySpan) []string {
	t.Helper()
	var messages []struct {
		Parts []struct{ Type, Name string }
	}
	if text := sdktest.Attr(span, conv.GenAIOutputMessages).AsString(); text != "" {
		if err := json.Unmarshal([]byte(text), &messages); err != nil {
			t.Fatalf("output messages: %v", err)
		}
	}
	var names []string
	for _, m := range messages {
		for _, p := range m.Parts {
			if p.Type == "tool_call" {
				names = append(names, p.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// TestCapturedContent shows what is kept of one exchange of each format: the golden file has it all.
func TestCapturedContent(t *testing.T) {
	dir := samples(t)
	t.Setenv(sdk.CaptureVariable, "true")
	rec := sdktest.New(t)
	type shown struct {
		File, Name string
		Attributes map[string]any
	}
	var all []shown
	for _, file := range []string{
		"anthropic/js--reasoning-tool-use-streaming.json", "anthropic/anthropic--test_anthropic_instrumentation_completions_streaming.yaml",
		"anthropic/anthropic--test_anthropic_instrumentation_multiple_tool_calling.yaml",
		"bedrock/bedrock--TestConverseStream.test_invoke_tool_message.yaml", "bedrock/js--should-handle-api-errors-gracefully.json",
		"bedrock/js--should-handle-streaming-responses-with-tool-calls.json", "cohere/haystack--test_cohere_reranker_span_has_expected_attributes.yaml",
		"gemini/google-genai--test_generate_content_with_automatic_tool_calling.yaml", "gemini/langchain--test_gemini_token_counts_streaming.yaml",
		"mistral/mistralai--test_synchronous_streaming_chat_completions_emits_expected_span_False.yaml",
		"ollama/ollama--test_chat_error_records_model_name.yaml", "ollama/ollama--test_chat_with_tool_call.yaml",
		"openai-chat/langchain--test_agent_with_raw_dict_messages.yaml", "openai-chat/openai--test_tool_calls.yaml",
		"openai-chat/openai--TestInputValueImageHiding.test_input_value_hides_regular_url_images.yaml",
		"openai-compatible/together--test_chat_stream.yaml", "openai-responses/agent-framework--test_agent_with_tool_calls.yaml",
		"openai-responses/litellm--test_responses_input_typed_reasoning_item.yaml",
	} {
		for _, e := range load(t, filepath.Join(dir, "llm-http", file)) {
			for _, s := range play(t, rec, e, 0, false) {
				one := shown{File: file, Name: s.Name(), Attributes: map[string]any{}}
				for _, a := range s.Attributes() {
					one.Attributes[string(a.Key)] = readable(a.Value.AsInterface())
				}
				delete(one.Attributes, conv.GenAIResponseTimeToFirstChunk)
				all = append(all, one)
			}
		}
	}
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(all); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "captured.golden.json")
	if *rewrite {
		if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v: run the test with -rewrite and look at what it wrote", err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("-golden +got:\n%s", diff)
	}
}

// readable shows JSON in an attribute as JSON, and long texts by their beginning.
func readable(v any) any {
	s, ok := v.(string)
	if !ok {
		return v
	}
	var inner any
	if json.Unmarshal([]byte(s), &inner) == nil {
		return shorten(inner)
	}
	return s
}

func shorten(v any) any {
	switch v := v.(type) {
	case string:
		if len(v) > 80 {
			return strings.ToValidUTF8(v[:80], "") + "…"
		}
	case []any:
		for i := range v {
			v[i] = shorten(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = shorten(v[k])
		}
	}
	return v
}
