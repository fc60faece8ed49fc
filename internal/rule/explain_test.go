package rule

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
)

var errStore = errors.New("the store is away")

func TestExplain(t *testing.T) {
	external, err := url.Parse("https://mindscope.example/base")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 2, 10, 0, 30, 0, time.UTC)
	explain := func(a *rules.Alert, found []Example, fail error) (map[string]string, Filter) {
		t.Helper()
		var asked Filter
		a.FiredAt = at
		out, err := Explain(t.Context(), []*rules.Alert{a}, external, func(_ context.Context, f Filter, limit int) ([]Example, error) {
			if asked = f; limit != 3 {
				t.Errorf("asked for %d", limit)
			}
			return found, fail
		})
		if !errors.Is(err, fail) {
			t.Errorf("got %v", err)
		}
		return out[0].Annotations.Map(), asked
	}
	got, asked := explain(&rules.Alert{
		Labels:      labels.FromStrings("project", "acme", "team", "press", "model", "gpt-4o", "agent", "writer"),
		Annotations: labels.FromStrings("summary", "s", "query", "failed"),
	}, []Example{{ID: "t3"}, {ID: "t2", Agent: "critic", Error: "timeout"}, {ID: "t1", Error: "x"}}, nil)
	want := map[string]string{
		"summary": "s", "tasks": "t3, t2, t1", "cause": "critic: timeout",
		"link": "https://mindscope.example/base/api/mindscope/v1/tasks?agent=writer&failed=true&model=gpt-4o&project=acme&since=2026-03-01T10%3A00%3A00Z&team=press",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if asked.Project != "acme" || asked.Team != "press" || asked.Model != "gpt-4o" || asked.Status != "failed" {
		t.Errorf("asked for %+v", asked)
	}
	got, _ = explain(&rules.Alert{Labels: labels.FromStrings("project", "default", "team", "*", "task_type", "article"), Annotations: labels.FromStrings("query", "running")}, nil, nil)
	if d := cmp.Diff(map[string]string{"link": "https://mindscope.example/base/api/mindscope/v1/tasks?since=2026-03-01T10%3A00%3A00Z&status=running&type=article"}, got); d != "" {
		t.Error(d)
	}
	got, _ = explain(&rules.Alert{Labels: labels.FromStrings("alertname", "Watchdog"), Annotations: labels.FromStrings("summary", "s")}, nil, nil)
	if d := cmp.Diff(map[string]string{"summary": "s"}, got); d != "" {
		t.Error(d)
	}
	got, _ = explain(&rules.Alert{Labels: labels.FromStrings("project", "default"), Annotations: labels.FromStrings("summary", "s")}, nil, errStore)
	if d := cmp.Diff(map[string]string{"summary": "s"}, got); d != "" {
		t.Error(d)
	}
}
