// Package team serves the questions about tasks, agents and traces as JSON under /api/mindscope/v1, described in
// OpenAPI 3.1 from the Go types in this package. These types are the wire format and are used nowhere else.
package team

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	query "github.com/mindscope/mindscope/internal/query/team"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Prefix is the path below which the API lives.
const Prefix = "/api/mindscope/v1"

// ProjectHeader names the project a request is about.
const ProjectHeader = "X-Mindscope-Project"

// API serves the questions.
type API struct {
	questions *query.Questions
	huma      huma.API
}

// Register mounts the API on mux and returns it. version is the server's.
func Register(mux *http.ServeMux, questions *query.Questions, version string) *API {
	cfg := huma.DefaultConfig("MindScope", version)
	cfg.Info.Description = "Tasks of teams of AI agents, from end to end."
	cfg.OpenAPIPath = Prefix + "/openapi"
	cfg.DocsPath = ""
	cfg.SchemasPath = Prefix + "/schemas"
	cfg.CreateHooks = nil // no $schema member in answers
	cfg.Transformers = append(cfg.Transformers, asBadRequest)
	a := &API{questions: questions, huma: humago.New(mux, cfg)}
	a.huma.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) { next(badRequestContext{ctx}) })
	a.register()
	mux.HandleFunc(Prefix+"/", func(w http.ResponseWriter, r *http.Request) { unknown(mux, w, r) })
	return a
}

// Describe returns the description of the whole API, without a server.
func Describe() ([]byte, error) {
	a := Register(http.NewServeMux(), nil, "v1")
	a.Care(nil)
	a.Live(nil)
	a.Costs(nil)
	a.Budgets(nil)
	return a.OpenAPI()
}

// A parameter that can't be read is a bad request like any other: huma's own status for it is 422.
func asBadRequest(_ huma.Context, _ string, v any) (any, error) {
	if e, ok := v.(*huma.ErrorModel); ok && e.Status == http.StatusUnprocessableEntity {
		e.Status, e.Title = http.StatusBadRequest, http.StatusText(http.StatusBadRequest)
	}
	return v, nil
}

type badRequestContext struct{ base }

// base is embedded under a name that is no method of its own.
type base = huma.Context

// SetStatus implements huma.Context.
func (c badRequestContext) SetStatus(code int) {
	if code == http.StatusUnprocessableEntity {
		code = http.StatusBadRequest
	}
	c.base.SetStatus(code)
}

// OpenAPI returns the description of the API as YAML.
func (a *API) OpenAPI() ([]byte, error) { return a.huma.OpenAPI().YAML() }

func (a *API) register() {
	get(a, "list-tasks", "/tasks", "List tasks, newest first", a.tasks)
	get(a, "get-task", "/tasks/{id}", "One task from end to end: its tree, agents, totals and traces", a.task)
	get(a, "get-task-logs", "/tasks/{id}/logs", "The log records of a task, oldest first", a.logs)
	get(a, "audit-task", "/tasks/{id}/audit", "What is expected and what was found of a task on each hop, and where its id was lost", a.audit)
	get(a, "get-lineage", "/lineage", "Where an artifact or record came from, and what used it later", a.lineage)
	get(a, "get-trace", "/traces/{id}", "The spans of a trace with everything they were sent with, oldest first", a.trace)
	get(a, "get-payload", "/payloads/{hash}", "The content that spans refer to by hash", a.payload)
	get(a, "list-conversations", "/conversations", "List conversations by id", a.conversations)
	get(a, "get-span-messages", "/traces/{id}/spans/{span}/messages", "What was said to a model or tool and what it answered, whatever the sender's dialect", a.spanMessages)
	get(a, "get-conversation-messages", "/conversations/{id}/messages", "A conversation, call by call, oldest first", a.conversation)
	get(a, "list-users", "/users", "List users by id", a.users)
}

func get[I, O any](a *API, id, path, summary string, handler func(context.Context, *I) (*O, error)) {
	huma.Register(a.huma, huma.Operation{
		OperationID: id, Method: http.MethodGet, Path: Prefix + path, Summary: summary,
		Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable},
	}, func(ctx context.Context, in *I) (*O, error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, problem(err)
		}
		return out, nil
	})
	a.undescribe(path)
}

// undescribe takes the status that is never answered out of the description.
func (a *API) undescribe(path string) {
	item := a.huma.OpenAPI().Paths[Prefix+path]
	for _, op := range []*huma.Operation{item.Get, item.Post} {
		if op != nil {
			delete(op.Responses, strconv.Itoa(http.StatusUnprocessableEntity))
		}
	}
}

// unknown answers what no route takes: the method, when the path is one of ours, else the path.
func unknown(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := mux.Handler(other); pattern != "" && pattern != Prefix+"/" {
			allowed = append(allowed, method)
		}
	}
	status, detail := http.StatusNotFound, "there is no such endpoint; "+Prefix+"/openapi.json lists them"
	if len(allowed) > 0 {
		status, detail = http.StatusMethodNotAllowed, "only "+strings.Join(allowed, " and ")+" is served here"
		w.Header().Set("Allow", strings.Join(allowed, ", "))
	}
	body, err := json.Marshal(huma.ErrorModel{Title: http.StatusText(status), Status: status, Detail: detail})
	if err != nil {
		panic("BUG: encode problem: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// problem is the one place where errors become statuses.
func problem(err error) error {
	var ambiguous *query.AmbiguousError
	switch {
	case errors.As(err, &ambiguous):
		details := make([]error, len(ambiguous.Teams))
		for i, t := range ambiguous.Teams {
			details[i] = &huma.ErrorDetail{Message: "a task of this id", Location: "query.team", Value: t}
		}
		return huma.Error409Conflict(err.Error(), details...)
	case errors.Is(err, store.ErrNotFound):
		return huma.Error404NotFound(err.Error())
	case errors.Is(err, store.ErrTooMany):
		return huma.Error422UnprocessableEntity(err.Error() + ": narrow the time or the filters")
	case signal.IsPermanent(err):
		return huma.Error400BadRequest(err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return huma.Error503ServiceUnavailable("the question was not answered in time")
	case errors.Is(err, store.ErrPartial):
		return huma.Error503ServiceUnavailable("a part of the store did not answer, and what was asked for may be there", err)
	default:
		return huma.Error500InternalServerError("the question could not be answered; the server's log says why", err)
	}
}

// ProjectInput is the project of a request: the header, else the parameter, else the default one.
type ProjectInput struct {
	Header    string `header:"X-Mindscope-Project" doc:"The project; default 'default'."`
	Parameter string `query:"project" doc:"The project, for links; the header wins."`
}

func (p ProjectInput) project() (signal.Project, error) {
	name := p.Header
	if name == "" {
		name = p.Parameter
	}
	project, err := signal.ParseProject(name)
	return project, signal.Permanent(err)
}

// PageInput asks for a page of a list.
type PageInput struct {
	Limit int    `query:"limit" minimum:"0" maximum:"1000" doc:"Items a page; default 50."`
	Page  string `query:"page" doc:"The 'next' of the page before."`
}

func timeOf(ns int64) time.Time { return time.Unix(0, ns).UTC() }
