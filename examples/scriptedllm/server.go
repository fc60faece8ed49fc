// Package scriptedllm is a model that answers by script: a server that speaks OpenAI's chat API, streamed and not, and
// says what a writer, a critic or an editor would say. It is deterministic, so that a demo and a test know beforehand
// what happens.
//
// The last user message steers it: "[timeout]" in it makes the server answer too late, "[429]" makes it refuse with
// Too Many Requests each time, "[429 once]" the first time only, "[reject]" makes the critic never satisfied.
package scriptedllm

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Server is the model. It implements http.Handler and is safe for concurrent use.
type Server struct {
	// Latency is the time one answer takes; the default is none.
	Latency time.Duration
	// Stall is how long an answer to "[timeout]" takes at most; it ends when the client gives up.
	Stall time.Duration

	mu       sync.Mutex
	requests []Request
	refused  map[string]bool
}

// Request is one request as it arrived, and the tokens it was answered with.
type Request struct {
	Header                http.Header
	Model                 string
	Status, Input, Output int
}

// Requests returns what arrived so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

type chatRequest struct {
	Model    string `json:"model"`
	Stream   bool   `json:"stream"`
	Messages []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	} `json:"messages"`
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
	Details    struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/chat/completions") {
		refuse(w, http.StatusNotFound, "not_found", "only POST /v1/chat/completions is served")
		return
	}
	var in chatRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&in); err != nil || len(in.Messages) == 0 {
		refuse(w, http.StatusBadRequest, "invalid_request_error", "the body is no chat request")
		return
	}
	system, user := text(in.Messages[0].Content), text(in.Messages[len(in.Messages)-1].Content)
	status := s.status(user)
	if status != http.StatusOK {
		s.note(Request{r.Header.Clone(), in.Model, status, 0, 0})
		w.Header().Set("Retry-After-Ms", "20")
		refuse(w, status, "rate_limit_exceeded", "Rate limit reached: too many requests")
		return
	}
	wait := s.Latency + time.Duration(spread(user, 40))*s.Latency/100
	if strings.Contains(user, "[timeout]") && isWriter(system) {
		wait = s.Stall
	}
	select {
	case <-r.Context().Done():
		s.note(Request{r.Header.Clone(), in.Model, 499, 0, 0})
		return
	case <-time.After(wait):
	}
	answer := reply(system, user)
	var u usage
	for _, m := range in.Messages {
		u.Prompt += tokens(text(m.Content)) + 4
	}
	u.Completion = tokens(answer)
	u.Total = u.Prompt + u.Completion
	if u.Prompt > 120 {
		u.Details.Cached = 64
	}
	s.note(Request{r.Header.Clone(), in.Model, status, u.Prompt, u.Completion})
	if in.Stream {
		stream(w, in.Model, answer, u)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"id": "chatcmpl-" + fmt.Sprint(spread(user, 1_000_000)), "object": "chat.completion", "created": 1790000000,
		"model": answering(in.Model), "usage": u,
		"choices": []any{map[string]any{
			"index": 0, "finish_reason": "stop", "message": map[string]any{"role": "assistant", "content": answer},
		}},
	})
}

// status decides whether the request is refused.
func (s *Server) status(user string) int {
	if strings.Contains(user, "[429]") {
		return http.StatusTooManyRequests
	}
	if !strings.Contains(user, "[429 once]") {
		return http.StatusOK
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == nil {
		s.refused = map[string]bool{}
	}
	if s.refused[user] {
		return http.StatusOK
	}
	s.refused[user] = true
	return http.StatusTooManyRequests
}

func (s *Server) note(r Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": message, "type": code, "code": code}})
}

func stream(w http.ResponseWriter, model, answer string, u usage) {
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(choices []any, u *usage) {
		chunk := map[string]any{
			"id": "chatcmpl-stream", "object": "chat.completion.chunk", "created": 1790000000,
			"model": answering(model), "choices": choices,
		}
		if u != nil {
			chunk["usage"] = u
		}
		b, err := json.Marshal(chunk)
		if err != nil {
			return
		}
		fmt.Fprintf(w, "data: %s\n\n", b)
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
	}
	for part := range strings.SplitAfterSeq(answer, ". ") {
		send([]any{map[string]any{"index": 0, "delta": map[string]any{"content": part}}}, nil)
	}
	send([]any{map[string]any{"index": 0, "delta": map[string]any{}, "finish_reason": "stop"}}, nil)
	send([]any{}, &u)
	fmt.Fprint(w, "data: [DONE]\n\n")
}

// answering is the model that answers for the one that was asked, as OpenAI's dated names do.
func answering(model string) string {
	if model == "gpt-4o" {
		return "gpt-4o-2024-08-06"
	}
	return model
}

func isWriter(system string) bool { return strings.Contains(system, "writer") }

func reply(system, user string) string {
	topic, _, _ := strings.Cut(user, "\n")
	switch {
	case strings.Contains(system, "critic"):
		score := 6 + float64(spread(user, 30))/10
		if strings.Contains(user, "revision 1") || strings.Contains(user, "revision 2") {
			score = 8 + float64(spread(user, 15))/10
		}
		if strings.Contains(user, "[reject]") {
			score = 3.5
		}
		return fmt.Sprintf("SCORE %.1f. The argument holds. The second part needs an example.", score)
	case strings.Contains(system, "editor"):
		return "# " + topic + "\n\nEdited. " + strings.Repeat("A clear sentence about it. ", 8)
	default:
		return "Draft on " + topic + ". " + strings.Repeat("First we say what it is. Then we show why it matters. ", 12)
	}
}

// text returns a message's content, which is a string or a list of parts.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(raw, &parts) != nil {
		return ""
	}
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

func tokens(s string) int { return (len(s) + 3) / 4 }

// spread returns a number below n that depends on s alone.
func spread(s string, n uint32) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	return h.Sum32() % n
}
