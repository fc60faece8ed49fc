package llmhttp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/conv"
	"github.com/mindscope/mindscope/sdk/llmhttp"
	"github.com/mindscope/mindscope/sdk/llmhttp/llmhttptest"
	"github.com/mindscope/mindscope/sdk/sdktest"
)

// trip is a transport made of a function.
type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

const chatURL = "https://api.openai.com/v1/chat/completions"

func ask(t testing.TB, ctx context.Context, client *http.Client, url, body string) (*http.Response, error) { //nolint:revive // t first, as in all helpers
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return client.Do(req)
}

func answer(status int, kind, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(body))}
}

// TestFormats checks what the recordings don't have: each answer with what the span must say of it.
func TestFormats(t *testing.T) {
	t.Setenv(sdk.CaptureVariable, "true")
	rec := sdktest.New(t)
	f := func(url, request string, resp *http.Response, want map[string]any) {
		t.Helper()
		client := llmhttp.Client(trip(func(*http.Request) (*http.Response, error) { return resp, nil }))
		got, err := ask(t, t.Context(), client, url, request)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, got.Body); err != nil {
			t.Fatal(err)
		}
		got.Body.Close()
		spans := rec.Spans()
		span := spans[len(spans)-1]
		for key, v := range want {
			if key == "name" {
				if span.Name() != v {
					t.Errorf("%s: name %s, want %s", url, span.Name(), v)
				}
				continue
			}
			if a := sdktest.Attr(span, key); a.String() != v {
				t.Errorf("%s: %s is %q, want %q", url, key, a.String(), v)
			}
		}
	}
	sse := "text/event-stream; charset=utf-8"
	f("https://team.openai.azure.com/openai/deployments/prod-4o/chat/completions?api-version=1", `{"messages":[]}`,
		answer(200, "application/json", `{"model":"gpt-4o","usage":{"prompt_tokens":3,"completion_tokens":4}}`),
		map[string]any{"name": "chat prod-4o", conv.GenAIProviderName: "azure.ai.openai", conv.GenAIUsageInputTokens: "3"})
	f("https://api.x.ai/v1/chat/completions", `{"model":"grok-4"}`,
		answer(200, "application/json", `{"usage":{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94}}}`),
		map[string]any{conv.GenAIProviderName: "x_ai", conv.GenAIUsageOutputTokens: "103", conv.GenAIUsageReasoningOutputTokens: "94"})
	f("https://openrouter.ai/api/v1/chat/completions", `{"model":"m"}`,
		answer(200, "application/json", `{"usage":{"prompt_tokens":1,"completion_tokens":2,"cost":0.0012,"prompt_tokens_details":{"cached_tokens":1}}}`),
		map[string]any{conv.GenAIUsageCostAmount: "0.0012", conv.GenAIUsageCacheReadInputTokens: "1"})
	f("https://api.perplexity.ai/chat/completions", `{"model":"sonar"}`,
		answer(200, "application/json", `{"usage":{"prompt_tokens":1,"completion_tokens":2,"cost":{"total_cost":0.006}}}`),
		map[string]any{conv.GenAIProviderName: "perplexity", conv.GenAIUsageCostAmount: "0.006"})
	f("https://api.openai.com/v1/embeddings", `{"model":"text-embedding-3-small","input":["a","b"]}`,
		answer(200, "application/json", `{"model":"text-embedding-3-small","data":[{"embedding":[0.1,0.2]}],"usage":{"prompt_tokens":8,"total_tokens":8}}`),
		map[string]any{"name": "embeddings text-embedding-3-small", conv.GenAIUsageInputTokens: "8"})
	// An answer too large to be kept: its usage is at the end.
	f("https://api.openai.com/v1/embeddings", `{"model":"e"}`,
		answer(200, "application/json", `{"data":[`+strings.Repeat("0.123456789,", 900_000)+`1],"model":"e","usage": {"prompt_tokens":77,"total_tokens":77}}`),
		map[string]any{conv.GenAIUsageInputTokens: "77"})
	// An error in the middle of a stream.
	f("https://api.anthropic.com/v1/messages", `{"model":"claude-x","stream":true}`,
		answer(200, sse, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n"+
			"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"),
		map[string]any{conv.ErrorType: "overloaded_error", conv.GenAIUsageInputTokens: "5"})
	f("https://api.openai.com/v1/responses", `{"model":"gpt-5","stream":true,"instructions":"Be short.","input":"Hi"}`,
		answer(200, sse, "data: {\"type\":\"response.failed\",\"response\":{\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"x\"}}}\n\n"),
		map[string]any{conv.ErrorType: "server_error", conv.GenAISystemInstructions: `[{"content":"Be short.","type":"text"}]`})
	f(chatURL, `{"model":"gpt-4o"}`, answer(429, "application/json", `{"error":{"message":"slow","type":"tokens","code":"rate_limit_exceeded"}}`),
		map[string]any{conv.ErrorType: "rate_limit_exceeded", conv.HTTPResponseStatusCode: "429"})
	f(chatURL, `{"model":"gpt-4o"}`, answer(502, "text/html", `<html>Bad Gateway</html>`),
		map[string]any{conv.ErrorType: "502"})
	f("https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent", `{}`,
		answer(503, "application/json", `{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}`),
		map[string]any{conv.ErrorType: "UNAVAILABLE", "name": "generate_content gemini-2.5-pro"})
	f("https://bedrock-runtime.us-east-1.amazonaws.com/model/arn%3Aaws%3Abedrock%3A%3Aprofile%2Fanthropic.claude/invoke", `{"messages":[]}`,
		&http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"content":[{"type":"text","text":"Hi"}]}`)), Header: http.Header{
			"X-Amzn-Bedrock-Input-Token-Count": {"11"}, "X-Amzn-Bedrock-Output-Token-Count": {"5"},
		}},
		map[string]any{"name": "chat arn:aws:bedrock::profile/anthropic.claude", conv.GenAIUsageInputTokens: "11", conv.GenAIUsageOutputTokens: "5"})
	f("http://127.0.0.1:11434/api/chat", `{"model":"llama3","messages":[{"role":"user","content":"Hi"}]}`,
		answer(200, "application/x-ndjson", "{\"model\":\"llama3\",\"message\":{\"role\":\"assistant\",\"content\":\"He\"}}\n{\"model\":\"llama3\",\"message\":{\"content\":\"llo\"},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":9,\"eval_count\":2}\n"),
		map[string]any{conv.GenAIUsageInputTokens: "9", conv.GenAIOutputMessages: `[{"role":"assistant","parts":[{"content":"Hello","type":"text"}],"finish_reason":"stop"}]`})
	f("https://api.cohere.com/v2/chat", `{"model":"command-a","stream":true,"messages":[{"role":"user","content":"Hi"}]}`,
		answer(200, sse, "event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"Hello\"}}}}\n\n"+
			"event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\",\"usage\":{\"tokens\":{\"input_tokens\":3,\"output_tokens\":1}}}}\n\n"),
		map[string]any{conv.GenAIUsageInputTokens: "3", conv.GenAIOutputMessages: `[{"role":"assistant","parts":[{"content":"Hello","type":"text"}],"finish_reason":"stop"}]`})
	f("https://api.anthropic.com/v1/messages", `{"model":"claude-x"}`,
		answer(200, "application/json", `{"usage":{"input_tokens":1,"output_tokens":2,"cache_creation_input_tokens":30,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20}}}`),
		map[string]any{conv.GenAIUsageInputTokens: "31", conv.GenAIUsageCacheWriteInputTokens: "30", conv.GenAIUsageCacheCreationEphemeral1hInputTokens: "20"})
	f("https://eu-aiplatform.googleapis.com/v1/projects/p/locations/eu/publishers/anthropic/models/claude-opus:rawPredict", `{"messages":[]}`,
		answer(200, "application/json", `{"usage":{"input_tokens":1,"output_tokens":2,"cache_read_input_tokens":30}}`),
		map[string]any{conv.GenAIProviderName: "gcp.vertex_ai", conv.GenAIRequestModel: "claude-opus", conv.GenAIUsageInputTokens: "31"})
	// The last event of a stream repeats the counts of the first, but not which part of the cache stays for an hour.
	start := `{"type":"message_start","message":{"usage":{"input_tokens":1,"output_tokens":1,"cache_read_input_tokens":7,"cache_creation_input_tokens":30,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20}}}}`
	split := map[string]any{
		conv.GenAIUsageInputTokens: "38", conv.GenAIUsageOutputTokens: "9", conv.GenAIUsageCacheReadInputTokens: "7",
		conv.GenAIUsageCacheWriteInputTokens: "30", conv.GenAIUsageCacheCreationEphemeral1hInputTokens: "20",
	}
	for _, usage := range []string{
		`{"input_tokens":1,"cache_creation_input_tokens":30,"cache_read_input_tokens":7,"output_tokens":9}`,
		`{"input_tokens":1,"output_tokens":9}`, `{"output_tokens":9}`,
	} {
		f("https://api.anthropic.com/v1/messages", `{"model":"claude-x","stream":true}`,
			answer(200, sse, "data: "+start+"\n\ndata: {\"type\":\"message_delta\",\"usage\":"+usage+"}\n\n"), split)
	}
	stop := `{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":1,"outputTokenCount":9,"cacheReadInputTokenCount":7,"cacheWriteInputTokenCount":30}}`
	f("https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude/invoke-with-response-stream", `{"messages":[]}`,
		answer(200, sse, "event: chunk\ndata: {\"bytes\":\""+base64.StdEncoding.EncodeToString([]byte(start))+"\"}\n\n"+
			"event: chunk\ndata: {\"bytes\":\""+base64.StdEncoding.EncodeToString([]byte(stop))+"\"}\n\n"), split)
	// What Cohere bills is less than what it used; embeddings say nothing else.
	f("https://api.cohere.com/v2/chat", `{"model":"command-a","messages":[]}`,
		answer(200, "application/json", `{"usage":{"billed_units":{"input_tokens":2406,"output_tokens":2},"cached_tokens":2928,"tokens":{"input_tokens":2935,"output_tokens":4}}}`),
		map[string]any{conv.GenAIUsageInputTokens: "2406", conv.GenAIUsageOutputTokens: "2", conv.GenAIUsageCacheReadInputTokens: ""})
	f("https://api.cohere.com/v2/embed", `{"model":"embed-v4.0","texts":["a"]}`,
		answer(200, "application/json", `{"id":"x","embeddings":{"float":[[0.1]]},"meta":{"api_version":{"version":"2"},"billed_units":{"input_tokens":12}}}`),
		map[string]any{"name": "embeddings embed-v4.0", conv.GenAIUsageInputTokens: "12", conv.GenAIUsageOutputTokens: "0"})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(`{"model":"gpt-4o","usage":{"prompt_tokens":5,"completion_tokens":6}}`))
	_ = z.Close()
	packed := answer(200, "application/json", zipped.String())
	packed.Header.Set("Content-Encoding", "gzip")
	f(chatURL, `{"model":"gpt-4o"}`, packed, map[string]any{conv.GenAIUsageOutputTokens: "6"})
}

// TestNothingWithoutCapture: without the switch no word of the content is on the span.
func TestNothingWithoutCapture(t *testing.T) {
	t.Setenv(sdk.CaptureVariable, "")
	rec := sdktest.New(t)
	client := llmhttp.Client(trip(func(*http.Request) (*http.Response, error) {
		return answer(200, "application/json", `{"choices":[{"message":{"content":"the secret"},"finish_reason":"stop"}]}`), nil
	}))
	resp, err := ask(t, t.Context(), client, chatURL, `{"model":"gpt-4o","messages":[{"role":"user","content":"the secret"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	for _, a := range rec.Spans()[0].Attributes() {
		if strings.Contains(a.Value.String(), "secret") {
			t.Errorf("%s: %s", a.Key, a.Value.String())
		}
	}
}

// TestStreamPassesUnbuffered: the caller has the first chunk while the provider has not sent the second.
func TestStreamPassesUnbuffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := sdktest.New(t)
		r, w := io.Pipe()
		client := llmhttp.Client(trip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: r}, nil
		}))
		go func() {
			time.Sleep(2 * time.Second)
			_, _ = io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n")
			time.Sleep(5 * time.Second)
			_, _ = io.WriteString(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n")
			_ = w.Close()
		}()
		start := time.Now()
		resp, err := ask(t, t.Context(), client, chatURL, `{"model":"gpt-4o","stream":true}`)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		if n, err := resp.Body.Read(buf); err != nil || !bytes.Contains(buf[:n], []byte(`"a"`)) || time.Since(start) != 2*time.Second {
			t.Errorf("first chunk %q after %v: %v", buf[:n], time.Since(start), err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		span := rec.Spans()[0]
		if got := sdktest.Attr(span, conv.GenAIResponseTimeToFirstChunk).AsFloat64(); got != 2 {
			t.Errorf("time to first chunk %v, want 2", got)
		}
		if got := span.EndTime().Sub(span.StartTime()); got != 7*time.Second {
			t.Errorf("the call took %v, want 7 s", got)
		}
	})
}

// TestEnds checks the ways a call ends that is not read to its end.
func TestEnds(t *testing.T) {
	rec := sdktest.New(t)
	refused := errors.New("connection refused")
	f := func(next trip, use func(*http.Response), wantStatus, wantType string) {
		t.Helper()
		before := len(rec.Spans())
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		req, err := http.NewRequestWithContext(context.WithValue(ctx, cancelKey{}, cancel), http.MethodPost, chatURL, strings.NewReader(`{"model":"m","stream":true}`))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := llmhttp.Transport(next).RoundTrip(req)
		if err != nil && !errors.Is(err, refused) {
			t.Errorf("the error was changed: %v", err)
		}
		if resp != nil {
			use(resp)
		}
		spans := rec.Spans()[before:]
		if len(spans) != 1 {
			t.Fatalf("%d spans, want 1", len(spans))
		}
		if got := spans[0].Status().Code.String(); got != wantStatus || sdktest.Attr(spans[0], conv.ErrorType).AsString() != wantType {
			t.Errorf("status %s, error.type %s; want %s, %s", got, sdktest.Attr(spans[0], conv.ErrorType).AsString(), wantStatus, wantType)
		}
	}
	half := func(*http.Request) (*http.Response, error) {
		return answer(200, "text/event-stream", "data: {}\n\ndata: {\"choices\""), nil
	}
	f(func(*http.Request) (*http.Response, error) { return nil, refused }, nil, "Error", "*errors.errorString")
	f(half, func(r *http.Response) { r.Body.Close() }, "Unset", "")
	f(half, func(r *http.Response) { _, _ = r.Body.Read(make([]byte, 3)); r.Body.Close(); r.Body.Close() }, "Unset", "")
	f(func(r *http.Request) (*http.Response, error) {
		r.Context().Value(cancelKey{}).(context.CancelFunc)()
		return half(r)
	}, func(r *http.Response) { r.Body.Close() }, "Error", "cancelled")
	f(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(io.MultiReader(strings.NewReader("data: {}\n"), failing{}))}, nil
	}, func(r *http.Response) { _, _ = io.Copy(io.Discard, r.Body); r.Body.Close() }, "Error", "*errors.errorString")
	f(func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 204}, nil }, func(*http.Response) {}, "Unset", "")
}

// TestAddressIsNoText: the error of a client below names the whole address, which may have a key in it.
func TestAddressIsNoText(t *testing.T) {
	rec := sdktest.New(t)
	const address = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent?key=the-secret"
	f := func(given error, wantStatus, wantType string) {
		t.Helper()
		before := len(rec.Spans())
		client := llmhttp.Client(trip(func(*http.Request) (*http.Response, error) { return nil, given }))
		if _, err := ask(t, t.Context(), client, address, `{}`); !errors.Is(err, given) {
			t.Errorf("the error was changed: %v", err)
		}
		span := rec.Spans()[before]
		if got := span.Status().Description; got != wantStatus {
			t.Errorf("status %q, want %q", got, wantStatus)
		}
		if got := sdktest.Attr(span, conv.ErrorType).AsString(); got != wantType {
			t.Errorf("error.type %s, want %s", got, wantType)
		}
		for _, e := range span.Events() {
			for _, a := range e.Attributes {
				if strings.Contains(a.Value.String(), "secret") {
					t.Errorf("%s: %s", a.Key, a.Value.String())
				}
			}
		}
	}
	refused := &url.Error{Op: "Post", URL: address, Err: errors.New("connection refused")}
	f(refused, "connection refused", "*errors.errorString")
	f(fmt.Errorf("attempt 2: %w", refused), "connection refused", "*errors.errorString")
	f(&url.Error{Op: "Post", URL: address, Err: refused}, "connection refused", "*errors.errorString")
	f(&url.Error{Op: "Post", URL: address, Err: context.DeadlineExceeded}, "context deadline exceeded", "timeout")
}

type cancelKey struct{}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("reset by peer") }

// TestAttempts: a retry is a span of its own and says how often the request was sent before, by the client's word or,
// without it, by what was sent.
func TestAttempts(t *testing.T) {
	rec := sdktest.New(t)
	statuses := []int{429, 500, 200, 200}
	client := llmhttp.Client(trip(func(*http.Request) (*http.Response, error) {
		s := statuses[0]
		statuses = statuses[1:]
		return answer(s, "application/json", `{}`), nil
	}))
	ctx, task := sdk.StartTask(t.Context(), "task-456")
	for range 4 {
		resp, err := ask(t, ctx, client, chatURL, `{"model":"m"}`)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	task.End(nil)
	var got []int64
	for _, s := range rec.Named("chat m") {
		got = append(got, sdktest.Attr(s, conv.HTTPRequestResendCount).AsInt64())
	}
	if len(got) != 4 || got[0] != 0 || got[1] != 1 || got[2] != 2 || got[3] != 0 {
		t.Errorf("resend counts %v, want [0 1 2 0]", got)
	}
	for header, value := range map[string]string{"X-Stainless-Retry-Count": "3", "amz-sdk-request": "attempt=4; max=5"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, chatURL, strings.NewReader(`{"model":"m"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(header, value)
		next := func(*http.Request) (*http.Response, error) { return answer(200, "", `{}`), nil }
		if resp, err := llmhttp.Middleware()(req, next); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
		}
		spans := rec.Spans()
		if n := sdktest.Attr(spans[len(spans)-1], conv.HTTPRequestResendCount).AsInt64(); n != 3 {
			t.Errorf("%s: resend count %d, want 3", header, n)
		}
	}
}

// TestRequestIsLeftAlone: what arrives is what was sent, but for the trace's header and without baggage, also when the
// program's own transport would add it.
func TestRequestIsLeftAlone(t *testing.T) {
	rec := sdktest.New(t)
	var got *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	}))
	defer server.Close()
	// As instrumentation of net/http does.
	injecting := trip(func(r *http.Request) (*http.Response, error) {
		otel.GetTextMapPropagator().Inject(r.Context(), propagation.HeaderCarrier(r.Header))
		return http.DefaultTransport.RoundTrip(r)
	})
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	f := func(ctx context.Context, path, content string, spans int) {
		t.Helper()
		before := len(rec.Spans())
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+path, strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer x")
		req.Header.Set("baggage", "ai_team.task.id=task-456")
		resp, err := llmhttp.Transport(injecting).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if string(body) != content || got.Header.Get("Authorization") != "Bearer x" || got.Header.Get("baggage") != "" || got.Header.Get("traceparent") == "" {
			t.Errorf("%s: body of %d bytes, header %v", path, len(body), got.Header)
		}
		if req.Header.Get("baggage") == "" || req.Header.Get("traceparent") != "" {
			t.Errorf("%s: the caller's request was changed: %v", path, req.Header)
		}
		if n := len(rec.Spans()) - before; n != spans {
			t.Errorf("%s: %d spans, want %d", path, n, spans)
		}
	}
	ctx, task := sdk.StartTask(t.Context(), "task-456")
	defer task.End(nil)
	if baggage.FromContext(ctx).Len() == 0 {
		t.Fatal("the task has no baggage")
	}
	f(ctx, "/v1/chat/completions", `{"model":"m"}`, 1)
	f(ctx, "/v1/chat/completions", strings.Repeat("x", 9<<20), 1)
	f(ctx, "/v1/files", "a file", 0)
	f(ctx, "/v1/projects/p/locations/eu/publishers/anthropic/models/count-tokens:rawPredict", `{"model":"claude-opus","messages":[]}`, 0)
	// A call that is reported by hand is not reported twice.
	byHand, call := sdk.StartLLM(ctx, "openai", "m")
	f(byHand, "/v1/chat/completions", `{"model":"m"}`, 0)
	call.End(nil)
}

// TestWithoutTelemetry: with no SDK installed the call is made and nothing is read of it.
func TestWithoutTelemetry(t *testing.T) {
	player := llmhttptest.NewPlayer(llmhttptest.Exchange{Status: 200, Header: http.Header{}, Response: []byte(`{}`)})
	resp, err := ask(t, t.Context(), llmhttp.Client(player), chatURL, `{"model":"m"}`)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "{}" {
		t.Errorf("%s, %v", b, err)
	}
}

// TestMaxContent: what is kept of a call's content is bounded.
func TestMaxContent(t *testing.T) {
	t.Setenv(sdk.CaptureVariable, "true")
	rec := sdktest.New(t)
	long := strings.Repeat("é", 5000)
	resp, err := ask(t, t.Context(), llmhttp.Client(trip(func(*http.Request) (*http.Response, error) {
		return answer(200, "", `{"choices":[{"message":{"content":"`+long+`"}}]}`), nil
	}), llmhttp.WithMaxContent(1001), llmhttp.WithProvider("mine")), chatURL, `{"messages":[{"role":"user","content":"`+long+`"},{"role":"user","content":"x"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	span := rec.Spans()[0]
	for _, key := range []string{conv.GenAIInputMessages, conv.GenAIOutputMessages} {
		text := sdktest.Attr(span, key).AsString()
		if n := strings.Count(text, "é"); n != 500 || !json.Valid([]byte(text)) {
			t.Errorf("%s: %d characters kept, want 500", key, n)
		}
	}
	if got := sdktest.Attr(span, conv.GenAIProviderName).AsString(); got != "mine" {
		t.Errorf("provider %s", got)
	}
}
