package llmclients

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/genai"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/conv"
	"github.com/mindscope/mindscope/sdk/llmhttp/llmhttptest"
	"github.com/mindscope/mindscope/sdk/sdktest"
)

// sample returns a recording's exchanges and the tokens that are known of them.
func sample(t *testing.T, file string) ([]llmhttptest.Exchange, []map[string]int64) {
	t.Helper()
	dir := os.Getenv("MINDSCOPE_SAMPLES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "samples")
	}
	b, err := os.ReadFile(filepath.Join(dir, "FACTS.json"))
	if errors.Is(err, os.ErrNotExist) && os.Getenv("CI") == "" {
		t.Skipf("there is no folder of recordings at %s: set MINDSCOPE_SAMPLES to one", dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	var facts struct {
		Interactions []struct{ Usage map[string]int64 }
	}
	if err := json.Unmarshal(all["llm-http/"+file], &facts); err != nil {
		t.Fatal(err)
	}
	list, err := llmhttptest.Load(filepath.Join(dir, "llm-http", file))
	if err != nil {
		t.Fatal(err)
	}
	var usage []map[string]int64
	for _, i := range facts.Interactions {
		usage = append(usage, i.Usage)
	}
	return list, usage
}

// check compares a call's span with what is known. in says what the provider counts beside its input, out beside its output.
func check(t *testing.T, span sdktrace.ReadOnlySpan, name string, usage map[string]int64, in, out []string) {
	t.Helper()
	want := []int64{usage["input"], usage["output"]}
	for _, k := range in {
		want[0] += usage[k]
	}
	for _, k := range out {
		want[1] += usage[k]
	}
	got := []int64{sdktest.Attr(span, conv.GenAIUsageInputTokens).AsInt64(), sdktest.Attr(span, conv.GenAIUsageOutputTokens).AsInt64()}
	if span.Name() != name || got[0] != want[0] || got[1] != want[1] || want[0] == 0 {
		t.Errorf("span %s with %v tokens, want %s with %v", span.Name(), got, name, want)
	}
	if sdktest.Attr(span, conv.AITeamTaskID).AsString() != "task-456" {
		t.Errorf("%s does not carry the task", span.Name())
	}
}

func checkHeaders(t *testing.T, p *llmhttptest.Player) {
	t.Helper()
	if len(p.Requests()) == 0 {
		t.Error("the server got no request")
	}
	for _, r := range p.Requests() {
		if r.Header.Get("baggage") != "" || r.Header.Get("traceparent") == "" {
			t.Errorf("the provider got baggage %q and traceparent %q", r.Header.Get("baggage"), r.Header.Get("traceparent"))
		}
	}
}

func begin(t *testing.T) (context.Context, *sdktest.Recorder) {
	t.Helper()
	t.Setenv(sdk.CaptureVariable, "true")
	rec := sdktest.New(t)
	ctx, task := sdk.StartTask(t.Context(), "task-456")
	t.Cleanup(func() { task.End(nil) })
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return ctx, rec
}

func TestOpenAI(t *testing.T) {
	ctx, rec := begin(t)
	tools, toolUsage := sample(t, "openai-chat/openai--test_tool_calls.yaml")
	stream, streamUsage := sample(t, "openai-chat/langchain--test_records_token_counts_for_streaming_openai_llm.yaml")
	resp, respUsage := sample(t, "openai-responses/litellm--test_responses_simple_input_stream.yaml")
	// The first attempt is refused; the client sends it again.
	busy := llmhttptest.Exchange{
		Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After-Ms": {"1"}, "Content-Type": {"application/json"}},
		Response: []byte(`{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}`),
	}
	player, url := llmhttptest.Serve(t, busy, tools[0], stream[0], resp[0])
	client := OpenAI(option.WithBaseURL(url+"/v1"), option.WithAPIKey("none"))

	answer, err := client.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{
		Model: "gpt-4o-mini", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("What's the weather?")},
	})
	if err != nil || len(answer.Choices[0].Message.ToolCalls) != 2 {
		t.Fatalf("tool calls: %+v, %v", answer, err)
	}
	chat := client.Chat.Completions.NewStreaming(ctx, openai.ChatCompletionNewParams{
		Model: "gpt-3.5-turbo", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Tell me a joke")},
	})
	chunks := 0
	for chat.Next() {
		chunks++
	}
	if chat.Err() != nil || chunks != 18 {
		t.Errorf("%d chunks, %v; want 18", chunks, chat.Err())
	}
	events := client.Responses.NewStreaming(ctx, responses.ResponseNewParams{
		Model: "gpt-4.1", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Hi")},
	})
	for events.Next() {
		_ = events.Current()
	}
	if events.Err() != nil {
		t.Error(events.Err())
	}
	checkHeaders(t, player)
	spans := rec.Spans()
	if len(spans) != 4 {
		t.Fatalf("%d spans, want one an attempt, 4", len(spans))
	}
	// The client does not read the body of what it sends again.
	if got := sdktest.Attr(spans[0], conv.ErrorType).AsString(); got != "429" {
		t.Errorf("the refused attempt has error.type %s", got)
	}
	if got := sdktest.Attr(spans[1], conv.HTTPRequestResendCount).AsInt64(); got != 1 {
		t.Errorf("the second attempt says it was sent %d times before", got)
	}
	check(t, spans[1], "chat gpt-4o-mini", toolUsage[0], nil, nil)
	check(t, spans[2], "chat gpt-3.5-turbo", streamUsage[0], nil, nil)
	check(t, spans[3], "chat gpt-4.1", respUsage[0], nil, nil)
}

func TestAnthropic(t *testing.T) {
	ctx, rec := begin(t)
	cached, cachedUsage := sample(t, "anthropic/anthropic--test_anthropic_instrumentation_messages_token_counts.yaml")
	stream, streamUsage := sample(t, "anthropic/anthropic--test_anthropic_instrumentation_messages_streaming.yaml")
	player, url := llmhttptest.Serve(t, append(cached, stream...)...)
	client := Anthropic(anthropicoption.WithBaseURL(url), anthropicoption.WithAPIKey("none"))
	params := anthropic.MessageNewParams{
		Model: "claude-x", MaxTokens: 100, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Hi"))},
	}
	for range cached {
		if _, err := client.Messages.New(ctx, params); err != nil {
			t.Fatal(err)
		}
	}
	events := client.Messages.NewStreaming(ctx, params)
	text := ""
	for events.Next() {
		text += events.Current().Delta.Text
	}
	if events.Err() != nil || text == "" {
		t.Errorf("streamed %q, %v", text, events.Err())
	}
	_ = events.Close()
	checkHeaders(t, player)
	spans := rec.Named("chat claude-x")
	if len(spans) != 3 {
		t.Fatalf("%d spans, want 3", len(spans))
	}
	beside := []string{"cache_read", "cache_write"}
	for i, u := range append(cachedUsage, streamUsage...) {
		check(t, spans[i], "chat claude-x", u, beside, nil)
	}
	if out := sdktest.Attr(spans[2], conv.GenAIOutputMessages).AsString(); !strings.Contains(out, fmt.Sprintf("%q", text)) {
		t.Errorf("captured %s, streamed %q", out, text)
	}
}

func TestGemini(t *testing.T) {
	ctx, rec := begin(t)
	tools, toolUsage := sample(t, "gemini/google-genai--test_generate_content_with_automatic_tool_calling.yaml")
	stream, streamUsage := sample(t, "gemini/google-genai--test_validate_token_counts_stream.yaml")
	player, url := llmhttptest.Serve(t, append(tools, stream...)...)
	client, err := Gemini(ctx, genai.ClientConfig{
		APIKey: "none", Backend: genai.BackendGeminiAPI, HTTPOptions: genai.HTTPOptions{BaseURL: url},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range tools {
		if _, err := client.Models.GenerateContent(ctx, "gemini-2.0-flash", genai.Text("Hi"), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range client.Models.GenerateContentStream(ctx, "gemini-2.5-flash", genai.Text("Hi"), nil) {
		if err != nil {
			t.Fatal(err)
		}
	}
	checkHeaders(t, player)
	spans := rec.Spans()
	if len(spans) != 3 {
		t.Fatalf("%d spans, want 3", len(spans))
	}
	for i, u := range toolUsage {
		check(t, spans[i], "generate_content gemini-2.0-flash", u, []string{"tool_use_prompt"}, []string{"reasoning"})
	}
	check(t, spans[2], "generate_content gemini-2.5-flash", streamUsage[0], []string{"tool_use_prompt"}, []string{"reasoning"})
}

func TestBedrock(t *testing.T) {
	ctx, rec := begin(t)
	whole, wholeUsage := sample(t, "bedrock/js--should-handle-meta-llama-models.json")
	stream, streamUsage := sample(t, "bedrock/bedrock--TestConverseStream.test_invoke_tool_message.yaml")
	invoke, invokeUsage := sample(t, "bedrock/js--should-handle-streaming-responses-with-tool-calls.json")
	busy := llmhttptest.Exchange{
		Status: http.StatusTooManyRequests, Response: []byte(`{"message":"Too many requests"}`),
		Header: http.Header{"X-Amzn-Errortype": {"ThrottlingException"}, "Content-Type": {"application/json"}},
	}
	player, url := llmhttptest.Serve(t, busy, whole[0], stream[0], invoke[0])
	client := Bedrock(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(url), RetryMaxAttempts: 2,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret"}, nil
		}),
	})
	message := types.Message{Role: types.ConversationRoleUser, Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: "Hi"}}}
	answer, err := client.Converse(ctx, &bedrockruntime.ConverseInput{
		ModelId: aws.String("meta.llama3-8b-instruct-v1:0"), Messages: []types.Message{message},
	})
	if err != nil || *answer.Usage.TotalTokens != 123 {
		t.Fatalf("converse: %+v, %v", answer, err)
	}
	events, err := client.ConverseStream(ctx, &bedrockruntime.ConverseStreamInput{
		ModelId: aws.String("anthropic.claude-3-haiku-20240307-v1:0"), Messages: []types.Message{message},
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range events.GetStream().Events() {
		n++
	}
	if err := events.GetStream().Close(); err != nil || n != 9 {
		t.Errorf("%d events, %v; want 9", n, err)
	}
	chunks, err := client.InvokeModelWithResponseStream(ctx, &bedrockruntime.InvokeModelWithResponseStreamInput{
		ModelId: aws.String("anthropic.claude-3-sonnet-20240229-v1:0"), Body: []byte(`{"messages":[{"role":"user","content":"Hi"}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	for range chunks.GetStream().Events() {
		n++
	}
	if err := chunks.GetStream().Close(); err != nil || n != 9+27 {
		t.Errorf("%d chunks, %v; want 27", n-9, err)
	}
	checkHeaders(t, player)
	spans := rec.Spans()
	if len(spans) != 4 {
		t.Fatalf("%d spans, want one an attempt, 4", len(spans))
	}
	if got := sdktest.Attr(spans[0], conv.ErrorType).AsString(); got != "ThrottlingException" {
		t.Errorf("the refused attempt has error.type %s", got)
	}
	if got := sdktest.Attr(spans[1], conv.HTTPRequestResendCount).AsInt64(); got != 1 {
		t.Errorf("the second attempt says it was sent %d times before", got)
	}
	check(t, spans[1], "chat meta.llama3-8b-instruct-v1:0", wholeUsage[0], nil, nil)
	check(t, spans[2], "chat anthropic.claude-3-haiku-20240307-v1:0", streamUsage[0], nil, nil)
	check(t, spans[3], "chat anthropic.claude-3-sonnet-20240229-v1:0", invokeUsage[0], nil, nil)
	if in := sdktest.Attr(spans[1], conv.GenAIInputMessages).AsString(); !strings.Contains(in, `"Hi"`) {
		t.Errorf("captured %s", in)
	}
}
