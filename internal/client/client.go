// Package client asks a running server through its HTTP API, for the command line. It opens no storage.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Errors that callers tell apart.
var (
	// ErrNotFound: the server knows no such thing.
	ErrNotFound = errors.New("not found")
	// ErrUnreachable: no server answers at the address.
	ErrUnreachable = errors.New("no server answers")
	// ErrSlow: the server took longer than a client waits.
	ErrSlow = errors.New("the answer takes longer than a minute")
)

// patience is how long an answer may take.
const patience = time.Minute

// RefusedError is a request that the server does not answer as it was put.
type RefusedError struct {
	// Status is the HTTP status: 400 for what can't be understood, 409 for an id that names several things.
	Status int
	// Detail is the server's sentence.
	Detail string
	// Ambiguous: the id names tasks of several teams.
	Ambiguous bool
}

func (e *RefusedError) Error() string { return e.Detail }

// maxAnswer bounds an answer; the server pages everything that could be larger.
const maxAnswer = 256 << 20

// Client asks one server about one project. It is safe for concurrent use.
type Client struct {
	base, project string
	http          *http.Client
}

// New returns a client of the server at base, a URL like http://127.0.0.1:9090.
func New(base, project string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("server address %q: use a URL like http://127.0.0.1:9090", base)
	}
	return &Client{strings.TrimRight(base, "/"), project, &http.Client{Timeout: patience}}, nil
}

// Get reads the answer to a path below /api/mindscope/v1 as raw JSON.
func (c *Client) Get(ctx context.Context, path string, query url.Values) (json.RawMessage, error) {
	target := c.base + "/api/mindscope/v1" + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	req.Header.Set("X-Mindscope-Project", c.project)
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, c.unanswered(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if late(err) {
		return nil, c.unanswered(err)
	}
	if err != nil {
		return nil, fmt.Errorf("read the server's answer: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return body, nil
	}
	return nil, refusal(resp.StatusCode, body)
}

// unanswered says why a request has no answer. A server that can't be dialled is not slow.
func (c *Client) unanswered(err error) error {
	if op, dialled := errors.AsType[*net.OpError](err); late(err) && (!dialled || op.Op != "dial") {
		return fmt.Errorf("ask %s: %w", c.base, ErrSlow)
	}
	return fmt.Errorf("%w at %s", ErrUnreachable, c.base)
}

func late(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

func refusal(status int, body []byte) error {
	var p struct {
		Detail string `json:"detail"`
		Errors []struct {
			Message  string `json:"message"`
			Location string `json:"location"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &p) != nil || p.Detail == "" {
		return fmt.Errorf("the server answered status %d", status)
	}
	ambiguous := false
	for _, e := range p.Errors {
		ambiguous = ambiguous || status == http.StatusConflict && e.Location == "query.team"
		if status != http.StatusConflict && e.Message != "" {
			p.Detail += ": " + strings.TrimPrefix(e.Location, "query.") + " " + e.Message
		}
	}
	if status == http.StatusNotFound {
		return fmt.Errorf("%s%w", strings.TrimSuffix(p.Detail, ErrNotFound.Error()), ErrNotFound)
	}
	return &RefusedError{Status: status, Detail: p.Detail, Ambiguous: ambiguous}
}

// Tasks lists tasks.
func (c *Client) Tasks(ctx context.Context, query url.Values) (TaskPage, error) {
	var page TaskPage
	return page, c.read(ctx, "/tasks", query, &page)
}

// Task returns one task with its tree.
func (c *Client) Task(ctx context.Context, id string, query url.Values) (Task, error) {
	var t Task
	return t, c.read(ctx, "/tasks/"+url.PathEscape(id), query, &t)
}

// Logs returns a page of a task's log records.
func (c *Client) Logs(ctx context.Context, id string, query url.Values) (LogPage, error) {
	var page LogPage
	return page, c.read(ctx, "/tasks/"+url.PathEscape(id)+"/logs", query, &page)
}

func (c *Client) read(ctx context.Context, path string, query url.Values, v any) error {
	raw, err := c.Get(ctx, path, query)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}
