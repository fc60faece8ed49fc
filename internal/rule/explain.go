package rule

import (
	"context"
	"net/url"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
)

// Example is one task that an alert is about.
type Example struct {
	ID string
	// Agent and Error say where and why it failed, "" when it didn't.
	Agent, Error string
}

// Find returns at most limit tasks of a team, newest first: failed ones or running ones, as the shipped rules' annotation
// query says.
type Find func(ctx context.Context, project, team, query string, limit int) ([]Example, error)

// examples is how many tasks a notification names.
const examples = 3

// Explain adds to alerts that fire what their reader asks first: the ids of three tasks, the cause of the newest, and a
// link to the list of tasks. Alerts without the annotation query, and what find can't answer, stay as they are; the
// error tells of the latter.
func Explain(ctx context.Context, alerts []*rules.Alert, external *url.URL, find Find) ([]*rules.Alert, error) {
	out := make([]*rules.Alert, len(alerts))
	var failed error
	for i, a := range alerts {
		out[i] = a
		query := a.Annotations.Get("query")
		if query == "" || !a.ResolvedAt.IsZero() {
			continue
		}
		project, team := a.Labels.Get("project"), a.Labels.Get("team")
		found, err := find(ctx, project, team, query, examples)
		if err != nil {
			failed = err
			continue
		}
		explained := *a
		explained.Annotations = annotate(a.Annotations, external, team, query, found)
		out[i] = &explained
	}
	return out, failed
}

func annotate(to labels.Labels, external *url.URL, team, query string, found []Example) labels.Labels {
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
		list := external.JoinPath("api/mindscope/v1/tasks")
		q := url.Values{"team": {team}}
		if query == "failed" {
			q.Set("failed", "true")
		}
		list.RawQuery = q.Encode()
		b.Set("link", list.String())
	}
	return b.Labels()
}
