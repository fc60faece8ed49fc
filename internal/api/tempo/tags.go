package tempo

import (
	"net/http"
	"slices"

	"github.com/mindscope/mindscope/internal/query/traceql"
	"github.com/mindscope/mindscope/internal/signal"
)

// mostNames bounds the tags and values of an answer.
const mostNames = 5000

type scopeTags struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

type tagValue struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// tagsRequest reads what both endpoints of tags and both of values have in common. q may be half typed: then it narrows
// nothing.
func (a *API) tagsRequest(r *request) (req traceql.TagsRequest, given bool, err error) {
	if req.Time, given, err = r.time(a.clock()); err != nil {
		return req, false, err
	}
	if !given {
		req.Time = traceql.Lately(a.clock().UnixNano())
	}
	if req.Limit, err = r.count("limit", mostNames, mostNames); err != nil {
		return req, false, err
	}
	if q, err := traceql.Parse(r.params.Get("q")); err == nil {
		req.Query = q
	}
	return req, given, nil
}

// lately asks about the last day and, when there is nothing, about all time, unless a time was given.
func lately[T any](a *API, r *request, ask func(traceql.TagsRequest) (T, bool, error)) (out T, err error) {
	req, given, err := a.tagsRequest(r)
	if err != nil {
		return out, err
	}
	out, some, err := ask(req)
	if err == nil && !some && !given {
		req.Time = signal.AllTime()
		out, _, err = ask(req)
	}
	return out, err
}

func (a *API) tags(r *request) (*traceql.Tags, error) {
	return lately(a, r, func(req traceql.TagsRequest) (*traceql.Tags, bool, error) {
		t, err := a.engine.Tags(r.Context(), r.project, req)
		return t, err == nil && len(t.Resource)+len(t.Span) > 0, err
	})
}

func (a *API) values(r *request) ([]traceql.TagValue, error) {
	attr, err := traceql.ParseTag(r.args[0])
	if err != nil {
		return nil, err
	}
	return lately(a, r, func(req traceql.TagsRequest) ([]traceql.TagValue, bool, error) {
		v, err := a.engine.Values(r.Context(), r.project, attr, req)
		return v, len(v) > 0, err
	})
}

func (a *API) tagsV2(w http.ResponseWriter, r *request) error {
	scope := r.params.Get("scope")
	all := scope == "" || scope == "none"
	t, err := a.tags(r)
	if err != nil {
		return err
	}
	out := struct {
		Scopes  []scopeTags `json:"scopes"`
		Metrics struct{}    `json:"metrics"`
	}{Scopes: []scopeTags{}}
	known := all
	for _, s := range []scopeTags{
		{"resource", t.Resource},
		{"span", t.Span},
		{"event", t.Event},
		{"link", t.Link},
		{"instrumentation", t.Instrumentation},
		{"intrinsic", t.Intrinsic},
	} {
		known = known || s.Name == scope
		if (all || s.Name == scope) && len(s.Tags) > 0 {
			slices.Sort(s.Tags)
			out.Scopes = append(out.Scopes, s)
		}
	}
	if !known {
		return badRequest("scope %q: resource, span, event, link, instrumentation and intrinsic are known", scope)
	}
	return answer(w, out)
}

func (a *API) valuesV2(w http.ResponseWriter, r *request) error {
	values, err := a.values(r)
	if err != nil {
		return err
	}
	out := struct {
		TagValues []tagValue `json:"tagValues"`
		Metrics   struct{}   `json:"metrics"`
	}{TagValues: []tagValue{}}
	for _, v := range values {
		out.TagValues = append(out.TagValues, tagValue{Type: v.Type, Value: v.Text})
	}
	return answer(w, out)
}

// tagsV1 lists names without their scopes.
func (a *API) tagsV1(w http.ResponseWriter, r *request) error {
	t, err := a.tags(r)
	if err != nil {
		return err
	}
	names := slices.Concat(t.Resource, t.Span, []string{"name", "status", "root.name", "root.service.name"})
	slices.Sort(names)
	return answer(w, struct {
		TagNames []string `json:"tagNames"`
	}{slices.Compact(names)})
}

func (a *API) valuesV1(w http.ResponseWriter, r *request) error {
	switch r.args[0] { // as the first version of that API named them
	case "root.name":
		r.args[0] = "rootName"
	case "root.service.name":
		r.args[0] = "rootServiceName"
	}
	values, err := a.values(r)
	if err != nil {
		return err
	}
	texts := []string{}
	for _, v := range values {
		texts = append(texts, v.Text)
	}
	return answer(w, struct {
		TagValues []string `json:"tagValues"`
	}{texts})
}
