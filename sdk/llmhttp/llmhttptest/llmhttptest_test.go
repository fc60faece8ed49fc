package llmhttptest_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mindscope/mindscope/sdk/llmhttp"
	"github.com/mindscope/mindscope/sdk/llmhttp/llmhttptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const cassette = `
interactions:
- request: {method: POST, uri: https://api.openai.com/v1/chat/completions, body: '{"model":"gpt-4o"}'}
  response:
    body: {string: "data: {\"model\":\"gpt-4o-2024-08-06\"}\n\n"}
    headers: {Content-Encoding: [gzip]}
    status: {code: 200}
`

// TestExample is a test as users write it: the client under test gets the answers of a recording.
func TestExample(t *testing.T) {
	file := filepath.Join(t.TempDir(), "recording.yaml")
	if err := os.WriteFile(file, []byte(cassette), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := llmhttptest.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	player, url := llmhttptest.Serve(t, list...) // a server, for clients that take an address
	inProcess := llmhttptest.NewPlayer(list...)  // or a transport
	inProcess.Piece = 5
	for _, client := range []*http.Client{llmhttp.Client(nil), llmhttp.Client(inProcess)} {
		resp, err := client.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"gpt-4o"}`))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(b) != string(list[0].Response) || resp.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("got %q as %s, %v", b, resp.Header.Get("Content-Type"), err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if len(player.Requests()) != 1 || len(inProcess.Requests()) != 1 {
		t.Errorf("%d and %d requests, want 1 each", len(player.Requests()), len(inProcess.Requests()))
	}
	beyond, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := inProcess.RoundTrip(beyond); err != nil || resp.StatusCode != http.StatusNotImplemented {
		t.Errorf("beyond the recording: %v, %v", resp, err)
	}
	if _, err := llmhttptest.Load(os.DevNull); !errors.Is(err, llmhttptest.ErrNoExchanges) {
		t.Errorf("a file without exchanges: %v", err)
	}
}

func TestLoad(t *testing.T) {
	f := func(name, content string, want error, n int) {
		t.Helper()
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := llmhttptest.Load(file)
		if len(list) != n || want != nil && !errors.Is(err, want) || want == nil && n == 0 && err == nil {
			t.Errorf("%s: %d exchanges, %v", content, len(list), err)
		}
	}
	f("a.yaml", cassette, nil, 1)
	f("a.yaml", "messages: []", llmhttptest.ErrNoExchanges, 0)
	f("a.yaml", "a: [", nil, 0)
	f("a.json", `{"status":200,"body":"data: x"}`, nil, 1)
	f("a.json", `[{"scope":"https://x","path":"/y","method":"POST","status":200,"response":["7b","7d"],"rawHeaders":["Content-Type","application/json"]}]`, nil, 1)
	f("a.json", `[]`, llmhttptest.ErrNoExchanges, 0)
	f("a.json", `{`, nil, 0)
	if _, err := llmhttptest.Load("nowhere.json"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
