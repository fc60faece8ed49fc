package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// exportTrailer is what the server sends behind an export that is complete.
const exportTrailer = "X-Mindscope-Rows"

// Receipt says what a removal did.
type Receipt struct {
	Project string    `json:"project"`
	What    string    `json:"what"`
	DryRun  bool      `json:"dry_run"`
	At      time.Time `json:"at"`
	TookMs  int64     `json:"took_ms"`
	Rows    []struct {
		Kind string `json:"kind"`
		Rows int64  `json:"rows"`
	} `json:"rows"`
	// Expired counts rows that a scrub removed, since they passed their retention meanwhile.
	Expired   int64    `json:"expired"`
	MayRemain []string `json:"may_remain"`
}

// Post sends body as JSON to a path below /api/mindscope/v1 and returns the answer as raw JSON. Removals take as long
// as they take: ctx alone ends the wait.
func (c *Client) Post(ctx context.Context, path string, body any) (json.RawMessage, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	resp, err := c.send(ctx, http.MethodPost, path, nil, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the server's answer: %w", err)
	}
	return answer, nil
}

// GetLong is Get for questions about much data: ctx alone ends the wait.
func (c *Client) GetLong(ctx context.Context, path string, query url.Values) (json.RawMessage, error) {
	resp, err := c.send(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the server's answer: %w", err)
	}
	return answer, nil
}

// Export copies an export to w as it comes.
func (c *Client) Export(ctx context.Context, query url.Values, w io.Writer) error {
	resp, err := c.send(ctx, http.MethodGet, "/export", query, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if resp.Trailer.Get(exportTrailer) == "" {
		return errors.New("the export broke off: the server's log says why")
	}
	return nil
}

// send asks and returns the answer to a request that was accepted; its body is the caller's to close.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Response, error) {
	target := c.base + "/api/mindscope/v1" + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	req.Header.Set("X-Mindscope-Project", c.project)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := (&http.Client{Transport: c.http.Transport}).Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w at %s", ErrUnreachable, c.base)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	problem, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("read the server's answer: %w", err)
	}
	return nil, refusal(resp.StatusCode, problem)
}
