package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mindscope/mindscope/test/panels"
)

// question is one request that Grafana sends for a panel.
type question struct {
	board, panel, path string
	form               url.Values
}

// A screen of usual width, and what a panel's frame takes of its part of it: Grafana asks for a point a pixel.
const screen, frame = 1920, 32

// questions are those of the mission's three dashboards in a time range, as Grafana sends them: every target of every
// panel that asks for metrics.
func questions(all []panels.Board, view panels.View) []question {
	var out []question
	for _, b := range all {
		if b.UID == "mindscope-platform" {
			continue
		}
		view.Values = b.Everything()
		for _, p := range b.All() {
			view.Points = p.GridPos.W*screen/24 - frame
			for _, t := range p.Targets {
				if t.Datasource.Type != "prometheus" {
					continue
				}
				q := question{board: b.UID, panel: p.Title, path: "/api/v1/query", form: url.Values{"query": {view.Fill(t.Expr, t.Interval)}}}
				if t.Instant {
					q.form.Set("time", unix(view.To))
				} else {
					step := view.Step(t.Interval)
					q.path = "/api/v1/query_range"
					q.form.Set("start", unix(view.From.Truncate(step)))
					q.form.Set("end", unix(view.To.Truncate(step)))
					q.form.Set("step", strconv.FormatFloat(step.Seconds(), 'f', -1, 64))
				}
				out = append(out, q)
			}
		}
	}
	return out
}

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// answer is what came back.
type answer struct {
	took   time.Duration
	series int
}

// ask sends a question and reads the answer to its end.
func ask(ctx context.Context, server string, q question) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server+q.path, strings.NewReader(q.form.Encode()))
	if err != nil {
		return answer{}, fmt.Errorf("ask %s: %w", q.panel, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, fmt.Errorf("ask %s: %w", q.panel, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	took := time.Since(began)
	if err != nil || resp.StatusCode != http.StatusOK {
		return answer{}, fmt.Errorf("ask %s: status %s: %s %w", q.panel, resp.Status, body, err)
	}
	var got struct {
		Data struct {
			Result []json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		return answer{}, fmt.Errorf("read answer of %s: %w", q.panel, err)
	}
	return answer{took, len(got.Data.Result)}, nil
}
