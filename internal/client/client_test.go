package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// server answers every request with a status and a body, and keeps the last request.
func server(t *testing.T, status int, body string) (c *Client, last func() *http.Request) {
	t.Helper()
	var got *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	c, err := New(s.URL+"/", "press")
	if err != nil {
		t.Fatal(err)
	}
	return c, func() *http.Request { return got }
}

func TestAsksForIDsOfAnyShape(t *testing.T) {
	c, last := server(t, 200, `{"id":"a/b ?#%"}`)
	task, err := c.Task(t.Context(), "a/b ?#%", url.Values{"team": {"x&y"}})
	if err != nil || task.ID != "a/b ?#%" {
		t.Fatal(task, err)
	}
	r := last()
	if r.URL.EscapedPath() != "/api/mindscope/v1/tasks/a%2Fb%20%3F%23%25" || r.URL.Query().Get("team") != "x&y" || r.Header.Get("X-Mindscope-Project") != "press" {
		t.Errorf("asked for %s as %s", r.URL, r.Header)
	}
	if _, err := c.Logs(t.Context(), "t", url.Values{"page": {"p"}}); err != nil || last().URL.Path != "/api/mindscope/v1/tasks/t/logs" {
		t.Errorf("%v, asked for %s", err, last().URL)
	}
	if _, err := c.Tasks(t.Context(), nil); err != nil || last().URL.String() != "/api/mindscope/v1/tasks" {
		t.Errorf("%v, asked for %s", err, last().URL)
	}
}

func TestRefusals(t *testing.T) {
	f := func(status int, body, want string, is error) {
		t.Helper()
		c, _ := server(t, status, body)
		_, err := c.Task(t.Context(), "t", nil)
		if err == nil || err.Error() != want || is != nil && !errors.Is(err, is) {
			t.Errorf("status %d: %v, want %s", status, err, want)
		}
		var refused *RefusedError
		if errors.As(err, &refused) && refused.Status != status {
			t.Errorf("status %d is told as %d", status, refused.Status)
		}
	}
	f(404, `{"detail":"task \"t\": not found"}`, `task "t": not found`, ErrNotFound)
	f(409, `{"detail":"name one","errors":[{"message":"a task of this id","location":"query.team"}]}`, "name one", nil)
	f(400, `{"detail":"validation failed","errors":[{"message":"must be less","location":"query.limit"}]}`, "validation failed: limit must be less", nil)
	f(500, `{"detail":"the log says why"}`, "the log says why", nil)
	f(502, `<html>`, "the server answered status 502", nil)
	f(200, `<html>`, "read the server's answer: invalid character '<' looking for beginning of value", nil)
}

func TestUnreachableAndCancelled(t *testing.T) {
	c, err := New("http://127.0.0.1:1", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Tasks(t.Context(), nil); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "http://127.0.0.1:1") {
		t.Errorf("%v, want ErrUnreachable with the address", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Tasks(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want Canceled", err)
	}
}

// TestSlowServer: one that takes too long is there all the same.
func TestSlowServer(t *testing.T) {
	asked := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("begin") {
			_, _ = w.Write([]byte("{"))
			_ = http.NewResponseController(w).Flush()
		}
		<-asked
	}))
	defer s.Close()
	defer close(asked)
	c, err := New(s.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	c.http.Timeout = 20 * time.Millisecond
	for _, query := range []url.Values{nil, {"begin": {"1"}}} {
		if _, err := c.Tasks(t.Context(), query); !errors.Is(err, ErrSlow) || errors.Is(err, ErrUnreachable) {
			t.Errorf("%v: %v, want ErrSlow", query, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, bad := range []string{"", "localhost:9090", "ftp://host", "http://", "http://[::1"} {
		if _, err := New(bad, ""); err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:9090") {
			t.Errorf("%q: %v, want an example of a right one", bad, err)
		}
	}
}

func TestLogText(t *testing.T) {
	l := Log{Fields: map[string]json.RawMessage{"body": json.RawMessage(`"a \"word\""`), "n": json.RawMessage(`5`), "m": json.RawMessage(`{"a":1}`)}}
	for field, want := range map[string]string{"body": `a "word"`, "n": "5", "m": `{"a":1}`, "absent": ""} {
		if got := l.Text(field); got != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
}
