package rule

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"testing"
	"testing/synctest"
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

// TestSearchesAreBounded: the evaluation of rules waits for them.
func TestSearchesAreBounded(t *testing.T) {
	f := func(name string, find Find, wantNamed, wantSearches int, wantErr error) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			var alerts []*rules.Alert
			for i := range 500 {
				alerts = append(alerts, &rules.Alert{Labels: labels.FromStrings("project", "default", "agent", strconv.Itoa(i)), FiredAt: time.Now()})
			}
			searches := 0
			begin := time.Now()
			out, err := Explain(t.Context(), alerts, &url.URL{Scheme: "https", Host: "mindscope.example"}, func(ctx context.Context, f Filter, limit int) ([]Example, error) {
				searches++
				return find(ctx, f, limit)
			})
			if !errors.Is(err, wantErr) || searches != wantSearches || time.Since(begin) > 5*time.Second {
				t.Errorf("%s: %d searches in %s, %v", name, searches, time.Since(begin), err)
			}
			named, linked := 0, 0
			for _, a := range out {
				if a.Annotations.Get("tasks") != "" {
					named++
				}
				if a.Annotations.Get("link") != "" {
					linked++
				}
			}
			if named != wantNamed || linked != len(alerts) {
				t.Errorf("%s: %d alerts name tasks, %d have a link", name, named, linked)
			}
		})
	}
	f("fast", func(context.Context, Filter, int) ([]Example, error) { return []Example{{ID: "t"}}, nil }, 20, 20, nil)
	f("slow", func(ctx context.Context, _ Filter, _ int) ([]Example, error) {
		select {
		case <-time.After(2 * time.Second):
			return []Example{{ID: "t"}}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}, 2, 3, context.DeadlineExceeded)
}
