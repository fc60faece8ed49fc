package scriptedllm_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/examples/scriptedllm"
)

type completion struct {
	Model   string
	Choices []struct {
		FinishReason string `json:"finish_reason"`
		Message      struct{ Content string }
		Delta        struct{ Content string }
	}
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Total      int `json:"total_tokens"`
	}
	Error struct{ Code string }
}

func start(t *testing.T, s *scriptedllm.Server) string {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return srv.URL + "/v1/chat/completions"
}

func body(system, user string, stream bool) string {
	return fmt.Sprintf(`{"model":"gpt-4o","stream":%v,"messages":[{"role":"system","content":%q},{"role":"user","content":[{"type":"text","text":%q}]}]}`,
		stream, system, user)
}

func post(ctx context.Context, t *testing.T, url, body string) (int, http.Header, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, data, err
}

func TestAnswers(t *testing.T) {
	s := &scriptedllm.Server{}
	url := start(t, s)
	f := func(system, user, want string) {
		t.Helper()
		status, _, data, err := post(t.Context(), t, url, body(system, user, false))
		var whole completion
		if err != nil || status != http.StatusOK || json.Unmarshal(data, &whole) != nil {
			t.Fatalf("status %d, %s, %v", status, data, err)
		}
		text := whole.Choices[0].Message.Content
		if !strings.Contains(text, want) || whole.Model != "gpt-4o-2024-08-06" || whole.Choices[0].FinishReason != "stop" {
			t.Errorf("answer of %s is %q by %s, want %q in it", system, text, whole.Model, want)
		}
		// Streamed it is the same answer and the same count of tokens, once, at the end.
		_, header, data, err := post(t.Context(), t, url, body(system, user, true))
		if err != nil || header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("stream: %v, %v", header, err)
		}
		streamed, usage := readStream(t, data)
		if streamed != text {
			t.Errorf("streamed %q, whole %q", streamed, text)
		}
		got := s.Requests()
		last, before := got[len(got)-1], got[len(got)-2]
		if usage != *whole.Usage || last.Input != usage.Prompt || last.Output != usage.Completion || before.Input != last.Input ||
			usage.Total != usage.Prompt+usage.Completion || usage.Completion == 0 {
			t.Errorf("usage %+v streamed, %+v whole; noted %+v", usage, *whole.Usage, last)
		}
		if !strings.HasPrefix(last.Header.Get("Traceparent"), "00-0af7") || last.Model != "gpt-4o" || last.Status != http.StatusOK {
			t.Errorf("noted %+v", last)
		}
	}
	f("You are the writer.", "Bees\nWrite.", "Draft on Bees.")
	f("You are the critic.", "Bees\nJudge revision 1", "SCORE ")
	f("You are the critic.", "Bees [reject]\nJudge revision 2", "SCORE 3.5")
	f("You are the editor.", "Bees\n…", "# Bees")
}

func readStream(t *testing.T, data []byte) (text string, usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
},
) {
	t.Helper()
	counts, done := 0, false
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		chunk, ok := strings.CutPrefix(lines.Text(), "data: ")
		switch {
		case !ok:
			continue
		case chunk == "[DONE]":
			done = true
			continue
		}
		var c completion
		if err := json.Unmarshal([]byte(chunk), &c); err != nil {
			t.Fatalf("chunk %s: %v", chunk, err)
		}
		for _, choice := range c.Choices {
			text += choice.Delta.Content
		}
		if c.Usage != nil {
			counts++
			usage = *c.Usage
		}
	}
	if !done || counts != 1 {
		t.Errorf("done %v, %d counts of tokens; want the end and one count", done, counts)
	}
	return text, usage
}

func TestRefusals(t *testing.T) {
	s := &scriptedllm.Server{}
	url := start(t, s)
	f := func(user string, want ...int) {
		t.Helper()
		for i, w := range want {
			status, header, data, err := post(t.Context(), t, url, body("You are the writer.", user, false))
			if err != nil || status != w {
				t.Errorf("%q, try %d: status %d, %s, %v; want %d", user, i+1, status, data, err, w)
			}
			if w == http.StatusTooManyRequests && header.Get("Retry-After-Ms") == "" {
				t.Errorf("%q: no hint when to try again", user)
			}
		}
	}
	f("Salt [429]", 429, 429, 429)
	f("Trains [429 once]", 429, 200, 200)
	f("Moss", 200)
}

func TestTimeout(t *testing.T) {
	s := &scriptedllm.Server{Stall: time.Hour}
	url := start(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, _, err := post(ctx, t, url, body("You are the writer.", "Lighthouses [timeout]", false)); err == nil {
		t.Error("an answer came")
	}
	// Only the writer stalls, so that the others can be reached in a task of that topic.
	if status, _, _, err := post(t.Context(), t, url, body("You are the editor.", "Lighthouses [timeout]", false)); err != nil || status != 200 {
		t.Errorf("the editor got status %d, %v", status, err)
	}
}

func TestBadRequests(t *testing.T) {
	url := start(t, &scriptedllm.Server{})
	f := func(url, body string, want int) {
		t.Helper()
		status, _, data, err := post(t.Context(), t, url, body)
		var c completion
		if err != nil || status != want || json.Unmarshal(data, &c) != nil || c.Error.Code == "" {
			t.Errorf("%s: status %d, %s, %v; want %d and a code", body, status, data, err, want)
		}
	}
	f(url, "{", http.StatusBadRequest)
	f(url, `{"model":"gpt-4o","messages":[]}`, http.StatusBadRequest)
	f(strings.Replace(url, "chat", "images", 1), "{}", http.StatusNotFound)
}
