package llmhttp_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/llmhttp"
	"github.com/mindscope/mindscope/sdk/llmhttp/llmhttptest"
)

// FuzzExchange feeds the readers of all formats with anything: a call's bytes must pass unchanged, and its span must end.
func FuzzExchange(f *testing.F) {
	f.Setenv(sdk.CaptureVariable, "true")
	var spans ended
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(&spans)))
	f.Cleanup(func() { otel.SetTracerProvider(before) })
	urls := []string{
		chatURL, "https://api.openai.com/v1/responses", "https://api.anthropic.com/v1/messages",
		"https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:streamGenerateContent",
		"http://127.0.0.1:11434/api/chat", "https://api.cohere.com/v2/chat",
		"https://bedrock-runtime.eu.amazonaws.com/model/anthropic.claude/invoke-with-response-stream",
		"https://bedrock-runtime.eu.amazonaws.com/model/meta.llama/invoke", "https://bedrock-runtime.eu.amazonaws.com/model/x/converse-stream",
		"https://bedrock-agent-runtime.eu.amazonaws.com/agents/A/agentAliases/B/sessions/C/text",
	}
	kinds := []string{"application/json", "text/event-stream", "application/vnd.amazon.eventstream"}
	f.Add(uint8(0), uint8(0), uint16(200), uint8(3), []byte(`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x"}]}]}`), []byte(`{"error":{}}`))
	f.Add(uint8(1), uint8(1), uint16(200), uint8(1), []byte(`{"input":[{"type":"function_call_output","output":1}]}`), []byte("data: {\"usage\":{\"prompt_tokens\":-1}}\r\rdata"))
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "shared", "samples", "llm-http", "*", "*--*"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		list, err := llmhttptest.Load(file)
		for _, e := range list {
			kind := max(slices.Index(kinds, e.Header.Get("Content-Type")), 0)
			url := slices.IndexFunc(urls, func(u string) bool { return filepath.Base(u) == filepath.Base(e.URL) })
			if err == nil && len(e.Response) < 20_000 {
				f.Add(uint8(max(url, 0)), uint8(kind), uint16(e.Status), uint8(0), e.Request, e.Response)
			}
		}
	}
	f.Fuzz(func(t *testing.T, url, kind uint8, status uint16, piece uint8, request, response []byte) {
		player := llmhttptest.NewPlayer(llmhttptest.Exchange{
			Status: int(status), Response: response, Header: http.Header{"Content-Type": {kinds[int(kind)%len(kinds)]}},
		})
		player.Piece = int(piece)
		before := spans.n.Load()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, urls[int(url)%len(urls)], bytes.NewReader(request))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := llmhttp.Transport(player).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Equal(got, response) {
			t.Errorf("the answer was changed: %q, want %q: %v", got, response, err)
		}
		if spans.n.Load() == before {
			t.Error("the span did not end")
		}
	})
}

// ended counts the spans that ended.
type ended struct{ n atomic.Int64 }

func (*ended) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (e *ended) OnEnd(sdktrace.ReadOnlySpan)                   { e.n.Add(1) }
func (*ended) Shutdown(context.Context) error                  { return nil }
func (*ended) ForceFlush(context.Context) error                { return nil }
