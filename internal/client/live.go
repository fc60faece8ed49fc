package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
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

// changes is what changed since the event before.
type changes struct {
	Tasks []RunningTask `json:"tasks"`
	Gone  []taskName    `json:"gone"`
	Total int           `json:"total"`
}

type taskName struct {
	Team string `json:"team"`
	ID   string `json:"id"`
}

// Live gives what runs to each, at once and at every change, until ctx ends or the stream does. Tasks are not to be
// changed. It always returns an error that says why it ended.
func (c *Client) Live(ctx context.Context, each func(RunningTasks)) error {
	resp, err := c.send(ctx, http.MethodGet, "/live", nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxEvent)
	var now RunningTasks
	for whole := true; lines.Scan(); {
		if name, ok := bytes.CutPrefix(lines.Bytes(), []byte("event: ")); ok {
			whole = string(name) != "changes"
		}
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		var next changes // a whole state has the same form, with nothing gone
		if err := json.Unmarshal(data, &next); err != nil {
			return fmt.Errorf("read the server's answer: %w", err)
		}
		if whole {
			now = RunningTasks{}
		}
		now = now.with(next)
		each(now)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case lines.Err() != nil:
		return fmt.Errorf("read the server's stream: %w", lines.Err())
	}
	return ErrStreamEnded
}

// with returns what runs after changes, the longest running first.
func (r RunningTasks) with(c changes) RunningTasks {
	out := map[taskName]bool{}
	for _, gone := range c.Gone {
		out[gone] = true
	}
	for i := range c.Tasks {
		out[taskName{c.Tasks[i].Team, c.Tasks[i].ID}] = true
	}
	tasks := slices.Clone(c.Tasks)
	for i := range r.Tasks {
		if !out[taskName{r.Tasks[i].Team, r.Tasks[i].ID}] {
			tasks = append(tasks, r.Tasks[i])
		}
	}
	slices.SortFunc(tasks, func(a, b RunningTask) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Team, b.Team), cmp.Compare(a.ID, b.ID))
	})
	return RunningTasks{Tasks: tasks, Total: c.Total}
}
