package llmhttp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/mindscope/mindscope/sdk/llmhttp"
	"github.com/mindscope/mindscope/sdk/llmhttp/llmhttptest"
)

// recorded stands for a provider.
func recorded() *llmhttptest.Player {
	return llmhttptest.NewPlayer(llmhttptest.Exchange{
		Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Response: []byte(`{"model":"gpt-4o-2024-08-06","usage":{"prompt_tokens":12,"completion_tokens":3}}`),
	})
}

// A client whose calls are reported; those of genai and of AWS take it as it is.
func ExampleClient() {
	client := llmhttp.Client(recorded(), llmhttp.WithProvider("openai"), llmhttp.WithMaxContent(llmhttp.DefaultMaxContent))
	req, _ := http.NewRequestWithContext(context.Background(), http.MethodPost,
		"https://api.openai.com/v1/chat/completions", strings.NewReader(`{"model":"gpt-4o","messages":[]}`))
	resp, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	fmt.Println(string(answer))
	// Output: {"model":"gpt-4o-2024-08-06","usage":{"prompt_tokens":12,"completion_tokens":3}}
}

// With a transport of one's own below.
func ExampleTransport() {
	client := &http.Client{Transport: llmhttp.Transport(http.DefaultTransport)}
	fmt.Println(client.Transport != nil)
	// Output: true
}

// The form that option.WithMiddleware of openai-go and anthropic-sdk-go takes.
func ExampleMiddleware() {
	around := llmhttp.Middleware()
	req, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://api.openai.com/v1/responses", strings.NewReader(`{}`))
	resp, err := around(req, recorded().RoundTrip)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode)
	// Output: 200
}
