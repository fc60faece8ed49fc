package llmhttp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mindscope/mindscope/sdk/llmhttp"
	"github.com/mindscope/mindscope/sdk/llmhttp/llmhttptest"
)

// nothing takes every span and keeps none.
type nothing struct{}

func (nothing) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (nothing) Shutdown(context.Context) error                             { return nil }

// BenchmarkExchange shows what a call costs bare and reported, as a whole and streamed in 250 events.
func BenchmarkExchange(b *testing.B) {
	request := []byte(`{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"` + string(bytes.Repeat([]byte("bees "), 400)) + `"}]}`)
	var stream bytes.Buffer
	for i := range 250 {
		fmt.Fprintf(&stream, "data: {\"id\":\"chatcmpl-1\",\"model\":\"gpt-4o-2024-08-06\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word %d \"}}]}\n\n", i)
	}
	stream.WriteString("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":400,\"completion_tokens\":500}}\n\ndata: [DONE]\n\n")
	whole := []byte(`{"id":"chatcmpl-1","model":"gpt-4o-2024-08-06","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"` +
		string(bytes.Repeat([]byte("word "), 500)) + `"}}],"usage":{"prompt_tokens":400,"completion_tokens":500}}`)
	before := otel.GetTracerProvider()
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(nothing{}))
	otel.SetTracerProvider(provider)
	b.Cleanup(func() {
		otel.SetTracerProvider(before)
		_ = provider.Shutdown(context.Background()) // nothing is exported
	})
	for _, answer := range []struct {
		name, kind string
		body       []byte
	}{{"whole", "application/json", whole}, {"stream", "text/event-stream", stream.Bytes()}} {
		for _, reported := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/reported=%v", answer.name, reported), func(b *testing.B) {
				exchange := llmhttptest.Exchange{Status: 200, Header: http.Header{"Content-Type": {answer.kind}}, Response: answer.body}
				list := make([]llmhttptest.Exchange, b.N)
				for i := range list {
					list[i] = exchange
				}
				var transport http.RoundTripper = llmhttptest.NewPlayer(list...)
				if reported {
					transport = llmhttp.Transport(transport)
				}
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, chatURL, bytes.NewReader(request))
					if err != nil {
						b.Fatal(err)
					}
					resp, err := transport.RoundTrip(req)
					if err != nil {
						b.Fatal(err)
					}
					if _, err := io.Copy(io.Discard, resp.Body); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
