package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// RunningTasks is what runs just now.
type RunningTasks struct {
	Tasks []RunningTask `json:"tasks"`
	Total int           `json:"total"`
}

// RunningTask is a task that runs.
type RunningTask struct {
	ID     string    `json:"id"`
	Team   string    `json:"team"`
	Type   string    `json:"type"`
	Status string    `json:"status"`
	Since  time.Time `json:"since"`
	Holder struct {
		Agent string    `json:"agent"`
		Span  string    `json:"span"`
		Since time.Time `json:"since"`
	} `json:"holder"`
	Quality  *float64 `json:"quality"`
	UsualNs  int64    `json:"usual_ns"`
	Stuck    bool     `json:"stuck"`
	PingPong *struct {
		Agents    []string `json:"agents"`
		Handovers int      `json:"handovers"`
	} `json:"ping_pong"`
	Tree []RunningSpan `json:"tree"`
}

// RunningSpan is a span that runs.
type RunningSpan struct {
	Agent    string    `json:"agent"`
	Name     string    `json:"name"`
	Since    time.Time `json:"since"`
	Lost     bool      `json:"lost"`
	UsualNs  int64     `json:"usual_ns"`
	WaitsFor []struct {
		Agent  string    `json:"agent"`
		Since  time.Time `json:"since"`
		Queued bool      `json:"queued"`
	} `json:"waits_for"`
	Children []RunningSpan `json:"children"`
}

// ErrStreamEnded says that the server ended the stream: it stops or was restarted.
var ErrStreamEnded = errors.New("the server ended the stream")

// maxEvent bounds one event.
const maxEvent = 64 << 20

// Live gives what runs to each, at once and at every change, until ctx ends or the stream does. It always returns an
// error that says why it ended.
func (c *Client) Live(ctx context.Context, each func(RunningTasks)) error {
	resp, err := c.send(ctx, http.MethodGet, "/live", nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxEvent)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		var tasks RunningTasks
		if err := json.Unmarshal(data, &tasks); err != nil {
			return fmt.Errorf("read the server's answer: %w", err)
		}
		each(tasks)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case lines.Err() != nil:
		return fmt.Errorf("read the server's stream: %w", lines.Err())
	}
	return ErrStreamEnded
}
