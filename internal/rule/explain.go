package rule

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
)

// Example is one task that an alert is about.
type Example struct {
	ID string
	// Agent and Error say where and why it failed, "" when it didn't.
	Agent, Error string
}

// Filter says which tasks an alert is about; empty parts are any.
type Filter struct {
	Project, Team, Agent, Model, Type string
	// Status is failed or running, as the shipped rules' annotation query says, "" for any.
	Status string
	// Since bounds their start.
	Since time.Time
}

// Find returns at most limit tasks, newest first.
type Find func(ctx context.Context, f Filter, limit int) ([]Example, error)

// span is how far before an alert fired its tasks may have begun.
const span = 24 * time.Hour

// filterOf reads an alert's labels; ok is false for one that is about no team.
func filterOf(a *rules.Alert) (f Filter, ok bool) {
	l := func(names ...string) string {
		for _, name := range names {
			if v := a.Labels.Get(name); v != "" && v != "*" {
				return v
			}
		}
		return ""
	}
	f = Filter{
		Project: l("project"), Team: l("team"), Agent: l("agent", "to_agent"), Model: l("model"), Type: l("task_type"),
		Status: a.Annotations.Get("query"), Since: a.FiredAt.Add(-span).UTC().Truncate(time.Minute),
	}
	return f, f.Project != ""
}

// link is the list of these tasks.
func (f Filter) link(external *url.URL) string {
	list := external.JoinPath("api/mindscope/v1/tasks")
	q := url.Values{}
	for key, value := range map[string]string{"team": f.Team, "agent": f.Agent, "model": f.Model, "type": f.Type, "since": f.Since.Format(time.RFC3339)} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if f.Project != "default" {
		q.Set("project", f.Project)
	}
	switch f.Status {
	case "failed":
		q.Set("failed", "true")
	case "running":
		q.Set("status", "running")
	}
	list.RawQuery = q.Encode()
	return list.String()
}

const (
	// examples is how many tasks an alert names.
	examples = 3
	// maxSearches and searchTime bound the searches for the alerts of one notification: the evaluation of rules waits for
	// them, and a rule may fire for hundreds of series.
	maxSearches = 20
	searchTime  = 5 * time.Second
)

// Explain adds to alerts that fire what their reader asks first: the ids of three tasks, the cause of the newest, and a
// link to the list of tasks, filtered by the alert's labels. Alerts beyond the first twenty, and those that find has no time
// left for after five seconds, get the link alone. Alerts that are about no project's tasks, and what find can't answer,
// stay as they are; the error tells of the latter, and of the want of time.
func Explain(ctx context.Context, alerts []*rules.Alert, external *url.URL, find Find) ([]*rules.Alert, error) {
	out := make([]*rules.Alert, len(alerts))
	var failed error
	searches := 0
	ctx, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	for i, a := range alerts {
		out[i] = a
		filter, ok := filterOf(a)
		if !ok || !a.ResolvedAt.IsZero() {
			continue
		}
		var found []Example
		if searches < maxSearches && ctx.Err() == nil {
			searches++
			var err error
			if found, err = find(ctx, filter, examples); err != nil {
				failed = err
				if ctx.Err() == nil {
					continue
				}
			}
		}
		explained := *a
		explained.Annotations = annotate(a.Annotations, external, filter, found)
		out[i] = &explained
	}
	return out, failed
}

func annotate(to labels.Labels, external *url.URL, f Filter, found []Example) labels.Labels {
	b := labels.NewBuilder(to)
	b.Del("query")
	ids := make([]string, len(found))
	for i, e := range found {
		ids[i] = e.ID
	}
	if len(ids) > 0 {
		b.Set("tasks", strings.Join(ids, ", "))
	}
	for _, e := range found {
		if e.Error == "" {
			continue
		}
		cause := e.Error
		if e.Agent != "" {
			cause = e.Agent + ": " + cause
		}
		b.Set("cause", cause)
		break
	}
	if external != nil {
		b.Set("link", f.link(external))
	}
	return b.Labels()
}
