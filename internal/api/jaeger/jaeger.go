// Package jaeger serves traces as Jaeger's query service does, for Grafana's built-in data source and other clients: the
// address is the server's with Prefix behind it. The types of this package are that API's wire format and are used nowhere
// else.
package jaeger

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/query/traceql"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Prefix is the path below which the API lives.
const Prefix = "/jaeger"

// projectHeader names the project a request is about, as in the API of tasks.
const projectHeader = "X-Mindscope-Project"

// API serves the endpoints. It implements http.Handler for paths that begin with Prefix.
type API struct {
	engine *traceql.Engine
	events store.Reader
	clock  func() time.Time
	mux    *http.ServeMux
}

// New returns the API. clock may be nil for time.Now.
func New(engine *traceql.Engine, events store.Reader, clock func() time.Time) *API {
	if clock == nil {
		clock = time.Now
	}
	a := &API{engine: engine, events: events, clock: clock, mux: http.NewServeMux()}
	a.handle("/api/services", a.services)
	a.handle("/api/services/{service}/operations", a.operations)
	a.handle("/api/operations", a.operationsWithKinds)
	a.handle("/api/traces", a.search)
	a.handle("/api/traces/{id}", a.trace)
	a.handle("/api/dependencies", a.dependencies)
	a.handle("/api/v3/services", a.servicesV3)
	a.handle("/api/v3/operations", a.operationsV3)
	a.handle("/api/v3/traces", a.searchV3)
	a.handle("/api/v3/traces/{id}", a.traceV3)
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "there is no such endpoint of Jaeger's API: "+r.URL.Path)
	})
	return a
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// request is a request on its way through the API.
type request struct {
	*http.Request
	project signal.Project
	params  url.Values
}

func (a *API) handle(path string, serve func(*request) (any, error)) {
	a.mux.HandleFunc(Prefix+path, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			fail(w, http.StatusMethodNotAllowed, "only GET is served here")
			return
		}
		doc, err := a.answer(r, serve)
		if err != nil {
			problem(w, err)
			return
		}
		write(w, http.StatusOK, doc)
	})
}

func (a *API) answer(r *http.Request, serve func(*request) (any, error)) (any, error) {
	params, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, signal.Permanent(err)
	}
	project, err := signal.ParseProject(cmp.Or(r.Header.Get(projectHeader), params.Get("project")))
	if err != nil {
		return nil, signal.Permanent(err)
	}
	return serve(&request{Request: r, project: project, params: params})
}

// answer is the frame of all documents but those of v3.
type answer struct {
	Data   any            `json:"data"`
	Total  int            `json:"total"`
	Limit  int            `json:"limit"`
	Offset int            `json:"offset"`
	Errors []errorMessage `json:"errors"`
}

type errorMessage struct {
	Code int    `json:"code"`
	Msg  string `json:"msg"`
}

// partialErrors says that a part of the store did not answer, beside what was found.
func partialErrors(partial bool) []errorMessage {
	if !partial {
		return nil
	}
	return []errorMessage{{http.StatusPartialContent, "the answer is not whole: a part of the store did not answer"}}
}

func write(w http.ResponseWriter, status int, doc any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		fail(w, http.StatusInternalServerError, "write answer: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

func fail(w http.ResponseWriter, status int, message string) {
	write(w, status, answer{Errors: []errorMessage{{status, message}}})
}

// problem is the one place where errors become statuses.
func problem(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, store.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, traceql.ErrTooLarge), errors.Is(err, store.ErrTooMany):
		status = http.StatusUnprocessableEntity
	case signal.IsPermanent(err):
		status = http.StatusBadRequest
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		status, err = http.StatusServiceUnavailable, errors.New("the question was not answered in time")
	}
	fail(w, status, err.Error())
}

func badRequest(format string, args ...any) error {
	return signal.Permanent(fmt.Errorf(format, args...))
}

// texts lists the texts of a field of all spans a filter holds for, in their own order.
func (a *API) texts(r *request, field string, f store.Filter) ([]string, error) {
	counts, err := a.events.FieldValues(r.Context(), r.project, store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: f}, field, mostNames)
	if err != nil && !errors.Is(err, store.ErrPartial) {
		return nil, fmt.Errorf("list names: %w", err)
	}
	out := []string{}
	for _, c := range counts {
		out = append(out, c.Text)
	}
	slices.Sort(out)
	return out, nil
}

// mostNames bounds lists of services and operations.
const mostNames = 10_000

func (a *API) services(r *request) (any, error) {
	names, err := a.texts(r, store.FieldService, nil)
	return answer{Data: names, Total: len(names)}, err
}

func (a *API) operations(r *request) (any, error) {
	names, err := a.texts(r, store.FieldName, store.Eq(store.FieldService, r.PathValue("service")))
	return answer{Data: names, Total: len(names)}, err
}

// operation is an operation with the kind of its spans.
type operation struct {
	Name     string `json:"name"`
	SpanKind string `json:"spanKind"`
}

func (a *API) kinds(r *request) ([]operation, error) {
	service := r.params.Get("service")
	if service == "" {
		return nil, badRequest("the parameter service is missing")
	}
	f := store.And{store.Eq(store.FieldService, service)}
	if kind := r.params.Get("spanKind"); kind != "" {
		f = append(f, store.Eq(store.FieldSpanKind, strings.ToLower(kind)))
	}
	groups, err := a.events.Aggregate(r.Context(), r.project, store.Aggregate{
		Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: f},
		By:    []string{store.FieldName, store.FieldSpanKind}, Columns: []store.Column{{Func: store.CountRows}}, Limit: mostNames,
	})
	if err != nil && !errors.Is(err, store.ErrPartial) {
		return nil, fmt.Errorf("list operations: %w", err)
	}
	out := []operation{}
	for _, g := range groups {
		out = append(out, operation{g.Key[0], strings.TrimPrefix(g.Key[1], "unspecified")})
	}
	return out, nil
}

func (a *API) operationsWithKinds(r *request) (any, error) {
	ops, err := a.kinds(r)
	return answer{Data: ops, Total: len(ops)}, err
}
